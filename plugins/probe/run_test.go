package probe_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// shell runs a script; only tests use a shell.
func shell(script string) probe.Command {
	return probe.Command{Path: "/bin/sh", Args: []string{"-c", script}}
}

func TestRun(t *testing.T) {
	t.Setenv("HOLDFAST_SECRET", "leaked")
	out, err := probe.Run(t.Context(), shell(`env; cat; echo oops >&2; exit 3`))
	if err != nil || out.ExitCode != 3 || string(out.Stderr) != "oops\n" || out.Truncated {
		t.Errorf("got %+v, %v, want exit 3 with oops on stderr", out, err)
	}
	if s := string(out.Stdout); !strings.Contains(s, "LC_ALL=C\n") || !strings.Contains(s, "TZ=UTC\n") || strings.Contains(s, "leaked") {
		t.Errorf("environment: got %s, want the fixed one", s)
	}
}

func TestRunCapsOutput(t *testing.T) {
	c := shell(`head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; echo end >&2`)
	c.StdoutMax, c.StderrMax = 1000, 10
	out, err := probe.Run(t.Context(), c)
	if err != nil || len(out.Stdout) != 1000 || len(out.Stderr) != 10 || !out.Truncated || out.ExitCode != 0 {
		t.Errorf("got %d and %d bytes, truncated %v, exit %d, %v; want 1000, 10, true, 0", len(out.Stdout), len(out.Stderr), out.Truncated, out.ExitCode, err)
	}
}

func TestRunStreams(t *testing.T) {
	var stdout, stderr strings.Builder
	c := shell(`echo out; echo err >&2`)
	c.StdoutTo, c.StderrTo, c.StderrMax = &stdout, &stderr, 2
	out, err := probe.Run(t.Context(), c)
	if err != nil || stdout.String() != "out\n" || stderr.String() != "err\n" || len(out.Stdout) != 0 || string(out.Stderr) != "er" {
		t.Errorf("got %q and %q, kept %+v, %v; want out streamed and not kept, err both", &stdout, &stderr, out, err)
	}
}

func TestRunErrors(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		cmd    probe.Command
		reason holdfast.Reason
	}{
		{"no path", t.Context(), probe.Command{}, holdfast.ToolMissing},
		{"no program", t.Context(), probe.Command{Path: "/no/such/tool"}, holdfast.ToolMissing},
		{"relative", t.Context(), probe.Command{Path: "sh"}, ""},
		{"cancelled", ended, shell("exit 0"), ""},
		{"signal", t.Context(), shell("kill -9 $$"), ""},
	} {
		_, err := probe.Run(c.ctx, c.cmd)
		if err == nil || probe.ReasonOf(err) != c.reason {
			t.Errorf("%s: got error %v with reason %q, want reason %q", c.name, err, probe.ReasonOf(err), c.reason)
		}
	}
}

// TestRunKillsTheGroup checks that nobody is left of a tool that hangs, nor of
// one that ended and left a child behind.
func TestRunKillsTheGroup(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"deadline", `sleep 1000 & echo $! >"$PIDFILE.new"; mv "$PIDFILE.new" "$PIDFILE"; wait`},
		{"left behind", `sleep 1000 & echo $! >"$PIDFILE.new"; mv "$PIDFILE.new" "$PIDFILE"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			pidfile := filepath.Join(t.TempDir(), "pid")
			cmd := shell(c.script)
			cmd.Env = []string{"PIDFILE=" + pidfile}
			_, err := probe.Run(ctx, cmd)
			if c.name == "deadline" && (probe.ReasonOf(err) != holdfast.Timeout || !errors.Is(err, context.DeadlineExceeded)) {
				t.Errorf("got %v, want a timeout", err)
			}
			if c.name != "deadline" && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			text, err := os.ReadFile(pidfile)
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			awaitGone(t, pid)
		})
	}
}

// awaitGone waits until the process is dead: gone, or a zombie that its parent
// has not collected.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); ; {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d still runs: %s", pid, stat)
		}
	}
}
