package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/plugins/postgres"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

const replicaCatalogue = `
site: fra
---
site: ams
---
service: archive
tier: 4
site: fra
host: db1
bia: {rto: 8h, rpo: 15m, reviewed: 2026-01-15, scenarios: {site-loss: {}}}
data:
  ledger:
    copies:
      standby: {probe: postgres.replica, on: dr1, site: ams, host: dr1, kind: replica, every: 1m, timeout: 30s}
paths:
  promote:
    covers: [site-loss]
    at: ams
    from: [ledger/standby]
    needs:
      - {name: room, probe: host.capacity, on: dr1, every: 8h, timeout: 1m}
    tests:
      restored: {probe: postgres.restore, on: dr1, every: 7d}
`

// TestReplicaOfReal takes a real standby of a real primary through its life and has
// what the real probe saw judged: paused, its lag is exposure; unheard of, that goes
// on growing; promoted, it is a change, and no copy any more.
func TestReplicaOfReal(t *testing.T) {
	t.Parallel()
	farm, err := pgtest.NewFarm()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	ok(t, err)
	t.Cleanup(func() { ok(t, farm.Close()) })
	primary, err := farm.Primary(nil)
	ok(t, err)
	ok(t, primary.Exec("postgres", "create role watcher login password '"+pgtest.Password+"' in role pg_monitor", "create table entry (id int)"))
	standby, err := primary.Standby("dr", nil)
	ok(t, err)
	w := newReplicaWorld(t, standby, primary)

	o := w.observe(t)
	if o.Outcome != holdfast.OK || o.Fingerprint["role"] != "standby" {
		t.Fatalf("following: got %s %s, %v", o.Outcome, o.Summary, o.Fingerprint)
	}
	p := w.judge(t, o.At.Add(time.Second))
	w.is(t, "following", p, holdfast.Proven, o.At, false)

	ok(t, standby.Exec("postgres", "select pg_wal_replay_pause()"))
	standby.Await(t, "pg_get_wal_replay_pause_state() = 'paused'")
	ok(t, primary.Exec("postgres", "insert into entry select generate_series(1, 1000)"))
	o = w.observe(t)
	if o.Outcome != holdfast.OutcomeDegraded || o.Reason != holdfast.Locked || o.Replication.Lag <= 0 {
		t.Fatalf("paused: got %s %s: %s, %+v", o.Outcome, o.Reason, o.Summary, o.Replication)
	}
	reached := o.At.Add(-o.Replication.Lag.Std())
	w.is(t, "paused", w.judge(t, o.At.Add(time.Second)), holdfast.Degraded, reached, false)
	first := o
	o = w.observe(t)
	if o.Replication.Lag <= first.Replication.Lag || !w.changed {
		t.Errorf("paused still: got a lag of %v after %v, want it to grow", o.Replication.Lag, first.Replication.Lag)
	}
	// The standby holds what it held: the moment it reaches is the same.
	reached = o.At.Add(-o.Replication.Lag.Std())
	if d := reached.Sub(first.At.Add(-first.Replication.Lag.Std())).Abs(); d > 30*time.Second {
		t.Errorf("paused still: it reaches %v further than before", d)
	}

	// Nothing more is heard. The point stands, and what would be lost grows past the RPO.
	before := w.judge(t, reached.Add(15*time.Minute-time.Second))
	w.is(t, "silent for 14 m 59 s", before, holdfast.Unknown, reached, false)
	after := w.judge(t, reached.Add(15*time.Minute+time.Second))
	w.is(t, "silent for 15 m", after, holdfast.Unknown, reached, true)
	w.is(t, "silent for 10 h", w.judge(t, reached.Add(10*time.Hour)), holdfast.Unknown, reached, true)

	ok(t, standby.Exec("postgres", "select pg_promote()"))
	was := o
	o = w.observe(t)
	if !w.changed || o.Outcome != holdfast.Failed || was.Fingerprint["role"] != "standby" || o.Fingerprint["role"] != "primary" ||
		was.Fingerprint["timeline"] != "1" || o.Fingerprint["timeline"] != "2" || o.Fingerprint["system"] != was.Fingerprint["system"] {
		t.Errorf("promoted: got %s, changed %v, %v after %v", o.Outcome, w.changed, o.Fingerprint, was.Fingerprint)
	}
	p = w.judge(t, o.At.Add(time.Second))
	w.is(t, "promoted", p, holdfast.Broken, reached, false)
	if all := findings(p); !strings.Contains(all, "archive/ledger/standby copy-failed broken: archive/ledger/standby failed: it is no standby: it was promoted") {
		t.Errorf("promoted: got findings\n%s\nwant the promotion", all)
	}
	w.is(t, "promoted 20 m ago", w.judge(t, reached.Add(20*time.Minute)), holdfast.Broken, reached, true)
}

