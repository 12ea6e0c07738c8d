package borg_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/borg"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// TestBesideBackup runs backups one after another while each probe looks: every
// backup succeeds, and so does every look.
func TestBesideBackup(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	n := r.meanwhile(t, func(n int) {
		write(t, filepath.Join(r.source, "counter"), fmt.Sprint(n))
		must(t, r.run(nil, r.source, "create", fmt.Sprintf("%s::ledger-%d", r.dir, n+3), "."))
	}, func() {
		for _, name := range names {
			o, err := r.once(t, name, map[string]any{"archives": "ledger-*"})
			expect(t, o, err, holdfast.OK, "")
		}
	})
	if n < 3 {
		t.Errorf("got %d backups beside the probes, want several", n)
	}
}

// TestBesideCompaction deletes archives and compacts while each probe looks: what
// goes away under a look is never called damage, and the compaction never fails.
func TestBesideCompaction(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	n := r.meanwhile(t, func(n int) {
		write(t, filepath.Join(r.source, "counter"), noise(byte(n), 50_000))
		must(t, r.run(nil, r.source, "create", fmt.Sprintf("%s::ledger-%d", r.dir, n+3), "."))
		must(t, r.run(nil, "", "delete", fmt.Sprintf("%s::ledger-%d", r.dir, n+2)))
		must(t, r.run(nil, "", "compact", "--threshold=0", r.dir))
	}, func() {
		for _, name := range []string{"borg.repository", "borg.restore"} {
			o, err := r.observe(t, name, nil)
			if err != nil && probe.ReasonOf(err) == holdfast.Locked {
				continue
			}
			expect(t, o, err, holdfast.OK, "")
		}
	})
	if n < 1 {
		t.Error("got no compaction beside the probes")
	}
}

// meanwhile calls work again and again until look is done, and returns how often.
func (r *repo) meanwhile(t *testing.T, work func(n int), look func()) int {
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }() // must ends this goroutine on its failure
		for {
			select {
			case <-stop:
				return
			default:
			}
			work(n)
			n++
		}
	}()
	look()
	close(stop)
	return <-done
}

// TestLeavesNoTrace lists the repository before and after every probe, and reads
// the command lines of every call: borg is never told where the repository is.
func TestLeavesNoTrace(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	exclusive(t, r, time.Now())
	before := r.tree(t)
	log := filepath.Join(t.TempDir(), "calls")
	spy := fakeTool(t, `echo "$@" >> `+log+`; env >> `+log+`; exec `+tool+` "$@"`)
	for _, name := range names {
		q := r.request(t, nil)
		q.Tools = map[string]string{"borg": spy}
		o, err := borg.Once(t.Context(), name, q)
		expect(t, o, err, holdfast.OK, "")
	}
	if diff := cmp.Diff(before, r.tree(t)); diff != "" {
		t.Errorf("the repository changed (-before +after):\n%s", diff)
	}
	calls, err := os.ReadFile(log)
	must(t, err)
	if s := string(calls); strings.Contains(s, r.dir) || strings.Contains(s, password) || !strings.Contains(s, "BORG_BASE_DIR=/") {
		t.Errorf("borg was told of the repository or the passphrase:\n%s", s)
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	none := map[string]any{"repository": filepath.Join(t.TempDir(), "none")}
	for _, p := range borg.Probes() {
		t.Run(p.Describe().Name, func(t *testing.T) {
			t.Parallel()
			requests := []probe.Request{{Settings: r.settings(t, none)}}
			if p.Describe().Name == "borg.repository" { // one that calls borg is enough, it is slow to start
				requests = append(requests, probe.Request{Settings: r.settings(t, nil)})
			}
			probetest.Run(t, p, requests...)
		})
	}
}

// TestRemote reads a repository through borg serve, as ssh would start it.
func TestRemote(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	before := r.tree(t)
	rsh := fakeTool(t, `exec `+tool+` serve --restrict-to-path `+r.dir)
	through := fakeTool(t, `BORG_RSH=`+rsh+` exec `+tool+` "$@"`)
	at := func(name, address string) (probe.Observation, error) {
		q := r.request(t, map[string]any{"repository": address})
		q.Tools = map[string]string{"borg": through}
		return borg.Once(t.Context(), name, q)
	}
	there := "ssh://backup@vault" + r.dir
	o, err := at("borg.repository", there)
	expect(t, o, err, holdfast.OK, "")
	if len(o.RecoveryPoints) != 2 {
		t.Errorf("got %d recovery points, want two", len(o.RecoveryPoints))
	}
	o, err = at("borg.restore", there)
	expect(t, o, err, holdfast.OK, "")
	if diff := cmp.Diff(before, r.tree(t)); diff != "" {
		t.Errorf("the repository changed (-before +after):\n%s", diff)
	}
	o, err = at("borg.repository", there+"/none")
	expect(t, o, err, holdfast.Failed, holdfast.Missing)
	o, err = at("borg.repository", "ssh://backup@vault/etc")
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Refused)
	q := r.request(t, map[string]any{"repository": there})
	if _, err := find(t, "borg.check").Observe(t.Context(), q); err == nil || !strings.Contains(err.Error(), "use borg.restore") {
		t.Errorf("check: got %v, want it refused", err)
	}
}
