package drill

import (
	"context"
	"errors"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	// A connection that broke off for a moment is no lost step, and what a run saw
	// comes a little after word that it is over.
	comesBack = 15 * time.Second
	reports   = time.Minute
	// After a restart of the collector its agents need a while to come back.
	afterStart = 2 * time.Minute
	// maxAway is how long a collector may be gone while a drill goes on.
	maxAway = time.Hour
	// skew is what clocks of agents, corrected, may still be off.
	skew = 2 * time.Second
	// People have at least this long to answer, and patience times what was expected.
	leastPatience = time.Hour
	patience      = 4
)

// resume takes up a drill that was under way when the collector ended.
func (m *Manager) resume(d *holdfast.Drill) {
	if away := m.started.Sub(d.Alive); away > 0 && !d.Alive.IsZero() {
		d.Away += holdfast.Duration(away.Round(time.Millisecond))
	}
}

// walk takes a drill as far as it goes now. Every step is stored before its agent is
// asked. The caller holds walking.
func (m *Manager) walk(ctx context.Context, d *holdfast.Drill) error {
	if d.Away > holdfast.Duration(maxAway) {
		d.Reason = "the collector was away for " + d.Away.String()
		return m.finish(ctx, d, holdfast.DrillInterrupted)
	}
	for {
		told := m.complete(d)
		front := ahead(d)
		if len(front) == 0 || stuck(d) {
			if !told { // the clock stands: steps have ended when their runs did
				return m.save(ctx, d)
			}
			return m.finish(ctx, d, "")
		}
		for _, i := range front {
			if d.Steps[i].State == holdfast.StepPlanned {
				m.begin(d, i)
			}
		}
		if err := m.save(ctx, d); err != nil {
			return err
		}
		for _, i := range front {
			if x := &d.Steps[i]; x.Kind == holdfast.StepPerson {
				m.waitFor(x)
			} else if x.State.Open() {
				m.look(ctx, d, i)
			}
		}
		if err := m.save(ctx, d); err != nil {
			return err
		}
		for _, i := range front {
			if d.Steps[i].State.Open() {
				return nil
			}
		}
	}
}

// stuck reports whether a step went wrong that ends the drill, and nothing beside it
// is still under way.
func stuck(d *holdfast.Drill) (bad bool) {
	for i := range d.Steps {
		x := &d.Steps[i]
		if x.State.Open() && x.State != holdfast.StepPlanned {
			return false
		}
		bad = bad || x.State.Bad() && ends(x.Kind)
	}
	return bad
}

// ahead returns the first step that is not over and those walked beside it that are
// not over either.
func ahead(d *holdfast.Drill) (list []int) {
	for i := range d.Steps {
		x := &d.Steps[i]
		if len(list) > 0 && !x.Beside {
			return list
		}
		if x.State.Open() {
			list = append(list, i)
		}
	}
	return list
}

// ends reports whether a drill ends where a step of the kind goes wrong: needs and
// copies are all looked at, so that every gap is known.
func ends(k holdfast.DrillStepKind) bool {
	return k == holdfast.StepRestore || k == holdfast.StepPerson || k == holdfast.StepExercise || k == holdfast.StepMBCO
}

// begin begins a step: nobody is asked yet.
func (m *Manager) begin(d *holdfast.Drill, i int) {
	x := &d.Steps[i]
	x.Asked = m.cfg.Now().UTC()
	switch x.Kind {
	case holdfast.StepPerson:
		x.State = holdfast.StepAsked
	case holdfast.StepPaper:
		m.lookUp(d, x)
	default:
		x.State = holdfast.StepWaiting
	}
	if x.Check == "" {
		return
	}
	known := &asks{}
	if o, ok := m.cfg.Source.Observation(x.Check); ok {
		known.before = o.At
	}
	m.asks[askKey{d.ID, i}] = known
}

