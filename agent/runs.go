package agent

import (
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	maxAsked  = 200         // runs that are kept to be told of
	phaseEach = time.Second // how often a run tells how far it has come
)

// runs is what the collector asked for and is waiting to hear of. What it is told
// is for people who watch: a session that breaks off loses some of it, and the
// report says it all the same.
type runs struct {
	now  func() time.Time
	news chan struct{} // holds one: there is something to tell

	mu   sync.Mutex
	list []*askedRun // guarded by mu, oldest first
}

type askedRun struct {
	holdfast.Running
	told  bool
	phase time.Time // when it told last how far it has come
}

func newRuns(now func() time.Time) *runs { return &runs{now: now, news: make(chan struct{}, 1)} }

// ask notes a check that was asked for. One that is known starts anew.
func (r *runs) ask(check string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, a := range r.list {
		if a.Check == check {
			r.list = append(r.list[:i], r.list[i+1:]...)
			break
		}
	}
	r.list = append(r.list, &askedRun{Running: holdfast.Running{Check: check, State: holdfast.RunWaiting}})
	r.list = r.list[max(0, len(r.list)-maxAsked):]
}

// change changes the run of a check, if it was asked for and is not over; the
// change says whether that is worth telling.
func (r *runs) change(check string, f func(*askedRun) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.list {
		if a.Check == check && a.State.Live() && f(a) {
			a.told = false
			select {
			case r.news <- struct{}{}:
			default:
			}
		}
	}
}

// stands takes what the scheduler says of a check. Since is when it began to run.
func (r *runs) stands(check string, state holdfast.RunState, since time.Time) {
	r.change(check, func(a *askedRun) bool {
		if state == holdfast.RunDone && a.Outcome == "" { // it was stopped before it saw anything
			state = holdfast.RunDropped
		}
		if state == holdfast.RunRunning {
			a.Started = since.UTC().Round(0)
		}
		a.State, a.Phase = state, nil
		return true
	})
}

// comes takes how far a look has come.
func (r *runs) comes(check string, p holdfast.Phase) {
	r.change(check, func(a *askedRun) bool {
		now := r.now()
		if a.State != holdfast.RunRunning || a.Phase != nil && a.Phase.Name == p.Name && now.Sub(a.phase) < phaseEach {
			return false
		}
		a.Phase, a.phase = &p, now
		return true
	})
}

// saw notes what a look saw; the scheduler ends the run.
func (r *runs) saw(o *holdfast.Observation) {
	r.change(o.Check, func(a *askedRun) bool {
		a.Outcome, a.Reason, a.Summary = o.Outcome, o.Reason, o.Summary
		return false
	})
}

// tell returns what was not told yet, or with all everything that is known, and
// forgets what is over.
func (r *runs) tell(all bool) []holdfast.Running {
	r.mu.Lock()
	defer r.mu.Unlock()
	var said []holdfast.Running
	kept := r.list[:0]
	for _, a := range r.list {
		if all || !a.told {
			said = append(said, a.Running)
		}
		a.told = true
		if a.State.Live() {
			kept = append(kept, a)
		}
	}
	clear(r.list[len(kept):])
	r.list = kept
	return said
}