// replicaWorld is a catalogue with one service, and what was seen of its standby.
type replicaWorld struct {
	catalogue, facts string // folder, file
	request          probe.Request
	probe            probe.Probe
	seen             *score.Facts
	changed          bool // what was seen last differs from what was seen before
}

func newReplicaWorld(t *testing.T, standby, primary *pgtest.Server) *replicaWorld {
	t.Helper()
	dir := t.TempDir()
	w := &replicaWorld{catalogue: filepath.Join(dir, "catalogue"), facts: filepath.Join(dir, "facts.jsonl"), seen: score.NewFacts()}
	settings := map[string]string{"dsn_file": filepath.Join(dir, "dr1.dsn"), "primary_dsn_file": filepath.Join(dir, "db1.dsn")}
	b, err := json.Marshal(settings)
	ok(t, err)
	w.request = probe.Request{Check: "archive/ledger/standby", Settings: holdfast.Settings(b)}
	for path, content := range map[string]string{filepath.Join(w.catalogue, "catalog.yaml"): replicaCatalogue,
		settings["dsn_file"]: standby.DSN("watcher", "postgres"), settings["primary_dsn_file"]: primary.DSN("watcher", "postgres")} {
		ok(t, os.MkdirAll(filepath.Dir(path), 0o755))
		ok(t, os.WriteFile(path, []byte(content), 0o600))
	}
	for _, p := range postgres.Probes() {
		if p.Describe().Name == "postgres.replica" {
			w.probe = p
		}
	}
	// A clone was promoted and checked last week, and there is room for the data.
	now := time.Now().UTC()
	week := now.Add(-3 * 24 * time.Hour)
	w.write(t, holdfast.Observation{At: week, Check: "archive/promote/restored", Outcome: holdfast.OK,
		Restoration: &holdfast.Restoration{Started: week, Duration: holdfast.Duration(time.Minute), Bytes: 1 << 20, Coverage: 1, Checks: 3, Point: week.Add(-time.Hour)}})
	w.write(t, holdfast.Observation{At: now, Check: "archive/promote/room", Outcome: holdfast.OK, Capacity: &holdfast.Capacity{Free: 1 << 40}})
	return w
}

// observe has the real probe look, as an agent does.
func (w *replicaWorld) observe(t *testing.T) holdfast.Observation {
	t.Helper()
	at := time.Now().UTC()
	o, err := w.probe.Observe(t.Context(), w.request)
	ok(t, err)
	o.At, o.Check = at, w.request.Check
	ok(t, o.Validate())
	w.write(t, o)
	received := o
	received.Received = at
	w.changed = w.seen.Observe(received)
	return o
}

func (w *replicaWorld) write(t *testing.T, o holdfast.Observation) {
	t.Helper()
	f, err := os.OpenFile(w.facts, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ok(t, err)
	ok(t, json.NewEncoder(f).Encode(o))
	ok(t, f.Close())
}

// judge asks the command how the service stands at an instant.
func (w *replicaWorld) judge(t *testing.T, at time.Time) holdfast.Posture {
	t.Helper()
	cmd := rootCommand()
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs([]string{"judge", w.catalogue, "--facts", w.facts, "--at", at.Format(time.RFC3339Nano), "--output", "json"})
	if err := cmd.ExecuteContext(t.Context()); err != nil || stderr.Len() > 0 {
		t.Fatalf("judge: %v: %s", err, &stderr)
	}
	var answer struct {
		Services []holdfast.Posture `json:"services"`
	}
	ok(t, json.Unmarshal(stdout.Bytes(), &answer))
	return answer.Services[0]
}

// is compares how the service stands in the loss of its site.
func (w *replicaWorld) is(t *testing.T, when string, p holdfast.Posture, state holdfast.State, point time.Time, missed bool) {
	t.Helper()
	at := slices.IndexFunc(p.Scenarios, func(s holdfast.ScenarioPosture) bool { return s.Name == "site-loss" })
	if at < 0 {
		t.Fatalf("%s: no site-loss in %+v", when, p.Scenarios)
	}
	got := p.Scenarios[at]
	over := slices.ContainsFunc(p.Findings, func(f holdfast.Finding) bool { return f.Code == "rpo-miss" })
	// Facts hold a lag to the millisecond.
	if got.State != state || got.Point.Sub(point).Abs() > time.Millisecond || over != missed {
		t.Errorf("%s: got %s, recovery point %v, RPO missed %v, want %s, %v, %v\n%s", when, got.State, got.Point, over, state, point, missed, findings(p))
	}
}

func findings(p holdfast.Posture) string {
	var lines []string
	for _, f := range p.Findings {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s", f.Need, f.Code, f.State, f.Reason))
	}
	return strings.Join(lines, "\n")
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
