package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/holdfast-monitor/holdfast/agent"
)

// testHeavy checks that a heavy probe has a process of its own, that every thread of
// it and whatever its tools start give way, and that it is told what not to touch.
func testHeavy(t *testing.T, c agent.PluginsConfig) {
	c.Protected = func() []string { return []string{"/srv/a", "/srv/b"} }
	p := newPlugins(t, c)
	light := run(t, p, checkOf("calm.good", `{"say":"hello"}`))
	heavy := run(t, p, checkOf("calm.heavy", ""))
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	nice := max(10, 20-raw) // these tests may run at a low priority themselves
	want := map[string]string{"threads": fmt.Sprintf("map[%d:true]", nice), "tool": fmt.Sprintf("%d best-effort: prio 7", nice), "oom": "500", "protected": "/srv/a /srv/b"}
	got := heavy.Facts
	pid := got["pid"]
	delete(got, "pid")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("how it runs (-want +got):\n%s", diff)
	}
	if pid == light.Facts["pid"] {
		t.Errorf("it ran in process %s, beside the light ones", pid)
	}
	if again := run(t, p, checkOf("calm.good", `{"say":"again"}`)); again.Facts["pid"] != light.Facts["pid"] {
		t.Errorf("the light ones moved from process %s to %s", light.Facts["pid"], again.Facts["pid"])
	}
	var names []string
	for _, h := range p.Health() {
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"calm", "calm (heavy)"}, names); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
}

// TestDatabaseFolders has programs with the names of servers work in two folders, of
// which one is a restore test's.
func TestDatabaseFolders(t *testing.T) {
	dir := t.TempDir()
	program, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, folder string }{{"postgres", "live/data"}, {"mariadbd", "holdfast-restore-1/data"}, {"notadatabase", "other"}} {
		file, folder := filepath.Join(dir, c.name), filepath.Join(dir, c.folder)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, program, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(file, "600")
		cmd.Dir = folder
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		until(t, "the program runs", func() bool {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
			return strings.TrimSpace(string(comm)) == c.name
		})
	}
	found := agent.DatabaseFolders()
	mine := slices.DeleteFunc(slices.Clone(found), func(f string) bool { return !strings.HasPrefix(f, dir) })
	if diff := cmp.Diff([]string{filepath.Join(dir, "live/data")}, mine); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
	if mysql := "/var/lib/mysql"; slices.Contains(found, mysql) != exists(mysql) {
		t.Errorf("got %v, want %s in it only where it is there", found, mysql)
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }
