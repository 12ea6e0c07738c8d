package restic_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
	"github.com/holdfast-monitor/holdfast/plugins/restic"
)

// TestBesideBackup runs backups one after another while each probe looks: every
// backup succeeds, and so does every look.
func TestBesideBackup(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			_ = os.WriteFile(filepath.Join(r.source, "counter"), []byte(strconv.Itoa(n)), 0o600)
			cmd := exec.Command(tool, "--repo", r.dir, "--password-file", r.passwordFile, "backup", "--quiet", "--no-cache", "--host", "db1", r.source)
			cmd.Env = []string{"HOME=/nonexistent"}
			if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("lock")) {
				t.Errorf("backup %d beside a probe: %v: %s", n, err, out)
			}
		}
	}()
	for range 3 {
		o, err := r.observe(t, "restic.repository", nil)
		expect(t, o, err, holdfast.OK, "")
		o, err = r.observe(t, "restic.check", map[string]any{"read_data_subset": "100%"})
		expect(t, o, err, holdfast.OK, "")
		o, err = r.observe(t, "restic.restore", nil)
		expect(t, o, err, holdfast.OK, "")
	}
	close(stop)
	if n := <-done; n < 3 {
		t.Errorf("got %d backups beside the probes, want several", n)
	}
}

// TestLeavesNoTrace lists the repository before and after every probe, and reads
// the command lines of every call.
func TestLeavesNoTrace(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	r.lock(t, false, 0)
	before := r.files(t, "")
	log := filepath.Join(t.TempDir(), "calls")
	spy := fakeTool(t, `echo "$@" >> `+log+`; exec `+tool+` "$@"`)
	for _, p := range restic.Probes() {
		o, err := p.Observe(t.Context(), probe.Request{Settings: r.settings(t, nil), Tools: map[string]string{"restic": spy}, Scratch: t.TempDir()})
		expect(t, o, err, holdfast.OK, "")
	}
	if diff := cmp.Diff(before, r.files(t, "")); diff != "" {
		t.Errorf("the repository changed (-before +after):\n%s", diff)
	}
	calls, err := os.ReadFile(log)
	must(t, err)
	for call := range strings.Lines(string(calls)) {
		safe := strings.Contains(call, " --no-cache ") && strings.Contains(call, " --no-lock ") && !strings.Contains(call, "unlock")
		if !safe && call != "version\n" {
			t.Errorf("got call %q, want it without cache and lock", call)
		}
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	empty := newRepo(t)
	for _, p := range restic.Probes() {
		t.Run(p.Describe().Name, func(t *testing.T) {
			probetest.Run(t, p, probe.Request{Settings: r.settings(t, nil)}, probe.Request{Settings: empty.settings(t, nil)})
		})
	}
}
