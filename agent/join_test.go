package agent_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
)

// TestRenewsAndRecovers lets certificates live for seconds.
func TestRenewsAndRecovers(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j, func(c *ingest.Config) { c.CertificateLife = 3 * time.Second })
	p := join(t, c, "db1")
	first, _ := p.config.Identity.Validity()
	_, stop := p.run()
	j.wait(t, "a session with a new certificate", func() bool {
		n := len(j.states)
		return n > 0 && j.states[n-1].Connected && j.states[n-1].Certificate.After(first.Add(4*time.Second))
	})
	p.observe("after renewal", "a")
	j.wait(t, "a report", func() bool { return len(j.applied) == 1 })
	stop()
	id, err := c.store.Agent(t.Context(), "db1")
	if err != nil || id.Recoveries != 0 {
		t.Fatalf("%d recoveries (%v), want none", id.Recoveries, err)
	}

	// The host was off for longer than its certificate lived.
	_, until := p.config.Identity.Validity()
	<-time.After(time.Until(until) + 100*time.Millisecond)
	if p.config.Identity, err = agent.OpenIdentity(p.config.Data); err != nil {
		t.Fatal(err)
	}
	p.observe("after recovery", "a")
	p.run()
	j.wait(t, "a report", func() bool { return len(j.applied) == 2 })
	if id, err = c.store.Agent(t.Context(), "db1"); err != nil || id.Recoveries != 1 {
		t.Errorf("%d recoveries (%v), want 1", id.Recoveries, err)
	}
}

// TestCopiedFolder runs a copy of a data folder beside the original.
func TestCopiedFolder(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	p.run()
	p.observe("original", "a")
	j.wait(t, "a report", func() bool { return len(j.applied) == 1 })
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(p.config.Data)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "identity.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := agent.OpenIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	clone := prepare(t, dir, c.address, id, time.Hour)
	before := clone.spool.State().Epoch
	r, stop := clone.run()
	j.wait(t, "the clash", func() bool {
		n := len(j.states)
		return n > 0 && strings.Contains(j.states[n-1].Clash, "copied data folder")
	})
	for !strings.Contains(r.State().Problem, "name and token of its own") {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("the copy says %q", r.State().Problem)
		}
	}
	stop()
	if after := clone.spool.State().Epoch; after <= before {
		t.Errorf("the copy counts on in epoch %d, want a new one", after)
	}
	p.observe("undisturbed", "a")
	j.wait(t, "the original's report", func() bool { return len(j.applied) == 2 })
}

// TestOldFolder brings back a spool that has forgotten what it sent.
func TestOldFolder(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	_, stop := p.run()
	for range 5 {
		p.observe("before", "a")
	}
	j.wait(t, "5 reports", func() bool { return len(j.applied) == 5 })
	p.waitEmpty()
	stop()
	p.spool.Close()
	dir := p.config.Data
	if err := os.RemoveAll(filepath.Join(dir, "spool")); err != nil {
		t.Fatal(err)
	}
	p = prepare(t, dir, c.address, p.config.Identity, time.Hour)
	p.observe("after", "a")
	p.observe("after", "a")
	p.run()
	j.wait(t, "the new ones", func() bool { return len(j.applied) == 7 })
	if j.applied[6].order <= j.applied[4].order {
		t.Error("a new folder's observations do not outrank the old one's")
	}
	j.once(t, 7)
}

func TestJoin(t *testing.T) {
	j := newJudge("a")
	c, other := serve(t, j), serve(t, newJudge())
	dir := t.TempDir()
	if _, err := agent.OpenIdentity(dir); !errors.Is(err, agent.ErrNotJoined) {
		t.Errorf("got %v, want ErrNotJoined", err)
	}
	wants := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	token := c.token(t, "db1")
	_, err := agent.Join(t.Context(), dir, other.address, token)
	wants(err, "not the collector that made the token")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	go func() {
		if conn, err := plain.Accept(); err == nil {
			fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	}()
	_, err = agent.Join(t.Context(), dir, plain.Addr().String(), token)
	wants(err, "does not look like a TLS handshake")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("a join that came to nothing left %v (%v)", left, err)
	}

	id, err := agent.Join(t.Context(), dir, c.address, token)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "identity.pem")); err != nil || info.Mode().Perm() != 0o600 || id.Name() != "db1" {
		t.Errorf("%s: mode %v (%v), want db1 and 0600", id.Name(), info.Mode(), err)
	}
	_, err = agent.Join(t.Context(), t.TempDir(), c.address, token)
	wants(err, "works once")
	if _, err := agent.OpenIdentity(dir); err != nil {
		t.Errorf("open again: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "identity.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = agent.OpenIdentity(dir)
	wants(err, "chmod 600")
}

// TestJoinWhoseAnswerWasLost cuts the connection after the collector has bound the
// key: the same token joins the same key.
func TestJoinWhoseAnswerWasLost(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	for bytes := 1000; ; bytes += 25 { // of the answers on the second connection, the first only shows the authority
		proxy := newProxy(t, c.address)
		name := fmt.Sprint("db", bytes)
		dir, token := t.TempDir(), c.token(t, name)
		proxy.dropAnswersAfter(2, bytes)
		if _, err := agent.Join(t.Context(), dir, proxy.address, token); err == nil {
			t.Fatal("joined before any answer was lost")
		}
		if _, err := c.store.Agent(t.Context(), name); err != nil {
			continue // the collector had not heard of it yet
		}
		proxy.calm()
		if _, err := agent.Join(t.Context(), dir, proxy.address, token); err != nil {
			t.Errorf("join again: %v", err)
		}
		if id, err := c.store.Agent(t.Context(), name); err != nil || id.Recoveries != 1 {
			t.Errorf("%d recoveries (%v), want 1", id.Recoveries, err)
		}
		return
	}
}
