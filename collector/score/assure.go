package score

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// hardFacts are the facts of a copy that a probe observes or the catalogue
// declares.
var hardFacts = []string{"immutable", "offline", "encrypted"}

// lapse says how old evidence stands against a cadence: good, stale once its age
// reaches the cadence, untested once it reaches twice.
type lapse struct {
	state        holdfast.State
	since, until time.Time
}

// lapsed judges evidence of an instant; the zero time is none.
func (j *judge) lapsed(c *clock, at time.Time, cadence holdfast.Duration) lapse {
	if at.IsZero() {
		return lapse{state: holdfast.Untested}
	}
	if cadence <= 0 { // once is enough
		return lapse{state: holdfast.Proven}
	}
	stale := at.Add(cadence.Std())
	untested := stale.Add(cadence.Std())
	c.due(stale)
	c.due(untested)
	switch {
	case !j.at.Before(untested):
		return lapse{holdfast.Untested, untested, time.Time{}}
	case !j.at.Before(stale):
		return lapse{holdfast.Stale, stale, untested}
	}
	return lapse{holdfast.Proven, at, stale}
}

// paper makes the item of a paper, training or attestation from how it stands.
func (j *judge) paper(l lapse, need string, at time.Time, stale, untested string, reason func() string) *item {
	var it *item
	switch l.state {
	case holdfast.Proven:
		it = j.met(need, holdfast.Assurance, at)
		it.until = l.until
	case holdfast.Stale:
		it = j.finding(stale, need, reason())
		it.since, it.until = l.since, l.until
	default:
		it = j.finding(untested, need, reason())
		it.since = l.since
	}
	it.at = at
	return it
}

// dated returns a date of the catalogue as evidence: one in the future is not
// known yet.
func (j *judge) dated(d holdfast.Date) time.Time {
	if d.After(j.at) {
		return time.Time{}
	}
	return d.UTC()
}

// planReview judges the review of a plan: need plan/PLAN.
func (j *judge) planReview(c *clock, plan *holdfast.Plan, tier int) *item {
	at := j.dated(plan.Approved)
	for _, name := range names(plan.Name, plan.Was) {
		for _, r := range known(j.f.records.planReviews[name], j.at) {
			at = later(at, r.At)
		}
	}
	cadence := j.m.policy.Tier(tier).Plan
	if plan.Review > 0 {
		cadence = min(cadence, plan.Review)
	}
	reason := func() string {
		if at.IsZero() {
			return "plan " + plan.Name + " was never reviewed"
		}
		return fmt.Sprintf("plan %s was last reviewed %s, due every %s", plan.Name, moment(at), cadence)
	}
	return j.paper(j.lapsed(c, at, cadence), "plan/"+plan.Name, at, codePlanStale, codePlanUntested, reason)
}

// biaReview judges the review of the BIA, a need of every path: S/bia.
func (j *judge) biaReview(c *clock, s *service, tier int) *item {
	at := j.dated(s.BIA.Reviewed)
	for _, name := range names(s.Name, s.Was) {
		for _, r := range known(j.f.records.biaReviews[name], j.at) {
			at = later(at, r.At)
		}
	}
	cadence := s.BIA.Review
	if cadence <= 0 {
		cadence = j.m.policy.Tier(tier).Plan
	}
	reason := func() string {
		if at.IsZero() {
			return "the BIA of " + s.Name + " was never reviewed"
		}
		return fmt.Sprintf("the BIA of %s was last reviewed %s, due every %s", s.Name, moment(at), cadence)
	}
	return j.paper(j.lapsed(c, at, cadence), s.Name+"/bia", at, codeBIAStale, codeBIAUntested, reason)
}

// attestations returns the known attestations of a need, under its former names
// too.
func (j *judge) attestations(id string) []holdfast.Record {
	return known(j.f.records.attestations[id], j.at)
}

// attestItem judges a need that a record meets: valid for its cadence.
func (j *judge) attestItem(c *clock, n *need) *item {
	list := j.attestations(n.attest.ID)
	if len(list) == 0 {
		it := j.finding(codeAttestUntested, n.ID, fmt.Sprintf("%s was never attested", n.attest.Attest))
		it.attested = true
		return it
	}
	latest := slices.MaxFunc(list, func(a, b holdfast.Record) int { return a.Received.Compare(b.Received) })
	for _, r := range list { // of one instant the worst counts
		if r.Received.Equal(latest.Received) && badness(r.Outcome) > badness(latest.Outcome) && r.Outcome != "" {
			latest = r
		}
	}
	var it *item
	switch latest.Outcome {
	case holdfast.Failed:
		it = j.finding(codeNeedFailed, n.ID, fmt.Sprintf("%s: attested as failed by %s", n.attest.Attest, latest.By))
		it.since = latest.At
	case holdfast.OutcomeDegraded:
		it = j.finding(codeNeedDegraded, n.ID, fmt.Sprintf("%s: attested as degraded by %s", n.attest.Attest, latest.By))
		it.since = latest.At
	default:
		l := j.lapsed(c, latest.At, n.attest.Every)
		if !latest.Until.IsZero() {
			c.due(latest.Until)
			if l.state == holdfast.Proven && !j.at.Before(latest.Until) {
				l = lapse{holdfast.Stale, latest.Until, latest.At.Add(2 * n.attest.Every.Std())}
			} else if l.state == holdfast.Proven {
				l.until = earlier(l.until, latest.Until)
			}
		}
		it = j.paper(l, n.ID, latest.At, codeAttestStale, codeAttestUntested, func() string {
			return fmt.Sprintf("%s was last attested %s, due every %s", n.attest.Attest, moment(latest.At), n.attest.Every)
		})
	}
	it.at, it.attested = latest.At, true
	if it.verdict == holdfast.Met {
		it.reason = "attested, not observed: by " + latest.By + " " + moment(latest.At)
	}
	return it
}

// hard is a fact of a copy and how it is known.
type hard struct {
	value bool
	how   string // observed, declared, unstated
}

// hardFact tells whether a copy is immutable, offline or encrypted: what a probe
// saw wins, else what the catalogue declares.
func (j *judge) hardFact(c *holdfast.Copy, k *check, fact string) hard {
	if k != nil {
		if e := j.sight(k).latest(func(o *holdfast.Observation) bool { return observedFact(o, fact) != nil }); e != nil {
			return hard{*observedFact(&e.Observation, fact), "observed"}
		}
	}
	declared := map[string]*bool{"immutable": c.Immutable, "offline": c.Offline, "encrypted": c.Encrypted}[fact]
	if declared == nil {
		return hard{false, "unstated"}
	}
	return hard{*declared, "declared"}
}

func observedFact(o *holdfast.Observation, fact string) *bool {
	switch fact {
	case "immutable":
		return o.Immutable
	case "offline":
		return o.Offline
	}
	return o.Encrypted
}

// hardened reports whether a copy is immutable or offline. A replica never is.
func (j *judge) hardened(c *holdfast.Copy, k *check) bool {
	if c.Kind == holdfast.Replica {
		return false
	}
	return j.hardFact(c, k, "immutable").value || j.hardFact(c, k, "offline").value
}

// declaredItems judges the facts that are only declared: assurance needs, attested
// by the catalogue change that introduced them or a later record.
func (j *judge) declaredItems(b *base, c *copyOf) {
	for _, fact := range hardFacts {
		if h := j.hardFact(c.Copy, c.check, fact); h.how != "declared" || !h.value {
			continue
		}
		id := c.id + "/" + fact
		at := j.declaredAt(b.service, fact+" "+c.ref.String(), id)
		if at.IsZero() {
			continue // no history: attested at the judged instant
		}
		cadence := j.m.policy.Tier(b.tier).Plan
		it := j.paper(j.lapsed(&b.clock, at, cadence), id, at, codeDeclaredStale, codeDeclaredUntested, func() string {
			return fmt.Sprintf("%s is declared %s, last attested %s, due every %s", c.id, fact, moment(at), cadence)
		})
		it.declared, it.attested = true, true
		b.add(it)
	}
}

