package score

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// The order of evidence (JUDGEMENT.md 1): within one agent the sequence number
// says what is later, never the clock; otherwise the time of receipt; at the same
// instant the worse counts, so it stands last.

// badness ranks outcomes, worst highest.
func badness(o holdfast.Outcome) int {
	switch o {
	case holdfast.OK:
		return 0
	case holdfast.OutcomeDegraded:
		return 1
	case holdfast.OutcomeUnknown:
		return 2
	}
	return 3
}

// insert puts an entry in its place; false where it is known already.
func insert(list *[]entry, e entry) bool {
	for i := len(*list) - 1; i >= 0; i-- {
		old := &(*list)[i]
		if !sameReport(old, &e) {
			continue
		}
		if e.Received.Before(old.Received) { // sent twice: the first receipt counts
			old.Received, old.At = e.Received, earlier(e.At, old.At)
			old.last = stamp{old.At, old.Received, old.Seq}
			arrange(*list)
		}
		return false
	}
	for i := range *list {
		old := &(*list)[i]
		if old.Agent != e.Agent || e.Seq <= old.Seq || e.Seq > old.last.seq {
			continue
		}
		if sameFacts(&old.Observation, &e.Observation) {
			return false // one of the run that said so
		}
		again := *old // it came behind: the run breaks where it belongs
		again.At, again.Received, again.Seq = old.last.at, old.last.received, old.last.seq
		old.last = stamp{old.At, old.Received, old.Seq}
		*list = append(*list, again, e)
		arrange(*list)
		return true
	}
	last := len(*list) - 1
	*list = append(*list, e)
	if last >= 0 && !appends((*list)[:last+1], &e) {
		arrange(*list)
	}
	return true
}

// sameReport reports whether two entries are the same observation, delivered
// twice.
func sameReport(a, b *entry) bool {
	if a.Agent != b.Agent || a.Seq != b.Seq || a.Outcome != b.Outcome {
		return false
	}
	if a.Seq == 0 && (!a.Received.Equal(b.Received) || !a.At.Equal(b.At)) {
		return false
	}
	return sameFacts(&a.Observation, &b.Observation)
}

// appends reports whether e is later than all of list, plainly.
func appends(list []entry, e *entry) bool {
	for i := range list {
		old := &list[i]
		if !e.Received.After(old.last.received) {
			return false
		}
		if old.Agent == e.Agent && e.Seq != 0 && old.last.seq >= e.Seq {
			return false
		}
	}
	return true
}

// arrange sorts a history. An agent's observation counts as received no earlier
// than what the same agent sent before it; of those that then fall on one instant
// the agent whose last word is worst comes last.
func arrange(list []entry) {
	type key struct {
		received time.Time
		worst    *holdfast.Observation // the agent's last word of that instant
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Seq, b.Seq), a.Received.Compare(b.Received),
			compareWorse(&a.Observation, &b.Observation))
	})
	keys := make([]key, len(list))
	for i := range list {
		keys[i] = key{list[i].Received, &list[i].Observation}
		if i > 0 && list[i].Seq != 0 && list[i].Agent == list[i-1].Agent && keys[i-1].received.After(keys[i].received) {
			keys[i].received = keys[i-1].received
		}
	}
	for i := len(list) - 2; i >= 0; i-- {
		if list[i].Seq != 0 && list[i].Agent == list[i+1].Agent && keys[i].received.Equal(keys[i+1].received) {
			keys[i].worst = keys[i+1].worst
		}
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(keys[i].received.Compare(keys[j].received),
			compareWorse(keys[i].worst, keys[j].worst),
			cmp.Compare(i, j)) // by agent, then sequence
	})
	sorted := make([]entry, len(list))
	for to, from := range order {
		sorted[to] = list[from]
	}
	copy(list, sorted)
}

// compareWorse orders observations of one instant: positive where a is worse.
func compareWorse(a, b *holdfast.Observation) int {
	return cmp.Or(
		cmp.Compare(badness(a.Outcome), badness(b.Outcome)),
		cmp.Compare(verificationErrors(a), verificationErrors(b)),
		newestPoint(b).Compare(newestPoint(a)),
		cmp.Compare(lag(a), lag(b)),
		cmp.Compare(free(b), free(a)),
		cmp.Compare(coverage(b), coverage(a)),
		cmp.Compare(duration(a), duration(b)),
		b.Expiry.Compare(a.Expiry),
		b.At.Compare(a.At),
		bytes.Compare(canonical(a), canonical(b)),
	)
}

