package score

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// event is a test as one observation tells it: a verification, a restore, or a
// failure. The same verification told again is no new event.
type event struct {
	*holdfast.Observation
	index int
	at    time.Time // of the evidence: when the tool says it was done, else when the probe looked
}

// events lists the tests among the first n entries, in order.
func (h *history) events(n int) []event { return eventsOf(h.seen[:n]) }

func eventsOf(seen []entry) []event {
	var list []event
	for i := range seen {
		e := &seen[i]
		if e.Verification == nil && e.Restoration == nil && e.Outcome != holdfast.Failed {
			continue
		}
		if toldBefore(seen[:i], &e.Observation) {
			continue
		}
		list = append(list, event{&e.Observation, i, e.evidenceTime()})
	}
	return list
}

// toldBefore reports whether earlier entries told of the same verification and
// restore, by the tool's own times, to the same end.
func toldBefore(seen []entry, o *holdfast.Observation) bool {
	if o.Verification == nil && o.Restoration == nil {
		return false
	}
	if o.Verification != nil && o.Verification.Time.IsZero() || o.Restoration != nil && o.Restoration.Started.IsZero() {
		return false
	}
	return slices.ContainsFunc(seen, func(e entry) bool {
		return failing(&e.Observation) == failing(o) && sameVerification(e.Verification, o.Verification) && sameRestoration(e.Restoration, o.Restoration)
	})
}

// evidenceTime dates a test by what was done, not by when it was told; never
// later than its receipt.
func (e *entry) evidenceTime() time.Time {
	at := e.At
	switch {
	case e.Restoration != nil && !e.Restoration.Started.IsZero():
		at = earlier(at, e.Restoration.Started.UTC())
	case e.Verification != nil && !e.Verification.Time.IsZero():
		at = earlier(at, e.Verification.Time.UTC())
	}
	return at
}

// fails reports whether an observation, were it a test, failed: by its outcome or
// by errors its verification found.
func (e *entry) fails() bool { return failing(&e.Observation) }

func (e *event) fails() bool { return failing(e.Observation) }

func failing(o *holdfast.Observation) bool {
	return o.Outcome == holdfast.Failed || verificationErrors(o) > 0
}

// proof is a passing test or exercise that holds a rung, or a failed one.
type proof struct {
	at, received time.Time
	agent        string
	seq          uint64
	source       string            // check ID, or "exercise"
	check        *check            // nil: an exercise
	fingerprint  map[string]string // as the test itself named it
	exercise     *holdfast.Record
	duration     holdfast.Duration
	bytes        holdfast.Bytes
	coverage     float64
	reason       string // of a failure
	complete     bool   // holds restored
}

// after reports whether a pass came after a failure: by sequence within one agent,
// else by receipt; at the same instant the failure counts.
func (p *proof) after(failure *proof) bool {
	if p.agent == failure.agent && p.seq != 0 && failure.seq != 0 && p.check == failure.check {
		return p.seq > failure.seq
	}
	return p.received.After(failure.received)
}

// proofKey tells one test from another: a test of several datasets is one.
type proofKey struct {
	source string
	at     time.Time
	seq    uint64
}

func (p *proof) key() proofKey { return proofKey{p.source, p.at, p.seq} }

// trial is all that was proven or refuted of one copy through one path: passes and
// failures by rung, and later partial restores.
type trial struct {
	passes   [3][]proof // by stepOfRung
	failures [3][]proof
	partial  []proof // clean, but not complete
}

// try gathers the tests of a copy as one path sees them.
func (j *judge) try(s *service, p *path, c *copyOf, tier int) *trial {
	t := &trial{}
	for i := range c.feeds {
		f := &c.feeds[i]
		seen := j.sight(f.check).seen
		for _, e := range eventsOf(seen) {
			j.sort(t, p, c, f, &e, tier)
		}
	}
	cadence := j.m.policy.Tier(tier).Restored
	for _, r := range j.exercises(s, p) {
		pr := exerciseProof(&r)
		switch {
		case r.Outcome == holdfast.Failed:
		case j.counts(s, p, &r) != "":
		case r.Point.IsZero() || cadence > 0 && r.Started.Sub(r.Point) > cadence.Std():
		default:
			pr.complete = true
			t.pass(holdfast.Restored, pr)
			t.pass(holdfast.Intact, pr)
		}
	}
	return t
}

func (t *trial) pass(r holdfast.Rung, p proof) {
	t.passes[stepOfRung(r)] = append(t.passes[stepOfRung(r)], p)
}

func (t *trial) fail(r holdfast.Rung, p proof) {
	t.failures[stepOfRung(r)] = append(t.failures[stepOfRung(r)], p)
}

// restored returns the latest complete restore; nil: none.
func (t *trial) restored() *proof { return newest(t.passes[stepOfRung(holdfast.Restored)]) }

