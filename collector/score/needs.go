package score

import (
	"fmt"

	"github.com/holdfast-monitor/holdfast"
)

// codes of a thing that a check looks at: a copy or another need.
type checkCodes struct{ failed, degraded, unknown string }

var (
	copyCodes = checkCodes{codeCopyFailed, codeCopyDegraded, codeCopyUnknown}
	needCodes = checkCodes{codeNeedFailed, codeNeedDegraded, codeNeedUnknown}
	planCodes = checkCodes{codePlanUnreadable, codeNeedDegraded, codePlanUnknown}
)

// checked judges what a check says of a need: one item for its verdict, and one
// more where an expiry draws near.
func (j *judge) checked(c *clock, id string, k *check, codes checkCodes) (main, more *item) {
	s := j.sight(k)
	if s.live {
		c.silent(s.until)
	}
	unknown := func() *item {
		it := j.finding(codes.unknown, id, id+": "+s.why)
		it.since, it.check = s.since, k.ID
		return it
	}
	if s.obs == nil {
		return unknown(), nil
	}
	bad, more := j.badObservation(c, s, id, codes)
	switch {
	case bad != nil && !s.live:
		main = bad.outdated(j, unknown())
	case bad != nil:
		main = bad
	case !s.live:
		main = unknown()
	default:
		main = j.met(id, holdfast.Feasibility, s.began())
		main.live, main.until = true, s.obs.Expiry.UTC()
	}
	main.at, main.check = s.began(), k.ID
	return main, more
}

// badObservation returns what is bad about the observation that counts, nil if
// nothing is: the outcome, and the typed facts beside it, the worst counting.
func (j *judge) badObservation(c *clock, s *sight, id string, codes checkCodes) (bad, more *item) {
	o := &s.obs.Observation
	worse := func(it *item) {
		if bad == nil || it.rank > bad.rank || it.rank == bad.rank && it.cost > bad.cost {
			bad = it
		}
	}
	switch o.Outcome {
	case holdfast.Failed:
		it := j.finding(codes.failed, id, id+" failed"+because(o)+asOf(s))
		it.since = s.badSince()
		worse(it)
	case holdfast.OutcomeDegraded:
		it := j.finding(codes.degraded, id, id+" is degraded"+because(o)+asOf(s))
		it.since = s.badSince()
		worse(it)
	}
	if r := o.Capacity; r != nil && r.Free < r.Needed {
		it := j.finding(codes.failed, id, fmt.Sprintf("%s: %s free, %s needed%s", id, r.Free, r.Needed, asOf(s)))
		it.since = s.began()
		worse(it)
	}
	if expired, soon := j.expiry(c, s, id); expired != nil {
		worse(expired)
	} else {
		more = soon
	}
	return bad, more
}

// expiry judges a stated end: past, it is unmet; near, it costs points.
func (j *judge) expiry(c *clock, s *sight, id string) (expired, soon *item) {
	end := s.obs.Expiry.UTC()
	if end.IsZero() {
		return nil, nil
	}
	warning := end.Add(-j.m.policy.ExpiryWarning.Std())
	c.due(end)
	c.due(warning)
	if !j.at.Before(end) {
		it := j.finding(codeExpired, id, fmt.Sprintf("%s expired %s", id, moment(end)))
		it.since = end
		return it, nil
	}
	if j.at.Before(warning) {
		return nil, nil
	}
	it := j.finding(codeExpiring, id, fmt.Sprintf("%s expires %s", id, moment(end)))
	it.verdict, it.since, it.until, it.at, it.check = holdfast.Met, warning, end, s.began(), s.check.ID
	return nil, it
}

// because says why an observation is not good: the tool's words, else the reason.
func because(o *holdfast.Observation) string {
	switch {
	case o.Summary != "" && o.Reason != "":
		return fmt.Sprintf(": %s (%s)", o.Summary, o.Reason)
	case o.Summary != "":
		return ": " + o.Summary
	case o.Reason != "":
		return ": " + string(o.Reason)
	}
	return ""
}

// asOf dates what is no longer seen.
func asOf(s *sight) string {
	if s.live {
		return ""
	}
	return " as of " + moment(s.obs.last.at)
}

// needItems judges the needs written into a path, plans and teams apart.
func (j *judge) needItems(b *base, s *service, p *path) {
	for i := range p.needs {
		n := &p.needs[i]
		switch {
		case n.check != nil:
			main, more := j.checked(&b.clock, n.ID, n.check, needCodes)
			b.add(main, more)
			b.chain = append(b.chain, main)
		case n.attest != nil:
			it := j.attestItem(&b.clock, n)
			b.add(it)
			b.chain = append(b.chain, it)
		case n.Plan != "":
			if plan := j.m.plans[n.Plan]; plan != nil {
				it := j.planReview(&b.clock, plan, b.tier)
				b.add(it)
				b.chain = append(b.chain, it)
			}
		case n.Team != "":
			it := j.training(&b.clock, s, p, n, b.tier)
			b.add(it)
			b.chain = append(b.chain, it)
		case n.Ref != "":
			it := j.finding(codeNeedUnknown, n.ID, n.ID+": no check "+n.Ref)
			b.add(it)
			b.chain = append(b.chain, it)
		}
	}
}

// copyItems judges the copies a path restores from, each as a need.
func (j *judge) copyItems(b *base, p *path) {
	for i := range p.copies {
		c := &p.copies[i]
		if c.check == nil {
			it := j.finding(codeCopyUnknown, c.id, c.id+": nobody looks at it")
			b.add(it)
			b.chain = append(b.chain, it)
			continue
		}
		main, more := j.checked(&b.clock, c.id, c.check, copyCodes)
		if s := j.sight(c.check); main.rank < holdfast.Broken.Rank() && empty(c, s) {
			it := j.finding(codeCopyEmpty, c.id, c.id+" holds no recovery point"+asOf(s))
			it.at, it.check, it.since = s.began(), c.check.ID, s.began()
			if !s.live {
				it.reason += "; " + s.why
			}
			main = it
		}
		b.add(main, more)
		b.chain = append(b.chain, main)
		j.declaredItems(b, c)
	}
}

// empty reports whether an observation that is not bad shows a copy without any
// point. A replica that cannot see its primary attests none, which is not the same.
func empty(c *copyOf, s *sight) bool {
	if c.Kind == holdfast.Primary || s.obs == nil || s.obs.Outcome == holdfast.Failed {
		return false
	}
	return len(s.obs.RecoveryPoints) == 0 && s.obs.Replication == nil
}

// observedAnything reports whether anything about a path was ever seen or
// attested.
func (j *judge) observedAnything(s *service, p *path) bool {
	for _, c := range p.evidence {
		if len(j.sight(c).seen) > 0 {
			return true
		}
	}
	for i := range p.needs {
		if a := p.needs[i].attest; a != nil && len(j.attestations(a.ID)) > 0 {
			return true
		}
	}
	return len(j.exercises(s, p)) > 0
}
