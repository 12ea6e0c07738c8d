package scratchpg_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-monitor/holdfast/plugins/postgres/scratchpg"
)

// bin returns the folder of PostgreSQL's programs.
func bin(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("PostgreSQL is needed: install the package postgresql")
		}
		t.Skip("PostgreSQL is needed: install the package postgresql")
	}
	return found[len(found)-1]
}

// A cluster that was restored with its source's configuration still archives
// nowhere, listens nowhere and is gone when it is stopped. Its folder lies where
// its user may not go, under a path too long for a socket.
func TestKeptApart(t *testing.T) {
	bin := bin(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	owner, err := scratchpg.FindOwner()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30), "data")
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := scratchpg.Init(ctx, bin+"/initdb", owner, dir); err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(t.TempDir(), "live")
	if err := os.Mkdir(live, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(live, 0o777); err != nil {
		t.Fatal(err)
	}
	brought := "archive_mode = on\narchive_command = 'touch " + live + "/archived'\nlisten_addresses = '*'\nport = 5432\nshared_preload_libraries = 'nowhere'\n"
	for _, name := range []string{"postgresql.conf", "postgresql.auto.conf"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(brought), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "pg_hba.conf"), []byte("local all all reject\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := scratchpg.Start(ctx, bin+"/postgres", owner, dir, map[string]string{"archive_mode": "on", "work_mem": "5MB"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Connect(ctx, scratchpg.Superuser, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"archive_mode": "off", "archive_command": "(disabled)", "listen_addresses": "", "fsync": "off", "work_mem": "5MB"} {
		var got string
		if err := conn.QueryRow(ctx, "select current_setting($1)", name).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	for _, statement := range []string{"create table t as select 1", "select pg_switch_wal()", "checkpoint"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Error(err)
		}
	}
	var archived int
	if err := conn.QueryRow(ctx, "select archived_count + failed_count from pg_stat_archiver").Scan(&archived); err != nil || archived != 0 {
		t.Errorf("archiving was tried %d times, %v", archived, err)
	}
	if left, _ := os.ReadDir(live); len(left) > 0 {
		t.Errorf("the live archive was written to: %v", left)
	}
	if c.Port >= 32768 {
		t.Errorf("port: got %d, want one below 32768", c.Port)
	}
	_ = conn.Close(ctx)
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postmaster.pid")); err == nil {
		t.Error("the postmaster left its file, want it ended in order")
	}
}

// TestKillOrphans has a process of a cluster outlive its workspace.
func TestKillOrphans(t *testing.T) {
	base := t.TempDir()
	named := filepath.Join(base, "postgres")
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(named, b, 0o755); err != nil {
		t.Fatal(err)
	}
	start := func(workspace string, gone bool) *exec.Cmd {
		dir := filepath.Join(base, workspace, "data")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(named, "600")
		cmd.Dir = dir
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		if gone {
			if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
				t.Fatal(err)
			}
		}
		return cmd
	}
	orphan, living, other := start("holdfast-restore-1", true), start("holdfast-restore-2", false), start("theirs", true)
	if err := scratchpg.KillOrphans(); err != nil {
		t.Fatal(err)
	}
	_ = orphan.Wait()
	if status, ok := orphan.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("the orphan ended with %v, want it killed", orphan.ProcessState)
	}
	for _, cmd := range []*exec.Cmd{living, other} {
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("%s: %v, want it alive", cmd.Dir, err)
		}
	}
}
