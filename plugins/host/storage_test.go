package host_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// needRoot skips a test that mounts; never where tests must all run.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
}

// tmpfs mounts a small file system below a new folder, whose name has a space.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "a mount")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("small", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestDisk(t *testing.T) {
	dir := tmpfs(t, "size=1m,nr_inodes=64")
	o := observe(t, "host.disk", "path", dir)
	wantOutcome(t, o, holdfast.OK, "")
	if got := measure(t, o, "total_bytes"); got != 1<<20 {
		t.Errorf("total_bytes is %v, want %v", got, 1<<20)
	}
	for _, free := range []any{"1MiB", "100%", 1 << 20, "50%"} {
		wantOutcome(t, observe(t, "host.disk", "path", dir, "free", free), holdfast.OK, "")
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), bytes.Repeat([]byte("x"), 600<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, observe(t, "host.disk", "path", dir, "free", "400KiB"), holdfast.OK, "")
	for _, free := range []any{"500KiB", 500 << 10, "50%"} {
		o := observe(t, "host.disk", "path", dir, "free", free)
		wantOutcome(t, o, holdfast.Failed, holdfast.TooSmall)
		if got := measure(t, o, "free_bytes"); got != 424<<10 {
			t.Errorf("free_bytes is %v, want %v", got, 424<<10)
		}
	}
}

func TestDiskInodes(t *testing.T) {
	dir := tmpfs(t, "size=1m,nr_inodes=64")
	wantOutcome(t, observe(t, "host.disk", "path", dir, "inodes", "50%"), holdfast.OK, "")
	for i := range 40 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, inodes := range []any{"50%", 32} {
		o := observe(t, "host.disk", "path", dir, "inodes", inodes)
		wantOutcome(t, o, holdfast.Failed, holdfast.TooSmall)
		if !strings.Contains(o.Summary, "inodes free, the path needs 32") {
			t.Errorf("summary is %q, want it to name 32 inodes", o.Summary)
		}
	}
	wantOutcome(t, observe(t, "host.disk", "path", "/proc", "inodes", 1), holdfast.OK, "") // counts none
}

func TestDiskFull(t *testing.T) {
	dir := tmpfs(t, "size=256k")
	err := os.WriteFile(filepath.Join(dir, "all"), make([]byte, 1<<20), 0o600)
	if err == nil {
		t.Fatal("a 256 KiB file system took 1 MiB")
	}
	o := observe(t, "host.disk", "path", dir, "free", 1)
	wantOutcome(t, o, holdfast.Failed, holdfast.TooSmall)
	wantOutcome(t, observe(t, "host.capacity", "path", dir, "free", 1), holdfast.Failed, holdfast.TooSmall)
}

func TestDiskMissing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/no/such/path", file + "/below"} {
		wantOutcome(t, observe(t, "host.disk", "path", path), holdfast.Failed, holdfast.Missing)
		wantOutcome(t, observe(t, "host.mount", "path", path), holdfast.Failed, holdfast.Missing)
	}
}

func TestMount(t *testing.T) {
	dir := tmpfs(t, "size=1m")
	o := observe(t, "host.mount", "path", dir)
	wantOutcome(t, o, holdfast.OK, "")
	if got, want := fmt.Sprint(o.Facts), "map[file_system:tmpfs read_only:false source:small]"; got != want {
		t.Errorf("facts: got %s, want %s", got, want)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, observe(t, "host.mount", "path", link), holdfast.OK, "")
	wantOutcome(t, observe(t, "host.mount", "path", dir+"/"), holdfast.OK, "")

	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if got := observe(t, "host.mount", "path", dir).Facts["read_only"]; got != "true" {
		t.Errorf("read_only after a remount: got %q, want true", got)
	}
	wantOutcome(t, observe(t, "host.mount", "path", filepath.Dir(dir)), holdfast.Failed, holdfast.Missing)
}

// TestDeafStorage holds the probes to their deadline while the kernel holds the
// call, and to a single call left behind however often they are asked.
func TestDeafStorage(t *testing.T) {
	dir, hangUp := probetest.DeafMount(t)
	p := find(t, "host.disk")
	request := probe.Request{Settings: settings(t, "path", dir)}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		o, err := p.Observe(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		wantOutcome(t, o, holdfast.Failed, holdfast.Timeout)
		if ctx.Err() != nil {
			t.Error("the answer came after the deadline")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o, err := find(t, "host.mount").Observe(ctx, request); probe.ReasonOf(err) != holdfast.Timeout {
		t.Errorf("cancelled: got %+v, %v, want a timeout", o, err)
	}
	hangUp()
	for {
		o, err := p.Observe(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if o.Reason == holdfast.Timeout { // the held call has not come back yet
			continue
		}
		wantOutcome(t, o, holdfast.Failed, holdfast.Unreachable)
		if !strings.Contains(o.Summary, syscall.ENOTCONN.Error()) {
			t.Errorf("summary is %q, want the kernel's own words", o.Summary)
		}
		break
	}
}

// TestDiskTogether: several checks of one path at the same instant share the
// question and all get its answer.
func TestDiskTogether(t *testing.T) {
	p := find(t, "host.disk")
	var checks sync.WaitGroup
	for range 16 {
		checks.Go(func() {
			o, err := p.Observe(t.Context(), probe.Request{Settings: `{"path":"/"}`})
			if err != nil || o.Outcome != holdfast.OK {
				t.Errorf("got %s %q, %v, want ok", o.Outcome, o.Summary, err)
			}
		})
	}
	checks.Wait()
}
