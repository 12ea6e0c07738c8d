package score

import (
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// item is one judged thing of a path, a dataset or a service: what it contributes
// to the state and what it costs.
type item struct {
	need     string
	code     string // empty: met, costs nothing
	kind     holdfast.NeedKind
	verdict  holdfast.Verdict
	state    holdfast.State
	rank     int // of state
	cost     int
	step     int // place in the ladder, for the cause: lowest first
	ceiling  int // of a dependency: its score; -1: none
	reason   string
	remedy   string // empty: the rule's
	since    time.Time
	until    time.Time
	at       time.Time // of the evidence
	check    string
	attested bool
	declared bool
	live     bool // rests on a live observation
	wide     bool // of the service or a dataset, not of one path
}

// Steps of the ladder, for choosing the cause among findings of one state.
const (
	stepDeclared  = iota // what the path needs is there
	stepFresh            // and recent enough
	stepIntact           //
	stepRestored         //
	stepExercised        //
	stepPapers           // reviews, training, attestations
)

// finding makes an item of a row of the table.
func (j *judge) finding(code, need, reason string) *item {
	r := rules[code]
	it := j.newItem()
	*it = item{
		need: need, code: code, kind: r.Kind, state: r.State, rank: r.State.Rank(), cost: j.m.costs[code],
		ceiling: -1, reason: reason, verdict: holdfast.Unmet, step: stepOf(code, r.Kind),
	}
	switch r.State {
	case holdfast.Unknown:
		it.verdict = holdfast.VerdictUnknown
	}
	return it
}

func stepOf(code string, kind holdfast.NeedKind) int {
	switch code {
	case "intact-untested", "intact-stale":
		return stepIntact
	case "restored-untested", "restored-stale":
		return stepRestored
	case "exercised-untested", "exercised-stale":
		return stepExercised
	case codeRPOMiss, codeRPOBeyond, codeRPOUnknown, codeRPODue:
		return stepFresh
	}
	if kind == holdfast.Assurance {
		return stepPapers
	}
	return stepDeclared
}

// met makes the item of a need that is met.
func (j *judge) met(need string, kind holdfast.NeedKind, at time.Time) *item {
	it := j.newItem()
	*it = item{need: need, kind: kind, verdict: holdfast.Met, state: holdfast.Proven, ceiling: -1, at: at}
	return it
}

// outdated adds to a bad item that its evidence is old besides: the worse of the
// two gates, and the dearer of the two costs.
func (it *item) outdated(j *judge, unknown *item) *item {
	it.reason += "; " + unknown.reason
	if unknown.rank > it.rank {
		it.state, it.rank = unknown.state, unknown.rank
	}
	it.cost = max(it.cost, unknown.cost)
	return it
}

// clock gathers the instants at which a judgement may change.
type clock struct {
	at   time.Time // the judged instant
	next time.Time // although every check goes on reporting the same
	mute time.Time // if nothing more is heard
}

// due notes an instant at which something turns.
func (c *clock) due(t time.Time) {
	if t.After(c.at) && (c.next.IsZero() || t.Before(c.next)) {
		c.next = t
	}
}

// silent notes an instant at which something turns unless more is heard.
func (c *clock) silent(t time.Time) {
	if t.After(c.at) && (c.mute.IsZero() || t.Before(c.mute)) {
		c.mute = t
	}
}

// join adds the instants of another judgement.
func (c *clock) join(o clock) {
	c.due(o.next)
	c.silent(o.mute)
}
