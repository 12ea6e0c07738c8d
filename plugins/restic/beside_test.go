package restic_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

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

// TestLeavesNoTrace compares the repository before and after every probe.
func TestLeavesNoTrace(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	r.lock(t, false, 0)
	before := r.files(t, "")
	for _, p := range restic.Probes() {
		if o, err := r.observe(t, p.Describe().Name, nil); err != nil {
			t.Errorf("%s: %v %v", p.Describe().Name, o.Summary, err)
		}
	}
	after := r.files(t, "")
	if len(before) != len(after) {
		t.Errorf("got %d files in the repository, had %d", len(after), len(before))
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
