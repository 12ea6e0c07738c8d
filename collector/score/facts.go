package score

import (
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// Facts is what was observed and recorded. The zero value is not usable; NewFacts
// makes one. It keeps everything, so that any instant can be judged, until
// Advance says which instants will be judged from now on; from then it keeps of
// each check only what can still matter, and a repeated observation costs nothing.
//
// Facts is not safe for use by several goroutines at once, judging apart: any
// number may judge while none writes.
type Facts struct {
	checks  map[string]*history
	records records
	terms   map[string][]holdfast.TermChange // by service, "" for policy and plans; oldest first
	agents  map[string]bool                  // enrolled; nil: every agent is
	floor   time.Time                        // no instant before it is judged any more
}

// history is what is known of one check, in the order that says what is latest.
type history struct {
	seen   []entry    // conclusive: ok, degraded, failed
	errors []entry    // could not tell
	past   pastPoints // what the entries that were looked at for pruning list
	pruned int        // how many were kept when they were last pruned
}

// entry is an observation, and the latest of those that said the same after it.
type entry struct {
	holdfast.Observation
	last stamp
}

// stamp is the when and who of an observation.
type stamp struct {
	at, received time.Time
	seq          uint64
}

// NewFacts returns facts that know nothing.
func NewFacts() *Facts {
	return &Facts{
		checks:  map[string]*history{},
		records: newRecords(),
		terms:   map[string][]holdfast.TermChange{},
	}
}

// Advance says that no instant before at will be judged any more. What was
// received before it and can no longer matter is forgotten as the checks report.
// After it only what is received later may be observed, duplicates apart.
func (f *Facts) Advance(at time.Time) {
	if at.After(f.floor) {
		f.floor = at
	}
}

// Enrolled says which agents exist. nil, as at first, means that all do.
func (f *Facts) Enrolled(agents map[string]bool) { f.agents = agents }

// Observe takes an observation in. It answers whether anything but its time is
// new: if not, no posture changes unless the check had run out (Model.Observe
// knows that). Texts and measures for display are not kept.
func (f *Facts) Observe(o holdfast.Observation) (changed bool) {
	o = clip(o)
	h := f.checks[o.Check]
	if h == nil {
		h = &history{}
		f.checks[o.Check] = h
	}
	list := &h.seen
	if o.Outcome != holdfast.OK && o.Outcome != holdfast.OutcomeDegraded && o.Outcome != holdfast.Failed {
		list = &h.errors
	}
	if n := len(*list); n > 0 && !o.Received.After(f.floor) {
		if e := &(*list)[n-1]; e.repeats(&o) {
			e.last = stamp{o.At, o.Received, o.Seq}
			return false
		}
	}
	o.Raw, o.Measures, o.Facts = "", nil, nil
	if !insert(list, entry{o, stamp{o.At, o.Received, o.Seq}}) {
		return false
	}
	if len(h.seen)+len(h.errors) > h.pruned+unpruned {
		h.prune(f.floor)
	}
	return true
}

// unpruned is how many entries of a check wait until it is looked for those that
// can matter no more: looking at each costs more than taking it in.
const unpruned = 4

// Repeat says that the check's latest facts were seen again, unchanged, without
// the observation itself: the hot path of a collector. It allocates nothing. It
// answers false where that cannot be said (nothing known, another agent, an older
// report, facts that carry their own time); then Observe must be called.
func (f *Facts) Repeat(check, agent string, seq uint64, at, received time.Time) bool {
	return f.checks[check].repeat(f.floor, agent, seq, at, received)
}

// repeat is Facts.Repeat for one check; h may be nil.
func (h *history) repeat(floor time.Time, agent string, seq uint64, at, received time.Time) bool {
	if h == nil || len(h.seen) == 0 || received.After(floor) {
		return false
	}
	e := &h.seen[len(h.seen)-1]
	if e.Agent != agent || !e.timeless() || !e.before(agent, seq, received) {
		return false
	}
	e.last = stamp{earlier(at, received), received, seq}
	return true
}

// Heard returns when the check was last seen by its latest conclusive
// observation; zero: never.
func (f *Facts) Heard(check string) time.Time {
	return f.checks[check].heard()
}

// heard is Facts.Heard for one check; h may be nil.
func (h *history) heard() time.Time {
	if h == nil || len(h.seen) == 0 {
		return time.Time{}
	}
	return h.seen[len(h.seen)-1].last.at
}

// Latest returns the check's latest conclusive observation as it was last seen,
// without texts and measures for display. Its replication and capacity are the
// caller's to change.
func (f *Facts) Latest(check string) (o holdfast.Observation, ok bool) {
	h := f.checks[check]
	if h == nil || len(h.seen) == 0 {
		return o, false
	}
	e := &h.seen[len(h.seen)-1]
	o = e.Observation
	o.At, o.Received, o.Seq = e.last.at, e.last.received, e.last.seq
	if o.Replication != nil {
		r := *o.Replication
		o.Replication = &r
	}
	if o.Capacity != nil {
		c := *o.Capacity
		o.Capacity = &c
	}
	return o, true
}

// History forgets what can matter no more and returns what is kept of a check,
// oldest first: what to store so that observing it again gives the same facts. Of
// a run that said the same it holds the first and the last.
func (f *Facts) History(check string) []holdfast.Observation {
	h := f.checks[check]
	if h == nil {
		return nil
	}
	h.prune(f.floor)
	var out []holdfast.Observation
	for _, list := range [][]entry{h.seen, h.errors} {
		for i := range list {
			e := &list[i]
			out = append(out, e.Observation)
			if e.last != (stamp{e.At, e.Received, e.Seq}) {
				o := e.Observation
				o.At, o.Received, o.Seq = e.last.at, e.last.received, e.last.seq
				out = append(out, o)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b holdfast.Observation) int { return a.Received.Compare(b.Received) })
	return out
}

// Forget drops a check that is no longer in the catalogue.
func (f *Facts) Forget(check string) { delete(f.checks, check) }

// Change takes in what changed in the catalogue. Duplicates do not matter.
func (f *Facts) Change(c holdfast.TermChange) {
	c.At = c.At.UTC()
	list := f.terms[c.Service]
	i, found := slices.BinarySearchFunc(list, c, compareChanges)
	if !found {
		f.terms[c.Service] = slices.Insert(list, i, c)
	}
}

// clip makes no time later than its receipt: a clock that runs ahead, the agent's
// or a tool's, proves nothing early.
func clip(o holdfast.Observation) holdfast.Observation {
	o.At, o.Received = o.At.UTC(), o.Received.UTC()
	if o.Received.IsZero() {
		o.Received = o.At
	}
	o.At = earlier(o.At, o.Received)
	return o
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
