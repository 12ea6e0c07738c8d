package holdfast

import "slices"

// State is the standing of a need, rung, path, scenario or service.
type State string

// The states, best to worst (JUDGEMENT.md 3), and NotJudged for a service without
// a BIA.
const (
	Proven    State = "proven"
	Stale     State = "stale"
	Degraded  State = "degraded"
	Untested  State = "untested"
	Unknown   State = "unknown"
	Broken    State = "broken"
	Uncovered State = "uncovered"
	NotJudged State = "not-judged"
)

// States lists the seven judged states, best first.
var States = []State{Proven, Stale, Degraded, Untested, Unknown, Broken, Uncovered}

// Rank orders states: 0 for proven up to 6 for uncovered, -1 for any other.
func (s State) Rank() int { return slices.Index(States, s) }

// Worse returns the worse of two states.
func (s State) Worse(t State) State {
	if t.Rank() > s.Rank() {
		return t
	}
	return s
}

// Verdict is the judgement of one need.
type Verdict string

// The verdicts.
const (
	Met            Verdict = "met"
	Unmet          Verdict = "unmet"
	VerdictUnknown Verdict = "unknown"
	NotApplicable  Verdict = "not-applicable"
)

// NeedKind says what an unmet need means (JUDGEMENT.md 1).
type NeedKind string

// The kinds of need.
const (
	Feasibility   NeedKind = "feasibility" // without it the path cannot be walked
	ObjectiveNeed NeedKind = "objective"   // without it the path misses the BIA
	Assurance     NeedKind = "assurance"   // people and papers: lapses, does not fail
)
