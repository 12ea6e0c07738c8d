package host_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// program copies cat under a name nobody else uses; it runs until its input ends.
func program(t *testing.T, name string) string {
	t.Helper()
	from, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs the program and waits until it does: it echoes a line.
func start(t *testing.T, path string) (stop func()) {
	t.Helper()
	cmd := exec.Command(path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "up\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		in.Close()
		cmd.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func TestProcess(t *testing.T) {
	const name = "holdfast-process-under-test" // longer than the 15 bytes the kernel keeps
	path := program(t, name)
	wantOutcome(t, observe(t, "host.process", "name", name), holdfast.Failed, holdfast.Missing)
	before := time.Now().Add(-time.Minute)
	stop := start(t, path)
	o := observe(t, "host.process", "name", name)
	wantOutcome(t, o, holdfast.OK, "")
	if got := measure(t, o, "processes"); got != 1 {
		t.Errorf("processes is %v, want 1", got)
	}
	if got := measure(t, o, "resident_bytes"); got <= 0 {
		t.Errorf("resident_bytes is %v, want more", got)
	}
	if at, err := time.Parse(time.RFC3339, o.Facts["oldest_started"]); err != nil || at.Before(before) || at.After(time.Now().Add(time.Minute)) {
		t.Errorf("oldest_started is %q (%v), want about now", o.Facts["oldest_started"], err)
	}
	wantOutcome(t, observe(t, "host.process", "name", name, "count", 2), holdfast.Failed, holdfast.TooSmall)
	start(t, path)
	wantOutcome(t, observe(t, "host.process", "name", name, "count", 2), holdfast.OK, "")
	stop()
	wantOutcome(t, observe(t, "host.process", "name", name, "count", 2), holdfast.Failed, holdfast.TooSmall)
	wantOutcome(t, observe(t, "host.process", "name", name[:15]), holdfast.Failed, holdfast.Missing)
}

// TestProcessEnded checks that a process that has ended and that its parent has
// not collected does not count.
func TestProcessEnded(t *testing.T) {
	const name = "holdfast-ended"
	cmd := exec.Command(program(t, name), "/dev/null")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() })
	if _, err := io.ReadAll(out); err != nil { // ends with the process
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		o := observe(t, "host.process", "name", name)
		if o.Outcome == holdfast.Failed {
			wantOutcome(t, o, holdfast.Failed, holdfast.Missing)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the ended process still counts: %s", o.Summary)
		}
	}
}
