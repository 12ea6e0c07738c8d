package holdfast_test

import (
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func TestRecordValidate(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	good := map[holdfast.RecordKind]holdfast.Record{
		holdfast.Exercise: {Service: "payments", Path: "restore-in-ams", Plan: "payments-scp", Version: "7", Site: "ams", Outcome: holdfast.OK,
			Started: now.Add(-time.Hour), Duration: holdfast.Duration(40 * time.Minute), Point: now.Add(-2 * time.Hour), People: []string{"dba-1"}},
		holdfast.Review:      {Plan: "payments-scp"},
		holdfast.Training:    {Team: "payments-oncall", People: []string{"dba-1"}, Plan: "payments-scp"},
		holdfast.Change:      {Service: "payments", Reason: "new storage"},
		holdfast.Attestation: {Need: "payments/restore-in-ams/contract-exit"},
		holdfast.Acceptance:  {Need: "payments/ransomware", Reason: "migration", Approver: "cio", Until: now.Add(time.Hour)},
		holdfast.Maintenance: {Site: "fra", Reason: "power", Until: now.Add(time.Hour)},
		holdfast.Invocation:  {Service: "payments", Path: "restore-in-ams", Outcome: holdfast.OK, Started: now.Add(-time.Hour)},
	}
	for _, kind := range holdfast.RecordKinds {
		r := good[kind]
		r.Kind, r.By, r.At, r.Received = kind, "ada", now, now
		if err := r.Validate(); err != nil {
			t.Errorf("good %s: got %v", kind, err)
		}
	}
	for _, c := range []struct {
		name, want string
		change     func(*holdfast.Record)
	}{
		{"unknown kind", "no kind of record", func(r *holdfast.Record) { r.Kind = "party" }},
		{"nobody", "by: say who", func(r *holdfast.Record) { r.By = "" }},
		{"no plan version", "version: a record of kind exercise must state it", func(r *holdfast.Record) { r.Version = "" }},
		{"future", "at: 2026-03-01T10:00:00Z lies in the future", func(r *holdfast.Record) { r.At = now.Add(time.Hour) }},
		{"ends in the future", "started + duration", func(r *holdfast.Record) { r.Duration = holdfast.Duration(3 * time.Hour) }},
		{"point after start", "point: the recovery point", func(r *holdfast.Record) { r.Point = now }},
		{"odd outcome", `outcome: "fine" is none`, func(r *holdfast.Record) { r.Outcome = "fine" }},
		{"until before at", "until:", func(r *holdfast.Record) { r.Until = now.Add(-time.Hour) }},
	} {
		r := good[holdfast.Exercise]
		r.Kind, r.By, r.At, r.Received = holdfast.Exercise, "ada", now, now
		c.change(&r)
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}