// declaredAt returns when a declared fact was last attested; zero: nothing says.
func (j *judge) declaredAt(s *service, term, id string) time.Time {
	var at time.Time
	for _, name := range names(s.Name, s.Was) {
		for _, t := range j.f.terms[name] {
			if t.Term == term && t.Is == "true" && !t.At.After(j.at) {
				at = later(at, t.At)
			}
		}
	}
	for _, r := range j.attestations(id) {
		if r.Outcome == "" || r.Outcome == holdfast.OK {
			at = later(at, r.At)
		}
	}
	return at
}

// training judges whether enough of a team are trained in the plans the path
// names: S/P/TEAM.
func (j *judge) training(c *clock, s *service, p *path, n *need, tier int) *item {
	cadence := j.m.policy.Tier(tier).Training
	people := j.trained(n.Team, p)
	wanted := max(n.Trained, 1)
	id := s.Name + "/" + p.Name + "/" + n.Team
	times := make([]time.Time, 0, len(people))
	for _, person := range people {
		if !person.at.IsZero() {
			times = append(times, person.at)
		}
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	var at time.Time // of the one whose training lapses first among the freshest
	if len(times) >= wanted {
		at = times[wanted-1]
	}
	reason := func() string {
		if at.IsZero() {
			return fmt.Sprintf("%d of %s trained in %s, %d needed", len(times), n.Team, planNames(p), wanted)
		}
		return fmt.Sprintf("fewer than %d of %s were trained in %s since %s, due every %s", wanted, n.Team, planNames(p), moment(at), cadence)
	}
	return j.paper(j.lapsed(c, at, cadence), id, at, codeTrainingStale, codeTrainingUntested, reason)
}

func planNames(p *path) string {
	if len(p.plans) == 0 {
		return "recovery"
	}
	var list string
	for i, plan := range p.plans {
		if i > 0 {
			list += ", "
		}
		list += plan.Name
	}
	return list
}

// person is somebody of a team and when they were last trained in all the plans a
// path names; zero: never in one of them.
type person struct {
	name string
	at   time.Time
}

// trained lists the people of a team. Where the catalogue names no members, those
// whom training records of the team name are its people.
func (j *judge) trained(team string, p *path) []person {
	var list []person
	t := j.m.teams[team]
	records := known(j.f.records.training[team], j.at)
	if t != nil && t.Was != "" {
		records = append(slices.Clip(records), known(j.f.records.training[t.Was], j.at)...)
	}
	if t != nil {
		for i := range t.Members {
			list = append(list, person{name: t.Members[i].Name})
		}
	}
	if len(list) == 0 {
		for _, r := range records {
			for _, name := range r.People {
				if !slices.ContainsFunc(list, func(x person) bool { return x.name == name }) {
					list = append(list, person{name: name})
				}
			}
		}
	}
	for i := range list {
		list[i].at = j.trainedAt(&list[i], t, records, p)
	}
	return list
}

// trainedAt returns when a person was last trained in every plan of the path.
func (j *judge) trainedAt(who *person, team *holdfast.Team, records []holdfast.Record, p *path) time.Time {
	in := func(plan *holdfast.Plan) time.Time {
		var at time.Time
		if team != nil {
			for i := range team.Members {
				if team.Members[i].Name != who.name {
					continue
				}
				for name, date := range team.Members[i].Trained {
					if plan == nil || name == plan.Name {
						at = later(at, j.dated(date))
					}
				}
			}
		}
		for _, r := range records {
			if (plan == nil || r.Plan == plan.Name || r.Plan == plan.Was && r.Plan != "") && slices.Contains(r.People, who.name) {
				at = later(at, r.At)
			}
		}
		return at
	}
	if len(p.plans) == 0 {
		return in(nil)
	}
	at := in(p.plans[0])
	for _, plan := range p.plans[1:] {
		at = earlier(at, in(plan))
	}
	return at
}
