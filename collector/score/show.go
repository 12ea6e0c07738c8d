package score

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// posture judges a service and lays the judgement out for readers.
func (j *judge) posture(s *service) holdfast.Posture {
	c := clock{at: j.at}
	p := holdfast.Posture{
		Name: s.Name, Title: s.Title, Owner: s.Owner, Tier: s.Tier, Site: s.Site, State: holdfast.NotJudged,
		Findings: []holdfast.Finding{},
	}
	sb := j.serviceBase(s)
	own := make([]*result, 0, len(s.asks))
	p.Scenarios = make([]holdfast.ScenarioPosture, 0, len(s.asks)+len(s.askedBy))
	p.Paths = make([]holdfast.PathPosture, 0, len(s.paths))
	for _, a := range j.asked(s, &c) {
		r := j.inScenario(s, a.loss, s.Tier)
		c.join(r.clock)
		own = append(own, r)
		p.Scenarios = append(p.Scenarios, j.showScenario(s, r, ""))
	}
	for i := range s.askedBy {
		d := &s.askedBy[i]
		r := j.inScenario(s, d.loss, d.tier)
		c.join(r.clock)
		p.Scenarios = append(p.Scenarios, j.showScenario(s, r, d.consumer))
	}
	var now outcome
	if len(own) > 0 {
		now = j.judgedAs(own, nil)
		p.State = holdfast.States[now.rank]
		points := now.score // a pointer into now would keep all of this judgement's scratch alive
		p.Score = &points
		if cause := now.binding.cause(now.rank, nil); cause != nil {
			p.Cause = &holdfast.Cause{Need: cause.need, State: p.State, Reason: cause.reason}
		}
		p.Findings = j.findings(own, now)
		p.Objectives = j.objectives(s, now)
		if review := j.biaItem(&c, s, s.Tier); review.verdict == holdfast.Met {
			p.Objectives.ReviewDue = review.until
		}
	}
	for i := range s.paths {
		p.Paths = append(p.Paths, j.showPath(s, &s.paths[i], own, &c))
	}
	p.Data = j.showData(s, sb, &c)
	if len(own) > 0 || len(s.askedBy) > 0 {
		p.Confidence = j.confidence(s, own)
	}
	j.accept(&p, s, &c)
	p.Maintenance = j.windows(s, &c)
	p.Looser = j.looser(s, &c)
	if !c.next.IsZero() {
		next := c.next
		p.NextChange = &next
	}
	p.SilentAt = c.mute
	return p
}

func (j *judge) showScenario(s *service, r *result, askedBy string) holdfast.ScenarioPosture {
	t := termsIn(s.BIA, r.loss.scenario)
	p := holdfast.ScenarioPosture{
		Name: r.loss.scenario, State: holdfast.States[r.rank], Score: r.score, AskedBy: askedBy, RTO: t.rto, RPO: t.rpo, MTPD: t.mtpd,
	}
	w := r.best
	if w.path == nil {
		return p
	}
	p.Path = w.path.Name
	rt := w.time
	p.RecoveryTime = &rt
	if pt := w.base.point; pt.known && !pt.current {
		p.Point = pt.at
		if t.rpo.Stated() {
			p.RPOAt = pt.at.Add(t.rpo.Limit.Std())
		}
		if t.mtdl > 0 {
			p.BeyondAt = pt.at.Add(t.mtdl.Std())
		}
	}
	if r.loss.damaged || r.loss.onlyHardened {
		p.Verified = w.base.verified(w.path)
	}
	for i := range w.waits {
		d := &w.waits[i]
		x := holdfast.Dependence{Service: d.dep.Service, Kind: d.dep.Kind, Lost: d.lost, State: holdfast.Proven, Score: 100}
		if d.result != nil {
			x.State, x.Score = holdfast.States[d.result.rank], d.result.score
		} else if d.lost {
			x.State, x.Score = holdfast.NotJudged, 0 // optional: never limits, not looked at
		}
		p.Waits = append(p.Waits, x)
	}
	return p
}

