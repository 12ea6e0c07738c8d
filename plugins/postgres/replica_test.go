package postgres_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
)

// dsnFile writes a connection string into a file.
func dsnFile(t testing.TB, dsn string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dsn")
	must(t, os.WriteFile(path, []byte(dsn+"\n"), 0o600))
	return path
}

// watch are the settings to watch a standby of a primary.
func watch(t testing.TB, standby, primary *pgtest.Server) map[string]any {
	t.Helper()
	m := map[string]any{"dsn_file": dsnFile(t, standby.DSN("watcher", "postgres"))}
	if primary != nil {
		m["primary_dsn_file"] = dsnFile(t, primary.DSN("watcher", "postgres"))
	}
	return m
}

// TestReplica takes one standby through its life: at one with the primary, paused,
// caught up, cut off from the primary, promoted.
func TestReplica(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	b, err := s.primary.Standby("dr1", nil)
	must(t, err)
	settings := watch(t, b, s.primary)
	o, err := observe(t, "postgres.replica", settings, nil)
	expect(t, o, err, holdfast.OK, "")
	if r := o.Replication; r == nil || !r.PrimarySeen || r.Lag != 0 || r.Bytes < 16<<20 || r.Bytes > 256<<20 || measure(t, o, "behind") != 0 {
		t.Errorf("at one with the primary: got %+v, %v, want no lag, and the size of its databases", r, o.Measures)
	}
	if o.Fingerprint["role"] != "standby" || o.Fingerprint["timeline"] != "1" || o.Facts["would_promote"] != "yes" || !strings.HasPrefix(o.Facts["slot"], "dr1: active true, wal_status reserved") {
		t.Errorf("got %v, %v", o.Fingerprint, o.Facts)
	}

	must(t, b.Exec("postgres", "select pg_wal_replay_pause()"))
	b.Await(t, "select pg_get_wal_replay_pause_state() = 'paused'")
	reached := time.Now()
	must(t, s.primary.Exec("ledger", "create table later (id int)", "insert into later select generate_series(1, 5000)"))
	o, err = observe(t, "postgres.replica", settings, nil)
	expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Locked)
	if r := o.Replication; r == nil || !r.PrimarySeen || r.Lag <= 0 || measure(t, o, "behind") < 100_000 {
		t.Errorf("paused: got %+v, %v, want a lag in time and bytes", r, o.Measures)
	}
	first, paused := o.Replication.Lag, time.Since(reached)
	o, err = observe(t, "postgres.replica", settings, nil)
	expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Locked)
	if got := o.Replication.Lag; got <= first || got.Std() < paused-5*time.Second {
		t.Errorf("paused: got a lag of %v after %v, want it to grow", got, first)
	}
	must(t, b.Exec("postgres", "select pg_wal_replay_resume()"))
	o, err = observe(t, "postgres.replica", settings, nil)
	expect(t, o, err, holdfast.OK, "")
	if r := o.Replication; r == nil || r.Lag != 0 {
		t.Errorf("resumed: got %+v, want no lag", r)
	}

	// Cut off: the standby is well, and attests no point.
	for name, dsn := range map[string]string{"unreachable": "host=127.0.0.1 port=1 user=watcher", "hung": deaf(t), "not named": ""} {
		alone := watch(t, b, nil)
		if dsn != "" {
			alone["primary_dsn_file"] = dsnFile(t, dsn)
		}
		limit := 60 * time.Second
		if name == "hung" {
			limit = 5 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		o, err = observeIn(ctx, t, "postgres.replica", alone, nil)
		cancel()
		expect(t, o, err, holdfast.OK, "")
		if o.Replication == nil || o.Replication.PrimarySeen || !strings.Contains(o.Summary, "the primary is not seen") {
			t.Errorf("%s: got %+v, %s", name, o.Replication, o.Summary)
		}
	}
	o, err = observe(t, "postgres.replica", watch(t, b, b), nil)
	expect(t, o, err, holdfast.OK, "")
	if o.Replication.PrimarySeen {
		t.Error("a standby is taken for a primary")
	}

	must(t, b.Exec("postgres", "select pg_promote()"))
	o, err = observe(t, "postgres.replica", settings, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Assertion)
	if o.Fingerprint["role"] != "primary" || o.Fingerprint["timeline"] != "2" || o.Replication == nil || o.Replication.PrimarySeen {
		t.Errorf("promoted: got %v, %+v", o.Fingerprint, o.Replication)
	}
}

