package probetest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// Restorable is a backup that restores well, for RunRestore.
type Restorable struct {
	Probe    func() probe.Probe
	Settings map[string]any    // without scratch
	Tools    map[string]string // as the agent's policy would find them
	Source   string            // the folder the backup lies in
	// Scratch makes a folder to restore into; default t.TempDir.
	Scratch func(testing.TB) string
	// Hold returns tools that, once something is in scratch, touch mark and never end.
	Hold func(*testing.T) (tools map[string]string, mark string)
}

// restoreEnv asks a test binary to be the process that RunRestore kills.
const restoreEnv = "HOLDFAST_TEST_RESTORE"

// victim is what such a process does.
type victim struct {
	Probe    string
	Settings holdfast.Settings
	Tools    map[string]string
	Scratch  string
}

// RestoreVictim must be called first in the TestMain of a package that calls RunRestore:
// in the process that is to be killed in the middle of a restore it does not return.
func RestoreVictim(probes ...probe.Probe) {
	text := os.Getenv(restoreEnv)
	if text == "" {
		return
	}
	var v victim
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	for _, p := range probes {
		if p.Describe().Name == v.Probe {
			o, err := p.Observe(context.Background(), probe.Request{Check: "killed", Settings: v.Settings, Tools: v.Tools, Scratch: v.Scratch})
			fmt.Fprintln(os.Stderr, "it ended by itself:", o.Summary, err)
		}
	}
	os.Exit(1)
}

// RunRestore tests that a restore probe keeps the contract of package scratch: the same
// settings in the same words; kept away from what is protected; not begun without memory
// or room; and nothing left after success, cancel, deadline and kill. What of it mounts
// needs root, and is skipped without.
func RunRestore(t *testing.T, r Restorable) {
	if r.Scratch == nil {
		r.Scratch = func(t testing.TB) string { return t.TempDir() }
	}
	for name, test := range map[string]func(*testing.T, Restorable){
		"describe": testRestoreDescribe, "good": testRestoreGood, "keeps away": testRestoreAway,
		"memory": testRestoreMemory, "room": testRestoreRoom, "cancelled": testRestoreCancelled, "deadline": testRestoreDeadline, "killed": testRestoreKilled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, r)
		})
	}
}

// restore restores into a folder, with more settings.
func (r Restorable) restore(ctx context.Context, t *testing.T, into string, tools map[string]string, more map[string]any) (probe.Observation, error) {
	t.Helper()
	p := r.Probe()
	o, err := p.Observe(ctx, probe.Request{Check: "s/p/restored", Settings: r.with(t, more), Tools: tools, Scratch: into})
	checkAnswer(t, p.Describe(), o, err)
	return o, err
}

func (r Restorable) with(t *testing.T, more map[string]any) holdfast.Settings {
	t.Helper()
	all := maps.Clone(r.Settings)
	maps.Copy(all, more)
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return holdfast.Settings(b)
}

func testRestoreDescribe(t *testing.T, r Restorable) {
	d := r.Probe().Describe()
	got, want := resolve(t, d.Settings).Schema().Properties, resolve(t, probe.Schema[scratch.Options]()).Schema().Properties
	for name, setting := range want {
		if got[name] == nil || got[name].Description != setting.Description || got[name].Type != setting.Type {
			t.Errorf("setting %q: got %+v, want it as scratch.Options has it: %q", name, got[name], setting.Description)
		}
	}
	if d.Cost != holdfast.Heavy || !d.Privileges.Writes || len(d.Paths) == 0 {
		t.Errorf("got cost %s, writes %v, paths %v, want heavy, true and those the backup lies at", d.Cost, d.Privileges.Writes, d.Paths)
	}
	for _, reason := range []holdfast.Reason{holdfast.Assertion, holdfast.TooSmall, holdfast.Refused, holdfast.ToolMissing} {
		if !slices.Contains(d.Reasons, reason) {
			t.Errorf("reasons %v lack %q", d.Reasons, reason)
		}
	}
}

func testRestoreGood(t *testing.T, r Restorable) {
	into := r.Scratch(t)
	var mu sync.Mutex
	var phases []string
	ctx := probe.WithProgress(t.Context(), func(p holdfast.Phase) {
		mu.Lock()
		defer mu.Unlock()
		phases = append(phases, p.Name)
	})
	before := time.Now()
	o, err := r.restore(ctx, t, into, r.Tools, map[string]any{"point": "random", "tolerate": []string{"no such error"}})
	if err != nil || o.Outcome != holdfast.OK || o.Restoration == nil {
		t.Fatalf("got %+v, %v, want it restored", o, err)
	}
	if _, err := r.restore(t.Context(), t, into, r.Tools, map[string]any{"point": "oldest"}); err == nil || !strings.Contains(err.Error(), "neither latest nor random") {
		t.Errorf("point oldest: got %v, want it refused", err)
	}
	WantEmpty(t, into)
	got := o.Restoration
	if got.Coverage != 1 || got.Bytes == 0 || got.Checks == 0 || got.Point.IsZero() || got.Duration <= 0 ||
		got.Started.Before(before) || got.Started.Add(got.Duration.Std()).After(time.Now()) {
		t.Errorf("got %+v, want a whole restore, checked, measured and of some time", got)
	}
	if strings.Contains(o.Summary, "tolerated") || o.Facts["tolerated"] != "" {
		t.Errorf("got %q, %q, want nothing tolerated", o.Summary, o.Facts["tolerated"])
	}
	mu.Lock()
	defer mu.Unlock()
	known := []string{"list", "read", "start", "restore", "compare", "assert"}
	if i := slices.IndexFunc(phases, func(p string) bool { return !slices.Contains(known, p) }); i >= 0 || !slices.Contains(phases, "restore") {
		t.Errorf("got phases %q, want restore among them and no other than %q", phases, known)
	}
}

