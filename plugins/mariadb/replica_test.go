package mariadb_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// TestReplica takes one replica through its life: following, behind, its primary
// silent, stopped by hand, stopped by an error, promoted. The steps share the
// servers, so they are one test.
func TestReplica(t *testing.T) {
	t.Parallel()
	primary, replica := start(t)
	of, from := replica.defaults(t, "monitor", "secret"), primary.defaults(t, "monitor", "secret")
	alone := map[string]any{"defaults_file": of}
	both := map[string]any{"defaults_file": of, "primary_defaults_file": from}
	p := find(t, "mariadb.replica")
	follows := func(step string, settings map[string]any) probe.Observation {
		t.Helper()
		o, err := observe(t, p, settings)
		expect(t, o, err, holdfast.OK, "")
		if o.Replication == nil || !o.Replication.PrimarySeen {
			t.Errorf("%s: got %+v, want the primary seen", step, o.Replication)
			o.Replication = &holdfast.Replication{}
		}
		return o
	}
	await(t, func() bool {
		o, err := observe(t, p, both)
		return err == nil && o.Outcome == holdfast.OK && o.Replication.Lag == 0
	})
	t.Run("outcomes", func(t *testing.T) { outcomes(t, replica) })
	o := follows("good", both)
	want := map[string]string{"engine": "mariadb 10.11", "role": "replica", "read_only": "on"}
	if diff := cmp.Diff(want, o.Fingerprint); diff != "" {
		t.Errorf("fingerprint (-want +got):\n%s", diff)
	}
	if o.Replication.Lag != 0 || measure(o, "transactions_behind") != 0 {
		t.Errorf("got lag %v and %v transactions behind, want none", o.Replication.Lag, measure(o, "transactions_behind"))
	}
	follows("good, the primary not asked", alone)

	// The replica applies nothing of what it receives, as behind a long transaction.
	hold := replica.hold(t, "LOCK TABLES shop.customers WRITE")
	primary.do(t, "INSERT INTO shop.customers VALUES (100)")
	o = follows("behind", both)
	if measure(o, "transactions_behind") < 1 || o.Replication.Lag.Std() < time.Second {
		t.Errorf("got %v behind by %v transactions, want a second at least and one", o.Replication.Lag, measure(o, "transactions_behind"))
	}
	again := follows("behind still", both)
	if again.Replication.Lag <= o.Replication.Lag {
		t.Errorf("got lag %v after %v, want it to grow", again.Replication.Lag, o.Replication.Lag)
	}
	hold()
	await(t, func() bool { return follows("caught up", both).Replication.Lag == 0 })

	t.Run("primary hung", func(t *testing.T) {
		must(t, syscall.Kill(primary.pid, syscall.SIGSTOP))
		o, err := observeWithin(t, p, both, 5*time.Second)
		must(t, syscall.Kill(primary.pid, syscall.SIGCONT))
		expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Unreachable)
		unseen(t, o)
	})
	t.Run("primary refuses", func(t *testing.T) {
		o, err := observe(t, p, map[string]any{"defaults_file": of, "primary_defaults_file": primary.defaults(t, "monitor", "wrong")})
		expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Credential)
	})
	t.Run("primary gone", func(t *testing.T) {
		replica.do(t, "STOP SLAVE; CHANGE MASTER TO MASTER_PORT=1; START SLAVE")
		await(t, func() bool { o, _ := observe(t, p, alone); return strings.Contains(o.Summary, "connecting") })
		o, err := observe(t, p, alone)
		expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Unreachable)
		unseen(t, o)
	})
	t.Run("primary wants another password", func(t *testing.T) {
		change(t, replica, primary, "MASTER_PASSWORD='other'")
		await(t, func() bool { o, _ := observe(t, p, alone); return o.Outcome == holdfast.Failed })
		o, err := observe(t, p, alone)
		expect(t, o, err, holdfast.Failed, holdfast.Credential)
		unseen(t, o)
		change(t, replica, primary, "MASTER_PASSWORD='copy'")
	})
	t.Run("stopped by hand", func(t *testing.T) {
		for thread, stop := range map[string]string{"SQL": "STOP SLAVE SQL_THREAD", "IO": "STOP SLAVE IO_THREAD"} {
			replica.do(t, "START SLAVE")
			await(t, func() bool { o, err := observe(t, p, alone); return err == nil && o.Outcome == holdfast.OK })
			replica.do(t, stop)
			o, err := observe(t, p, both)
			expect(t, o, err, holdfast.Failed, holdfast.Locked)
			if !strings.Contains(o.Summary, thread+" thread") {
				t.Errorf("got %q, want the %s thread named", o.Summary, thread)
			}
			unseen(t, o)
		}
		replica.do(t, "START SLAVE")
	})
	t.Run("stopped by an error", func(t *testing.T) {
		replica.do(t, "INSERT INTO shop.customers VALUES (200)") // root may, in spite of read_only
		primary.do(t, "INSERT INTO shop.customers VALUES (200)")
		await(t, func() bool { o, _ := observe(t, p, alone); return o.Outcome == holdfast.Failed })
		o, err := observe(t, p, alone)
		expect(t, o, err, holdfast.Failed, holdfast.Damaged)
		if !strings.Contains(o.Summary, "Duplicate entry '200'") {
			t.Errorf("got %q, want the server's own words", o.Summary)
		}
		unseen(t, o)
	})
	t.Run("hung", func(t *testing.T) {
		must(t, syscall.Kill(replica.pid, syscall.SIGSTOP))
		o, err := observeWithin(t, p, alone, 5*time.Second)
		must(t, syscall.Kill(replica.pid, syscall.SIGCONT))
		expect(t, o, err, holdfast.Failed, holdfast.Timeout)
	})
	t.Run("promoted", func(t *testing.T) {
		replica.do(t, "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0")
		o, err := observe(t, p, both)
		expect(t, o, err, holdfast.Failed, holdfast.Missing)
		want := map[string]string{"engine": "mariadb 10.11", "role": "primary", "read_only": "off"}
		if diff := cmp.Diff(want, o.Fingerprint); diff != "" {
			t.Errorf("fingerprint (-want +got):\n%s", diff)
		}
		if o.Replication != nil {
			t.Errorf("got %+v, want a primary to attest no replication", o.Replication)
		}
	})
}

