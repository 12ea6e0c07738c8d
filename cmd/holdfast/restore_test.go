package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
)

const restored = "shop/restore/restored" // the check under test

// restoreCatalogue has one service whose copy and restore test are given, each as
// "{probe: …, with: {…}}" without braces.
func restoreCatalogue(copy, test string) string {
	return fmt.Sprintf(`site: here
---
service: shop
tier: 3
site: here
host: h1
bia: {rto: 1h, rpo: 1d, mtpd: 2d, reviewed: 2026-01-01}
data:
  files: {copies: {nightly: {%s, on: dr1, host: h1, medium: disk, every: 1h}}}
paths:
  restore:
    covers: [data-corruption]
    at: here
    from: [files/nightly]
    tests:
      restored: {%s, on: dr1, every: 7d}
`, copy, test)
}

// holding writes a program that does what the real one does and, where its arguments
// match, first touches mark and never ends.
func holding(t *testing.T, name, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestKilledInRestore kills an agent, the real program, in the middle of a restore. Until
// then the restore gives way to others; afterwards nobody of it is left, the next start
// leaves nothing of what it wrote, and the test counts as not completed.
func TestKilledInRestore(t *testing.T) {
	t.Parallel()
	t.Run("restic", func(t *testing.T) {
		t.Parallel()
		repository, password := resticRepository(t, t.TempDir(), 8<<20)
		scratch, mark := t.TempDir(), filepath.Join(t.TempDir(), "restored")
		tool := holding(t, "restic", `/usr/bin/restic "$@" || exit
case " $* " in *" restore "*) touch `+mark+`; exec sleep 6000;; esac`)
		source := fmt.Sprintf("repository: %q, password_file: %q", repository, password)
		w := startRunWorld(t, t.TempDir(), restoreCatalogue("probe: restic.repository, with: {"+source+"}", "probe: restic.restore, with: {"+source+fmt.Sprintf(", scratch: %q}", scratch)),
			"allow: [restic.*]\ntools: {restic: "+tool+"}\n", "")
		w.killInRestore(t, mark, scratch, "restic", "sleep")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		farm, dumps := postgresDumps(t)
		mark := filepath.Join(t.TempDir(), "loading")
		tool := holding(t, "pg_restore", `case " $* " in *" --dbname="*) touch `+mark+`; exec sleep 6000;; esac; exec `+farm.Bin+`/pg_restore "$@"`)
		with := fmt.Sprintf("with: {directory: %q, settle: 0s}", dumps)
		w := startRunWorld(t, t.TempDir(), restoreCatalogue("probe: postgres.dump, "+with, "probe: postgres.restore, "+with), "allow: [postgres.*]\ntools: {pg_restore: "+tool+"}\n", "")
		w.killInRestore(t, mark, filepath.Join(w.host, "plugins", "scratch"), "pg_restore", "sleep", "postgres")
	})
}

// TestScratchKeptFromOtherChecks has a restore test whose scratch lies in what another
// check on the same host reads: the agent tells its plugin, which refuses.
func TestScratchKeptFromOtherChecks(t *testing.T) {
	t.Parallel()
	repository, password := resticRepository(t, t.TempDir(), 1<<10)
	archives := t.TempDir()
	scratch := filepath.Join(archives, "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	source := fmt.Sprintf("repository: %q, password_file: %q", repository, password)
	w := startRunWorld(t, t.TempDir(), restoreCatalogue("probe: restic.repository, with: {"+source+"}", "probe: restic.restore, with: {"+source+fmt.Sprintf(", scratch: %q}", scratch))+
		fmt.Sprintf("    needs:\n      - {name: archives, probe: files.archive, on: dr1, every: 1h, with: {directory: %q}}\n", archives), "allow: [restic.*]\n", "")
	var run holdfast.Run
	eventuallyTrue(t, "the agent to take a request", func() bool {
		var status int
		status, run = w.run(t, restored)
		return status == http.StatusAccepted && run.State == holdfast.RunSent
	})
	run, _ = w.follow(t, run.ID, over)
	if run.Outcome != holdfast.OutcomeUnknown || run.Reason != holdfast.Refused || !strings.Contains(run.Summary, "lies in "+archives) {
		t.Errorf("the restore: got %+v, want it refused for %s", run, archives)
	}
	if left := below(t, scratch); len(left) > 0 {
		t.Errorf("scratch holds %v, want nothing", left)
	}
}

// killInRestore kills the agent once mark is there, and starts it again without the tool,
// so that no test can pass any more.
func (w *runWorld) killInRestore(t *testing.T, mark, scratch, tool string, names ...string) {
	t.Helper()
	eventuallyTrue(t, "the restore", func() bool { _, err := os.Stat(mark); return err == nil })
	if bytes := sizeBelow(t, scratch); bytes < 1<<20 {
		t.Errorf("scratch holds %d bytes in the middle of a restore, want a good deal: this test shows nothing", bytes)
	}
	var family []relative
	for _, name := range names { // the mark is there a moment before all of them are
		eventuallyTrue(t, name+" below the agent", func() bool {
			family = familyOf(t, w.agent.cmd.Process.Pid)
			return slices.ContainsFunc(family, func(p relative) bool { return p.name == name })
		})
	}
	for _, p := range family {
		if slices.Contains(names, p.name) {
			p.givesWay(t)
		}
	}
	_, run := w.run(t, restored) // joins the one that runs
	w.follow(t, run.ID, func(r holdfast.Run) bool { return r.State == holdfast.RunRunning })
	w.agent.kill()
	for _, p := range family {
		eventuallyTrue(t, fmt.Sprintf("%v to end with the agent", p), func() bool { return !p.lives() })
	}
	if run, _ = w.follow(t, run.ID, over); run.State != holdfast.RunLost {
		t.Errorf("the run: got %+v, want it lost", run)
	}
	if bytes := sizeBelow(t, scratch); bytes < 1<<20 {
		t.Errorf("scratch holds %d bytes after the kill: the next start has nothing to remove", bytes)
	}

	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	config := strings.SplitAfter(string(text), "\n")[0] + "tools: {" + tool + ": /nonexistent/" + tool + "}\n"
	if err := os.WriteFile(w.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w.agent.start(t)
	var answer struct{ Observation *holdfast.Observation }
	eventuallyTrue(t, "the next run, which has no tool", func() bool {
		answer.Observation = nil
		status, text := w.ask(t, "GET", "/api/v1/checks/"+restored, "", nil)
		if status != http.StatusOK || json.Unmarshal([]byte(text), &answer) != nil {
			t.Fatalf("the check: %d %s", status, text)
		}
		return answer.Observation != nil
	})
	if o := answer.Observation; o.Outcome != holdfast.OutcomeUnknown || o.Reason != holdfast.ToolMissing || o.Restoration != nil {
		t.Errorf("the test: got %+v, want that nobody could tell, and nothing else ever", o)
	}
	eventuallyTrue(t, "scratch to be empty", func() bool { return len(below(t, scratch)) == 0 })
}

// relative is a process that another one started, known by its number and when that was.
type relative struct {
	pid         int
	name, start string
}

func (p relative) lives() bool {
	now, state := processOf(p.pid)
	return now == p && state != "Z"
}

// processOf reads what proc_pid_stat(5) says of a process.
func processOf(pid int) (p relative, state string) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	before, after, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if err != nil || !ok || len(fields) < 20 {
		return relative{}, ""
	}
	_, name, _ := strings.Cut(before, "(")
	return relative{pid, name, fields[19]}, fields[0]
}

// familyOf lists everybody that a process started, and they in turn.
func familyOf(t *testing.T, pid int) []relative {
	t.Helper()
	var all []relative
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(children)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			if p, _ := processOf(child); p.pid != 0 {
				all = append(append(all, p), familyOf(t, child)...)
			}
		}
	}
	return all
}

