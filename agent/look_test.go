package agent_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// scripted answers as a test says.
type scripted struct {
	observe func(context.Context) (holdfast.Observation, error)
	tools   map[string]string // of the last call
	asked   int
}

func (s *scripted) Describe(_ context.Context, name string) (holdfast.Description, error) {
	if name == "tape.gone" {
		return holdfast.Description{}, errors.New("plugin tape: has no probe tape.gone")
	}
	return holdfast.Description{Name: name, Cost: holdfast.Cheap}, nil
}

func (s *scripted) Observe(ctx context.Context, _ holdfast.Check, tools map[string]string) (holdfast.Observation, error) {
	s.asked++
	s.tools = tools
	return s.observe(ctx)
}

func TestLook(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	good := holdfast.Observation{Outcome: holdfast.OK, Summary: "12 GiB free"}
	tests := map[string]struct {
		probe   string
		observe func(context.Context) (holdfast.Observation, error)
		want    holdfast.Observation
	}{
		"facts": {observe: func(context.Context) (holdfast.Observation, error) { return good, nil }, want: good},
		"an error is unknown": {
			observe: func(context.Context) (holdfast.Observation, error) {
				return good, fmt.Errorf("plugin host: %w", probe.Unable(holdfast.ToolMissing, "restic is\nnot installed"))
			},
			want: holdfast.Observation{Outcome: holdfast.OutcomeUnknown, Reason: holdfast.ToolMissing, Summary: "plugin host: restic is; not installed"},
		},
		"a deadline is a timeout": {
			observe: func(ctx context.Context) (holdfast.Observation, error) {
				<-ctx.Done()
				return holdfast.Observation{}, errors.New("plugin host: killed")
			},
			want: holdfast.Observation{Outcome: holdfast.OutcomeUnknown, Reason: holdfast.Timeout, Summary: "no answer within 10s: plugin host: killed"},
		},
		"policy": {
			probe:   "restic.check",
			observe: func(context.Context) (holdfast.Observation, error) { panic("a refused check must not run") },
			want: holdfast.Observation{Outcome: holdfast.OutcomeUnknown, Reason: holdfast.Refused,
				Summary: "this host does not allow restic.check; hint: to permit it, add it to allow: in the agent's configuration"},
		},
		"no such probe": {
			probe:   "tape.gone",
			observe: func(context.Context) (holdfast.Observation, error) { panic("there is no such probe") },
			want:    holdfast.Observation{Outcome: holdfast.OutcomeUnknown, Summary: "plugin tape: has no probe tape.gone"},
		},
		"what the agent adds is its own": {
			observe: func(context.Context) (holdfast.Observation, error) {
				o := good
				o.Check, o.Agent, o.Seq, o.At, o.Received, o.Offset = "other/check", "other", 7, at.AddDate(1, 0, 0), at, 1
				o.Credential = "of another copy"
				return o, nil
			},
			want: good,
		},
		"long texts are cut": {
			observe: func(context.Context) (holdfast.Observation, error) {
				o := good
				o.Summary, o.Raw = strings.Repeat("é", 2000), strings.Repeat("é", 5000)+"\xff"
				o.Facts = map[string]string{"kernel": strings.Repeat("k", 5000)}
				return o, nil
			},
			want: holdfast.Observation{Outcome: holdfast.OK, Summary: strings.Repeat("é", 510) + "…", Raw: strings.Repeat("é", 2046) + "…",
				Facts: map[string]string{"kernel": strings.Repeat("k", 1021) + "…"}},
		},
		"an impossible answer": {
			observe: func(context.Context) (holdfast.Observation, error) {
				o := good
				o.Measures = []holdfast.Measure{{Name: "free", Value: math.NaN()}}
				return o, nil
			},
			want: holdfast.Observation{Outcome: holdfast.OutcomeUnknown, Summary: `the probe's answer makes no sense: measure "free" is NaN, want a finite number`},
		},
		"too many texts": {
			observe: func(context.Context) (holdfast.Observation, error) {
				o := good
				o.Facts = map[string]string{}
				for i := range holdfast.MaxFacts {
					o.Facts[fmt.Sprint(i)] = strings.Repeat("x", 1000)
				}
				return o, nil
			},
			want: good,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := agent.Default()
				c.Allow = []string{"tape.*"}
				probes := &scripted{observe: tt.observe}
				check := holdfast.Check{ID: "s/p/n", Probe: "host.disk", Every: holdfast.Duration(time.Minute), Timeout: holdfast.Duration(10 * time.Second)}
				if tt.probe != "" {
					check.Probe = tt.probe
				}
				l := agent.NewLooker(c, probes, []holdfast.Description{{Name: "host.disk"}}, func() time.Time { return at })
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				got, ok := l(ctx, check)
				want := tt.want
				want.At, want.Check = at, "s/p/n"
				if diff := cmp.Diff(got, want); !ok || diff != "" {
					t.Errorf("ok %v, observation (-got +want):\n%s", ok, diff)
				}
			})
		})
	}
}

