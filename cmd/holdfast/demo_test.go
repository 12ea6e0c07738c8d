package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// demoRun is a demo as a process of its own.
type demoRun struct {
	cmd   *exec.Cmd
	dir   string
	lines chan string // what it prints; closed at its end
}

// startDemo starts a demo on a folder. Temporary files of it and its children go
// to tmp.
func startDemo(t *testing.T, dir, tmp string, args ...string) *demoRun {
	t.Helper()
	if _, err := os.Stat("/usr/bin/restic"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("restic is needed: %v", err)
		}
		t.Skipf("restic is needed: %v", err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"holdfast", "demo", "--data", dir, "--listen", "127.0.0.1:0"}, args...)
	return runDemo(t, cmd, dir, tmp)
}

func runDemo(t *testing.T, cmd *exec.Cmd, dir, tmp string) *demoRun {
	t.Helper()
	d := &demoRun{cmd: cmd, dir: dir, lines: make(chan string, 1000)}
	d.cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	d.cmd.Stderr = t.Output()
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
	go func() {
		defer close(d.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			d.lines <- in.Text()
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	return d
}

// until reads what the demo prints until a line contains text.
func (d *demoRun) until(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	for {
		select {
		case line, more := <-d.lines:
			if !more {
				t.Fatalf("the demo ended before it said %q; its logs:\n%s", text, d.logs())
			}
			t.Log(line)
			if strings.Contains(line, text) {
				return
			}
		case <-ctx.Done():
			t.Fatalf("the demo did not say %q in time; its logs:\n%s", text, d.logs())
		}
	}
}

func (d *demoRun) logs() string {
	var all strings.Builder
	for _, name := range []string{"collector.log", "fra1.log", "ams1.log", "jobs.log"} {
		text, _ := os.ReadFile(filepath.Join(d.dir, name))
		fmt.Fprintf(&all, "== %s\n%s", name, text[max(0, len(text)-3000):])
	}
	return all.String()
}

// ask runs a client command by the demo's client.env.
func (d *demoRun) ask(t *testing.T, v any, args ...string) {
	t.Helper()
	env, err := os.ReadFile(filepath.Join(d.dir, "client.env"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", append(args, "--output", "json")...)
	cmd.Args[0] = "holdfast"
	cmd.Env = append(os.Environ(), strings.Fields(string(env))...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("holdfast %v: %v", args, err)
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("holdfast %v: %v", args, err)
	}
}

// family lists a process and all it started, as PID and start time.
func family(t *testing.T, pid int) map[int]string {
	t.Helper()
	all := map[int]string{}
	var add func(int)
	add = func(pid int) {
		if started := startTime(pid); started != "" {
			all[pid] = started
		}
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			for _, child := range strings.Fields(string(text)) {
				if n, err := strconv.Atoi(child); err == nil {
					add(n)
				}
			}
		}
	}
	add(pid)
	return all
}

// startTime tells a process from another that got its number later; empty: it is
// gone.
func startTime(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// waitGone waits until none of the processes is left.
func waitGone(ctx context.Context, t *testing.T, all map[int]string) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for pid, started := range all {
		for startTime(pid) == started {
			select {
			case <-again.C:
			case <-ctx.Done():
				command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				t.Fatalf("process %d is left behind: %q", pid, command)
			}
		}
	}
}

// TestDemoKilled kills a demo as it starts: nothing it started outlives it, and its
// folder is taken over by the next.
func TestDemoKilled(t *testing.T) {
	t.Parallel()
	dir, tmp := filepath.Join(t.TempDir(), "demo"), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	d := startDemo(t, dir, tmp, "--scenario", "none")
	d.until(ctx, t, "  stop ")
	all := family(t, d.cmd.Process.Pid)
	if len(all) < 4 {
		t.Errorf("got %d processes, want the demo, a collector and two agents", len(all))
	}
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	waitGone(ctx, t, all)

	d = startDemo(t, dir, tmp, "--scenario", "none")
	d.until(ctx, t, "is built anew")
	all = family(t, d.cmd.Process.Pid)
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.ends(t)
	waitGone(ctx, t, all)
	checkOnly(t, tmp)
}

// ends waits for the demo to end by itself.
func (d *demoRun) ends(t *testing.T) {
	t.Helper()
	for line := range d.lines {
		t.Log(line)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("stopped demo: %v, want exit 0", err)
	}
}

// TestDemoCalm waits until all is judged, and stops the demo as Ctrl-C does.
func TestDemoCalm(t *testing.T) {
	t.Parallel()
	base, tmp := t.TempDir(), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	d := startDemo(t, filepath.Join(base, "demo"), tmp, "--scenario", "none")
	d.until(ctx, t, "Judged ")
	d.calm(t)
	all := family(t, d.cmd.Process.Pid)
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	d.ends(t)
	waitGone(ctx, t, all)
	checkOnly(t, base, "demo")
	checkOnly(t, tmp)
}

// calm reports where a service is unknown, or a tier has none that is proven.
func (d *demoRun) calm(t *testing.T) {
	t.Helper()
	var status struct{ Services []holdfast.Posture }
	d.ask(t, &status, "status")
	proven := map[int]bool{}
	for _, s := range status.Services {
		if s.State == holdfast.Proven {
			proven[s.Tier] = true
		}
		if s.State == holdfast.Unknown {
			t.Errorf("%s is unknown: %v", s.Name, s.Cause)
		}
	}
	if diff := cmp.Diff(map[int]bool{1: true, 2: true, 3: true, 4: true}, proven); diff != "" || len(status.Services) < 6 {
		t.Errorf("tiers with a proven service, of %d services (-want +got):\n%s", len(status.Services), diff)
	}
}

// TestDemoWithoutRestic hides restic from the demo and all it starts: everything is
// judged all the same, on file archives.
func TestDemoWithoutRestic(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root, to hide restic in a mount namespace of its own")
		}
		t.Skip("needs root, to hide restic in a mount namespace of its own")
	}
	base, tmp := t.TempDir(), t.TempDir()
	dir := filepath.Join(base, "demo")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	hide := `for f in /usr/bin/restic /usr/local/bin/restic; do [ ! -e $f ] || mount --bind /dev/null $f; done; exec "$0" "$@"`
	holdfast := filepath.Join(tmp, "holdfast")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, holdfast); err != nil {
		t.Fatal(err)
	}
	d := runDemo(t, exec.Command("/usr/bin/unshare", "--mount", "--", "/bin/sh", "-c", hide, holdfast,
		"demo", "--data", dir, "--listen", "127.0.0.1:0", "--scenario", "none"), dir, tmp)
	d.until(ctx, t, "restic is not installed")
	d.until(ctx, t, "Judged ")
	d.calm(t)
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	d.ends(t)
}

// checkOnly reports whether a folder holds these entries and no others.
func checkOnly(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left in %s (-want +got):\n%s", dir, diff)
	}
}

// TestDemoPort says what to do when the port of the pages is taken.
func TestDemoPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "demo")
	var out, errs strings.Builder
	code := run(t.Context(), []string{"demo", "--data", dir, "--listen", l.Addr().String()}, strings.NewReader(""), &out, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "hint: another program has that port") {
		t.Errorf("got exit %d, %q, want %d and a hint", code, errs.String(), exitFailed)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("got %v, want no folder", err)
	}
}
