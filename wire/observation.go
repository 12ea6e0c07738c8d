package wire

import (
	"maps"
	"math"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// FromObservation writes what a probe saw. Check, Agent, Seq, Received and
// Offset travel beside it, not in it. Times before 1678 or after 2262 become the
// nearest that nanoseconds can hold; bytes that are not UTF-8 become U+FFFD.
func FromObservation(o *holdfast.Observation) *wirepb.Observation {
	m := &wirepb.Observation{
		At:          fromTime(o.At),
		Outcome:     text(string(o.Outcome)),
		Reason:      text(string(o.Reason)),
		Summary:     text(o.Summary),
		Expiry:      fromTime(o.Expiry),
		Immutable:   copyOf(o.Immutable),
		Offline:     copyOf(o.Offline),
		Encrypted:   copyOf(o.Encrypted),
		Fingerprint: texts(o.Fingerprint),
		Facts:       texts(o.Facts),
		Raw:         text(o.Raw),
		Credential:  text(o.Credential),
	}
	for _, p := range o.RecoveryPoints {
		m.RecoveryPoints = append(m.RecoveryPoints, &wirepb.RecoveryPoint{Time: fromTime(p.Time), Id: text(p.ID), Bytes: int64(p.Bytes), Files: p.Files, Changed: (*int64)(copyOf(p.Changed))})
	}
	if v := o.Verification; v != nil {
		m.Verification = &wirepb.Verification{Time: fromTime(v.Time), Scope: v.Scope, Errors: v.Errors}
	}
	if r := o.Restoration; r != nil {
		m.Restoration = &wirepb.Restoration{
			Started: fromTime(r.Started), Duration: int64(r.Duration), Bytes: int64(r.Bytes), Files: r.Files, Coverage: r.Coverage,
			Checks: r.Checks, Point: fromTime(r.Point), Copy: text(r.Copy), Site: text(r.Site),
		}
	}
	if r := o.Replication; r != nil {
		m.Replication = &wirepb.Replication{Lag: int64(r.Lag), Bytes: int64(r.Bytes), PrimarySeen: r.PrimarySeen}
	}
	if c := o.Capacity; c != nil {
		m.Capacity = &wirepb.Capacity{Needed: int64(c.Needed), Free: int64(c.Free)}
	}
	for _, v := range o.Measures {
		m.Measures = append(m.Measures, &wirepb.Measure{Name: text(v.Name), Value: v.Value, Unit: text(v.Unit)})
	}
	return m
}

// ToObservation reads what a probe saw. It takes anything: whoever receives it
// calls Validate.
func ToObservation(m *wirepb.Observation) holdfast.Observation {
	o := holdfast.Observation{
		At:          toTime(m.GetAt()),
		Outcome:     holdfast.Outcome(m.GetOutcome()),
		Reason:      holdfast.Reason(m.GetReason()),
		Summary:     m.GetSummary(),
		Expiry:      toTime(m.GetExpiry()),
		Immutable:   copyOf(m.Immutable),
		Offline:     copyOf(m.Offline),
		Encrypted:   copyOf(m.Encrypted),
		Fingerprint: maps.Clone(m.GetFingerprint()),
		Facts:       maps.Clone(m.GetFacts()),
		Raw:         m.GetRaw(),
		Credential:  m.GetCredential(),
	}
	for _, p := range m.GetRecoveryPoints() {
		o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: toTime(p.GetTime()), ID: p.GetId(), Bytes: holdfast.Bytes(p.GetBytes()), Files: p.GetFiles(), Changed: (*holdfast.Bytes)(copyOf(p.Changed))})
	}
	if v := m.GetVerification(); v != nil {
		o.Verification = &holdfast.Verification{Time: toTime(v.GetTime()), Scope: v.GetScope(), Errors: v.GetErrors()}
	}
	if r := m.GetRestoration(); r != nil {
		o.Restoration = &holdfast.Restoration{
			Started: toTime(r.GetStarted()), Duration: holdfast.Duration(r.GetDuration()), Bytes: holdfast.Bytes(r.GetBytes()), Files: r.GetFiles(), Coverage: r.GetCoverage(),
			Checks: r.GetChecks(), Point: toTime(r.GetPoint()), Copy: r.GetCopy(), Site: r.GetSite(),
		}
	}
	if r := m.GetReplication(); r != nil {
		o.Replication = &holdfast.Replication{Lag: holdfast.Duration(r.GetLag()), Bytes: holdfast.Bytes(r.GetBytes()), PrimarySeen: r.GetPrimarySeen()}
	}
	if c := m.GetCapacity(); c != nil {
		o.Capacity = &holdfast.Capacity{Needed: holdfast.Bytes(c.GetNeeded()), Free: holdfast.Bytes(c.GetFree())}
	}
	for _, v := range m.GetMeasures() {
		o.Measures = append(o.Measures, holdfast.Measure{Name: v.GetName(), Value: v.GetValue(), Unit: v.GetUnit()})
	}
	return o
}

// The first and last instants that nanoseconds since 1970 can hold.
var (
	firstTime = time.Unix(0, math.MinInt64)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// fromTime writes a time as nanoseconds since 1970, 0 for none. A certificate
// may well end in the year 9999, so what is out of range is brought into it.
func fromTime(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(firstTime):
		return math.MinInt64
	case t.After(lastTime):
		return math.MaxInt64
	case t.UnixNano() == 0:
		return 1 // 1970 itself is a time, too
	}
	return t.UnixNano()
}

func toTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// text makes a string fit for protobuf, which refuses a whole message for one
// byte that is not UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func texts(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	clean := make(map[string]string, len(m))
	for k, v := range m {
		clean[text(k)] = text(v)
	}
	return clean
}

func copyOf[T any](v *T) *T {
	if v == nil {
		return nil
	}
	c := *v
	return &c
}
