package redis_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// TestReplica takes one replica through its life: following, its primary hung, its
// link down, hung itself, promoted. The steps share the servers, so they are one test.
func TestReplica(t *testing.T) {
	primary, replica := start(t)
	alone := map[string]any{"address": replica.address(), "password_file": secret(t, password)}
	both := map[string]any{"address": replica.address(), "password_file": secret(t, password),
		"primary": "127.0.0.1:" + strconv.Itoa(primary.port), "primary_password_file": secret(t, password)}
	primary.do(t, "SET", "a", "1")
	await(t, func() bool {
		o, err := observe(t, "redis.replica", both)
		return err == nil && o.Outcome == holdfast.OK && o.Replication.Lag == 0
	})
	for name, settings := range map[string]map[string]any{"alone": alone, "both": both} {
		o, err := observe(t, "redis.replica", settings)
		expect(t, o, err, holdfast.OK, "")
		if o.Replication == nil || !o.Replication.PrimarySeen || o.Replication.Lag.Std() > 5*time.Second {
			t.Errorf("%s: got %+v, want the primary seen and next to no lag", name, o.Replication)
		}
		want := map[string]string{"engine": "redis 7.0", "role": "replica", "read_only": "on"}
		if diff := cmp.Diff(want, o.Fingerprint); diff != "" {
			t.Errorf("fingerprint (-want +got):\n%s", diff)
		}
	}
	t.Run("primary refuses", func(t *testing.T) {
		o, err := observe(t, "redis.replica", map[string]any{"address": replica.address(), "password_file": secret(t, password),
			"primary": primary.address(), "primary_password_file": secret(t, "wrong")})
		expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Credential)
	})
	t.Run("primary is none", func(t *testing.T) {
		o, err := observe(t, "redis.replica", map[string]any{"address": replica.address(), "password_file": secret(t, password),
			"primary": replica.address(), "primary_password_file": secret(t, password)})
		expect(t, o, err, holdfast.OutcomeUnknown, "")
	})
	t.Run("primary hung", func(t *testing.T) {
		must(t, syscall.Kill(primary.pid, syscall.SIGSTOP))
		defer syscall.Kill(primary.pid, syscall.SIGCONT)
		o, err := observeWithin(t, 9*time.Second, "redis.replica", both)
		expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Unreachable)
		unseen(t, o)
		o, err = observe(t, "redis.replica", alone)
		if err != nil || o.Replication == nil || o.Replication.PrimarySeen && o.Replication.Lag.Std() < 2*time.Second {
			t.Errorf("got %+v, %v, want the lag to grow though nobody asks the primary", o.Replication, err)
		}
	})
	t.Run("link down", func(t *testing.T) {
		replica.do(t, "REPLICAOF", "127.0.0.1", "1")
		o, err := observe(t, "redis.replica", alone)
		expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Unreachable)
		unseen(t, o)
	})
	t.Run("hung", func(t *testing.T) {
		must(t, syscall.Kill(replica.pid, syscall.SIGSTOP))
		defer syscall.Kill(replica.pid, syscall.SIGCONT)
		o, err := observeWithin(t, 2*time.Second, "redis.replica", alone)
		expect(t, o, err, holdfast.Failed, holdfast.Timeout)
	})
	t.Run("promoted", func(t *testing.T) {
		replica.do(t, "REPLICAOF", "NO", "ONE")
		o, err := observe(t, "redis.replica", both)
		expect(t, o, err, holdfast.Failed, holdfast.Missing)
		want := map[string]string{"engine": "redis 7.0", "role": "primary"}
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

func TestServerOutcomes(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	primary.do(t, "ACL", "SETUSER", "poor", "on", ">poor", "+ping")
	good := secret(t, password)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { other.Close() })
	go func() { // ends with the listener
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SSH-2.0-OpenSSH\r\n"))
			c.Close()
		}
	}()
	for name, c := range map[string]struct {
		with    map[string]any
		outcome holdfast.Outcome
		reason  holdfast.Reason
	}{
		"wrong password":         {map[string]any{"address": primary.address(), "password_file": secret(t, "wrong")}, holdfast.Failed, holdfast.Credential},
		"no password":            {map[string]any{"address": primary.address()}, holdfast.Failed, holdfast.Credential},
		"no such account":        {map[string]any{"address": primary.address(), "user": "nobody", "password_file": good}, holdfast.Failed, holdfast.Credential},
		"account without rights": {map[string]any{"address": primary.address(), "user": "poor", "password_file": secret(t, "poor")}, holdfast.OutcomeUnknown, holdfast.Refused},
		"no password file":       {map[string]any{"address": primary.address(), "password_file": "/nowhere/password"}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		"password file a folder": {map[string]any{"address": primary.address(), "password_file": t.TempDir()}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		"nobody at the socket":   {map[string]any{"address": "unix:/nowhere/s"}, holdfast.Failed, holdfast.Unreachable},
		"nobody at the port":     {map[string]any{"address": "127.0.0.1:1"}, holdfast.Failed, holdfast.Unreachable},
		"not Redis":              {map[string]any{"address": other.Addr().String()}, holdfast.OutcomeUnknown, ""},
		"no address":             {map[string]any{"address": "redis"}, holdfast.OutcomeUnknown, ""},
	} {
		for _, probe := range []string{"redis.replica", "redis.persistence"} {
			t.Run(name+" "+probe, func(t *testing.T) {
				t.Parallel()
				o, err := observe(t, probe, c.with)
				expect(t, o, err, c.outcome, c.reason)
			})
		}
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	primary, replica := start(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "dump.rdb"), []byte(strings.Repeat("x", 100)), 0o600))
	for name, with := range map[string]map[string]any{
		"redis.replica":     {"address": replica.address(), "password_file": secret(t, password)},
		"redis.persistence": {"address": primary.address(), "password_file": secret(t, password), "directory": dir},
	} {
		t.Run(name, func(t *testing.T) {
			probetest.Run(t, find(t, name), probe.Request{Settings: encode(t, with), Tools: tools})
		})
	}
}
