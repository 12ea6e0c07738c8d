package agent_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// trustedFolder returns a folder that only root may write to, all the way up,
// which t.TempDir is not.
func trustedFolder(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("outside plugins must belong to root; run as root")
	}
	dir, err := os.MkdirTemp("/var/lib", "holdfast-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func build(t *testing.T, out, dir string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", out, ".")
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, said)
	}
}

func sum(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}

// testLog sends log lines to the test's own.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// newPlugins opens a host in a folder of its own and tests that closing it leaves
// nothing behind.
func newPlugins(t *testing.T, c agent.PluginsConfig) *agent.Plugins {
	t.Helper()
	already := goleak.IgnoreCurrent()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c.Log = slog.New(slog.NewTextHandler(testLog{t}, nil))
	if c.Grace == 0 {
		c.Grace = 300 * time.Millisecond
	}
	p, err := agent.NewPlugins(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if left := files(t, c.Dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		goleak.VerifyNone(t, already)
	})
	return p
}

// files lists what is below a folder, folders of the host's own apart.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir && filepath.Dir(path) != dir {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func checkOf(probeName string, settings holdfast.Settings) holdfast.Check {
	return holdfast.Check{ID: "svc/path/" + probeName, Probe: probeName, Every: holdfast.Duration(time.Minute), Timeout: holdfast.Duration(5 * time.Second), With: settings}
}

// until waits for something to come true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestPlugins(t *testing.T) {
	dir := trustedFolder(t)
	outside, rogue := filepath.Join(dir, "outside"), filepath.Join(dir, "rogue")
	build(t, outside, "../plugins/probe/testdata/outside")
	build(t, rogue, "testdata/rogue")
	external := map[string]string{outside: sum(t, outside), rogue: sum(t, rogue)}
	// The same program also stands for plugins of the first party.
	firstParty := agent.PluginsConfig{Command: []string{outside}, FirstParty: map[string][]holdfast.Description{"calm": nil, "wild": nil}}

	t.Run("answers", func(t *testing.T) { testAnswers(t, agent.PluginsConfig{External: external}) })
	t.Run("cancel", func(t *testing.T) { testCancel(t, firstParty) })
	t.Run("lifetime", func(t *testing.T) { testLifetime(t, firstParty) })
	t.Run("backoff", func(t *testing.T) { testBackoff(t, firstParty) })
	t.Run("misbehaviour", func(t *testing.T) { testMisbehaviour(t, firstParty, external) })
	t.Run("forked", func(t *testing.T) { testForked(t, firstParty) })
	t.Run("trust", func(t *testing.T) { testTrust(t, dir, outside) })
	t.Run("kill host", func(t *testing.T) { testKillHost(t, outside) })
}

