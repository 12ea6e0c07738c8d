package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// ObservedIn yields what was notable of a check's observations within
// [from, until), newest first: changes of outcome, tests, and of recovery points
// the first of a day and those that end a long gap. A zero instant is no bound.
func (c *Collector) ObservedIn(ctx context.Context, check string, from, until time.Time) iter.Seq2[holdfast.Observation, error] {
	return func(yield func(holdfast.Observation, error) bool) {
		for o, err := range c.store.Observed(ctx, check, store.Window{From: from, To: until}) {
			var seen holdfast.Observation
			if err == nil {
				err = json.Unmarshal(o.Value, &seen)
			}
			if err != nil {
				yield(seen, fmt.Errorf("history of %s: %w", check, err))
				return
			}
			if !yield(seen, nil) {
				return
			}
		}
	}
}

// StandingsIn yields how a service stood within [from, until), newest first. The
// last one holds since before from, if it was judged then.
func (c *Collector) StandingsIn(ctx context.Context, service string, from, until time.Time) iter.Seq2[holdfast.PastStanding, error] {
	return func(yield func(holdfast.PastStanding, error) bool) {
		for t, err := range c.store.Transitions(ctx, service, store.Window{To: until}) {
			if err != nil {
				yield(holdfast.PastStanding{}, fmt.Errorf("history of %s: %w", service, err))
				return
			}
			s, err := standingIn(t)
			if !yield(s, err) || err != nil || t.At.Before(from) {
				return
			}
		}
	}
}

// standingIn reads of a stored posture what a history shows.
func standingIn(t store.Transition) (holdfast.PastStanding, error) {
	s := holdfast.PastStanding{At: t.At, State: t.To, Score: t.Score, Cause: t.Cause, Scenarios: map[string]holdfast.State{}}
	var was struct {
		Scenarios []struct {
			Name    string         `json:"name"`
			State   holdfast.State `json:"state"`
			AskedBy string         `json:"asked_by"`
		} `json:"scenarios"`
	}
	if err := json.Unmarshal(t.Value, &was); err != nil {
		return s, fmt.Errorf("posture of %s at %s: %w", t.Service, t.At.Format(time.RFC3339), err)
	}
	for _, x := range was.Scenarios {
		if x.AskedBy == "" {
			s.Scenarios[x.Name] = x.State
		}
	}
	return s, nil
}
