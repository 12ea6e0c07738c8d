package collector

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/wire"
)

const (
	maxRuns = 256 // runs that are remembered
	// An agent says at once that it was asked, and a look ends by itself when its
	// time is up; this much later nobody waits any more.
	runGrace = time.Minute
)

// runs is what people asked to run at once, kept in memory: what the checks saw is
// kept by everything else.
type runs struct {
	now     func() time.Time
	changed func()       // called after every change, with no lock held
	awaited atomic.Int32 // runs whose report is still to come

	mu   sync.Mutex
	last uint64 // guarded by mu
	list []*run // guarded by mu, oldest first
}

// run is a run and what only the collector needs of it.
type run struct {
	holdfast.Run
	limit time.Duration // of a look
	stop  string        // who wants it stopped; empty: nobody
}

func newRuns(now func() time.Time, changed func()) *runs { return &runs{now: now, changed: changed} }

// ask notes a run that is asked for; one of the same check that is under way
// answers for it, and fresh is false.
func (r *runs) ask(k *holdfast.Check, by string) (_ holdfast.Run, fresh bool) {
	defer r.changed()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	for _, x := range r.list {
		if x.Check == k.ID && x.State.Live() {
			return x.Run, false
		}
	}
	r.last++
	x := &run{Run: holdfast.Run{ID: strconv.FormatUint(r.last, 10), Check: k.ID, Agent: k.On, By: by, State: holdfast.RunSent, Asked: r.now().UTC()}, limit: k.Timeout.Std()}
	r.list = append(r.list, x)
	r.list = r.list[max(0, len(r.list)-maxRuns):]
	r.count()
	return x.Run, true
}

// change changes the runs that fit and are not over for good.
func (r *runs) change(fits func(*run) bool, f func(*run)) {
	r.mu.Lock()
	any := false
	for _, x := range r.list {
		if x.awaited() && fits(x) {
			f(x)
			any = true
		}
	}
	r.count()
	r.mu.Unlock()
	if any {
		r.changed()
	}
}

// count says how many runs a report could still end. The caller holds mu.
func (r *runs) count() {
	n := int32(0)
	for _, x := range r.list {
		if x.awaited() {
			n++
		}
	}
	r.awaited.Store(n)
}

func (x *run) end(state holdfast.RunState, at time.Time, why string) {
	x.State, x.Ended, x.Phase = state, at.UTC(), nil
	if why != "" {
		x.Summary = why
	}
}

// failed ends a run that could not even be asked for.
func (r *runs) failed(id string, why error) {
	r.change(func(x *run) bool { return x.ID == id }, func(x *run) { x.end(holdfast.RunLost, r.now(), why.Error()) })
}

// told takes what an agent says of a run.
func (r *runs) told(agent string, said holdfast.Running) {
	r.change(func(x *run) bool { return x.Agent == agent && x.Check == said.Check }, func(x *run) {
		if x.State == holdfast.RunLost { // it is heard of again
			x.Ended, x.Summary = time.Time{}, ""
		}
		x.State, x.Phase = said.State, said.Phase
		if !said.Started.IsZero() {
			x.Started = said.Started.UTC()
		}
		switch said.State {
		case holdfast.RunDone:
			x.saw(said.Outcome, said.Reason, said.Summary, r.now())
		case holdfast.RunDropped:
			if x.stop != "" {
				x.end(holdfast.RunStopped, r.now(), "stopped by "+x.stop)
				return
			}
			x.end(holdfast.RunDropped, r.now(), "the agent does not have this check as it is now: its assignment is changing, or it is stopping")
		}
	})
}

// saw ends a run by what it saw.
func (x *run) saw(outcome holdfast.Outcome, reason holdfast.Reason, summary string, at time.Time) {
	state := holdfast.RunDone
	if reason == holdfast.Refused && outcome == holdfast.OutcomeUnknown {
		state = holdfast.RunRefused
	}
	x.end(state, at, "")
	x.Outcome, x.Reason, x.Summary = outcome, reason, summary
}

