// Command outside is a plugin in a module of its own, as somebody outside the
// project writes one. Besides a probe that behaves it has one that does not, in
// every way an agent must survive.
package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// main serves probes named after this file, or after the first argument, so that
// a test can have the plugin several times.
func main() {
	name := filepath.Base(os.Args[0])
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	probe.Serve(good{name}, bad{name}, heavy{name})
}

// good answers with what it was asked and leaves a file in its scratch.
type good struct{ plugin string }

type goodSettings struct {
	Say   string            `json:"say" jsonschema:"what to answer with"`
	After holdfast.Duration `json:"after,omitempty" jsonschema:"how long to think first"`
}

func (g good) Describe() probe.Description {
	return probe.Description{
		Name:       g.plugin + ".good",
		Observes:   "What it is told.",
		Settings:   probe.Schema[goodSettings](),
		Cost:       holdfast.Cheap,
		Privileges: holdfast.Privileges{Writes: true},
	}
}

func (good) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[goodSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	select {
	case <-time.After(s.After.Std()):
	case <-ctx.Done():
		return probe.Observation{}, ctx.Err()
	}
	// A folder that may not be written to, as a restore may put one back.
	locked := filepath.Join(r.Scratch, "locked")
	if err := os.Mkdir(locked, 0o700); err != nil {
		return probe.Observation{}, err
	}
	if err := os.WriteFile(filepath.Join(locked, "file"), []byte(s.Say), 0o400); err != nil {
		return probe.Observation{}, err
	}
	if err := os.Chmod(locked, 0o500); err != nil {
		return probe.Observation{}, err
	}
	return probe.Observation{
		Outcome:  holdfast.OK,
		Summary:  s.Say,
		Measures: []holdfast.Measure{{Name: "letters", Value: float64(len(s.Say))}},
		Facts: map[string]string{
			"pid":         fmt.Sprint(os.Getpid()),
			"scratch":     r.Scratch,
			"environment": environment(),
			"tools":       fmt.Sprint(r.Tools),
		},
	}, nil
}

// environment is the names of what this process was given, without what the
// protocol adds.
func environment() string {
	var names []string
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); !strings.HasPrefix(name, "PLUGIN_") {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// heavy answers with how it is run.
type heavy struct{ plugin string }

func (h heavy) Describe() probe.Description {
	return probe.Description{
		Name:       h.plugin + ".heavy",
		Observes:   "Its own standing.",
		Settings:   probe.Schema[struct{}](),
		Cost:       holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true},
	}
}

func (heavy) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	// What the tool starts in turn says it: the shell's own priority is no matter.
	out, err := probe.Run(ctx, probe.Command{Path: "/bin/sh", Args: []string{"-c", "nice; ionice"}})
	if err != nil {
		return probe.Observation{}, err
	}
	oom, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return probe.Observation{}, err
	}
	nice := map[string]bool{}
	threads, _ := filepath.Glob("/proc/self/task/*/stat")
	for _, thread := range threads {
		stat, _ := os.ReadFile(thread)
		_, after, _ := strings.Cut(string(stat), ") ")
		nice[strings.Fields(after)[16]] = true // the 19th field, see proc_pid_stat(5)
	}
	return probe.Observation{Outcome: holdfast.OK, Summary: "it is", Facts: map[string]string{
		"pid": fmt.Sprint(os.Getpid()), "tool": strings.Join(strings.Fields(string(out.Stdout)), " "), "threads": fmt.Sprint(nice),
		"oom": strings.TrimSpace(string(oom)), "protected": strings.Join(r.Protected, " "),
	}}, nil
}

// bad misbehaves.
type bad struct{ plugin string }

type badSettings struct {
	Mode string `json:"mode" jsonschema:"how to misbehave"`
	File string `json:"file,omitempty" jsonschema:"where to write the process numbers of those started"`
}

func (b bad) Describe() probe.Description {
	return probe.Description{
		Name:       b.plugin + ".bad",
		Observes:   "The agent's patience.",
		Settings:   probe.Schema[badSettings](),
		Cost:       holdfast.IO,
		Privileges: holdfast.Privileges{Writes: true},
		Reasons:    []holdfast.Reason{holdfast.Unreachable},
	}
}

func (bad) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[badSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	o := probe.Observation{Outcome: holdfast.OK, Summary: s.Mode}
	switch s.Mode {
	case "unable":
		return o, probe.Unable(holdfast.Unreachable, "nobody answers")
	case "unknown-reason":
		return o, probe.Unable("because", "of that")
	case "crash":
		os.Exit(7)
	case "panic":
		panic("boom \x1b[31m")
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-make(chan struct{})
	case "hang", "hang-fork":
		if s.Mode == "hang-fork" {
			start(s.File)
		}
		if err := os.WriteFile(filepath.Join(r.Scratch, "left"), nil, 0o600); err != nil {
			return o, err
		}
		<-make(chan struct{})
	case "tool":
		_, err := probe.Run(ctx, probe.Command{Path: "/bin/sleep", Args: []string{"1000"}})
		return probe.Observation{}, err
	case "crash-fork":
		start(s.File)
		os.Exit(7)
	case "progress":
		for n := range int64(100_000) { // far more than an agent is told
			probe.Progress(ctx, "count", n, 100_000)
		}
		probe.Progress(ctx, "end\x1b[31m", 1, 1)
	case "flood":
		line := []byte(strings.Repeat("x", 1<<20) + "\n")
		for range 300 {
			_, _ = os.Stderr.Write(line)
		}
		_, _ = syscall.Write(2, line)
	case "raw-flood":
		line := []byte(strings.Repeat("y\n", 1<<19))
		for {
			_, _ = syscall.Write(2, line)
		}
	case "oversized":
		o.Facts = map[string]string{"big": strings.Repeat("x", 5<<20)}
	case "outcome":
		o.Outcome = "great"
	case "unknown":
		o.Outcome = holdfast.OutcomeUnknown
	case "reason":
		o.Reason = "because"
	case "nan":
		o.Measures = []holdfast.Measure{{Name: "n", Value: math.NaN()}}
	case "points":
		o.RecoveryPoints = make([]holdfast.RecoveryPoint, 6)
	case "long":
		o.Facts = map[string]string{"long": strings.Repeat("x", holdfast.MaxText+1)}
	case "wordy":
		o.Summary = strings.Repeat("word\n", 1000)
		o.Raw = strings.Repeat("\xff", 10000)
	}
	return o, nil
}

// start starts two processes that outlive this one if they can: one in this
// process group, one that leads a session of its own.
func start(file string) {
	same := exec.Command("/bin/sleep", "1000")
	same.Stderr = os.NewFile(2, "stderr") // holds the agent's pipe open
	apart := exec.Command("/bin/sleep", "1000")
	apart.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	for _, c := range []*exec.Cmd{same, apart} {
		if err := c.Start(); err != nil {
			panic(err)
		}
	}
	numbers := fmt.Sprintf("%d %d", same.Process.Pid, apart.Process.Pid)
	if err := os.WriteFile(file, []byte(numbers), 0o600); err != nil {
		panic(err)
	}
}