func verificationErrors(o *holdfast.Observation) int64 {
	if o.Verification == nil {
		return 0
	}
	return o.Verification.Errors
}

func newestPoint(o *holdfast.Observation) time.Time {
	var newest time.Time
	for i := range o.RecoveryPoints {
		newest = later(newest, o.RecoveryPoints[i].Time)
	}
	return newest
}

func lag(o *holdfast.Observation) holdfast.Duration {
	if o.Replication == nil {
		return 0
	}
	return o.Replication.Lag
}

func free(o *holdfast.Observation) holdfast.Bytes {
	if o.Capacity == nil {
		return 0
	}
	return o.Capacity.Free
}

func coverage(o *holdfast.Observation) float64 {
	if o.Restoration == nil {
		return 0
	}
	return o.Restoration.Coverage
}

func duration(o *holdfast.Observation) holdfast.Duration {
	if o.Restoration == nil {
		return 0
	}
	return o.Restoration.Duration
}

// canonical is the last resort of order: the whole observation as bytes.
func canonical(o *holdfast.Observation) []byte {
	b, _ := json.Marshal(o) // plain data: cannot fail but for NaN, which Validate refuses
	return b
}

// timeless reports whether the entry says the same however often it is repeated:
// no part of it is a moment that follows the time of looking.
func (e *entry) timeless() bool {
	switch {
	case e.Replication != nil && e.Replication.PrimarySeen:
		return false // the point moves along
	case e.Verification != nil && e.Verification.Time.IsZero():
		return false // at the time of looking
	case e.Restoration != nil && e.Restoration.Started.IsZero():
		return false
	}
	for i := range e.RecoveryPoints {
		if e.RecoveryPoints[i].Time.After(e.Received) {
			return false // held back to its first receipt, which must stay known
		}
	}
	return true
}

// before reports whether a report is later than the entry's last.
func (e *entry) before(agent string, seq uint64, received time.Time) bool {
	if e.Agent == agent && seq != 0 && e.last.seq != 0 {
		return seq > e.last.seq && !received.Before(e.last.received)
	}
	return received.After(e.last.received)
}

// repeats reports whether o says what e says, later.
func (e *entry) repeats(o *holdfast.Observation) bool {
	return e.timeless() && e.before(o.Agent, o.Seq, o.Received) && sameFacts(&e.Observation, o)
}

// sameFacts compares what judgement reads; times of looking, measures and texts of
// good observations are not among it.
func sameFacts(a, b *holdfast.Observation) bool {
	return a.Agent == b.Agent && a.Outcome == b.Outcome && a.Reason == b.Reason &&
		(a.Outcome == holdfast.OK || a.Summary == b.Summary) &&
		samePoints(a.RecoveryPoints, b.RecoveryPoints) &&
		sameVerification(a.Verification, b.Verification) &&
		sameRestoration(a.Restoration, b.Restoration) &&
		samePart(a.Replication, b.Replication) && samePart(a.Capacity, b.Capacity) &&
		a.Expiry.Equal(b.Expiry) &&
		samePart(a.Immutable, b.Immutable) && samePart(a.Offline, b.Offline) && samePart(a.Encrypted, b.Encrypted) && a.Credential == b.Credential &&
		maps.Equal(a.Fingerprint, b.Fingerprint)
}

func samePoints(a, b []holdfast.RecoveryPoint) bool {
	return slices.EqualFunc(a, b, func(x, y holdfast.RecoveryPoint) bool {
		return x.Time.Equal(y.Time) && x.ID == y.ID && x.Bytes == y.Bytes && x.Files == y.Files && samePart(x.Changed, y.Changed)
	})
}

func sameVerification(a, b *holdfast.Verification) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Time.Equal(b.Time) && a.Scope == b.Scope && a.Errors == b.Errors
}

func sameRestoration(a, b *holdfast.Restoration) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Started.Equal(b.Started) && a.Point.Equal(b.Point) && a.Duration == b.Duration && a.Bytes == b.Bytes &&
		a.Coverage == b.Coverage && a.Checks == b.Checks && a.Copy == b.Copy && a.Site == b.Site
}

func samePart[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