func TestReplicaOfAnother(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	b, err := s.primary.Standby("dr2", nil)
	must(t, err)
	c, err := s.primary.Standby("dr3", nil)
	must(t, err)
	other, err := s.farm.Primary(nil)
	must(t, err)
	must(t, other.Exec("postgres", "create role watcher login password '"+pgtest.Password+"' in role pg_monitor"))
	o, err := observe(t, "postgres.replica", watch(t, b, other), nil)
	expect(t, o, err, holdfast.Failed, holdfast.Assertion)
	if !strings.Contains(o.Summary, "another cluster") || o.Replication.PrimarySeen {
		t.Errorf("another cluster: got %s, %+v", o.Summary, o.Replication)
	}
	must(t, c.Exec("postgres", "select pg_promote()"))
	o, err = observe(t, "postgres.replica", watch(t, b, c), nil)
	expect(t, o, err, holdfast.Failed, holdfast.Assertion)
	if !strings.Contains(o.Summary, "follows timeline 1, the primary writes on 2") {
		t.Errorf("another timeline: got %s", o.Summary)
	}

	// A standby that was away for too long.
	settings := watch(t, b, s.primary)
	settings["slot"] = "dr4"
	o, err = observe(t, "postgres.replica", settings, nil)
	expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Missing)
	must(t, s.primary.Exec("postgres", "select pg_create_physical_replication_slot('away', true)"))
	settings["slot"] = "away"
	o, err = observe(t, "postgres.replica", settings, nil)
	expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Unreachable)
	for range 12 {
		must(t, s.primary.Exec("ledger", "create table if not exists churn (id int)", "insert into churn select generate_series(1, 10)", "select pg_switch_wal()"))
	}
	must(t, s.primary.Exec("postgres", "checkpoint"))
	o, err = observe(t, "postgres.replica", settings, nil)
	expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Missing)
	if !strings.Contains(o.Facts["slot"], "wal_status lost") {
		t.Errorf("got %v, want a lost slot", o.Facts)
	}
}

func TestReplicaOutcomes(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	b, err := s.primary.Standby("dr5", nil)
	must(t, err)
	dsn := b.DSN("watcher", "postgres")
	t.Run("asked", func(t *testing.T) { // all of them before the standby is stopped
		for name, c := range map[string]struct {
			dsn     string
			outcome holdfast.Outcome
			reason  holdfast.Reason
		}{
			"wrong password":      {strings.Replace(dsn, pgtest.Password, "wrong", 1), holdfast.OutcomeUnknown, holdfast.Credential},
			"no such role":        {strings.Replace(dsn, "watcher", "nobody", 1), holdfast.OutcomeUnknown, holdfast.Credential},
			"no such database":    {strings.Replace(dsn, "dbname=postgres", "dbname=none", 1), holdfast.OutcomeUnknown, holdfast.Missing},
			"unreachable":         {"host=127.0.0.1 port=1 user=watcher", holdfast.Failed, holdfast.Unreachable},
			"no socket":           {"host=/nonexistent user=watcher", holdfast.Failed, holdfast.Unreachable},
			"no such host":        {"host=db1.invalid user=watcher sslmode=require", holdfast.Failed, holdfast.Unreachable},
			"no TLS there":        {dsn + " sslmode=require", holdfast.Failed, holdfast.Unreachable},
			"hung":                {deaf(t), holdfast.Failed, holdfast.Timeout},
			"in clear, elsewhere": {"host=192.0.2.1 user=watcher", holdfast.OutcomeUnknown, ""},
			"reads another file":  {"host=127.0.0.1 service=x servicefile=/etc/passwd", holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
			"not a DSN":           {"correct horse", holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				limit := 60 * time.Second
				if c.reason == holdfast.Timeout {
					limit = 2 * time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				o, err := observeIn(ctx, t, "postgres.replica", map[string]any{"dsn_file": dsnFile(t, c.dsn), "primary_dsn_file": dsnFile(t, s.primary.DSN("watcher", "postgres"))}, nil)
				expect(t, o, err, c.outcome, c.reason)
				if err != nil && (strings.Contains(err.Error(), pgtest.Password) || strings.Contains(err.Error(), "horse")) {
					t.Errorf("the error shows the secret: %v", err)
				}
			})
		}
	})
	t.Run("no file", func(t *testing.T) {
		o, err := observe(t, "postgres.replica", map[string]any{"dsn_file": "/no/such/dsn"}, nil)
		expect(t, o, err, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable)
	})
	t.Run("stopped by SIGSTOP", func(t *testing.T) {
		b.Hang(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		o, err := observeIn(ctx, t, "postgres.replica", watch(t, b, s.primary), nil)
		expect(t, o, err, holdfast.Failed, holdfast.Timeout)
	})
	t.Run("stopped", func(t *testing.T) {
		must(t, b.Stop())
		o, err := observe(t, "postgres.replica", watch(t, b, s.primary), nil)
		expect(t, o, err, holdfast.Failed, holdfast.Unreachable)
	})
}

// deaf is the connection string of a server that takes connections and says
// nothing.
func deaf(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return fmt.Sprintf("host=127.0.0.1 port=%d user=watcher sslmode=disable", l.Addr().(*net.TCPAddr).Port)
}