func TestLookSaysNothingWhenTheAgentStops(t *testing.T) {
	probes := &scripted{observe: func(ctx context.Context) (holdfast.Observation, error) {
		<-ctx.Done()
		return holdfast.Observation{}, ctx.Err()
	}}
	l := agent.NewLooker(agent.Default(), probes, []holdfast.Description{{Name: "host.disk"}}, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, ok := l(ctx, holdfast.Check{ID: "a", Probe: "host.disk"}); ok {
		t.Errorf("a run that was cancelled says %+v, want nothing", got)
	}
}

// gathered notes the reports that gather makes.
type gathered struct {
	start   time.Time
	seen    map[string]holdfast.Outcome
	reports []string // "1.5s a b"
}

func (g *gathered) Says(r agent.Result) bool { return g.seen[r.Check.ID] != r.Observation.Outcome }

func (g *gathered) Append(results []agent.Result) error {
	report := time.Since(g.start).String()
	for _, r := range results {
		report += " " + r.Check.ID
		g.seen[r.Check.ID] = r.Observation.Outcome
	}
	g.reports = append(g.reports, report)
	return nil
}

func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gathered{start: time.Now(), seen: map[string]holdfast.Outcome{"a": holdfast.OK, "b": holdfast.OK}}
		results, done := make(chan agent.Result), make(chan struct{})
		go func() { defer close(done); agent.Gather(results, g) }()
		send := func(pause time.Duration, id string, outcome holdfast.Outcome) {
			<-time.After(pause)
			results <- agent.Result{Check: holdfast.Check{ID: id}, Observation: holdfast.Observation{Outcome: outcome}}
		}
		send(0, "a", holdfast.OK)
		send(400*time.Millisecond, "b", holdfast.OK)
		send(2*time.Second, "a", holdfast.OK)                       // the first two went after a second
		send(300*time.Millisecond, "b", holdfast.Failed)            // news: at once, with the one before
		send(0, "b", holdfast.Failed)                               // nothing new
		send(100*time.Millisecond, "new", holdfast.OutcomeDegraded) // the first of its check
		send(0, "a", holdfast.OK)
		close(results)
		<-done
		want := []string{"1s a b", "2.7s a b", "2.8s b new", "2.8s a"}
		if diff := cmp.Diff(g.reports, want); diff != "" {
			t.Errorf("reports (-got +want):\n%s", diff)
		}
	})
}

func TestGatherBoundsAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gathered{start: time.Now(), seen: map[string]holdfast.Outcome{"a": holdfast.OK}}
		results, done := make(chan agent.Result), make(chan struct{})
		go func() { defer close(done); agent.Gather(results, g) }()
		for range 220 {
			results <- agent.Result{Check: holdfast.Check{ID: "a"}, Observation: holdfast.Observation{Outcome: holdfast.OK}}
		}
		for range 20 {
			results <- agent.Result{Check: holdfast.Check{ID: "a"}, Observation: holdfast.Observation{Outcome: holdfast.OK, Raw: strings.Repeat("x", 40<<10)}}
		}
		close(results)
		<-done
		var sizes []int
		for _, r := range g.reports {
			sizes = append(sizes, strings.Count(r, " a"))
		}
		if diff := cmp.Diff(sizes, []int{100, 100, 27, 7, 6}); diff != "" {
			t.Errorf("results per report (-got +want):\n%s", diff)
		}
	})
}