// lookUp takes what the judgement says of a paper. One that has lapsed is a gap and
// keeps nobody from walking.
func (m *Manager) lookUp(d *holdfast.Drill, x *holdfast.DrillStep) {
	x.State, x.Ended = holdfast.StepDone, x.Asked
	x.Summary = "nothing is known of it"
	posture, _ := m.cfg.Source.Posture(d.Service)
	for i := range posture.Paths {
		if posture.Paths[i].Name != d.Path {
			continue
		}
		for _, n := range posture.Paths[i].Needs {
			if n.Need != x.Name {
				continue
			}
			x.Summary = string(n.Verdict)
			if n.Reason != "" {
				x.Summary += ": " + n.Reason
			}
			if n.Verdict != holdfast.Met && n.Verdict != holdfast.NotApplicable {
				x.Outcome = holdfast.OutcomeDegraded
				return
			}
			x.Outcome = holdfast.OK
		}
	}
}

// waitFor gives up people who do not answer.
func (m *Manager) waitFor(x *holdfast.DrillStep) {
	now := m.cfg.Now().UTC()
	if now.Before(x.Asked.Add(patienceFor(x.Expect))) {
		return
	}
	x.State, x.Ended = holdfast.StepUnanswered, now
	x.Summary = "nobody said that it was done"
}

// patienceFor is how long people are waited for.
func patienceFor(expect holdfast.Duration) time.Duration {
	return max(leastPatience, patience*expect.Std())
}

// look follows a step that runs a check: it asks, or takes what is known of the run.
func (m *Manager) look(ctx context.Context, d *holdfast.Drill, i int) {
	x := &d.Steps[i]
	known := m.asks[askKey{d.ID, i}]
	if known == nil { // it was asked before the collector's start
		known = &asks{before: x.Asked}
		m.asks[askKey{d.ID, i}] = known
	}
	if x.Run == "" {
		m.ask(ctx, d, x, known)
		return
	}
	run, ok := m.cfg.Runner.Run(x.Run)
	if !ok {
		m.over(x, holdfast.StepLost, "the collector has forgotten the run")
		return
	}
	m.follow(x, &run, known)
}

// ask has a step's agent run the check. What it saw since it was asked first, while
// the collector was away, is as good.
func (m *Manager) ask(ctx context.Context, d *holdfast.Drill, x *holdfast.DrillStep, known *asks) {
	if o, ok := m.cfg.Source.Observation(x.Check); ok && x.Asked.Before(m.started) && !o.At.Before(x.Asked) {
		m.saw(x, &o, m.cfg.Now())
		return
	}
	if m.cfg.Now().Before(m.started.Add(afterStart)) && !m.connected(x.Agent) {
		x.Summary = "the collector was started anew; agent " + x.Agent + " is waited for"
		return
	}
	run, err := m.cfg.Runner.RunCheck(ctx, x.Check, d.By)
	switch {
	case err == nil:
		x.Run = run.ID
		known.over = time.Time{}
		m.follow(x, &run, known)
	case errors.Is(err, holdfast.ErrInvalid):
		m.over(x, holdfast.StepLost, "the catalogue has this check no more")
	default:
		m.over(x, holdfast.StepLost, err.Error())
	}
}

// connected reports whether an agent is there.
func (m *Manager) connected(agent string) bool {
	return slices.ContainsFunc(m.cfg.Source.Agents(), func(a holdfast.AgentState) bool { return a.Name == agent && a.Connected })
}

// follow takes in how far a run has come.
func (m *Manager) follow(x *holdfast.DrillStep, run *holdfast.Run, known *asks) {
	now := m.cfg.Now()
	if run.State.Live() {
		known.over = time.Time{}
	} else if known.over.IsZero() {
		known.over = now
	}
	x.Phase = nil
	switch run.State {
	case holdfast.RunSent, holdfast.RunWaiting:
		x.State, x.Summary = holdfast.StepWaiting, ""
	case holdfast.RunRunning:
		x.State, x.Phase, x.Summary = holdfast.StepRunning, run.Phase, ""
		if x.Began = run.Started; stale(x, run) {
			x.Summary = "a run that began before is waited for"
		}
	case holdfast.RunDone:
		m.done(x, run, known)
	case holdfast.RunRefused:
		m.over(x, holdfast.StepRefused, run.Summary)
	case holdfast.RunLost:
		if x.Summary = run.Summary; !now.Before(known.over.Add(comesBack)) {
			m.over(x, holdfast.StepLost, run.Summary)
		}
	case holdfast.RunStopped:
		m.over(x, holdfast.StepStopped, run.Summary)
	default:
		m.over(x, holdfast.StepLost, run.Summary)
	}
}

