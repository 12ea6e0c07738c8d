package score

import (
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// base is what holds of a path in every scenario, by one tier's ladder.
type base struct {
	service   *service
	tier      int
	clock     clock
	items     []*item
	chain     []*item // of copies and needs, in the catalogue's order
	points    []points
	point     pathPoint
	trials    []*trial
	rungs     []standing
	exercise  *proof // the latest that counts
	loss      time.Duration
	lossAt    time.Time
	room      room
	roomShown bool
	measured  measured
}

// add takes items in; nil ones are nothing.
func (b *base) add(items ...*item) {
	for _, it := range items {
		if it != nil {
			b.items = append(b.items, it)
		}
	}
}

// pathBase judges what holds of a path in every scenario.
func (j *judge) pathBase(s *service, p *path, tier int) *base {
	b := &base{
		service: s, tier: tier, clock: clock{at: j.at}, items: make([]*item, 0, 16),
		chain: make([]*item, 0, len(p.copies)+len(p.needs)), points: make([]points, 0, len(p.copies)), rungs: make([]standing, 0, len(holdfast.Rungs)),
	}
	for i := range p.copies {
		b.points = append(b.points, j.pointsOf(p.copies[i].Copy, p.copies[i].check))
	}
	b.point = b.pathPoint(p)
	j.copyItems(b, p)
	j.needItems(b, s, p)
	j.climb(b, s, p)
	j.lossOf(b, s, p)
	j.showRoom(b, p)
	b.room = j.roomFor(p, b.points)
	b.measured = j.measure(b, p)
	j.skewItems(b, s, p)
	j.addOddities(b, p)
	j.papersMissing(b, s, p)
	if !j.observedAnything(s, p) {
		b.add(j.finding(codeUnobserved, s.Name+"/"+p.Name, "nothing about path "+p.Name+" was ever observed"))
	}
	if t := s.BIA; t != nil && t.RTO.Stated() && p.RTO > t.RTO.Limit {
		b.add(j.finding(codeCommittedRTO, s.Name+"/"+p.Name+"/committed-rto", "path "+p.Name+" is designed for an RTO of "+p.RTO.String()+", "+t.RTO.Limit.String()+" requested"))
	}
	return b
}

// papersMissing finds a path of tier 1–3 without a plan, or without a team trained
// in it.
func (j *judge) papersMissing(b *base, s *service, p *path) {
	if b.tier > 3 {
		return
	}
	if len(p.plans) == 0 {
		b.add(j.finding(codeNoPlan, s.Name+"/"+p.Name+"/plan", "path "+p.Name+" has no plan"))
	}
	for i := range p.needs {
		if p.needs[i].Team != "" {
			return
		}
	}
	b.add(j.finding(codeNoTeam, s.Name+"/"+p.Name+"/team", "path "+p.Name+" names no team trained in its plan"))
}

// serviceBase is what holds of a service in every scenario and path.
type serviceBase struct {
	items    []*item
	verified map[string]verification // by copy, "SERVICE/DATASET/COPY"
	odd      map[string][]*item      // what is odd about a copy, likewise
	bia      map[int]reviewed        // by tier
	paths    map[[2]int]*base        // by path and tier
}

func (sb *serviceBase) add(it *item) {
	it.wide = true
	sb.items = append(sb.items, it)
}

// verification is the last that was heard of a copy's integrity.
type verification struct {
	last, clean time.Time
	scope       float64
	errors      int64
	checked     time.Time // newest point that a complete restore found good by its content
	restored    time.Time
	took        holdfast.Duration
	coverage    float64
	through     string // the path whose test restored it; empty: the copy's own check
}

// serviceBase judges what holds of a service in every scenario.
func (j *judge) serviceBase(s *service) *serviceBase {
	if sb := j.services[s.index]; sb != nil {
		return sb
	}
	sb := &serviceBase{verified: map[string]verification{}, odd: map[string][]*item{}, bia: map[int]reviewed{}, paths: map[[2]int]*base{}}
	j.services[s.index] = sb
	j.verifications(sb, s)
	j.structureItems(sb, s)
	j.anomalies(sb, s)
	return sb
}

// verifications gathers what every check told of every copy's integrity.
func (j *judge) verifications(sb *serviceBase, s *service) {
	share := j.m.restoredShare()
	for i := range s.Datasets {
		d := &s.Datasets[i]
		for k := range d.Copies {
			c := &d.Copies[k]
			ref := holdfast.CopyRef{Dataset: d.Name, Copy: c.Name}
			var v verification
			if own := j.checkOf(c); own != nil {
				v.hear(eventsOf(j.sight(own).seen), "", ref, true, share)
			}
			for n := range s.paths {
				for _, t := range s.paths[n].tests {
					if t.Dataset == "" || t.Dataset == d.Name {
						v.hear(eventsOf(j.sight(t.check).seen), s.paths[n].Name, ref, restoresFrom(&s.paths[n], ref), share)
					}
				}
			}
			sb.verified[s.Name+"/"+ref.String()] = v
		}
	}
}

func restoresFrom(p *path, ref holdfast.CopyRef) bool {
	for i := range p.copies {
		if p.copies[i].ref == ref {
			return true
		}
	}
	return false
}

// hear takes in what one check's tests told of a copy; path is whose test it is.
func (v *verification) hear(events []event, path string, ref holdfast.CopyRef, restores bool, share float64) {
	for _, e := range events {
		named := e.Restoration != nil && e.Restoration.Copy != ""
		if named && e.Restoration.Copy != ref.String() || !named && !restores {
			continue
		}
		if e.Verification != nil && (e.at.After(v.last) || e.at.Equal(v.last) && e.Verification.Errors > v.errors) {
			v.last, v.scope, v.errors = e.at, e.Verification.Scope, e.Verification.Errors
		}
		if e.fails() {
			continue
		}
		if e.Verification != nil || e.Restoration != nil {
			v.clean = later(v.clean, e.at)
		}
		if r := e.Restoration; r != nil && r.Checks > 0 && r.Coverage >= share && e.Outcome == holdfast.OK {
			v.checked = later(v.checked, r.Point)
		}
		if e.Restoration != nil && e.at.After(v.restored) {
			v.restored, v.took, v.coverage, v.through = e.at, e.Restoration.Duration, e.Restoration.Coverage, path
		}
	}
}

// biaItem judges the review of a service's BIA by a tier's cadence.
func (j *judge) biaItem(c *clock, s *service, tier int) *item {
	sb := j.serviceBase(s)
	r, ok := sb.bia[tier]
	if !ok {
		r.clock.at = j.at
		r.item = j.biaReview(&r.clock, s, tier)
		r.item.wide = true
		sb.bia[tier] = r
	}
	c.join(r.clock)
	return r.item
}

// reviewed is a judged review and when it turns.
type reviewed struct {
	item  *item
	clock clock
}

func (j *judge) base(s *service, p *path, tier int) *base {
	sb := j.serviceBase(s)
	key := [2]int{p.index, tier}
	if b := sb.paths[key]; b != nil {
		return b
	}
	b := j.pathBase(s, p, tier)
	sb.paths[key] = b
	return b
}

// walk is a path judged in one scenario.
type walk struct {
	path  *path // nil: none covers
	base  *base
	why   []string // disqualified
	items []*item
	waits []wait
	clock clock
	time  holdfast.RecoveryTime
	grade
	forbid bool // disqualified
}

// wait is a dependency of a path, as judged in the same scenario.
type wait struct {
	dep    *dependency
	lost   bool
	result *result
}

// judgePath judges one path of a service in a scenario.
func (j *judge) judgePath(s *service, p *path, l *loss, tier int, deps func(*path) []wait) *walk {
	w := &walk{path: p, clock: clock{at: j.at}}
	w.why = j.disqualified(s, p, l)
	w.forbid = len(w.why) > 0
	b := j.base(s, p, tier)
	w.base = b
	w.clock.join(b.clock)
	w.items = append(make([]*item, 0, len(b.items)+len(j.serviceBase(s).items)+8), b.items...)
	t := termsIn(s.BIA, l.scenario)
	w.add(j.rpoItem(b, s, p, &t, &w.clock))
	w.add(j.capacityItem(b, s, p, l, &w.clock))
	for _, plan := range p.plans {
		w.add(j.planCopyItem(&w.clock, plan, l))
	}
	if s.BIA != nil {
		w.add(j.biaItem(&w.clock, s, tier))
	}
	w.waits = deps(p)
	for i := range w.waits {
		j.waitItem(w, &w.waits[i])
	}
	j.recoveryTime(w)
	w.add(j.rtoItem(s, p, &t, &w.time, &b.measured))
	w.items = append(w.items, j.serviceBase(s).items...)
	w.items = single(w.items)
	w.grade = w.combine(j.m, nil)
	return w
}

// single keeps one item of those that say the same of the same need, the worst: a
// path may name a plan or a team twice.
func single(items []*item) []*item {
	kept := items[:0]
	for _, it := range items {
		at := slices.IndexFunc(kept, func(o *item) bool { return it.code != "" && o.key() == it.key() })
		switch {
		case at < 0:
			kept = append(kept, it)
		case it.cost > kept[at].cost:
			kept[at] = it
		}
	}
	return kept
}

func (w *walk) add(it *item) {
	if it != nil {
		w.items = append(w.items, it)
	}
}

// waitItem makes the finding of a dependency that limits the path.
func (j *judge) waitItem(w *walk, d *wait) {
	if !d.lost || d.dep.Kind == holdfast.Optional {
		return
	}
	r := d.result
	w.clock.join(r.clock)
	if r.cyclic {
		it := j.finding(codeCycle, "dependency/"+d.dep.Service, r.ring+" wait for each other to recover")
		w.add(it)
	}
	state := holdfast.States[r.rank]
	it := j.finding(codeDependency, "dependency/"+d.dep.Service, d.dep.Service+" is "+string(state)+afterColon(r.reason))
	it.state, it.rank, it.ceiling, it.verdict = state, r.rank, r.score, verdictOf(state)
	if r.rank == 0 && r.score >= 100 {
		it.code = ""
	}
	w.add(it)
}

func afterColon(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func verdictOf(state holdfast.State) holdfast.Verdict {
	switch state {
	case holdfast.Proven:
		return holdfast.Met
	case holdfast.Unknown:
		return holdfast.VerdictUnknown
	}
	return holdfast.Unmet
}

// recoveryTime adds the longest chain of dependencies to the path's own time.
func (j *judge) recoveryTime(w *walk) {
	m := &w.base.measured
	t := &w.time
	t.Own, t.RestoreOnly, t.Estimated, t.AtLeast = m.expected, m.restoreOnly, m.expected > m.proven, !m.known
	var longest *result
	for i := range w.waits {
		d := &w.waits[i]
		if !d.lost || d.dep.Kind == holdfast.Optional {
			continue
		}
		r := d.result
		t.Unorderable = t.Unorderable || r.cyclic || r.time.Unorderable
		t.AtLeast = t.AtLeast || r.time.AtLeast
		t.Estimated = t.Estimated || r.time.Estimated
		if longest == nil || r.time.Total > longest.time.Total {
			longest = r
		}
	}
	t.Total = t.Own
	if longest != nil {
		t.Total += longest.time.Total
		t.Chain = append(append([]string(nil), longest.time.Chain...), longest.service.Name)
	}
}
