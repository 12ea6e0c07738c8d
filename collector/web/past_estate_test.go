package web_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// RunCheck and Runs are the estate's runs: its agents do what a test tells with
// tellRun.
func (e *estate) RunCheck(_ context.Context, check, by string) (holdfast.Run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k := e.catalogue.Check(check)
	if k == nil {
		return holdfast.Run{}, fmt.Errorf("%w: there is no check %q", holdfast.ErrInvalid, check)
	}
	for _, r := range e.runs {
		if r.Check == check && r.State.Live() {
			return r, nil
		}
	}
	r := holdfast.Run{ID: fmt.Sprint(len(e.runs) + 1), Check: check, Agent: k.On, By: by, State: holdfast.RunSent, Asked: e.now()}
	var err error
	if strings.HasPrefix(check, "wiki/") {
		err = fmt.Errorf("agent %s is not connected", k.On)
		r.State, r.Ended, r.Summary = holdfast.RunLost, e.now(), err.Error()
	}
	e.runs = append([]holdfast.Run{r}, e.runs...)
	e.tell()
	return r, err
}

func (e *estate) Runs() []holdfast.Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]holdfast.Run{}, e.runs...)
}

// tellRun is what an agent says of the latest run of a check.
func (e *estate) tellRun(check string, change func(*holdfast.Run)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.runs {
		if e.runs[i].Check == check {
			change(&e.runs[i])
			break
		}
	}
	e.tell()
}

func (e *estate) ObservedIn(_ context.Context, check string, from, until time.Time) iter.Seq2[holdfast.Observation, error] {
	return func(yield func(holdfast.Observation, error) bool) {
		if e.broken != nil {
			yield(holdfast.Observation{}, e.broken)
			return
		}
		for _, o := range e.past[check] {
			if o.Received.Before(from) || !until.IsZero() && !o.Received.Before(until) {
				continue
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (e *estate) StandingsIn(_ context.Context, service string, from, until time.Time) iter.Seq2[holdfast.PastStanding, error] {
	return func(yield func(holdfast.PastStanding, error) bool) {
		if e.broken != nil {
			yield(holdfast.PastStanding{}, e.broken)
			return
		}
		for _, s := range e.standings[service] {
			if !until.IsZero() && !s.At.Before(until) {
				continue
			}
			if !yield(s, nil) || s.At.Before(from) {
				return
			}
		}
	}
}

func (e *estate) RecordsOn(_ context.Context, service string, plans, teams []string) ([]holdfast.Record, error) {
	list := []holdfast.Record{}
	for _, r := range e.records {
		if r.Service == service || strings.HasPrefix(r.Need, service+"/") ||
			(r.Kind == holdfast.Review || r.Kind == holdfast.Training) && (slices.Contains(plans, r.Plan) || slices.Contains(teams, r.Team)) {
			list = append(list, r)
		}
	}
	return list, e.broken
}

// remember gives an estate 90 days: payments was degraded, untested and proven, its
// copies came every few minutes but for one day, restores were tested every week.
func remember(e *estate) {
	now := e.now()
	day := func(n int, hour time.Duration) time.Time {
		return now.Truncate(24*time.Hour).AddDate(0, 0, -n).Add(hour * time.Hour)
	}
	score := func(n int) *int { return &n }
	e.standings = map[string][]holdfast.PastStanding{}
	for _, p := range e.postures {
		now := holdfast.PastStanding{At: day(0, 6), State: p.State, Score: p.Score, Scenarios: map[string]holdfast.State{}}
		proven := holdfast.PastStanding{At: day(21, 10), State: holdfast.Proven, Score: score(100), Scenarios: map[string]holdfast.State{}}
		degraded := holdfast.PastStanding{At: day(24, 3), State: holdfast.Degraded, Score: score(64), Cause: "payments/restore-in-ams/rpo", Scenarios: map[string]holdfast.State{}}
		untested := holdfast.PastStanding{At: day(80, 9), State: holdfast.Untested, Score: score(52), Scenarios: map[string]holdfast.State{}}
		for i, s := range ownScenarioNames(&p) {
			now.Scenarios[s.Name], proven.Scenarios[s.Name], degraded.Scenarios[s.Name], untested.Scenarios[s.Name] = s.State, holdfast.Proven, holdfast.Proven, holdfast.Untested
			if i == 0 {
				degraded.Scenarios[s.Name] = holdfast.Degraded
			}
		}
		first := holdfast.PastStanding{At: day(60, 12), State: holdfast.Proven, Score: score(96), Scenarios: proven.Scenarios}
		e.standings[p.Name] = []holdfast.PastStanding{now, proven, degraded, first, untested}
	}
	e.past = map[string][]holdfast.Observation{}
	for k := range e.catalogue.Checks {
		latest, ok := e.latest[k.ID]
		if !ok {
			continue
		}
		for n := range 60 {
			o := latest
			o.At = day(n, 1)
			o.Received, o.Seq = o.At, uint64(1000-n)
			switch {
			case o.Restoration != nil && n%7 == 3:
				took := holdfast.Duration(5+n%4) * holdfast.Duration(time.Minute)
				o.Restoration = &holdfast.Restoration{Started: o.At, Duration: took, Coverage: 1, Checks: 3, Bytes: 12 << 30, Point: o.At.Add(-time.Hour)}
				if n == 24 {
					o.Outcome, o.Reason, o.Summary = holdfast.Failed, holdfast.Assertion, "2 of 4211 files differ"
				}
			case o.Verification != nil:
				o.Verification = &holdfast.Verification{Time: o.At, Scope: 1}
			case len(o.RecoveryPoints) > 0:
				gap := 4 * time.Minute
				if n == 24 {
					gap = 9 * time.Hour
				}
				o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: o.At.Add(-time.Minute)}, {Time: o.At.Add(-gap)}}
			default:
				continue
			}
			e.past[k.ID] = append(e.past[k.ID], o)
		}
	}
	e.records = append(e.records,
		holdfast.Record{ID: "000001", Kind: holdfast.Exercise, At: day(40, 10), Received: day(40, 12), Service: "payments", Path: "restore-in-ams", Plan: "site-loss-plan", Version: "7", Site: "ams",
			Outcome: holdfast.OK, Started: day(40, 10), Duration: holdfast.Duration(52 * time.Minute), Point: day(40, 10).Add(-4 * time.Minute), By: "dana", People: []string{"ada", "dana"}},
		holdfast.Record{ID: "000002", Kind: holdfast.Acceptance, At: day(30, 9), Received: day(30, 9), Need: "payments/ledger", Reason: "a third copy is ordered", By: "erik", Approver: "board", Until: now.AddDate(0, 1, 0)},
		holdfast.Record{ID: "000003", Kind: holdfast.Change, At: day(3, 15), Received: day(3, 15), Service: "payments", Reason: "moved to larger disks", By: "ada", EnteredBy: "bela"},
	)
}

func ownScenarioNames(p *holdfast.Posture) (list []holdfast.ScenarioPosture) {
	for _, s := range p.Scenarios {
		if s.AskedBy == "" {
			list = append(list, s)
		}
	}
	return list
}
