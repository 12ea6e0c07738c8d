package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/plugins/pgbackrest"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

const walCatalogue = `
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
      repository: {probe: pgbackrest.repository, on: dr1, site: ams, host: dr1, medium: disk, every: 1h, timeout: 1m, with: {stanza: main, repository: %[1]s}}
paths:
  restore:
    covers: [site-loss]
    at: ams
    from: [ledger/repository]
    needs:
      - {name: room, probe: host.capacity, on: dr1, every: 8h, timeout: 1m}
    tests:
      restored: {probe: pgbackrest.restore, on: dr1, every: 7d, with: {stanza: main, repository: %[1]s}}
`

// TestArchivingStops stops nothing but the archiving of the log of a real cluster:
// base backups go on and end well. What would be lost grows from the log that was
// archived last, past the RPO.
func TestArchivingStops(t *testing.T) {
	t.Parallel()
	farm, err := pgtest.NewFarm()
	if _, e := os.Stat("/usr/bin/pgbackrest"); errors.Join(err, e) != nil && os.Getenv("CI") != "true" {
		t.Skip(errors.Join(err, e))
	}
	ok(t, err)
	t.Cleanup(func() { ok(t, farm.Close()) })
	in := func(name string) string { return filepath.Join(farm.Dir, name) }
	repository, stopped := in("repository"), in("stopped")
	ok(t, errors.Join(farm.Folder(repository), farm.Folder(in("lock"))))
	ok(t, os.WriteFile(in("pgbackrest-archive"), fmt.Appendf(nil, "#!/bin/sh\n[ ! -e %s ] && exec /usr/bin/pgbackrest --config=%s --stanza=main archive-push \"$1\"\n",
		stopped, in("pgbackrest.conf")), 0o755))
	primary, err := farm.Primary(map[string]string{"unix_socket_directories": farm.Dir, "archive_mode": "on", "archive_command": in("pgbackrest-archive") + " %p"})
	ok(t, err)
	ok(t, os.WriteFile(in("pgbackrest.conf"), fmt.Appendf(nil, "[global]\nrepo1-path=%s\nrepo1-retention-full=9\nlog-level-file=off\nlock-path=%s\nstart-fast=y\n"+
		"[main]\npg1-path=%s\npg1-socket-path=%s\npg1-port=%d\n", repository, in("lock"), primary.Dir, farm.Dir, primary.Port), 0o644))
	backrest := func(args ...string) {
		t.Helper()
		_, err := farm.Run("/usr/bin/pgbackrest", append([]string{"--config=" + in("pgbackrest.conf"), "--stanza=main"}, args...)...)
		ok(t, err)
	}
	backrest("stanza-create")
	ok(t, primary.Exec("postgres", "create table entry (id int)"))
	backrest("backup", "--type=full")
	ok(t, primary.Exec("postgres", "insert into entry values (1)"))
	archived, err := primary.Switch()
	ok(t, err)
	w := newWALWorld(t, repository)

	o := w.observe(t)
	if o.Outcome != holdfast.OK || o.RecoveryPoints[0].ID != archived {
		t.Fatalf("archiving: got %s %s, %v, want the newest point to be %s", o.Outcome, o.Summary, o.RecoveryPoints, archived)
	}
	point := o.RecoveryPoints[0].Time
	w.is(t, "archiving", w.judge(t, o.At.Add(time.Second)), holdfast.Proven, point, false)

	ok(t, os.WriteFile(stopped, nil, 0o644))
	ok(t, primary.Exec("postgres", "insert into entry values (2)", "select pg_switch_wal()"))
	primary.Await(t, "exists (select from pg_stat_archiver where failed_count > 0)")
	o = w.observe(t)
	if o.Outcome != holdfast.OK || o.RecoveryPoints[0].ID != archived || !o.RecoveryPoints[0].Time.Equal(point) {
		t.Errorf("archiving stopped: got %s %s, %v, want the point to stand at %s", o.Outcome, o.Summary, o.RecoveryPoints, archived)
	}
	w.is(t, "14 m 59 s after the last log", w.judge(t, point.Add(15*time.Minute-time.Second)), holdfast.Proven, point, false)
	w.is(t, "15 m 1 s after the last log", w.judge(t, point.Add(15*time.Minute+time.Second)), holdfast.Degraded, point, true)

	// A base backup ends well, and needs log that nobody archived.
	backrest("backup", "--type=incr", "--no-archive-check")
	o = w.observe(t)
	if o.Outcome != holdfast.Failed || o.Reason != holdfast.Damaged || !strings.Contains(o.Summary, "which it needs, is not in the archive") {
		t.Errorf("backup without its log: got %s %s: %s", o.Outcome, o.Reason, o.Summary)
	}
	w.is(t, "a base backup later", w.judge(t, point.Add(20*time.Minute)), holdfast.Broken, point, true)
}

// newWALWorld is a world whose copy is a pgBackRest repository.
func newWALWorld(t *testing.T, repository string) *replicaWorld {
	t.Helper()
	dir := t.TempDir()
	w := &replicaWorld{catalogue: filepath.Join(dir, "catalogue"), facts: filepath.Join(dir, "facts.jsonl"), seen: score.NewFacts()}
	w.request = probe.Request{Check: "archive/ledger/repository", Settings: holdfast.Settings(fmt.Sprintf(`{"stanza":"main","repository":%q}`, repository)),
		Tools: map[string]string{"pgbackrest": "/usr/bin/pgbackrest"}}
	ok(t, os.Mkdir(w.catalogue, 0o755))
	ok(t, os.WriteFile(filepath.Join(w.catalogue, "catalog.yaml"), fmt.Appendf(nil, walCatalogue, repository), 0o600))
	for _, p := range pgbackrest.Probes() {
		if p.Describe().Name == "pgbackrest.repository" {
			w.probe = p
		}
	}
	now := time.Now().UTC()
	week := now.Add(-3 * 24 * time.Hour)
	w.write(t, holdfast.Observation{At: week, Check: "archive/restore/restored", Outcome: holdfast.OK,
		Restoration: &holdfast.Restoration{Started: week, Duration: holdfast.Duration(time.Minute), Bytes: 20 << 20, Coverage: 1, Checks: 3, Point: week.Add(-time.Minute)}})
	w.write(t, holdfast.Observation{At: now, Check: "archive/restore/room", Outcome: holdfast.OK, Capacity: &holdfast.Capacity{Free: 1 << 40}})
	return w
}