func testAnswers(t *testing.T, c agent.PluginsConfig) {
	t.Setenv("HOLDFAST_SECRET", "leaked")
	t.Setenv("SSL_CERT_FILE", "/etc/ssl/roots.pem")
	t.Setenv("SSL_CERT_DIR", "/etc/ssl/roots")
	p := newPlugins(t, c)
	good := checkOf("outside.good", `{"say":"hello"}`)
	o, err := p.Observe(t.Context(), good, map[string]string{"tar": "/usr/bin/tar"})
	if err != nil {
		t.Fatal(err)
	}
	pid, scratch := o.Facts["pid"], o.Facts["scratch"]
	if time.Since(o.At) > 10*time.Second || !strings.HasPrefix(scratch, "/") {
		t.Errorf("got at %v, scratch %q, want now and a folder", o.At, scratch)
	}
	o.At = time.Time{}
	want := holdfast.Observation{
		Check: good.ID, Outcome: holdfast.OK, Summary: "hello", Measures: []holdfast.Measure{{Name: "letters", Value: 5}},
		Facts: map[string]string{
			"pid": pid, "scratch": scratch, "tools": "map[tar:/usr/bin/tar]",
			"environment": "LC_ALL TZ PATH GOMAXPROCS GOGC SSL_CERT_FILE SSL_CERT_DIR HOLDFAST_PLUGIN",
		},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("observation (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(scratch); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("scratch after the call: got %v, want it gone", err)
	}
	if _, err := p.Observe(t.Context(), checkOf("outside.good", `{"sya":"hello"}`), nil); err == nil || !strings.HasPrefix(err.Error(), "plugin outside: ") || !strings.Contains(err.Error(), `did you mean "say"?`) {
		t.Errorf("misspelt setting: got %v, want an error naming plugin and key", err)
	}
	_, err = p.Observe(t.Context(), checkOf("outside.bad", `{"mode":"unable"}`), nil)
	if got, want := fmt.Sprint(err), "plugin outside: nobody answers"; got != want || probe.ReasonOf(err) != holdfast.Unreachable {
		t.Errorf("unable: got %s (%s), want %s (unreachable)", got, probe.ReasonOf(err), want)
	}
	for _, name := range []string{"outside.none", "nowhere.good", "good", ""} {
		if _, err := p.Observe(t.Context(), checkOf(name, ""), nil); err == nil {
			t.Errorf("probe %q: got no error, want that there is none", name)
		}
	}
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			o, err := p.Observe(t.Context(), good, nil)
			if err != nil || o.Facts["pid"] != pid {
				t.Errorf("at once: got pid %s, %v; want the one process %s", o.Facts["pid"], err, pid)
			}
		})
	}
	calls.Wait()
	all, err := p.Descriptions(t.Context())
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	if diff := cmp.Diff([]string{"outside.bad", "outside.good", "rogue.garbage"}, names); err != nil || diff != "" {
		t.Errorf("descriptions: %v (-want +got):\n%s", err, diff)
	}
	if d, err := p.Describe(t.Context(), "outside.bad"); err != nil || d.Cost != holdfast.Heavy || !d.Privileges.Writes {
		t.Errorf("describe: got %+v, %v", d, err)
	}
}

