package postgres_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
)

// TestArchiver takes one server's archiving through what can become of it.
func TestArchiver(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	archive := filepath.Join(s.farm.Dir, "archiver")
	must(t, s.farm.Folder(archive))
	a, err := s.farm.Primary(map[string]string{"archive_mode": "on"})
	must(t, err)
	must(t, a.Exec("postgres", "create role watcher login password '"+pgtest.Password+"' in role pg_monitor", "create role stranger login password '"+pgtest.Password+"'",
		"create table t (id int)"))
	settings := map[string]any{"dsn_file": dsnFile(t, a.DSN("watcher", "postgres"))}
	look := func(outcome holdfast.Outcome, reason holdfast.Reason) (points []holdfast.RecoveryPoint) {
		t.Helper()
		o, err := observe(t, "postgres.archiver", settings, nil)
		expect(t, o, err, outcome, reason)
		return o.RecoveryPoints
	}
	command := func(command string) {
		t.Helper()
		must(t, a.Exec("postgres", "alter system set archive_command = '"+command+"'", "select pg_reload_conf()"))
		a.Await(t, "select current_setting('archive_command') = '"+command+"'")
	}
	fill := func() { t.Helper(); must(t, a.Exec("postgres", "insert into t values (1)", "select pg_switch_wal()")) }

	look(holdfast.Failed, holdfast.Assertion) // no command
	command("cp %p " + archive + "/%f")
	look(holdfast.Failed, holdfast.Empty)
	before := time.Now()
	fill()
	a.Await(t, "select archived_count > 0 from pg_stat_archiver")
	points := look(holdfast.OK, "")
	if len(points) != 1 || points[0].Time.Before(before.Add(-time.Second)) || points[0].Time.After(time.Now()) {
		t.Fatalf("got %v, want a point after %v", points, before)
	}
	if _, err := os.Stat(filepath.Join(archive, points[0].ID)); err != nil {
		t.Errorf("the archive lacks the recovery point: %v", err)
	}

	// A role that may not look into the archive's status still learns the rest.
	settings["dsn_file"] = dsnFile(t, a.DSN("stranger", "postgres"))
	o, err := observe(t, "postgres.archiver", settings, nil)
	if expect(t, o, err, holdfast.OK, ""); !strings.Contains(o.Facts["backlog"], "pg_monitor") {
		t.Errorf("got %v, want it to ask for pg_monitor", o.Facts)
	}
	settings["dsn_file"] = dsnFile(t, a.DSN("watcher", "postgres"))

	// The archive fails: the point stands.
	command("false")
	fill()
	a.Await(t, "select failed_count > 0 from pg_stat_archiver")
	stands := look(holdfast.Failed, holdfast.Missing)
	if len(stands) != 1 || !stands[0].Time.Equal(points[0].Time) {
		t.Errorf("failing: got %v, want %v", stands, points)
	}

	// It works again, an hour late as it were: the file's own age counts.
	finished := time.Now().Add(-time.Hour).Truncate(time.Second)
	ready, err := filepath.Glob(filepath.Join(a.Dir, "pg_wal", "archive_status", "*.ready"))
	must(t, err)
	for _, path := range ready {
		must(t, os.Chtimes(path, finished, finished))
	}
	command("cp %p " + archive + "/%f")
	must(t, a.Exec("postgres", "select pg_switch_wal()"))
	a.Await(t, "select last_archived_time > last_failed_time from pg_stat_archiver")
	if late := look(holdfast.OK, ""); len(late) != 1 || late[0].Time.After(finished) && len(ready) == 1 {
		t.Errorf("archived late: got %v, want at most %v, when it was finished", late, finished)
	}

	for name, c := range map[string]struct {
		dsn    string
		reason holdfast.Reason
	}{
		"wrong password": {strings.Replace(a.DSN("watcher", "postgres"), pgtest.Password, "wrong", 1), holdfast.Credential},
		"hung":           {deaf(t), holdfast.Timeout},
		"unreachable":    {"host=127.0.0.1 port=1 user=watcher", holdfast.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			limit := 60 * time.Second
			if c.reason == holdfast.Timeout {
				limit = 2 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			o, err := observeIn(ctx, t, "postgres.archiver", map[string]any{"dsn_file": dsnFile(t, c.dsn)}, nil)
			expect(t, o, err, holdfast.OutcomeUnknown, c.reason) // the archive is not lost with its source
		})
	}
	must(t, a.Stop())
	look(holdfast.OutcomeUnknown, holdfast.Unreachable)
	must(t, a.Start(map[string]string{"archive_mode": "off"}))
	if kept := look(holdfast.Failed, holdfast.Assertion); len(kept) > 1 {
		t.Errorf("got %v", kept)
	}
}
