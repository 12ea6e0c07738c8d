package holdfast

import "time"

// DrillVerdict is how a drill ended.
type DrillVerdict string

// The verdicts. Only a drill that went through every step may pass.
const (
	DrillPassed      DrillVerdict = "passed"
	DrillFailed      DrillVerdict = "failed"      // a step failed, was lost, refused, or nobody answered
	DrillAborted     DrillVerdict = "aborted"     // somebody stopped it
	DrillInterrupted DrillVerdict = "interrupted" // the collector was away for too long
)

// DrillVerdicts lists every verdict.
var DrillVerdicts = []DrillVerdict{DrillPassed, DrillFailed, DrillAborted, DrillInterrupted}

// DrillOrder says what is to be walked.
type DrillOrder struct {
	Service      string `json:"service"`
	Path         string `json:"path"`
	Scenario     string `json:"scenario,omitempty"`     // whose objectives hold; empty: the strictest of those the path covers
	Dependencies bool   `json:"dependencies,omitempty"` // the paths it waits for are walked as well
}

// Drill is a recovery path that is walked, or was: its tests really run, its people
// are asked, and the clock runs from the start to the last step.
type Drill struct {
	ID string `json:"id"`
	DrillOrder
	Site    string       `json:"site"` // where the path recovers
	Plan    string       `json:"plan"`
	Version string       `json:"version"`           // of the plan
	By      string       `json:"by"`                // who started or booked it
	Booking string       `json:"booking,omitempty"` // the appointment it was started by
	Started time.Time    `json:"started"`
	Ended   time.Time    `json:"ended,omitzero"`    // of its last step; zero: under way
	Verdict DrillVerdict `json:"verdict,omitempty"` // empty: under way
	Stopped string       `json:"stopped,omitempty"` // who aborted it
	Reason  string       `json:"reason,omitempty"`  // why it was aborted or interrupted
	Terms   DrillTerms   `json:"terms"`
	Steps   []DrillStep  `json:"steps"`
	Gaps    []DrillGap   `json:"gaps,omitempty"`

	Took   Duration  `json:"took,omitempty"`           // from the start to the last step
	Point  time.Time `json:"recovery_point,omitzero"`  // the oldest that was restored
	Loss   Duration  `json:"loss,omitempty"`           // from that point to the start
	Bytes  Bytes     `json:"bytes,omitempty"`          // restored
	People []string  `json:"people,omitempty"`         // who took part
	Record string    `json:"record,omitempty"`         // the exercise it ended in
	Alive  time.Time `json:"alive,omitzero"`           // when the collector last had it in hand
	Away   Duration  `json:"collector_away,omitempty"` // how long the collector was gone meanwhile
}

// Running reports whether the drill is under way.
func (d *Drill) Running() bool { return d.Verdict == "" }

// DrillTerms is what a drill is measured by, as it stood when it began.
type DrillTerms struct {
	Expected    Duration  `json:"expected_rto,omitempty"`    // of the path, as judged; 0: never measured
	RestoreOnly bool      `json:"restore_only,omitempty"`    // that knows of no exercise: what people do is added
	People      Duration  `json:"expected_people,omitempty"` // what the steps of people should take together
	Committed   Duration  `json:"committed_rto,omitempty"`   // what the path is designed for
	RTO         Objective `json:"rto,omitzero"`
	RPO         Objective `json:"rpo,omitzero"`
	MBCO        string    `json:"mbco,omitempty"`
}

// Total is how long the whole should take; 0: nobody knows.
func (t *DrillTerms) Total() Duration {
	if t.RestoreOnly && t.Expected > 0 {
		return t.Expected + t.People
	}
	return t.Expected
}

// DrillStepKind says what a step of a drill is.
type DrillStepKind string

// The kinds of step.
const (
	StepNeed     DrillStepKind = "need"
	StepKey      DrillStepKind = "credential"
	StepPaper    DrillStepKind = "paper" // a plan, a team, an attestation: looked up, not run
	StepCopy     DrillStepKind = "copy"
	StepRestore  DrillStepKind = "restore"
	StepPerson   DrillStepKind = "person"
	StepExercise DrillStepKind = "exercise"
	StepMBCO     DrillStepKind = "mbco" // the minimum level, seen by a probe
)

// DrillStepKinds lists every kind.
var DrillStepKinds = []DrillStepKind{StepNeed, StepKey, StepPaper, StepCopy, StepRestore, StepPerson, StepExercise, StepMBCO}

// DrillStepState is how far a step of a drill has come.
type DrillStepState string

// The states of a step. From StepDone on they are ends.
const (
	StepPlanned    DrillStepState = "planned"
	StepWaiting    DrillStepState = "waiting" // its agent was asked, and has other checks to run first
	StepRunning    DrillStepState = "running"
	StepAsked      DrillStepState = "asked" // people are to do it
	StepDone       DrillStepState = "done"
	StepFailed     DrillStepState = "failed"     // what was looked at is bad, or people could not do it
	StepUnclear    DrillStepState = "unclear"    // the probe could not tell
	StepRefused    DrillStepState = "refused"    // the agent's own policy forbids it
	StepLost       DrillStepState = "lost"       // the agent is not there, or went away
	StepUnanswered DrillStepState = "unanswered" // nobody said that it was done
	StepSkipped    DrillStepState = "skipped"    // the drill ended before it
	StepStopped    DrillStepState = "stopped"    // it ran when the drill was aborted
)

// DrillStepStates lists every state.
var DrillStepStates = []DrillStepState{StepPlanned, StepWaiting, StepRunning, StepAsked, StepDone, StepFailed, StepUnclear,
	StepRefused, StepLost, StepUnanswered, StepSkipped, StepStopped}

