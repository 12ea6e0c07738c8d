package score

import (
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// mostChanges bounds how many values of one part of a fingerprint are remembered
// per check, newest first: an agent that makes them up must not fill memory.
const mostChanges = 64

// prune forgets what can matter for no instant from floor on. What was received
// after floor is kept whole.
func (h *history) prune(floor time.Time) {
	if floor.IsZero() {
		return
	}
	settled := 0
	for settled < len(h.seen) && !h.seen[settled].last.received.After(floor) {
		settled++
	}
	h.merge(&settled)
	for i := range settled {
		h.past = h.past.note(&h.seen[i])
	}
	keep := make([]bool, settled)
	h.keepLatest(keep)
	h.keepNamed(keep)
	h.keepTests(keep)
	n := 0
	for i := range h.seen {
		if i >= settled || keep[i] {
			h.seen[n] = h.seen[i]
			n++
		}
	}
	clear(h.seen[n:])
	h.seen = h.seen[:n]
	h.pruneErrors(floor)
	h.pruned = len(h.seen) + len(h.errors)
}

// merge folds neighbours that say the same into one.
func (h *history) merge(settled *int) {
	n := 0
	for i := range h.seen {
		if i > 0 && i < *settled && h.seen[n-1].repeats(&h.seen[i].Observation) {
			h.seen[n-1].last = h.seen[i].last
			continue
		}
		h.seen[n] = h.seen[i]
		n++
	}
	*settled -= len(h.seen) - n
	clear(h.seen[n:])
	h.seen = h.seen[:n]
}

// keepLatest keeps the last word, of each agent and of each typed part, and the
// start of the outcome that lasts.
func (h *history) keepLatest(keep []bool) {
	newest := func(has func(*holdfast.Observation) bool) {
		for i := len(keep) - 1; i >= 0; i-- {
			if has(&h.seen[i].Observation) {
				keep[i] = true
				return
			}
		}
	}
	newest(func(*holdfast.Observation) bool { return true })
	newest(func(o *holdfast.Observation) bool { return o.Outcome != holdfast.Failed })
	newest(func(o *holdfast.Observation) bool { return len(o.RecoveryPoints) > 0 })
	newest(func(o *holdfast.Observation) bool { return o.Replication != nil && o.Replication.PrimarySeen })
	newest(func(o *holdfast.Observation) bool { return o.Replication != nil && o.Replication.Bytes > 0 })
	newest(func(o *holdfast.Observation) bool { return o.Capacity != nil })
	newest(func(o *holdfast.Observation) bool { return o.Immutable != nil })
	newest(func(o *holdfast.Observation) bool { return o.Offline != nil })
	newest(func(o *holdfast.Observation) bool { return o.Encrypted != nil })
	agents := map[string]bool{}
	for i := len(keep) - 1; i >= 0; i-- {
		if a := h.seen[i].Agent; !agents[a] {
			agents[a] = true
			keep[i] = true
			keepFrom(keep, h.runStart(i))
			keepFrom(keep, h.sameStart(i))
			keepFrom(keep, h.credentialStart(i))
		}
	}
	h.keepFuture(keep)
}

// keepFrom keeps the start of a run, and what went before it: so that the run is
// never joined to one before.
func keepFrom(keep []bool, start int) {
	keep[start] = true
	if start > 0 {
		keep[start-1] = true
	}
}

// runStart returns the first of the entries up to i that had i's outcome without
// a break.
func (h *history) runStart(i int) int {
	for i > 0 && h.seen[i-1].Outcome == h.seen[i].Outcome {
		i--
	}
	return i
}

// sameStart returns the first of the entries up to i that say what i says without a
// break.
func (h *history) sameStart(i int) int {
	for i > 0 && sameFacts(&h.seen[i-1].Observation, &h.seen[i].Observation) {
		i--
	}
	return i
}

// credentialStart returns the first of the entries up to i that were opened with i's
// secret without a break.
func (h *history) credentialStart(i int) int {
	for i > 0 && h.seen[i-1].Credential == h.seen[i].Credential {
		i--
	}
	return i
}

// keepFuture keeps, for each point of the newest observation that lists any, the
// first one in a row that named it, and what broke the row: its first receipt
// dates a point that claims to lie after it.
func (h *history) keepFuture(keep []bool) {
	for i := len(keep) - 1; i >= 0; i-- {
		if len(h.seen[i].RecoveryPoints) == 0 {
			continue
		}
		for _, p := range h.seen[i].RecoveryPoints {
			first, broke := firstNaming(h.seen, i, p)
			if p.Time.After(h.seen[first].Received) {
				keep[first] = true
				if broke >= 0 {
					keep[broke] = true
				}
			}
		}
		return
	}
}

// firstNaming returns the first of the observations listing points that, up to i,
// named a point without a break, and the one that broke the row (-1: none).
func firstNaming(seen []entry, i int, p holdfast.RecoveryPoint) (first, broke int) {
	first = i
	for k := i - 1; k >= 0; k-- {
		switch {
		case len(seen[k].RecoveryPoints) == 0:
		case namesPoint(&seen[k].Observation, p):
			first = k
		default:
			return first, k
		}
	}
	return first, -1
}

func namesPoint(o *holdfast.Observation, p holdfast.RecoveryPoint) bool {
	return slices.ContainsFunc(o.RecoveryPoints, func(q holdfast.RecoveryPoint) bool { return q.Time.Equal(p.Time) && q.ID == p.ID })
}

// keepNamed keeps, of each part of the fingerprint, the entries at which its value
// changed, came or went. Failed observations name nothing.
func (h *history) keepNamed(keep []bool) {
	var parts []string
	for i := range keep {
		for part := range h.seen[i].Fingerprint {
			if !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
	}
	for _, part := range parts {
		changes, after := 0, -1 // after: the next later entry that did not fail
		for i := len(keep) - 1; i >= 0 && changes < mostChanges; i-- {
			if h.seen[i].Outcome == holdfast.Failed {
				continue
			}
			if after >= 0 && !h.samePart(i, after, part) {
				keep[after] = true
				changes++
			}
			after = i
		}
		if after >= 0 && changes < mostChanges {
			keep[after] = true
		}
	}
}

func (h *history) samePart(i, k int, part string) bool {
	a, named := h.seen[i].Fingerprint[part]
	b, namedToo := h.seen[k].Fingerprint[part]
	return named == namedToo && reduced(part, a) == reduced(part, b)
}

// keepTests keeps the newest failure, with its start, and every passing test that
// no later one outdoes in all that a rung may ask.
func (h *history) keepTests(keep []bool) {
	for i := len(keep) - 1; i >= 0; i-- {
		if h.seen[i].fails() {
			keep[i] = true
			keepFrom(keep, h.runStart(i))
			break
		}
	}
	events := h.events(len(keep))
	var told *event // the last that was heard of integrity, good or bad
	for n, e := range events {
		if e.Verification != nil && (told == nil || e.at.After(told.at) || e.at.Equal(told.at) && e.Verification.Errors > told.Verification.Errors) {
			told = &events[n]
		}
		outdone := slices.ContainsFunc(events[n+1:], func(later event) bool { return later.outdoes(&e) })
		if !outdone {
			keep[e.index] = true
		}
	}
	if told != nil {
		keep[told.index] = true
	}
}

// outdoes reports whether a later test makes an earlier one irrelevant, whatever
// the policy asks.
func (e *event) outdoes(old *event) bool {
	if e.fails() || e.at.Before(old.at) || old.fails() {
		return false
	}
	if badness(e.Outcome) > badness(old.Outcome) {
		return false
	}
	if old.Verification != nil && (e.Verification == nil || e.Verification.Scope < old.Verification.Scope) {
		return false
	}
	if old.Restoration == nil {
		return true
	}
	r, o := e.Restoration, old.Restoration
	return r != nil && r.Coverage >= o.Coverage && (r.Checks > 0 || o.Checks == 0) && r.Copy == o.Copy && r.Site == o.Site &&
		(r.Duration > 0 || o.Duration == 0) && (r.Bytes > 0 || o.Bytes == 0) &&
		(o.Point.IsZero() || !r.Point.IsZero() && e.at.Sub(r.Point) <= old.at.Sub(o.Point))
}

func (h *history) pruneErrors(floor time.Time) {
	settled := 0
	for settled < len(h.errors) && !h.errors[settled].last.received.After(floor) {
		settled++
	}
	if settled > 1 {
		h.errors = append(h.errors[:0:0], h.errors[settled-1:]...)
	}
}

// joinHistories joins what is known under a check's present and former names.
func joinHistories(list ...*history) *history {
	var all history
	for _, h := range list {
		if h == nil {
			continue
		}
		for i := range h.seen {
			insert(&all.seen, h.seen[i])
		}
		all.past = joinPast(all.past, h.past)
		for i := range h.errors {
			insert(&all.errors, h.errors[i])
		}
	}
	return &all
}
