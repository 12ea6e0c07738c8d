package score

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// standing is how a rung of a path stands.
type standing struct {
	rung     holdfast.Rung
	required bool
	state    holdfast.State
	at       time.Time // of the proof that holds it; of several datasets the oldest
	since    time.Time
	until    time.Time
	reason   string
	changed  bool    // the reason is a change since the proof
	proofs   []proof // that hold it, one per dataset; empty where any is missing
}

// step is the rung's place among those proven by tests.
func (st *standing) step() int { return stepOfRung(st.rung) }

func stepOfRung(r holdfast.Rung) int {
	switch r {
	case holdfast.Intact:
		return 0
	case holdfast.Restored:
		return 1
	}
	return 2
}

// cadences returns how often each rung of a path must be proven, 0 where it is
// not required: by tier, where the rung can exist; a path left with none needs
// exercised at twice the plan-review cadence.
func (j *judge) cadences(p *path, tier int) map[holdfast.Rung]holdfast.Duration {
	terms := j.m.policy.Tier(tier)
	need := map[holdfast.Rung]holdfast.Duration{}
	for _, rung := range holdfast.Rungs {
		if c := terms.Cadence(rung); c > 0 && canHave(p, rung) {
			need[rung] = c
		}
	}
	if len(need) == 0 {
		need[holdfast.Exercised] = 2 * terms.Plan
	}
	return need
}

// canHave reports whether a rung can exist for a path.
func canHave(p *path, rung holdfast.Rung) bool {
	if rung == holdfast.Exercised {
		return true
	}
	return slices.ContainsFunc(p.copies, func(c copyOf) bool { return copyCanHave(p, &c, rung) })
}

// copyCanHave reports whether a rung can exist for a copy: the primary is restored
// from nothing, and a replica has no intact rung unless the path tests one.
func copyCanHave(p *path, c *copyOf, rung holdfast.Rung) bool {
	switch {
	case c.Kind == holdfast.Primary:
		return false
	case c.Kind == holdfast.Replica && rung == holdfast.Intact:
		return slices.ContainsFunc(p.tests, func(t test) bool {
			return t.Rung == holdfast.Intact && (t.Dataset == "" || t.Dataset == c.ref.Dataset)
		})
	}
	return true
}

// climb judges the rungs of a path by a tier's ladder.
func (j *judge) climb(b *base, s *service, p *path) {
	need := j.cadences(p, b.tier)
	b.trials = make([]*trial, len(p.copies))
	for i := range p.copies {
		b.trials[i] = j.try(s, p, &p.copies[i], b.tier)
	}
	for _, rung := range holdfast.Rungs {
		st := standing{rung: rung, required: need[rung] > 0}
		if rung == holdfast.Exercised {
			j.climbExercised(b, s, p, &st, need[rung])
		} else {
			j.climbCopies(b, s, p, &st, need[rung])
		}
		b.rungs = append(b.rungs, st)
		j.rungItem(b, s, p, &st)
	}
	j.degradedTests(b, s, p)
}

// climbCopies judges intact or restored: each dataset must have it.
func (j *judge) climbCopies(b *base, s *service, p *path, st *standing, cadence holdfast.Duration) {
	st.state = holdfast.Proven
	complete := true
	for i := range p.copies {
		c := &p.copies[i]
		if f := uncleared(b.trials[i].passes[st.step()], b.trials[i].failures[st.step()]); f != nil {
			st.fail(f)
		}
		if !copyCanHave(p, c, st.rung) {
			continue
		}
		if pr := newest(b.trials[i].passes[st.step()]); pr != nil {
			st.hold(j, b, s, p, c, pr, cadence)
		} else {
			complete = false
			st.worsen(holdfast.Untested, time.Time{}, time.Time{}, never(st.rung, c))
		}
	}
	if !complete {
		st.at, st.proofs = time.Time{}, nil
	}
}

func never(rung holdfast.Rung, c *copyOf) string {
	if rung == holdfast.Intact {
		return c.id + " was never verified"
	}
	return c.id + " was never restored completely, with its content checked, at the recovery site"
}

// climbExercised judges the exercises of a path.
func (j *judge) climbExercised(b *base, s *service, p *path, st *standing, cadence holdfast.Duration) {
	st.state = holdfast.Proven
	var passes, failures []proof
	refused := ""
	for _, r := range j.exercises(s, p) {
		switch why := j.counts(s, p, &r); {
		case r.Outcome == holdfast.Failed:
			pr := exerciseProof(&r)
			pr.reason = fmt.Sprintf("the exercise of %s failed%s", moment(pr.at), noted(&r))
			failures = append(failures, pr)
		case why != "":
			refused = fmt.Sprintf("; the exercise of %s does not count: it %s", moment(r.At), why)
		default:
			passes = append(passes, exerciseProof(&r))
		}
	}
	for _, c := range p.tests {
		if c.Rung == holdfast.Exercised {
			for _, e := range eventsOf(j.sight(c.check).seen) {
				if e.fails() {
					failures = append(failures, proof{at: e.at, received: e.Received, agent: e.Agent, seq: e.Seq,
						source: c.check.ID, check: c.check, reason: failureReason(c.check.ID, &e)})
				}
			}
		}
	}
	if f := uncleared(passes, failures); f != nil {
		st.fail(f)
	}
	if pr := newest(passes); pr != nil {
		st.hold(j, b, s, p, nil, pr, cadence)
	} else {
		st.worsen(holdfast.Untested, time.Time{}, time.Time{}, p.Name+" was never exercised"+refused)
	}
}

