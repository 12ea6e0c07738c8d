package wire

import (
	"fmt"
	"math"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Version is the version of the protocol between agents and collector. A
// collector serves its own and every older one listed.
//
//	1  2026-11-21  first
//	2  2026-11-22  an agent says how a run that was asked for fares (Up.running)
//	3  2026-11-22  a run that was asked for can be stopped (Down.stop)
//	4  2026-11-22  an agent says which databases it found on its host (Up.found)
const Version = 4

// Bounds of what travels between an agent and its collector.
const (
	MaxMessage  = 1 << 20  // bytes of one message
	MaxResults  = 1000     // results of one report
	MaxBody     = 64 << 10 // bytes of one result's body
	MaxAssigned = 10_000   // checks of one agent
	MaxKey      = 64       // bytes of an assignment's key
	Window      = 16       // reports outstanding on one session
)

// RecoverLabel is the label under which both ends of a connection export the
// bytes that a recovery signs (RFC 8446 7.5), RecoverPurpose what stands before
// them under the signature.
const (
	RecoverLabel   = "EXPERIMENTAL-holdfast-recover"
	RecoverPurpose = "holdfast recover 1\n"
)

// FromAssignment writes an assignment for the wire. The checks' agent is left out:
// who is told knows its name.
func FromAssignment(a *holdfast.Assignment) *wirepb.Assignment {
	m := &wirepb.Assignment{Version: a.Version, Checks: make([]*wirepb.Check, len(a.Checks)), Key: a.Key}
	for i, c := range a.Checks {
		m.Checks[i] = &wirepb.Check{Id: c.ID, Probe: c.Probe, Every: int64(c.Every), Timeout: int64(c.Timeout), Settings: string(c.With)}
	}
	return m
}

// ToAssignment reads an assignment of the named agent.
func ToAssignment(m *wirepb.Assignment, agent string) (holdfast.Assignment, error) {
	if n := len(m.GetChecks()); n > MaxAssigned {
		return holdfast.Assignment{}, fmt.Errorf("assignment of %d checks, at most %d", n, MaxAssigned)
	}
	if n := len(m.GetKey()); n > MaxKey {
		return holdfast.Assignment{}, fmt.Errorf("assignment with a key of %d bytes, at most %d", n, MaxKey)
	}
	a := holdfast.Assignment{Version: m.GetVersion(), Checks: make([]holdfast.Check, len(m.GetChecks())), Key: m.GetKey()}
	for i, c := range m.GetChecks() {
		a.Checks[i] = holdfast.Check{ID: c.GetId(), Probe: c.GetProbe(), On: agent, Every: holdfast.Duration(c.GetEvery()),
			Timeout: holdfast.Duration(c.GetTimeout()), With: holdfast.Settings(c.GetSettings())}
		if i > 0 && a.Checks[i].ID <= a.Checks[i-1].ID {
			return holdfast.Assignment{}, fmt.Errorf("assignment: check %q is not after %q", a.Checks[i].ID, a.Checks[i-1].ID)
		}
	}
	return a, nil
}

// FromHealth writes what an agent says of itself: its refused checks, waiting
// reports and plugins.
func FromHealth(s holdfast.AgentState) *wirepb.Health {
	m := &wirepb.Health{Refused: s.Refused, Spooled: uint64(max(s.Spooled, 0))}
	for _, p := range s.Plugins {
		m.Plugins = append(m.Plugins, &wirepb.PluginHealth{Name: p.Name, Running: p.Running,
			Restarts: uint32(min(max(p.Restarts, 0), math.MaxUint32)), Failed: fromTime(p.Failed), Problem: p.Problem})
	}
	return m
}

// ToHealth reads what an agent says of itself into s.
func ToHealth(m *wirepb.Health, s *holdfast.AgentState) {
	s.Refused, s.Plugins = m.GetRefused(), nil
	s.Spooled = int(min(m.GetSpooled(), math.MaxInt32))
	for _, p := range m.GetPlugins() {
		s.Plugins = append(s.Plugins, holdfast.PluginHealth{Name: p.GetName(), Running: p.GetRunning(),
			Restarts: int(p.GetRestarts()), Failed: toTime(p.GetFailed()), Problem: p.GetProblem()})
	}
}

// runStates are the states of a run that an agent can tell.
var runStates = map[wirepb.Running_State]holdfast.RunState{
	wirepb.Running_WAITING: holdfast.RunWaiting, wirepb.Running_RUNNING: holdfast.RunRunning,
	wirepb.Running_DONE: holdfast.RunDone, wirepb.Running_DROPPED: holdfast.RunDropped,
}

// FromRunning writes how a run that was asked for fares.
func FromRunning(r holdfast.Running) *wirepb.Running {
	m := &wirepb.Running{Check: text(r.Check), Started: fromTime(r.Started), Outcome: text(string(r.Outcome)), Reason: text(string(r.Reason)), Summary: text(r.Summary)}
	for state, s := range runStates {
		if s == r.State {
			m.State = state
		}
	}
	if r.Phase != nil {
		m.Phase = FromPhase(*r.Phase)
	}
	return m
}

// ToRunning reads how a run that was asked for fares. A state of a later version
// is "".
func ToRunning(m *wirepb.Running) (holdfast.Running, error) {
	r := holdfast.Running{Check: m.GetCheck(), State: runStates[m.GetState()], Started: toTime(m.GetStarted()),
		Outcome: holdfast.Outcome(m.GetOutcome()), Reason: holdfast.Reason(m.GetReason()), Summary: m.GetSummary()}
	if p := m.GetPhase(); p != nil {
		phase := ToPhase(p)
		r.Phase = &phase
	}
	if most := max(len(r.Check), len(m.GetPhase().GetName()), len(r.Reason), len(r.Summary)); most > holdfast.MaxText {
		return r, fmt.Errorf("word of a run with a text of %d bytes, at most %d", most, holdfast.MaxText)
	}
	if r.Outcome != "" && !slices.Contains(holdfast.Outcomes, r.Outcome) {
		return r, fmt.Errorf("word of a run: %q is no outcome", r.Outcome)
	}
	return r, nil
}

// FromProgress writes progress into a Welcome.
func FromProgress(p holdfast.Progress, m *wirepb.Welcome) {
	m.Epoch, m.Through = p.Epoch, p.Through
	for _, r := range p.Beyond {
		m.Beyond = append(m.Beyond, &wirepb.Range{First: r.First, Last: r.Last})
	}
}

// ToProgress reads the progress of a Welcome.
func ToProgress(m *wirepb.Welcome) holdfast.Progress {
	p := holdfast.Progress{Epoch: m.GetEpoch(), Through: m.GetThrough()}
	for _, r := range m.GetBeyond() {
		p.Beyond = append(p.Beyond, holdfast.SeqRange{First: r.GetFirst(), Last: r.GetLast()})
	}
	return p
}