// stale reports whether a run began before the step did: it was asked for by
// somebody else, or was due, and says nothing of how long recovery takes from here.
func stale(x *holdfast.DrillStep, run *holdfast.Run) bool {
	return !run.Started.IsZero() && run.Started.Before(x.Asked.Add(-skew))
}

// done ends a step by its run's word; what it measured follows with the report. A run
// that began before the step is followed by one of its own.
func (m *Manager) done(x *holdfast.DrillStep, run *holdfast.Run, known *asks) {
	if stale(x, run) {
		x.Run, x.State, x.Began = "", holdfast.StepWaiting, time.Time{}
		if o, ok := m.cfg.Source.Observation(x.Check); ok {
			known.before = o.At
		}
		m.rouse()
		return
	}
	x.Began = run.Started
	m.saw(x, &holdfast.Observation{Outcome: run.Outcome, Reason: run.Reason, Summary: run.Summary}, run.Ended)
}

// unreported reports whether of a step only the word of its run is known.
func unreported(x holdfast.DrillStep) bool {
	return x.State == holdfast.StepDone && x.Check != "" && x.Seen.IsZero()
}

// complete adds what steps measured once it was reported; false: a report is still
// waited for. What went wrong does not wait for an agent that is gone.
func (m *Manager) complete(d *holdfast.Drill) bool {
	told := true
	for i := range d.Steps {
		x := &d.Steps[i]
		if !unreported(*x) {
			continue
		}
		before := time.Time{}
		if known := m.asks[askKey{d.ID, i}]; known != nil {
			before = known.before
		}
		o, ok := m.cfg.Source.Observation(x.Check)
		switch {
		case ok && o.At.After(before) && !o.At.Before(x.Began.Add(-skew)):
			m.saw(x, &o, x.Ended)
		case m.cfg.Now().Before(x.Ended.Add(reports)) && (!stuck(d) || m.connected(x.Agent)):
			told = false
		default: // it does not come any more
			x.Seen = x.Ended
		}
	}
	return told
}

// saw ends a step by what was seen. A word of it, without a time, is followed by the
// whole.
func (m *Manager) saw(x *holdfast.DrillStep, o *holdfast.Observation, at time.Time) {
	state := holdfast.StepDone
	switch {
	case o.Outcome == holdfast.Failed, o.Verification != nil && o.Verification.Errors > 0:
		state = holdfast.StepFailed
	case o.Outcome == holdfast.OutcomeUnknown && o.Reason == holdfast.Refused:
		state = holdfast.StepRefused
	case o.Outcome != holdfast.OK && o.Outcome != holdfast.OutcomeDegraded:
		state = holdfast.StepUnclear
	}
	m.over(x, state, o.Summary)
	x.Ended = at.UTC()
	x.Outcome, x.Reason, x.Seen = o.Outcome, o.Reason, o.At
	if x.Began.IsZero() {
		x.Began = o.At
	}
	if r := o.Restoration; r != nil && x.Kind == holdfast.StepRestore {
		x.Point, x.Bytes, x.Restored, x.Coverage = r.Point, r.Bytes, r.Duration, r.Coverage
	}
	if r := o.Replication; r != nil && r.PrimarySeen && x.Kind == holdfast.StepCopy {
		x.Point = o.At.Add(-r.Lag.Std())
	}
}

// over ends a step.
func (m *Manager) over(x *holdfast.DrillStep, state holdfast.DrillStepState, why string) {
	x.State, x.Ended, x.Phase, x.Summary = state, m.cfg.Now().UTC(), nil, why
}
