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
