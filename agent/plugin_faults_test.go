package agent_test

import (
	"bufio"
	"fmt"
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

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// testMisbehaviour checks the ways a plugin can go wrong as a process: the error
// names it, the agent does not grow, nothing stays, and a call under way in
// another plugin comes out well from the same process.
func testMisbehaviour(t *testing.T, c agent.PluginsConfig, external map[string]string) {
	c.External = external
	for _, m := range []struct {
		mode   string
		want   string // part of the error
		reason holdfast.Reason
	}{
		{"crash", "died during the call: exit status 7", ""},
		{"panic", `died during the call: exit status 2; it said last: "panic: boom ?[31m`, ""},
		{"hang", "killed because it did not end when its time was up", holdfast.Timeout},
		{"stop", "killed because it did not end when its time was up", holdfast.Timeout},
		{"flood", "died during the call: signal: killed", ""},
		{"raw-flood", "died during the call: signal: killed", ""},
		{"oversized", "answered with more than 4 MiB", ""},
		{"garbage", "not an answer", ""},
	} {
		t.Run(m.mode, func(t *testing.T) {
			p := newPlugins(t, c)
			before := run(t, p, checkOf("calm.good", `{"say":"before"}`))
			bad, again := checkOf("wild.bad", settingsOf("mode", m.mode)), checkOf("wild.good", `{"say":"again"}`)
			if m.mode == "garbage" {
				bad = checkOf("rogue.garbage", "")
			} else {
				run(t, p, again) // so that the time given below is all for the call
			}
			bad.Timeout = holdfast.Duration(30 * time.Second)
			if m.reason == holdfast.Timeout {
				bad.Timeout = holdfast.Duration(300 * time.Millisecond)
			}
			var beside sync.WaitGroup
			beside.Go(func() {
				o, err := p.Observe(t.Context(), checkOf("calm.good", `{"say":"beside","after":"400ms"}`), nil)
				if err != nil || o.Facts["pid"] != before.Facts["pid"] {
					t.Errorf("beside it: got %v from process %s, want an answer from %s", err, o.Facts["pid"], before.Facts["pid"])
				}
			})
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			allocated := memory.TotalAlloc
			o, err := p.Observe(t.Context(), bad, nil)
			runtime.ReadMemStats(&memory)
			if grown := memory.TotalAlloc - allocated; grown > 64<<20 {
				t.Errorf("the agent took %d MiB of memory for it", grown>>20)
			}
			name, _, _ := strings.Cut(bad.Probe, ".")
			if err == nil || !strings.HasPrefix(err.Error(), "plugin "+name+": ") || !strings.Contains(err.Error(), m.want) || probe.ReasonOf(err) != m.reason {
				t.Fatalf("got %+v, %v with reason %q; want an error naming plugin %s with %q and reason %q", o, err, probe.ReasonOf(err), name, m.want, m.reason)
			}
			until(t, "health tells", func() bool {
				for _, h := range p.Health() {
					if h.Name == name {
						return !h.Running && h.Problem != ""
					}
				}
				return false
			})
			beside.Wait()
			if m.mode != "garbage" {
				run(t, p, again)
			}
		})
	}
}

// testImpossible checks answers that no probe can mean: the check is unknown,
// and the process, which may be busy with other checks, lives on.
func testImpossible(t *testing.T, c agent.PluginsConfig) {
	p := newPlugins(t, c)
	first := run(t, p, checkOf("wild.good", `{"say":"first"}`))
	for mode, want := range map[string]string{
		"outcome":        `outcome "great"`,
		"unknown":        "a probe that cannot tell answers with an error",
		"reason":         `reason "because" is not in the list`,
		"unknown-reason": `reason "because" is not in the list`,
		"nan":            `measure "n" is NaN`,
		"points":         "6 recovery points, at most 5",
		"long":           "facts long has 1025 bytes",
	} {
		_, err := p.Observe(t.Context(), checkOf("wild.bad", settingsOf("mode", mode)), nil)
		if err == nil || !strings.HasPrefix(err.Error(), "plugin wild: impossible answer: "+want) || probe.ReasonOf(err) != "" {
			t.Errorf("%s: got %v, want plugin wild: impossible answer: %s", mode, err, want)
		}
	}
	wordy := run(t, p, checkOf("wild.bad", settingsOf("mode", "wordy")))
	if len(wordy.Summary) > holdfast.MaxText || strings.Contains(wordy.Summary, "\n") || len(wordy.Raw) > holdfast.MaxRaw {
		t.Errorf("wordy: got %d bytes of summary and %d of raw, want them cut, and one line", len(wordy.Summary), len(wordy.Raw))
	}
	if last := run(t, p, checkOf("wild.good", `{"say":"last"}`)); last.Facts["pid"] != first.Facts["pid"] {
		t.Errorf("got process %s, want %s as before", last.Facts["pid"], first.Facts["pid"])
	}
}

// testForked checks that those a plugin started are killed with it, when it
// crashes and when it hangs. One that left both the group and a crashed parent
// cannot be found any more; that is what probe.Run is for.
func testForked(t *testing.T, c agent.PluginsConfig) {
	for mode, found := range map[string]int{"crash-fork": 1, "hang-fork": 2} {
		t.Run(mode, func(t *testing.T) {
			p := newPlugins(t, c)
			run(t, p, checkOf("wild.good", `{"say":"started"}`))
			numbers := filepath.Join(t.TempDir(), "pids")
			k := checkOf("wild.bad", holdfast.Settings(fmt.Sprintf(`{"mode":%q,"file":%q}`, mode, numbers)))
			k.Timeout = holdfast.Duration(time.Second)
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