// givesWay tests that every thread of a process lets others go first.
func (p relative) givesWay(t *testing.T) {
	t.Helper()
	const lowest = 2<<13 | 7 // best effort, the last of eight places; see ioprio_get(2)
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid))
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, id)
		if err == unix.ESRCH {
			continue // one of postgres's, that come and go
		}
		io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(id), 0)
		if errno == unix.ESRCH {
			continue
		}
		if nice = 20 - nice; err != nil || nice < 10 || io != lowest { // the call answers 20 less the value
			t.Errorf("%s, thread %d: nice %d, %v, I/O priority %#x, want 10 or more and %#x", p.name, id, nice, err, io, lowest)
		}
	}
}

// below lists the files in a folder and all below it.
func below(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != dir { // what goes while it is looked at is gone
			found = append(found, path)
		}
		return nil
	})
	return found
}

func sizeBelow(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	for _, file := range below(t, dir) {
		if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
	}
	return bytes
}

// postgresDumps makes a folder with a dump of a real database.
func postgresDumps(t *testing.T) (farm *pgtest.Farm, dumps string) {
	t.Helper()
	farm, err := pgtest.NewFarm()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := farm.Close(); err != nil {
			t.Error(err)
		}
	})
	primary, err := farm.Primary(nil)
	if err == nil {
		err = primary.Exec("postgres", "create table entry as select g, md5(g::text) from generate_series(1, 1000) g")
	}
	if err != nil {
		t.Fatal(err)
	}
	dumps = filepath.Join(farm.Dir, "dumps")
	if err := farm.Folder(dumps); err != nil {
		t.Fatal(err)
	}
	if _, err := farm.Run("pg_dump", "--format=custom", "--file="+filepath.Join(dumps, "a.dump"), "--dbname="+primary.DSN("postgres", "postgres")); err != nil {
		t.Fatal(err)
	}
	return farm, dumps
}