// unseen tests that a replica which cannot see its primary attests no point.
func unseen(t *testing.T, o probe.Observation) {
	t.Helper()
	if o.Replication == nil || o.Replication.PrimarySeen || len(o.RecoveryPoints) > 0 {
		t.Errorf("got %+v and %v, want the primary not seen and no point", o.Replication, o.RecoveryPoints)
	}
}

// change changes how the replica connects.
func change(t *testing.T, replica, primary *daemon, what string) {
	t.Helper()
	replica.do(t, "STOP SLAVE; CHANGE MASTER TO MASTER_PORT="+port(primary)+", "+what+"; START SLAVE")
}

func observeWithin(t *testing.T, p probe.Probe, settings map[string]any, limit time.Duration) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return p.Observe(ctx, probe.Request{Settings: encode(t, settings), Tools: tools})
}

// outcomes are those of a replica that cannot be asked.
func outcomes(t *testing.T, replica *daemon) {
	open := replica.defaults(t, "monitor", "secret")
	must(t, os.Chmod(open, 0o666))
	nobody := filepath.Join(t.TempDir(), "my.cnf")
	write(t, nobody, "[client]\nsocket=/nowhere/s\n")
	closed := filepath.Join(t.TempDir(), "my.cnf")
	write(t, closed, "[client]\nhost=127.0.0.1\nport=1\nprotocol=tcp\n")
	for name, c := range map[string]struct {
		file    string
		outcome holdfast.Outcome
		reason  holdfast.Reason
	}{
		"wrong password":         {replica.defaults(t, "monitor", "wrong"), holdfast.Failed, holdfast.Credential},
		"no such account":        {replica.defaults(t, "nobody", "secret"), holdfast.Failed, holdfast.Credential},
		"may not see the status": {replica.defaults(t, "poor", "secret"), holdfast.OutcomeUnknown, holdfast.Refused},
		"no such file":           {"/nowhere/my.cnf", holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		"a folder":               {t.TempDir(), holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		"a file all may write":   {open, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		"nobody at the socket":   {nobody, holdfast.Failed, holdfast.Unreachable},
		"nobody at the port":     {closed, holdfast.Failed, holdfast.Unreachable},
		"not an absolute path":   {"my.cnf", holdfast.OutcomeUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := observe(t, find(t, "mariadb.replica"), map[string]any{"defaults_file": c.file})
			expect(t, o, err, c.outcome, c.reason)
			if strings.Contains(o.Summary+o.Raw, "secret") || err != nil && strings.Contains(err.Error(), "secret") {
				t.Error("the password is told")
			}
		})
	}
	t.Run("client hangs", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := probe.Request{Settings: encode(t, map[string]any{"defaults_file": replica.defaults(t, "monitor", "secret")}), Tools: map[string]string{"mariadb": fakeTool(t, "exec sleep 600")}}
		o, err := find(t, "mariadb.replica").Observe(ctx, r)
		expect(t, o, err, holdfast.Failed, holdfast.Timeout)
	})
	t.Run("no client", func(t *testing.T) {
		r := probe.Request{Settings: encode(t, map[string]any{"defaults_file": replica.defaults(t, "monitor", "secret")})}
		o, err := find(t, "mariadb.replica").Observe(t.Context(), r)
		expect(t, o, err, holdfast.OutcomeUnknown, holdfast.ToolMissing)
	})
}
