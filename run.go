package holdfast

import "time"

// RunState is how far a run that somebody asked for has come.
type RunState string

// The states of a run. The last five are ends; a lost one may still be heard of.
const (
	RunSent    RunState = "sent"    // its agent was asked
	RunWaiting RunState = "waiting" // its agent has other checks to run first
	RunRunning RunState = "running"
	RunDone    RunState = "done"    // the outcome says how
	RunRefused RunState = "refused" // the agent's own policy forbids it
	RunLost    RunState = "lost"    // the agent is not connected, went away or did not answer
	RunDropped RunState = "dropped" // the agent has the check no more, or another definition of it
	RunStopped RunState = "stopped" // somebody stopped it before it saw anything
)

// RunStates lists every state, in the order a run goes through them.
var RunStates = []RunState{RunSent, RunWaiting, RunRunning, RunDone, RunRefused, RunLost, RunDropped, RunStopped}

// Live reports whether the run may still become something by itself.
func (s RunState) Live() bool { return s == RunSent || s == RunWaiting || s == RunRunning }

// Run is a check that somebody asked to run at once, and what became of it. What
// it saw is an observation like any other.
type Run struct {
	ID      string    `json:"id"`
	Check   string    `json:"check"`
	Agent   string    `json:"agent"`
	By      string    `json:"by"` // who asked
	State   RunState  `json:"state"`
	Asked   time.Time `json:"asked"`
	Started time.Time `json:"started,omitzero"` // when it began to look; zero: it has not, as far as is known
	Ended   time.Time `json:"ended,omitzero"`   // when it was heard of last, once it is over
	Phase   *Phase    `json:"phase,omitempty"`  // how far a long look has come, where the probe tells
	Outcome Outcome   `json:"outcome,omitempty"`
	Reason  Reason    `json:"reason,omitempty"`
	Summary string    `json:"summary,omitempty"` // what it saw, or why it saw nothing; one line
}

// Running is what an agent says of a run it was asked for.
type Running struct {
	Check   string
	State   RunState  // RunWaiting, RunRunning, RunDone or RunDropped
	Started time.Time // agent clock; zero: not yet
	Phase   *Phase    // nil: not told
	Outcome Outcome   // of RunDone
	Reason  Reason
	Summary string
}