func noted(r *holdfast.Record) string {
	switch {
	case r.Reason != "":
		return ": " + r.Reason
	case r.Note != "":
		return ": " + r.Note
	}
	return ""
}

// newest returns the pass done last.
func newest(passes []proof) *proof {
	var best *proof
	for i := range passes {
		p := &passes[i]
		if best == nil || p.at.After(best.at) || p.at.Equal(best.at) && p.tie(best) {
			best = p
		}
	}
	return best
}

// tie orders passes of one instant: the later received, then the worse (longer).
func (p *proof) tie(q *proof) bool {
	if !p.received.Equal(q.received) {
		return p.received.After(q.received)
	}
	if p.duration != q.duration {
		return p.duration > q.duration
	}
	return p.source < q.source
}

// uncleared returns the first failure that no later pass clears: a pass clears only
// the rungs it holds.
func uncleared(passes, failures []proof) *proof {
	var first *proof
	for i := range failures {
		f := &failures[i]
		if slices.ContainsFunc(passes, func(p proof) bool { return p.after(f) }) {
			continue
		}
		if first == nil || f.at.Before(first.at) || f.at.Equal(first.at) && f.source < first.source {
			first = f
		}
	}
	return first
}

// fail takes a standing failure in.
func (st *standing) fail(f *proof) {
	st.worsen(holdfast.Broken, f.at, time.Time{}, f.reason)
}

// hold takes a pass in: how old it is, and what changed since.
func (st *standing) hold(j *judge, b *base, s *service, p *path, c *copyOf, pr *proof, cadence holdfast.Duration) {
	st.proofs = append(st.proofs, *pr)
	if st.at.IsZero() || pr.at.Before(st.at) {
		st.at = pr.at
	}
	if cadence <= 0 {
		return
	}
	l := j.lapsed(&b.clock, pr.at, cadence)
	if l.state != holdfast.Untested {
		if v := j.voided(s, p, c, st.rung, pr); v != nil {
			reason := st.last(c, pr) + "; since then " + v.reason
			st.worsen(holdfast.Stale, v.at, pr.at.Add(2*cadence.Std()), reason)
			st.changed = st.reason == reason
			return
		}
	}
	reason := ""
	if l.state != holdfast.Proven {
		reason = st.last(c, pr) + ", due every " + cadence.String()
	}
	st.worsen(l.state, l.since, l.until, reason)
}

// last says what a proof proved, and when.
func (st *standing) last(c *copyOf, pr *proof) string {
	switch st.rung {
	case holdfast.Intact:
		return c.id + " last verified " + moment(pr.at)
	case holdfast.Restored:
		return c.id + " last restored " + moment(pr.at)
	}
	return "last exercised " + moment(pr.at)
}

// worsen takes in how one dataset stands: the worst counts, of equals the one that
// turns first.
func (st *standing) worsen(state holdfast.State, since, until time.Time, reason string) {
	better := state.Rank() < st.state.Rank()
	sooner := state == st.state && st.reason == "" && (st.until.IsZero() || !until.IsZero() && until.Before(st.until))
	if better || state == st.state && !sooner {
		return
	}
	st.state, st.since, st.until, st.reason, st.changed = state, since, until, reason, false
}

// rungItem makes the finding of a rung: of a required one how it stands, of any a
// failure.
func (j *judge) rungItem(b *base, s *service, p *path, st *standing) {
	id := s.Name + "/" + p.Name + "/" + string(st.rung)
	if st.state == holdfast.Proven || st.state != holdfast.Broken && !st.required {
		return
	}
	var it *item
	switch st.state {
	case holdfast.Stale:
		it = j.finding(string(st.rung)+"-stale", id, st.reason)
	case holdfast.Untested:
		it = j.finding(string(st.rung)+"-untested", id, st.reason)
	default:
		it = j.finding(codeTestFailed, id, st.reason)
	}
	it.step = stepIntact + st.step()
	it.at, it.since, it.until = st.at, st.since, st.until
	b.add(it)
}

// degradedTests finds tests whose latest run passed with a reservation: an unmet
// objective until the next.
func (j *judge) degradedTests(b *base, s *service, p *path) {
	for i := range p.tests {
		sight := j.sight(p.tests[i].check)
		if n := len(sight.seen); n > 0 && sight.seen[n-1].Outcome == holdfast.OutcomeDegraded {
			h := history{seen: sight.seen}
			e := &sight.seen[h.sameStart(n-1)]
			it := j.finding(codeTestDegraded, p.tests[i].check.ID, fmt.Sprintf("%s passed with a reservation %s%s", p.tests[i].check.ID, moment(e.At), because(&e.Observation)))
			it.at, it.since, it.check = e.At, e.At, p.tests[i].check.ID
			b.add(it)
		}
	}
	list := j.exercises(s, p)
	if n := len(list); n > 0 && list[n-1].Outcome == holdfast.OutcomeDegraded {
		r := &list[n-1]
		it := j.finding(codeTestDegraded, s.Name+"/"+p.Name+"/exercised", fmt.Sprintf("the exercise of %s passed with a reservation%s", moment(r.At), noted(r)))
		it.at, it.since = r.At, r.At
		b.add(it)
	}
}