// verified returns the newest verified point of a path: the oldest of its copies'.
func (b *base) verified(p *path) time.Time {
	var oldest time.Time
	for i := range p.copies {
		at := verifiedPoint(&b.points[i], b.trials[i])
		if at.IsZero() {
			return at
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// showPath lays out a path: in each scenario it is asked about, its rungs, its
// chain of needs.
func (j *judge) showPath(s *service, p *path, own []*result, c *clock) holdfast.PathPosture {
	out := holdfast.PathPosture{
		Name: p.Name, At: p.At, Scenarios: make([]holdfast.PathScenario, 0, len(own)), Rungs: map[holdfast.Rung]holdfast.RungPosture{},
		Committed: p.RTO, Leaves: p.Leaves,
	}
	if len(own) == 0 && len(s.askedBy) == 0 {
		return out // nothing is asked of it: there is nothing to judge by
	}
	b := j.base(s, p, s.Tier)
	c.join(b.clock)
	for _, r := range own {
		for _, w := range r.walks {
			if w.path == p {
				out.Scenarios = append(out.Scenarios, w.show(r.loss.scenario))
			}
		}
	}
	for i := range b.rungs {
		st := &b.rungs[i]
		if !canHave(p, st.rung) {
			continue
		}
		r := holdfast.RungPosture{State: st.state, Required: st.required, At: st.at, Until: st.until, Reason: st.reason, Changed: st.changed}
		out.Rungs[st.rung] = r
	}
	out.Point, out.Current = b.point.at, b.point.current
	out.Proven, out.Expected = b.measured.proven, b.measured.expected
	if len(b.chain) > 0 {
		out.Needs = make([]holdfast.NeedPosture, 0, len(b.chain))
	}
	for _, it := range b.chain {
		out.Needs = append(out.Needs, holdfast.NeedPosture{
			Need: it.need, Kind: it.kind, Verdict: it.verdict, State: it.state, Reason: it.reason, At: it.at, Until: it.until, Attested: it.attested, Declared: it.declared,
		})
	}
	return out
}

// show says how a path stands in a scenario, and why.
func (w *walk) show(scenario string) holdfast.PathScenario {
	p := holdfast.PathScenario{Name: scenario, State: holdfast.States[w.rank], Reasons: []string{}}
	if w.forbid {
		p.State = holdfast.Uncovered
		p.Reasons = append(p.Reasons, w.why...)
		return p
	}
	var list []*item
	for _, it := range w.items {
		if it.counted(nil) && it.rank > 0 {
			list = append(list, it)
		}
	}
	slices.SortStableFunc(list, func(a, b *item) int {
		if a.rank != b.rank {
			return cmp.Compare(b.rank, a.rank)
		}
		if a.precedes(b) {
			return -1
		}
		return 1
	})
	for _, it := range list {
		if !slices.Contains(p.Reasons, it.reason) {
			p.Reasons = append(p.Reasons, it.reason)
		}
	}
	return p
}

// findings lists what stands in the way, the dearest first: the points are those
// of the binding path; elsewhere a finding is listed with 0.
func (j *judge) findings(own []*result, now outcome) []holdfast.Finding {
	points := now.binding.allot()
	found := map[key]*holdfast.Finding{}
	cost := map[key]int{}
	for _, r := range own {
		walks := r.walks
		if r.best.path == nil {
			walks = append(slices.Clip(walks), r.best)
		}
		for _, w := range walks {
			binding := now.scenario == r && (w == now.scenario.best || w.path == now.binding.path)
			for _, it := range w.items {
				if it.code == "" {
					continue
				}
				f := found[it.key()]
				if f == nil {
					f = it.finding()
					found[it.key()] = f
				} else if binding || it.rank > f.State.Rank() && points[it.key()] == 0 {
					it.fill(f)
				}
				cost[it.key()] = max(cost[it.key()], it.cost)
				addName(&f.Scenarios, r.loss.scenario)
				if w.path != nil && !it.wide {
					addName(&f.Paths, w.path.Name)
				}
			}
		}
	}
	list := slices.SortedFunc(maps.Values(found), func(a, b *holdfast.Finding) int {
		ka, kb := key{a.Need, a.Code}, key{b.Need, b.Code}
		return cmp.Or(cmp.Compare(points[kb], points[ka]), cmp.Compare(b.State.Rank(), a.State.Rank()),
			cmp.Compare(cost[kb], cost[ka]), cmp.Compare(a.Need, b.Need), cmp.Compare(a.Code, b.Code))
	})
	for _, f := range list {
		f.Points = points[key{f.Need, f.Code}]
	}
	j.gains(own, now, list)
	out := make([]holdfast.Finding, len(list))
	for i, f := range list {
		out[i] = *f
	}
	return out
}

func addName(list *[]string, name string) {
	if i, found := slices.BinarySearch(*list, name); !found {
		*list = slices.Insert(*list, i, name)
	}
}

func (it *item) finding() *holdfast.Finding {
	f := &holdfast.Finding{}
	it.fill(f)
	return f
}

// fill writes an item into a finding, but for where it was found.
func (it *item) fill(f *holdfast.Finding) {
	remedy := it.remedy
	if remedy == "" {
		remedy = rules[it.code].Remedy
	}
	scenarios, paths := f.Scenarios, f.Paths
	*f = holdfast.Finding{
		Need: it.need, Code: it.code, Kind: it.kind, Verdict: it.verdict, State: it.state, Reason: it.reason, Remedy: remedy,
		Since: it.since, Until: it.until, Check: it.check, At: it.at, Attested: it.attested, Declared: it.declared,
		Scenarios: scenarios, Paths: paths,
	}
}

// objectives keeps requested, committed and proven apart, for the binding path.
func (j *judge) objectives(s *service, now outcome) *holdfast.Objectives {
	t := termsIn(s.BIA, now.scenario.loss.scenario)
	o := &holdfast.Objectives{MTPD: t.mtpd, WRT: t.wrt, MTDL: t.mtdl, MBCO: s.BIA.MBCO}
	o.RTO.Requested, o.RPO.Requested = t.rto, t.rpo
	if p := now.binding.path; p != nil {
		b := now.binding.base
		o.RTO.Committed, o.RPO.Committed = p.RTO, p.RPO
		o.RTO.Proven = b.measured.proven
		o.RPO.Proven = holdfast.Duration(max(b.loss, b.point.gap))
	}
	return o
}

// showData lays out how each dataset is protected.
func (j *judge) showData(s *service, sb *serviceBase, clk *clock) []holdfast.DataPosture {
	var list []holdfast.DataPosture
	for i := range s.Datasets {
		d := &s.Datasets[i]
		out := holdfast.DataPosture{Dataset: d.Name, Title: d.Title, Copies: make([]holdfast.CopyPosture, 0, len(d.Copies)), Rule: j.copyRule(sb, s, d)}
		for k := range d.Copies {
			out.Copies = append(out.Copies, j.showCopy(s, d, &d.Copies[k], sb, clk))
		}
		list = append(list, out)
	}
	return list
}

func (j *judge) showCopy(s *service, d *holdfast.Dataset, c *holdfast.Copy, sb *serviceBase, clk *clock) holdfast.CopyPosture {
	id := s.Name + "/" + d.Name + "/" + c.Name
	k := j.checkOf(c)
	pts := j.pointsOf(c, k)
	v := sb.verified[id]
	out := holdfast.CopyPosture{
		Copy: c.Name, Kind: c.Kind, Site: c.Site, Medium: c.Medium, Verdict: holdfast.VerdictUnknown, Reason: "nobody looks at it",
		Point: pts.newest, Oldest: pts.oldest, Gap: holdfast.Duration(pts.gap()), Bytes: pts.bytes, Offsite: j.offsite(s, c),
		Verified: v.last, Scope: v.scope, Errors: v.errors, Restored: v.restored, Took: v.took, Coverage: v.coverage, Through: v.through,
		Immutable: fact(j.hardFact(c, k, "immutable")), Offline: fact(j.hardFact(c, k, "offline")), Encrypted: fact(j.hardFact(c, k, "encrypted")),
	}
	if k == nil {
		return out
	}
	it, _ := j.checked(clk, id, k, copyCodes)
	out.Verdict, out.Reason, out.Seen = it.verdict, it.reason, it.at
	return out
}

func fact(h hard) holdfast.Fact { return holdfast.Fact{Value: h.value, How: h.how} }

// confidence counts how many needs rest on live observation, and how old the
// weakest evidence is that does not renew itself.
func (j *judge) confidence(s *service, own []*result) *holdfast.Confidence {
	c := &holdfast.Confidence{}
	seen := map[string]bool{}
	weakest := func(at time.Time) {
		if !at.IsZero() && (c.Weakest.IsZero() || at.Before(c.Weakest)) {
			c.Weakest = at
		}
	}
	for i := range s.paths {
		b := j.base(s, &s.paths[i], s.Tier)
		for _, it := range b.chain {
			if seen[it.need] {
				continue
			}
			seen[it.need] = true
			c.Needs++
			switch {
			case it.live:
				c.Observed++
				continue
			case it.attested && it.verdict == holdfast.Met:
				c.Attested++
			}
			weakest(it.at)
		}
		for k := range b.rungs {
			weakest(b.rungs[k].at)
		}
	}
	if s.BIA != nil && len(own) > 0 {
		weakest(j.biaItem(&clock{at: j.at}, s, s.Tier).at)
	}
	return c
}