// testCancel checks that a cancelled call ends early, is over when Observe
// returns, and costs the plugin nothing.
func testCancel(t *testing.T, c agent.PluginsConfig) {
	c.Grace = 5 * time.Second
	p := newPlugins(t, c)
	o, err := p.Observe(t.Context(), checkOf("calm.good", `{"say":"one"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, slow := range map[string]holdfast.Check{
		"probe": checkOf("calm.good", `{"say":"two","after":"1h"}`), "tool": checkOf("calm.bad", `{"mode":"tool"}`),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		if _, err := p.Observe(ctx, slow, nil); err == nil || probe.ReasonOf(err) != "" {
			t.Errorf("cancelled %s: got %v with reason %q, want an error without", name, err, probe.ReasonOf(err))
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("cancelled %s: took %v", name, took)
		}
		slow.Timeout = holdfast.Duration(100 * time.Millisecond)
		if _, err := p.Observe(t.Context(), slow, nil); probe.ReasonOf(err) != holdfast.Timeout {
			t.Errorf("%s out of time: got %v with reason %q, want timeout", name, err, probe.ReasonOf(err))
		}
	}
	again, err := p.Observe(t.Context(), checkOf("calm.good", `{"say":"three"}`), nil)
	if err != nil || again.Facts["pid"] != o.Facts["pid"] {
		t.Errorf("afterwards: got process %s, %v; want the same as before, %s", again.Facts["pid"], err, o.Facts["pid"])
	}
}

// testLifetime checks who stays and who goes.
func testLifetime(t *testing.T, c agent.PluginsConfig) {
	c.Idle = 300 * time.Millisecond
	p := newPlugins(t, c)
	run := func(every time.Duration) string {
		t.Helper()
		k := checkOf("calm.good", `{"say":"x"}`)
		k.Every = holdfast.Duration(every)
		o, err := p.Observe(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		return o.Facts["pid"]
	}
	rare := run(5 * time.Minute)
	until(t, "a plugin that is asked every 5 minutes ends at once", func() bool { return !alive(rare) })
	often := run(30 * time.Second)
	if again := run(5 * time.Minute); again != often {
		t.Errorf("a rare check started process %s beside %s", again, often)
	}
	if !alive(often) {
		t.Error("a rare check ended the process that a frequent one keeps")
	}
	until(t, "an idle plugin ends", func() bool { return !alive(often) })
	want := []holdfast.PluginHealth{{Name: "calm"}}
	if diff := cmp.Diff(want, p.Health()); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
}

func testBackoff(t *testing.T, c agent.PluginsConfig) {
	p := newPlugins(t, c)
	crash := checkOf("wild.bad", `{"mode":"crash"}`)
	for i, want := range []string{"died during the call: exit status 7", "died during the call: exit status 7", "is left alone for another 1s, it failed 2 times in a row: died: exit status 7"} {
		until(t, "the crash to be noticed", func() bool { h := p.Health(); return len(h) == 0 || !h[0].Running })
		if _, err := p.Observe(t.Context(), crash, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("crash %d: got %v, want %s", i+1, err, want)
		}
	}
	h := p.Health()
	if len(h) != 1 || h[0].Name != "wild" || h[0].Restarts != 1 || h[0].Failed.IsZero() || h[0].Problem != "died: exit status 7" {
		t.Errorf("health: got %+v", h)
	}
	until(t, "it is tried again", func() bool {
		_, err := p.Observe(t.Context(), checkOf("wild.good", `{"say":"back"}`), nil)
		return err == nil
	})
	if h := p.Health(); h[0].Problem != "" || h[0].Restarts != 2 || !h[0].Running {
		t.Errorf("health after recovery: got %+v", h)
	}
}

// testMisbehaviour checks every way a plugin can go wrong: the error names it,
// the agent does not grow, nothing stays, and a call under way in another plugin
// comes out well from the same process.
func testMisbehaviour(t *testing.T, c agent.PluginsConfig, external map[string]string) {
	for _, m := range []struct {
		mode   string
		want   string // part of the error; "" for none
		reason holdfast.Reason
		killed bool
	}{
		{"crash", "died during the call: exit status 7", "", true},
		{"panic", `died during the call: exit status 2; it said last: "panic: boom ?[31m`, "", true},
		{"hang", "killed because it did not end when its time was up", holdfast.Timeout, true},
		{"stop", "killed because it did not end when its time was up", holdfast.Timeout, true},
		{"tool", "sleep did not end in time", holdfast.Timeout, false},
		{"flood", "died during the call: signal: killed", "", true},
		{"raw-flood", "died during the call: signal: killed", "", true},
		{"oversized", "answered with more than 4 MiB", "", true},
		{"garbage", "not an answer", "", true},
		{"outcome", `impossible answer: outcome "great"`, "", false},
		{"unknown", "impossible answer: a probe that cannot tell answers with an error", "", false},
		{"reason", `impossible answer: reason "because" is not in the list`, "", false},
		{"unknown-reason", `impossible answer: reason "because" is not in the list`, "", false},
		{"nan", `impossible answer: measure "n" is NaN`, "", false},
		{"points", "impossible answer: 6 recovery points, at most 5", "", false},
		{"long", "impossible answer: facts long has 1025 bytes", "", false},
		{"wordy", "", "", false},
	} {
		t.Run(m.mode, func(t *testing.T) {
			c := c
			c.External = external
			p := newPlugins(t, c)
			before, err := p.Observe(t.Context(), checkOf("calm.good", `{"say":"before"}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			var beside sync.WaitGroup
			beside.Go(func() {
				o, err := p.Observe(t.Context(), checkOf("calm.good", `{"say":"beside","after":"400ms"}`), nil)
				if err != nil || o.Facts["pid"] != before.Facts["pid"] {
					t.Errorf("beside it: got %v from process %s, want an answer from %s", err, o.Facts["pid"], before.Facts["pid"])
				}
			})
			bad := checkOf("wild.bad", holdfast.Settings(fmt.Sprintf(`{"mode":%q}`, m.mode)))
			if m.mode == "garbage" {
				bad = checkOf("rogue.garbage", "")
			}
			if m.reason == holdfast.Timeout {
				bad.Timeout = holdfast.Duration(300 * time.Millisecond)
			}
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			allocated := memory.TotalAlloc
			o, err := p.Observe(t.Context(), bad, nil)
			runtime.ReadMemStats(&memory)
			if grown := memory.TotalAlloc - allocated; grown > 64<<20 {
				t.Errorf("the agent took %d MiB of memory for it", grown>>20)
			}
			switch plugin, _, _ := strings.Cut(bad.Probe, "."); {
			case m.want == "" && err != nil:
				t.Errorf("got %v, want an answer", err)
			case m.want == "":
			case err == nil || !strings.HasPrefix(err.Error(), "plugin "+plugin+": ") || !strings.Contains(err.Error(), m.want) || probe.ReasonOf(err) != m.reason:
				t.Errorf("got %+v, %v with reason %q; want an error naming plugin %s with %q and reason %q", o, err, probe.ReasonOf(err), plugin, m.want, m.reason)
			default:
				until(t, "health tells", func() bool {
					for _, h := range p.Health() {
						if h.Name == plugin {
							return h.Running != m.killed && (h.Problem != "") == m.killed
						}
					}
					return false
				})
			}
			beside.Wait()
			if m.mode != "garbage" {
				if _, err := p.Observe(t.Context(), checkOf("wild.good", `{"say":"again"}`), nil); err != nil {
					t.Errorf("afterwards: got %v, want it restarted", err)
				}
			}
		})
	}
}

// testForked checks that those a plugin started are killed with it, when it
// crashes and when it hangs. One that left both the group and a crashed parent
// cannot be found any more; that is what probe.Run is for.
func testForked(t *testing.T, c agent.PluginsConfig) {
	for mode, found := range map[string]int{"crash-fork": 1, "hang-fork": 2} {
		t.Run(mode, func(t *testing.T) {
			p := newPlugins(t, c)
			numbers := filepath.Join(t.TempDir(), "pids")
			k := checkOf("wild.bad", holdfast.Settings(fmt.Sprintf(`{"mode":%q,"file":%q}`, mode, numbers)))
			k.Timeout = holdfast.Duration(500 * time.Millisecond)
			if _, err := p.Observe(t.Context(), k, nil); err == nil {
				t.Error("got no error")
			}
			text, err := os.ReadFile(numbers)
			if err != nil {
				t.Fatal(err)
			}
			for i, pid := range strings.Fields(string(text)) {
				if i < found {
					until(t, "process "+pid+" is gone", func() bool { return !alive(pid) })
					continue
				}
				var n int
				fmt.Sscan(pid, &n)
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		})
	}
}

// testTrust checks whom an agent does not run.
func testTrust(t *testing.T, dir, outside string) {
	program, err := os.ReadFile(outside)
	if err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(t.TempDir(), "ran")
	evil := []byte("#!/bin/sh\ntouch " + marker + "\necho not a handshake\n")
	put := func(t *testing.T, path string, content []byte, mode fs.FileMode) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		sum     string // default: right
		want    string
	}{
		{name: "right", prepare: func(t *testing.T, path string) {}},
		{name: "wrong checksum", prepare: func(t *testing.T, path string) { put(t, path, evil, 0o755) }, sum: "sha256:" + strings.Repeat("0", 64), want: "has checksum sha256:"},
		{name: "not a plugin", prepare: func(t *testing.T, path string) { put(t, path, []byte("#!/bin/sh\necho sorry >&2\nexit 3\n"), 0o755) }, want: `Unrecognized remote plugin message: ; it said last: "sorry"`},
		{name: "garbage handshake", prepare: func(t *testing.T, path string) {
			put(t, path, []byte("#!/bin/sh\necho '1|1|tcp|127.0.0.1:1|grpc|'\n"), 0o755)
		}, want: "not in the folder it was given"},
		{name: "no handshake", prepare: func(t *testing.T, path string) { put(t, path, []byte("#!/bin/sh\nsleep 1000\n"), 0o755) }, want: "timeout while waiting for plugin to start"},
		{name: "not executable", prepare: func(t *testing.T, path string) { put(t, path, program, 0o644) }, want: "permission denied"},
		{name: "no file", prepare: func(t *testing.T, path string) { remove(t, path) }, sum: "sha256:" + strings.Repeat("0", 64), want: "no such file"},
		{name: "a folder", prepare: func(t *testing.T, path string) { remove(t, path); put(t, path+"/x", evil, 0o755) }, sum: "sha256:" + strings.Repeat("0", 64), want: "is not a file"},
		{name: "a fifo", prepare: func(t *testing.T, path string) {
			remove(t, path)
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, sum: "sha256:" + strings.Repeat("0", 64), want: "is not a file"},
		{name: "writable by its group", prepare: func(t *testing.T, path string) { put(t, path, program, 0o775) }, want: "can be written to by others than root"},
		{name: "writable folder", prepare: func(t *testing.T, path string) { chmod(t, filepath.Dir(path), 0o777) }, want: "can be written to by others than root"},
		{name: "writable folder further up", prepare: func(t *testing.T, path string) { chmod(t, filepath.Dir(filepath.Dir(path)), 0o775) }, want: "can be written to by others than root"},
		{name: "somebody else's", prepare: func(t *testing.T, path string) { chown(t, path) }, want: "does not belong to root"},
		{name: "somebody else's folder", prepare: func(t *testing.T, path string) { chown(t, filepath.Dir(path)) }, want: "does not belong to root"},
		{name: "a symbolic link", prepare: func(t *testing.T, path string) { remove(t, path); link(t, outside, path) }, want: "is a symbolic link"},
		{name: "a folder that is a symbolic link", prepare: func(t *testing.T, path string) {
			real := filepath.Dir(path) + "-real"
			if err := os.Rename(filepath.Dir(path), real); err != nil {
				t.Fatal(err)
			}
			link(t, real, filepath.Dir(path))
		}, want: "is a symbolic link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-"), "bin", "outside")
			put(t, path, program, 0o755)
			c.prepare(t, path)
			if c.sum == "" {
				c.sum = sum(t, path)
			}
			p := newPlugins(t, agent.PluginsConfig{External: map[string]string{path: c.sum}, StartTimeout: time.Second})
			_, err := p.Observe(t.Context(), checkOf("outside.good", `{"say":"hello"}`), nil)
			if c.want == "" && err != nil {
				t.Errorf("got %v, want an answer", err)
			}
			if c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "plugin outside: ") || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want an error naming the plugin with %q", err, c.want)
			}
			if _, err := os.Stat(marker); err == nil {
				t.Fatal("the program was run")
			}
		})
	}
	t.Run("exchanged after it ran", func(t *testing.T) {
		path := filepath.Join(dir, "exchanged", "outside")
		put(t, path, program, 0o755)
		p := newPlugins(t, agent.PluginsConfig{External: map[string]string{path: sum(t, path)}})
		k := checkOf("outside.good", `{"say":"hello"}`)
		k.Every = holdfast.Duration(time.Hour)
		o, err := p.Observe(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "it ends", func() bool { return !alive(o.Facts["pid"]) })
		remove(t, path)
		put(t, path, evil, 0o755)
		if _, err := p.Observe(t.Context(), k, nil); err == nil || !strings.Contains(err.Error(), "has checksum") {
			t.Errorf("got %v, want it refused", err)
		}
	})
	for path, want := range map[string]string{
		"/usr/lib/holdfast/My-Plugin": "is no name for a plugin",
		"/usr/lib/holdfast/lake":      "is not sha256: and 64 hexadecimal digits",
	} {
		_, err := agent.NewPlugins(agent.PluginsConfig{Dir: t.TempDir(), External: map[string]string{path: "sha256:12"}, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, path string) {
	t.Helper()
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
}

// testKillHost kills an agent without warning, with a plugin at rest, one that
// runs a tool and one that is stopped, and then starts it again.
func testKillHost(t *testing.T, outside string) {
	dir := t.TempDir()
	host := exec.Command(os.Args[0], "-test.run=^TestHostProcess$", "-test.v")
	host.Env = append(os.Environ(), "HOLDFAST_TEST_HOST="+dir, "HOLDFAST_TEST_PLUGIN="+outside)
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill() })
	ready := false
	for lines := bufio.NewScanner(stdout); !ready && lines.Scan(); {
		ready = strings.Contains(lines.Text(), "ready")
	}
	if !ready {
		t.Fatal("the host process ended early")
	}
	// Its children, and theirs: the sleep that the tool mode runs.
	var family []string
	until(t, "the plugin's tool runs", func() bool {
		family = descendants(fmt.Sprint(host.Process.Pid))
		return len(family) == 4 && strings.Contains(commands(family), "sleep") && strings.Contains(commands(family), "(outside) T")
	})
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	for _, pid := range family {
		until(t, "process "+pid+" is gone", func() bool { return !alive(pid) })
	}
	if len(files(t, dir)) == 0 {
		t.Error("nothing was left behind, so this test shows nothing")
	}
	p := newPlugins(t, agent.PluginsConfig{Dir: dir, Command: []string{outside}, FirstParty: map[string][]holdfast.Description{"calm": nil}})
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("after the next start there is still %v", left)
	}
	if _, err := p.Observe(t.Context(), checkOf("calm.good", `{"say":"hello"}`), nil); err != nil {
		t.Errorf("after the next start: %v", err)
	}
}

// TestHostProcess is no test: it is the agent that testKillHost kills.
func TestHostProcess(t *testing.T) {
	dir := os.Getenv("HOLDFAST_TEST_HOST")
	if dir == "" {
		return
	}
	p, err := agent.NewPlugins(agent.PluginsConfig{
		Dir: dir, Command: []string{os.Getenv("HOLDFAST_TEST_PLUGIN")}, Log: slog.New(slog.DiscardHandler),
		FirstParty: map[string][]holdfast.Description{"calm": nil, "wild": nil, "stopped": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Observe(t.Context(), checkOf("calm.good", `{"say":"hello"}`), nil); err != nil {
		t.Fatal(err)
	}
	for _, k := range []holdfast.Check{checkOf("wild.bad", `{"mode":"tool"}`), checkOf("stopped.bad", `{"mode":"stop"}`)} {
		k.Timeout = holdfast.Duration(time.Hour)
		go func() { _, _ = p.Observe(t.Context(), k, nil) }()
	}
	fmt.Println("ready")
	select {}
}

func descendants(pid string) []string {
	var all []string
	tasks, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(children)) {
			all = append(append(all, child), descendants(child)...)
		}
	}
	return all
}

// commands returns "PID (NAME) STATE …" of processes.
func commands(pids []string) string {
	var all strings.Builder
	for _, pid := range pids {
		stat, _ := os.ReadFile("/proc/" + pid + "/stat")
		all.Write(stat)
	}
	return all.String()
}

// TestPluginsFolder checks what a start clears away.
func TestPluginsFolder(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"scratch/check-1/locked/file", "sockets/plugin-dir1/plugin2"} {
		full := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, nil, 0o400), os.Chmod(filepath.Dir(full), 0o500)); err != nil {
			t.Fatal(err)
		}
	}
	newPlugins(t, agent.PluginsConfig{Dir: dir})
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestFirstPartyDescriptions checks that nothing is started to describe what is
// known.
func TestFirstPartyDescriptions(t *testing.T) {
	known := holdfast.Description{Name: "calm.good", Cost: holdfast.Cheap}
	p := newPlugins(t, agent.PluginsConfig{Command: []string{"/no/such/program"}, FirstParty: map[string][]holdfast.Description{"calm": {known}}})
	all, err := p.Descriptions(t.Context())
	if diff := cmp.Diff([]holdfast.Description{known}, all); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	_, err = p.Observe(t.Context(), checkOf("calm.good", ""), nil)
	if err == nil || !strings.Contains(err.Error(), "plugin calm: start: /no/such/program: ") {
		t.Errorf("no program: got %v", err)
	}
	text, _ := json.Marshal(p.Health())
	if !strings.Contains(string(text), `"problem":"start: /no/such/program`) {
		t.Errorf("health: got %s", text)
	}
}
