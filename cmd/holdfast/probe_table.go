package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// describeTable prints what a probe is.
func describeTable(w io.Writer, d holdfast.Description) error {
	t := &table{}
	t.row("probe", d.Name)
	t.row("observes", d.Observes)
	t.row("cost", fmt.Sprintf("%s, ended after %s by default", d.Cost, d.Cost.Timeout(holdfast.Year)))
	t.row("needs", needs(d.Privileges))
	if len(d.Privileges.Tools) > 0 {
		t.row("tools", strings.Join(d.Privileges.Tools, ", "))
	}
	if d.Privileges.Note != "" {
		t.row("note", d.Privileges.Note)
	}
	var reasons []string
	for _, r := range d.Reasons {
		reasons = append(reasons, string(r))
	}
	t.row("reasons", strings.Join(reasons, ", "))
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	var schema settingSchema
	if err := json.Unmarshal([]byte(d.Settings), &schema); err != nil {
		return fmt.Errorf("read the probe's schema: %w", err)
	}
	if len(schema.Properties) == 0 {
		return nil
	}
	t = &table{}
	t.row()
	t.row("SETTING", "TYPE", "REQUIRED", "")
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		s, required := schema.Properties[name], ""
		if slices.Contains(schema.Required, name) {
			required = "yes"
		}
		t.row(name, strings.Join(s.Type, " or "), required, s.Description)
	}
	_, err := t.WriteTo(w)
	return err
}

// observationTable prints what a probe saw; now is for ages.
func observationTable(w io.Writer, o holdfast.Observation, now time.Time) error {
	t := &table{}
	t.row("outcome", string(o.Outcome))
	if o.Reason != "" {
		t.row("reason", string(o.Reason))
	}
	t.row("summary", o.Summary)
	for _, p := range o.RecoveryPoints {
		t.row("recovery point", commas(moment(p.Time, now), amount(p.Bytes, p.Files), changed(p), p.ID))
	}
	partRows(t, o, now)
	for _, name := range slices.Sorted(maps.Keys(o.Fingerprint)) {
		t.row(name, o.Fingerprint[name])
	}
	for _, m := range o.Measures {
		t.row(m.Name, measure(m))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Facts)) {
		t.row(name, o.Facts[name])
	}
	for line := range strings.Lines(o.Raw) {
		t.row("raw", strings.TrimRight(line, "\r\n"))
	}
	_, err := t.WriteTo(w)
	return err
}

func partRows(t *table, o holdfast.Observation, now time.Time) {
	if v := o.Verification; v != nil {
		t.row("verification", commas(moment(v.Time, now), percent(v.Scope)+" of the data", fmt.Sprintf("%d errors", v.Errors)))
	}
	if r := o.Restoration; r != nil {
		t.row("restoration", commas(moment(r.Started, now), percent(r.Coverage)+" of the point in "+r.Duration.String(), amount(r.Bytes, r.Files), fmt.Sprintf("%d checks passed", r.Checks)))
		if !r.Point.IsZero() {
			t.row("restored point", moment(r.Point, now))
		}
	}
	if r := o.Replication; r != nil {
		seen := r.Lag.String() + " behind the primary"
		if !r.PrimarySeen {
			seen = "primary not seen"
		}
		t.row("replication", commas(seen, amount(r.Bytes, 0)))
	}
	if c := o.Capacity; c != nil {
		t.row("capacity", fmt.Sprintf("%s free, %s needed", c.Free, c.Needed))
	}
	if !o.Expiry.IsZero() {
		t.row("expiry", moment(o.Expiry, now))
	}
	for _, fact := range []struct {
		name string
		is   *bool
	}{{"immutable", o.Immutable}, {"offline", o.Offline}, {"encrypted", o.Encrypted}} {
		if fact.is != nil {
			t.row(fact.name, strconv.FormatBool(*fact.is))
		}
	}
}

// moment writes a time and how far it is from now.
func moment(at, now time.Time) string {
	text := at.UTC().Format("2006-01-02 15:04:05Z")
	if d := now.Sub(at); d >= 0 {
		return text + " (" + rough(d) + " ago)"
	}
	return text + " (in " + rough(at.Sub(now)) + ")"
}

// rough writes a span to the two largest units that matter.
func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		d = d.Truncate(time.Second)
	case d < 24*time.Hour:
		d = d.Truncate(time.Minute)
	default:
		d = d.Truncate(time.Hour)
	}
	return holdfast.Duration(d).String()
}

func amount(b holdfast.Bytes, files int64) string {
	switch {
	case b == 0 && files == 0:
		return ""
	case files == 0:
		return b.String()
	}
	return fmt.Sprintf("%s in %d files", b, files)
}

// changed writes what is new in a point, where that is known.
func changed(p holdfast.RecoveryPoint) string {
	if p.Changed == nil {
		return ""
	}
	return p.Changed.String() + " changed"
}

// commas joins what there is to say.
func commas(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'f', -1, 64) + "%" }

// measure writes a number with its unit.
func measure(m holdfast.Measure) string {
	switch m.Unit {
	case "bytes":
		return holdfast.Bytes(m.Value).String()
	case "ratio":
		return strconv.FormatFloat(m.Value*100, 'f', 1, 64) + "%"
	}
	digits := 3
	if m.Value == math.Trunc(m.Value) {
		digits = 0
	}
	return strings.TrimSpace(strconv.FormatFloat(m.Value, 'f', digits, 64) + " " + m.Unit)
}
