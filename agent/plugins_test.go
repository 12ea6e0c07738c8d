package agent_test

import (
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
	"strings"
	"sync"
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
		if os.Getenv("CI") == "true" {
			t.Fatal("outside plugins must belong to root; run as root")
		}
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
	return holdfast.Check{ID: "svc/path/" + probeName, Probe: probeName, Every: holdfast.Duration(time.Minute), Timeout: holdfast.Duration(20 * time.Second), With: settings}
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
	t.Run("progress", func(t *testing.T) { testProgress(t, firstParty) })
	t.Run("heavy", func(t *testing.T) { testHeavy(t, firstParty) })
	t.Run("lifetime", func(t *testing.T) { testLifetime(t, firstParty) })
	t.Run("backoff", func(t *testing.T) { testBackoff(t, firstParty) })
	t.Run("misbehaviour", func(t *testing.T) { testMisbehaviour(t, firstParty, external) })
	t.Run("impossible", func(t *testing.T) { testImpossible(t, firstParty) })
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
	if diff := cmp.Diff([]string{"outside.bad", "outside.good", "outside.heavy", "rogue.garbage"}, names); err != nil || diff != "" {
		t.Errorf("descriptions: %v (-want +got):\n%s", err, diff)
	}
	if d, err := p.Describe(t.Context(), "outside.bad"); err != nil || d.Cost != holdfast.IO || !d.Privileges.Writes {
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
		if took := time.Since(began); took > time.Minute { // of an hour
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

// testProgress checks that the agent hears how far a look has come, not every word
// of it, and that what it hears fits to be shown.
func testProgress(t *testing.T, c agent.PluginsConfig) {
	var mu sync.Mutex
	var heard []holdfast.Phase
	ctx := probe.WithProgress(t.Context(), func(p holdfast.Phase) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, p)
	})
	if _, err := newPlugins(t, c).Observe(ctx, checkOf("wild.bad", `{"mode":"progress"}`), nil); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(heard) < 2 || len(heard) > 100 {
		t.Fatalf("heard %d times, want a few", len(heard))
	}
	if first := heard[0]; first.Name != "count" || first.Total != 100_000 {
		t.Errorf("got %+v first", first)
	}
	if last := heard[len(heard)-1]; last != (holdfast.Phase{Name: "end?[31m", Done: 1, Total: 1}) {
		t.Errorf("got %+v last", last)
	}
}

// testLifetime checks who stays and who goes.
func testLifetime(t *testing.T, c agent.PluginsConfig) {
	c.Idle = time.Second
	p := newPlugins(t, c)
	pidOf := func(every time.Duration) string {
		t.Helper()
		k := checkOf("calm.good", `{"say":"x"}`)
		k.Every = holdfast.Duration(every)
		return run(t, p, k).Facts["pid"]
	}
	rare := pidOf(5 * time.Minute)
	until(t, "a plugin that is asked every 5 minutes ends at once", func() bool { return !alive(rare) })
	often := pidOf(30 * time.Second)
	if again := pidOf(5 * time.Minute); again != often {
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

func settingsOf(key, value string) holdfast.Settings {
	return holdfast.Settings(fmt.Sprintf("{%q:%q}", key, value))
}

// run wants an answer.
func run(t *testing.T, p *agent.Plugins, k holdfast.Check) holdfast.Observation {
	t.Helper()
	k.Timeout = holdfast.Duration(30 * time.Second)
	o, err := p.Observe(t.Context(), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
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
