package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// agentMemory is how much the agent's own process may have taken at any time.
const agentMemory = 40 << 20

// TestRestoreBesideOthers has an agent, the program as it is built, test a large restore,
// compared byte for byte. All the while its other checks go on, and its own process
// stays small. Restic is held after its work until each of them has looked three times.
func TestRestoreBesideOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	repository, password := resticRepository(t, dir, restoreBytes)
	if err := os.RemoveAll(filepath.Join(dir, "files")); err != nil {
		t.Fatal(err)
	}
	goOn := filepath.Join(t.TempDir(), "go-on")
	tool := holding(t, "restic", `/usr/bin/restic "$@" || exit
case " $* " in *" restore "*) until [ -e `+goOn+` ]; do sleep 0.1; done;; esac`)
	source := fmt.Sprintf("repository: %q, password_file: %q", repository, password)
	const others = 10
	looked := &looks{at: map[string][]time.Time{}}
	server := httptest.NewServer(looked)
	t.Cleanup(server.Close)
	catalogue := restoreCatalogue("probe: restic.repository, with: {"+source+"}", "probe: restic.restore, with: {"+source+"}") + "    needs:\n"
	for n := range others {
		catalogue += fmt.Sprintf("      - {name: other%d, probe: net.http, on: dr1, every: %v, with: {url: \"%s/%d\"}}\n", n, besideEvery, server.URL, n)
	}
	w := startRunWorld(t, dir, catalogue, "allow: [restic.*]\ntools: {restic: "+tool+"}\n", buildProgram(t))
	// Each has looked, and so has the agent heard of all its checks.
	eventuallyTrue(t, "the other checks", func() bool { return looked.each(others, 1, time.Time{}) })
	_, run := w.run(t, restored) // or joins the one that runs already
	run, _ = w.follow(t, run.ID, func(r holdfast.Run) bool { return r.State == holdfast.RunRunning })
	eventuallyTrue(t, "the other checks while it runs", func() bool { return looked.each(others, 3, run.Started) })
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run, phases := w.follow(t, run.ID, over)
	if run.State != holdfast.RunDone || run.Outcome != holdfast.OK || !strings.Contains(run.Summary, holdfast.Bytes(restoreBytes).String()) {
		t.Fatalf("the restore: got %+v, want all %v of it", run, holdfast.Bytes(restoreBytes))
	}
	most := highWater(t, w.agent.cmd.Process.Pid)
	gap := looked.longestGap(run.Started, run.Ended)
	t.Logf("%s; seen %q; the agent took %v at most, a check waited %v at most for its turn of %v", run.Summary, phases, most, gap, besideEvery)
	if most > agentMemory {
		t.Errorf("the agent took %v of memory, want at most %v", most, holdfast.Bytes(agentMemory))
	}
	if besideOnTime && gap > 2*besideEvery {
		t.Errorf("a check was %v without a look, want at most %v: one turn missed", gap, 2*besideEvery)
	}
}

// looks is what checks ask, and when each did.
type looks struct {
	mu sync.Mutex
	at map[string][]time.Time // by path; guarded by mu
}

func (l *looks) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at[r.URL.Path] = append(l.at[r.URL.Path], time.Now())
}

// each reports whether n checks looked so many times since then.
func (l *looks) each(n, times int, since time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.at {
		after := 0
		for _, t := range at {
			if t.After(since) {
				after++
			}
		}
		if after >= times {
			n--
		}
	}
	return n == 0
}

// longestGap is the longest time between two looks of one check, the first of which or
// the second lies within the times given.
func (l *looks) longestGap(from, to time.Time) (gap time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.at {
		for i := range at[1:] {
			if at[i+1].After(from) && at[i].Before(to) {
				gap = max(gap, at[i+1].Sub(at[i]))
			}
		}
	}
	return gap
}

// buildProgram builds holdfast as it is shipped: without the race detector, which
// takes many times the memory.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "holdfast")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// highWater is the most memory a process ever had (VmHWM, proc_pid_status(5)).
func highWater(t *testing.T, pid int) holdfast.Bytes {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		t.Fatalf("no VmHWM in %s", status)
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return holdfast.Bytes(kib << 10)
}