// sort says what one test means for a copy of a path.
func (j *judge) sort(t *trial, p *path, c *copyOf, f *feed, e *event, tier int) {
	own := f.path == p.index
	named := e.Restoration != nil && e.Restoration.Copy != ""
	here := !named || e.Restoration.Copy == c.ref.String()
	if f.only && !(named && here) {
		return
	}
	pr := proof{at: e.at, received: e.Received, agent: e.Agent, seq: e.Seq, source: f.check.ID, check: f.check, fingerprint: e.Fingerprint}
	if e.fails() {
		pr.reason = failureReason(f.check.ID, e)
		switch {
		case own && f.rung != "":
			t.fail(f.rung, pr)
		case verificationErrors(e.Observation) > 0 && here, f.rung == holdfast.Intact && here:
			t.fail(holdfast.Intact, pr)
		}
		return
	}
	if !here {
		return
	}
	restored := j.restores(p, f, e, tier)
	if e.Restoration != nil {
		pr.duration, pr.bytes, pr.coverage = e.Restoration.Duration, e.Restoration.Bytes, e.Restoration.Coverage
	}
	switch {
	case own && f.rung != "" && restored:
		pr.complete = true
		t.pass(holdfast.Restored, pr)
		t.pass(holdfast.Intact, pr)
	case e.Verification != nil && e.Verification.Scope >= 1:
		t.pass(holdfast.Intact, pr)
	case e.Restoration != nil && (e.Restoration.Coverage > 0 || e.Restoration.Bytes > 0):
		t.pass(holdfast.Intact, pr)
	}
	if own && e.Restoration != nil && !pr.complete {
		t.partial = append(t.partial, pr)
	}
}

// restores reports whether a test counts as restored: complete, its content
// checked, at the recovery site, from a point no older than the rung's cadence.
func (j *judge) restores(p *path, f *feed, e *event, tier int) bool {
	r := e.Restoration
	cadence := j.m.policy.Tier(tier).Restored
	switch {
	case r == nil, r.Coverage < j.m.restoredShare(), r.Checks <= 0, r.Point.IsZero():
		return false
	case r.Site != "" && r.Site != p.At:
		return false
	}
	return cadence <= 0 || e.at.Sub(r.Point) <= cadence.Std()
}

// restoredShare is the coverage at which a restore counts as complete.
func (m *Model) restoredShare() float64 {
	if s := m.policy.RestoredShare; s > 0 && s <= 1 {
		return s
	}
	return 1
}

func failureReason(id string, e *event) string {
	if e.Outcome == holdfast.Failed {
		return fmt.Sprintf("%s failed %s%s", id, moment(e.at), because(e.Observation))
	}
	return fmt.Sprintf("%s found %d errors %s", id, e.Verification.Errors, moment(e.at))
}

// exercises returns the known exercises of a path, and the failed ones that name
// no path: a failure counts whatever it fails to name.
func (j *judge) exercises(s *service, p *path) []holdfast.Record {
	var list []holdfast.Record
	for _, name := range names(s.Name, s.Was) {
		for _, r := range known(j.f.records.exercises[name], j.at) {
			if r.Outcome == holdfast.OutcomeUnknown { // a drill that could not be walked to its end: no test
				continue
			}
			if r.Path == p.Name || p.Was != "" && r.Path == p.Was || r.Path == "" && r.Outcome == holdfast.Failed {
				list = append(list, r)
			}
		}
	}
	return list
}

// exerciseTime dates an exercise by its end, where that is earlier than its date.
func exerciseTime(r *holdfast.Record) time.Time {
	if r.Started.IsZero() {
		return r.At
	}
	return earlier(r.At, r.Started.UTC().Add(r.Duration.Std()))
}

func exerciseProof(r *holdfast.Record) proof {
	return proof{at: exerciseTime(r), received: r.Received, source: "exercise", exercise: r, duration: r.Duration, bytes: r.Bytes, coverage: 1}
}

// counts says why a passed exercise does not count; empty: it does (JUDGEMENT.md
// 2: site, plan version, start, end, restored point and people named).
func (j *judge) counts(s *service, p *path, r *holdfast.Record) string {
	switch {
	case r.Outcome != holdfast.OK && r.Outcome != holdfast.OutcomeDegraded:
		return "names no outcome"
	case r.Site == "":
		return "names no site"
	case r.Site != p.At && !j.formerSite(s, p, r):
		return "was held at " + r.Site + ", not at " + p.At
	case r.Version == "":
		return "names no plan version"
	case r.Plan != "" && len(p.plans) > 0 && planOf(p, r) == nil:
		return "was held with plan " + r.Plan + ", which is not the path's"
	case r.Started.IsZero():
		return "names no start"
	case r.Duration <= 0:
		return "names no end"
	case r.Point.IsZero() && restoresData(p):
		return "names no restored point"
	case len(r.People) == 0:
		return "names no people"
	}
	return ""
}

// restoresData reports whether walking a path restores a copy, not the primary.
func restoresData(p *path) bool {
	return slices.ContainsFunc(p.copies, func(c copyOf) bool { return c.Kind != holdfast.Primary })
}

// planOf returns the plan of the path that an exercise was held with.
func planOf(p *path, r *holdfast.Record) *holdfast.Plan {
	for _, plan := range p.plans {
		if r.Plan == plan.Name || r.Plan == plan.Was && plan.Was != "" {
			return plan
		}
	}
	if r.Plan == "" && len(p.plans) == 1 {
		return p.plans[0]
	}
	return nil
}

// formerSite reports whether the path's recovery site was the exercise's when it
// was held.
func (j *judge) formerSite(s *service, p *path, r *holdfast.Record) bool {
	for _, t := range j.pathChanges(s, p, "site of ") {
		if t.At.After(r.At) && t.Was == r.Site {
			return true
		}
	}
	return false
}
