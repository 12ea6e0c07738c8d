package bolt_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// faultDir makes this test binary commit batches to the store in the folder it
// names, while the system refuses one of its calls.
const faultDir = "HOLDFAST_TEST_FAULT"

// faultBatches is how many batches it commits.
const faultBatches = 5

// commitThroughFault commits each batch, up to three times, and prints how each
// try went: the number and ok, full, uncertain or refused.
func commitThroughFault(dir string) error {
	runtime.LockOSThread() // strace counts calls by thread
	s, err := bolt.Open(dir, bolt.Options{})
	if err != nil {
		return err
	}
	for n := uint64(1); n <= faultBatches; n++ {
		for range 3 {
			err := s.Commit(backgroundCtx, numbered(n))
			if _, readErr := dump(s); readErr != nil {
				return fmt.Errorf("read after batch %d: %w", n, readErr)
			}
			switch {
			case err == nil:
				fmt.Println(n, "ok")
			case errors.Is(err, store.ErrUncertain):
				fmt.Println(n, "uncertain")
				return s.Close() // what follows a refused sync is refused
			case errors.Is(err, store.ErrFull):
				fmt.Println(n, "full")
			default:
				fmt.Println(n, "refused")
			}
			if err == nil {
				break
			}
		}
	}
	return s.Close()
}

// TestFaults has the system refuse the Nth of each kind of call that reaches the
// file, from its making on. What was committed is there; what was refused is not,
// and goes through when tried again; what is uncertain is there whole or not at
// all; and a store that could not be made is made by the next start.
func TestFaults(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("strace is missing: apt-get install strace")
		}
		t.Skip("strace is missing")
	}
	seen := map[string]int{}
	for _, fault := range []struct {
		call, code string
		last       int // tries 1 to last
	}{
		{"fdatasync", "EIO", 9},
		{"pwrite64", "EIO", 40},
		{"pwrite64", "ENOSPC", 40},
		{"ftruncate", "ENOSPC", 2},
		{"fsync", "EIO", 4},
	} {
		for n := 1; n <= fault.last; n++ {
			what := fmt.Sprintf("%s number %d answers %s", fault.call, n, fault.code)
			for _, outcome := range runWithFault(t, what, fault.call, fault.code, n) {
				seen[outcome]++
			}
		}
	}
	t.Logf("outcomes: %v", seen)
	for _, outcome := range []string{"ok", "full", "uncertain", "refused"} {
		if seen[outcome] == 0 {
			t.Errorf("no commit was ever %s", outcome)
		}
	}
}

// runWithFault runs one writer and checks the store it leaves.
func runWithFault(t *testing.T, what, call, code string, n int) (outcomes []string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace="+call,
		"-e", fmt.Sprintf("inject=%s:error=%s:when=%d", call, code, n), "/proc/self/exe")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args[len(cmd.Args)-1] = self
	cmd.Env = append(os.Environ(), faultDir+"="+dir, "GORACE=atexit_sleep_ms=0") // under -race the end would wait a second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && (len(out) > 0 || !strings.Contains(stderr.String(), "open store")) {
		t.Fatalf("%s: %v\n%s%s", what, err, out, stderr.String())
	}
	committed, uncertain := uint64(0), uint64(0)
	for line := range strings.Lines(string(out)) {
		var number uint64
		var outcome string
		if _, err := fmt.Sscan(line, &number, &outcome); err != nil {
			t.Fatalf("%s: writer said %q", what, line)
		}
		outcomes = append(outcomes, outcome)
		switch outcome {
		case "ok":
			committed = number
		case "uncertain":
			uncertain = number
		}
	}
	if err == nil && uncertain == 0 && committed != faultBatches {
		t.Errorf("%s: %d batches committed in the end, want %d\n%s", what, committed, faultBatches, out)
	}
	s := open(t, dir)
	defer s.Close()
	if last := compareNumbered(t, s); last != committed && last != uncertain {
		t.Errorf("%s: got %d batches, want %d\n%s", what, last, committed, out)
	}
	return outcomes
}