// gone takes in that an agent is not connected any more. Its runs may go on; if
// they do, it says so when it is back.
func (r *runs) gone(agent string) {
	if r.awaited.Load() == 0 {
		return
	}
	r.change(func(x *run) bool { return x.Agent == agent && x.State.Live() }, func(x *run) {
		x.end(holdfast.RunLost, r.now(), "agent "+agent+" went away; what became of the run its next reports say")
	})
}

// reported takes in reports that are durable: agents of former versions say nothing
// else of a run.
func (r *runs) reported(reports []*ingest.Report, latest func(check, on string) (holdfast.Observation, bool)) {
	for _, w := range r.waits() {
		for _, p := range reports {
			if p.Agent != w.Agent || !slices.ContainsFunc(p.Results, func(res wire.Result) bool { return p.Assigned.Checks[res.Check].ID == w.Check }) {
				continue
			}
			if o, ok := latest(w.Check, w.Agent); ok && !o.At.Before(w.Asked) {
				r.change(func(x *run) bool { return x.ID == w.ID }, func(x *run) {
					x.Started = o.At
					x.saw(o.Outcome, o.Reason, o.Summary, o.Received)
				})
			}
		}
	}
}

// waits returns the runs that a report could still end.
func (r *runs) waits() (list []holdfast.Run) {
	if r.awaited.Load() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.list {
		if x.awaited() {
			list = append(list, x.Run)
		}
	}
	return list
}

// awaited reports whether a report, or its agent's word, could still end the run.
func (x *run) awaited() bool { return x.State.Live() || x.State == holdfast.RunLost }

// expire gives up runs that nobody says anything of. The caller holds mu.
func (r *runs) expire() {
	now := r.now()
	for _, x := range r.list {
		switch {
		case x.State == holdfast.RunSent && now.Sub(x.Asked) > x.limit+runGrace:
			x.end(holdfast.RunLost, now, "agent "+x.Agent+" said nothing of it")
		case x.State == holdfast.RunRunning && now.Sub(x.Started) > x.limit+runGrace:
			x.end(holdfast.RunLost, now, "its time was up and nothing was heard of it")
		}
	}
}

// all returns every run that is remembered, the latest first.
func (r *runs) all() []holdfast.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	list := make([]holdfast.Run, 0, len(r.list))
	for i := len(r.list) - 1; i >= 0; i-- {
		list = append(list, r.list[i].Run)
	}
	return list
}

// Runs returns what people asked to run at once, the latest first, as far as it is
// remembered: a restart forgets it.
func (c *Collector) Runs() []holdfast.Run { return c.runs.all() }

// RunCheck asks the agent of a check to run it at once; the agent's own policy
// still decides. A run of the check that is under way answers for it. An error that
// matches holdfast.ErrInvalid says that there is no such check; with any other, the
// run says why its agent could not be asked.
func (c *Collector) RunCheck(_ context.Context, check, by string) (holdfast.Run, error) {
	k := c.Catalogue().Check(check)
	if k == nil {
		return holdfast.Run{}, fmt.Errorf("%w: there is no check %q in the catalogue", holdfast.ErrInvalid, check)
	}
	x, fresh := c.runs.ask(k, by)
	if !fresh {
		return x, nil
	}
	c.log.Info("check is run at once", "check", check, "agent", k.On, "by", by, "run", x.ID)
	if err := c.ingest.Run(k.On, check); err != nil {
		c.runs.failed(x.ID, err)
		return c.runs.one(x.ID), err
	}
	return x, nil
}

// StopRun asks the agent of a run to end it. One that sees something first says so
// all the same. An error that matches holdfast.ErrInvalid says that no such run is
// under way.
func (c *Collector) StopRun(id, by string) error {
	var asked *holdfast.Run
	c.runs.change(func(x *run) bool { return x.ID == id && x.State.Live() }, func(x *run) {
		x.stop = by
		was := x.Run
		asked = &was
	})
	if asked == nil {
		return fmt.Errorf("%w: no run %q is under way", holdfast.ErrInvalid, id)
	}
	c.log.Info("run is stopped", "check", asked.Check, "agent", asked.Agent, "by", by, "run", id)
	return c.ingest.StopRun(asked.Agent, asked.Check)
}

// one returns a run.
func (r *runs) one(id string) holdfast.Run {
	for _, x := range r.all() {
		if x.ID == id {
			return x
		}
	}
	return holdfast.Run{}
}