func testRestoreAway(t *testing.T, r Restorable) {
	into := r.Scratch(t)
	inside := filepath.Join(into, "inside")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(r.Source, link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		scratch   string
		protected []string
		want      string
	}{
		"where the backup lies": {r.Source, nil, "lies in"},
		"by another name":       {link, nil, "lies in"},
		"above it":              {filepath.Dir(r.Source), nil, "holds"},
		"another check's":       {into, []string{into}, "lies in"},
		"below another check's": {inside, []string{into}, "lies in"},
		"above another check's": {into, []string{filepath.Join(inside, "later")}, "holds"},
	} {
		p := r.Probe()
		o, err := p.Observe(t.Context(), probe.Request{Check: "s/p/restored", Tools: r.Tools, Scratch: r.Scratch(t), Protected: c.protected,
			Settings: r.with(t, map[string]any{"scratch": c.scratch})})
		checkAnswer(t, p.Describe(), o, err)
		if err == nil || probe.ReasonOf(err) != holdfast.Refused || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, %v (%q), want it refused: %s", name, o.Outcome, err, probe.ReasonOf(err), c.want)
		}
	}
	if err := os.Remove(inside); err != nil {
		t.Error(err)
	}
	WantEmpty(t, into)
}

func testRestoreMemory(t *testing.T, r Restorable) {
	into := r.Scratch(t)
	_, err := r.restore(t.Context(), t, into, r.Tools, map[string]any{"memory": "4PiB"})
	if probe.ReasonOf(err) != holdfast.TooSmall || !strings.Contains(err.Error(), "of memory available, this restore needs 4PiB") {
		t.Errorf("got %v (%q), want too-small", err, probe.ReasonOf(err))
	}
	WantEmpty(t, into)
}

func testRestoreRoom(t *testing.T, r Restorable) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("mounting a small file system needs root")
		}
		t.Skip("mounting a small file system needs root")
	}
	small := r.Scratch(t)
	if err := unix.Mount("none", small, "tmpfs", 0, "size=64k,mode=755"); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	_, err := r.restore(t.Context(), t, r.Scratch(t), r.Tools, map[string]any{"scratch": small})
	if probe.ReasonOf(err) != holdfast.TooSmall || !strings.Contains(err.Error(), "and a tenth to spare") {
		t.Errorf("got %v (%q), want too-small", err, probe.ReasonOf(err))
	}
	WantEmpty(t, small)
}

func testRestoreCancelled(t *testing.T, r Restorable) {
	into := r.Scratch(t)
	tools, mark := r.Hold(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := r.restore(ctx, t, into, tools, nil)
		done <- err
	}()
	WaitFor(t, func() bool { return there(mark) })
	if !there(filepath.Join(only(t, into), "data")) {
		t.Error("scratch holds no data in the middle of a restore: this test shows nothing")
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("got an observation, want an error: it was cancelled")
	}
	WantEmpty(t, into)
	if left := workIn(t, into); len(left) > 0 {
		t.Errorf("processes left: %q", left)
	}
}

// testRestoreDeadline lets the time run out while the tool does not end.
func testRestoreDeadline(t *testing.T, r Restorable) {
	into := r.Scratch(t)
	tools, _ := r.Hold(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := r.restore(ctx, t, into, tools, nil)
	if probe.ReasonOf(err) != holdfast.Timeout {
		t.Errorf("got %v (%q), want timeout", err, probe.ReasonOf(err))
	}
	WantEmpty(t, into)
	if left := workIn(t, into); len(left) > 0 {
		t.Errorf("processes left: %q", left)
	}
}

// testRestoreKilled kills the process that restores, which is this test binary again.
func testRestoreKilled(t *testing.T, r Restorable) {
	into := r.Scratch(t)
	tools, mark := r.Hold(t)
	text, err := json.Marshal(victim{r.Probe().Describe().Name, r.with(t, nil), tools, into})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), restoreEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	WaitFor(t, func() bool { return there(mark) })
	data := filepath.Join(only(t, into), "data")
	// While its owner lives, another test leaves the folder alone.
	if o, err := r.restore(t.Context(), t, into, r.Tools, nil); err != nil || o.Outcome != holdfast.OK {
		t.Errorf("beside the living: got %+v, %v, want it restored", o, err)
	}
	if !there(data) {
		t.Error("what the living restored is gone")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	WaitFor(t, func() bool { return len(workIn(t, into)) == 0 })
	if !there(data) {
		t.Error("the dead left nothing: this test shows nothing")
	}
	if o, err := r.restore(t.Context(), t, into, r.Tools, nil); err != nil || o.Outcome != holdfast.OK {
		t.Errorf("after the dead: got %+v, %v, want it restored", o, err)
	}
	WantEmpty(t, into)
}

// only returns the workspace in a folder that has data.
func only(t *testing.T, dir string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(dir, "holdfast-restore-*", "data"))
	if len(found) == 0 {
		t.Fatalf("there is no workspace with data in %s", dir)
	}
	return filepath.Dir(found[0])
}

func there(path string) bool { _, err := os.Lstat(path); return err == nil }

// workIn lists the processes that work in a folder or name it on their command line.
func workIn(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range all {
		cwd, _ := os.Readlink(filepath.Join(proc, "cwd"))
		command, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		if strings.HasPrefix(cwd, dir+"/") || strings.Contains(string(command), dir) {
			found = append(found, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return found
}