// Open reports whether the step is not over.
func (s DrillStepState) Open() bool {
	return s == StepPlanned || s == StepWaiting || s == StepRunning || s == StepAsked
}

// Bad reports whether the drill cannot have passed with the step as it is.
func (s DrillStepState) Bad() bool { return !s.Open() && s != StepDone }

// DrillStep is one step of a drill.
type DrillStep struct {
	Number int            `json:"number"` // from 1
	Name   string         `json:"name"`   // the check's or need's ID, or what the path calls what people do
	Title  string         `json:"title,omitempty"`
	Kind   DrillStepKind  `json:"kind"`
	Of     string         `json:"of,omitempty"`    // SERVICE/PATH of a dependency that is walked as well
	Check  string         `json:"check,omitempty"` // ID; empty: nothing runs
	Agent  string         `json:"agent,omitempty"`
	Who    string         `json:"who,omitempty"`      // who is asked: a team or a person
	Data   []string       `json:"datasets,omitempty"` // what it restores
	Beside bool           `json:"beside,omitempty"`   // it is walked beside the step before it
	Expect Duration       `json:"expected,omitempty"` // 0: nobody knows
	State  DrillStepState `json:"state"`
	Asked  time.Time      `json:"asked,omitzero"`
	Began  time.Time      `json:"began,omitzero"` // when it began to look; of what people do, Asked
	Ended  time.Time      `json:"ended,omitzero"`
	Phase  *Phase         `json:"phase,omitempty"` // how far a long look has come
	Run    string         `json:"run,omitempty"`

	Outcome   Outcome   `json:"outcome,omitempty"`
	Reason    Reason    `json:"reason,omitempty"`
	Summary   string    `json:"summary,omitempty"`         // what was seen, or why nothing was
	Point     time.Time `json:"recovery_point,omitzero"`   // what was restored
	Bytes     Bytes     `json:"bytes,omitempty"`           // restored
	Restored  Duration  `json:"restore_took,omitempty"`    // as the tool measured
	By        string    `json:"by,omitempty"`              // who did it
	EnteredBy string    `json:"entered_by,omitempty"`      // whose token or session said so
	Note      string    `json:"note,omitempty"`            // their words
	Coverage  float64   `json:"coverage,omitempty"`        // share of the point that was restored, 0–1
	Seen      time.Time `json:"observation_time,omitzero"` // of the observation it rests on
}

// Took is how long the step took, or takes until now.
func (s *DrillStep) Took(now time.Time) Duration {
	switch {
	case s.Asked.IsZero():
		return 0
	case s.Ended.IsZero():
		return Duration(now.Sub(s.Asked))
	}
	return Duration(s.Ended.Sub(s.Asked))
}

// DrillGapKind says what a gap is about.
type DrillGapKind string

// The kinds of gap. GapStep and GapData keep a drill from passing; it passes with a
// reservation where one is of GapRTO, GapRPO or GapReservation.
const (
	GapStep        DrillGapKind = "step"         // a step went wrong
	GapData        DrillGapKind = "not-restored" // a dataset was not restored
	GapRTO         DrillGapKind = "rto"
	GapRPO         DrillGapKind = "rpo"
	GapReservation DrillGapKind = "reservation" // a step passed with a reservation
	GapLate        DrillGapKind = "late"        // it took longer than expected
	GapPaper       DrillGapKind = "paper"       // a plan, training or attestation has lapsed
)

// DrillGapKinds lists every kind.
var DrillGapKinds = []DrillGapKind{GapStep, GapData, GapRTO, GapRPO, GapReservation, GapLate, GapPaper}

// DrillGap is one thing in which what happened differs from what was agreed.
type DrillGap struct {
	Kind DrillGapKind `json:"kind"`
	Step int          `json:"step,omitempty"` // number of the step; 0: of the whole
	Text string       `json:"text"`
	Late Duration     `json:"late,omitempty"` // by how much a time was missed
}

// DrillAnswer is what somebody says of a step that people do.
type DrillAnswer struct {
	Failed bool      `json:"failed,omitempty"` // it could not be done
	By     string    `json:"by,omitempty"`     // who did it; default: who says so
	At     time.Time `json:"at,omitzero"`      // when it was done; default: now
	Note   string    `json:"note,omitempty"`
	Point  time.Time `json:"recovery_point,omitzero"` // what people restored themselves
}

// DrillPlan is what a drill would do: nothing of it has happened.
type DrillPlan struct {
	DrillOrder
	Site     string      `json:"site"`
	Plan     string      `json:"plan,omitempty"`
	Version  string      `json:"version,omitempty"`
	Terms    DrillTerms  `json:"terms"`
	Steps    []DrillStep `json:"steps"`
	Refusals []string    `json:"refusals,omitempty"` // why it could not start
	Warnings []string    `json:"warnings,omitempty"` // what is known beforehand to go wrong, or to wait
	Depends  []string    `json:"depends,omitempty"`  // SERVICE/PATH of what the path waits for, the first to recover first
}

// Drill is the drill of the plan, before it begins.
func (p *DrillPlan) Drill() Drill {
	return Drill{DrillOrder: p.DrillOrder, Site: p.Site, Plan: p.Plan, Version: p.Version, Terms: p.Terms, Steps: p.Steps}
}

// DrillBooking is an appointment for a drill, once or again and again.
type DrillBooking struct {
	ID string `json:"id"`
	DrillOrder
	By      string    `json:"by"`
	Made    time.Time `json:"made"`
	At      time.Time `json:"at,omitzero"`       // when it is next to start; zero: not again
	Every   Duration  `json:"every,omitempty"`   // 0: once
	Last    string    `json:"last,omitempty"`    // the drill it started last
	Missed  time.Time `json:"missed,omitzero"`   // when it should have started last and did not
	Problem string    `json:"problem,omitempty"` // why not
}
