package score

import (
	"slices"
	"strings"

	"github.com/holdfast-monitor/holdfast"
)

// result is a service judged in one scenario: as its best path.
type result struct {
	service *service
	loss    *loss
	walks   []*walk // every path that claims to cover
	best    *walk
	rank    int
	score   int
	reason  string // of the cause
	time    holdfast.RecoveryTime
	clock   clock
	cyclic  bool   // judged as one unit with what waits for it
	ring    string // the services of the unit
}

// resultKey says under which loss, and by which tier's ladder, a service is
// judged.
type resultKey struct {
	loss    *loss
	tier    int
	service int
}

// inScenario judges a service under a loss.
func (j *judge) inScenario(s *service, l *loss, tier int) *result {
	key := resultKey{l, tier, s.index}
	if r := j.results[key]; r != nil {
		return r
	}
	if s.cycle > 0 {
		j.judgeRing(s, l, tier)
		if r := j.results[key]; r != nil {
			return r
		}
	}
	r := j.judgeService(s, l, tier, func(p *path) []wait {
		return j.waits(s, p, l, func(d *dependency) *result { return j.inScenario(&j.m.services[d.index], l, tier) })
	}, nil)
	j.results[key] = r
	return r
}

// waits lists the dependencies of a service that a path waits for.
func (j *judge) waits(s *service, p *path, l *loss, judged func(*dependency) *result) []wait {
	var list []wait
	for i := range s.deps {
		d := &s.deps[i]
		if slices.Contains(p.Without, d.Service) {
			continue
		}
		w := wait{dep: d, lost: l.takesService(&j.m.services[d.index])}
		if w.lost && d.Kind != holdfast.Optional {
			w.result = judged(d)
		}
		list = append(list, w)
	}
	return list
}

// judgeService judges every path that covers the scenario and takes the best.
// only, where given, says which paths may be walked.
func (j *judge) judgeService(s *service, l *loss, tier int, deps func(*path) []wait, only func(*path) bool) *result {
	r := &result{service: s, loss: l, clock: clock{at: j.at}}
	for i := range s.paths {
		p := &s.paths[i]
		if !covers(p, l.scenario) || only != nil && !only(p) {
			continue
		}
		w := j.judgePath(s, p, l, tier, deps)
		r.walks = append(r.walks, w)
		r.clock.join(w.clock)
	}
	r.choose(j)
	return r
}

// choose takes the best path: better state, higher score, shorter recovery, then
// the catalogue's order. Where none covers, the service is uncovered.
func (r *result) choose(j *judge) {
	r.best = nil
	for _, w := range r.walks {
		if !w.forbid && (r.best == nil || w.better(w.grade, r.best, r.best.grade)) {
			r.best = w
		}
	}
	if r.best == nil {
		r.best = j.uncovered(r)
	}
	r.rank, r.score, r.time = r.best.rank, r.best.score, r.best.time
	if c := r.best.cause(r.rank, nil); c != nil {
		r.reason = c.reason
	}
}

func (w *walk) better(as grade, o *walk, oAs grade) bool {
	switch {
	case as.rank != oAs.rank:
		return as.rank < oAs.rank
	case as.score != oAs.score:
		return as.score > oAs.score
	}
	return w.time.Total < o.time.Total // equals come in the catalogue's order
}

// uncovered stands for the path that is not there.
func (j *judge) uncovered(r *result) *walk {
	reason := "no path covers " + r.loss.scenario
	if len(r.walks) > 0 {
		var each []string
		for _, w := range r.walks {
			each = append(each, w.path.Name+": "+strings.Join(w.why, ", "))
		}
		reason += ": " + strings.Join(each, "; ")
	}
	w := &walk{clock: clock{at: j.at}}
	w.add(j.finding(codeUncovered, r.service.Name+"/"+r.loss.scenario, reason))
	w.items = append(w.items, j.serviceBase(r.service).items...)
	w.grade = w.combine(j.m, nil)
	w.time.AtLeast = true
	return w
}

// findCycles numbers the rings of required and recovery dependencies: services
// that wait for each other share a number.
func (m *Model) findCycles() {
	t := tarjan{m: m, index: make([]int, len(m.services)), low: make([]int, len(m.services)), on: make([]bool, len(m.services))}
	for i := range m.services {
		if t.index[i] == 0 {
			t.visit(i)
		}
	}
}

// tarjan finds strongly connected components (Tarjan 1972), without recursion so
// that a long chain cannot exhaust the stack.
type tarjan struct {
	m          *Model
	index, low []int
	on         []bool
	stack      []int
	next       int
}

type frame struct{ service, dep int }

func (t *tarjan) visit(root int) {
	work := []frame{{root, 0}}
	t.enter(root)
	for len(work) > 0 {
		f := &work[len(work)-1]
		deps := t.m.services[f.service].deps
		if f.dep < len(deps) {
			d := &deps[f.dep]
			f.dep++
			switch {
			case d.Kind == holdfast.Optional:
			case t.index[d.index] == 0:
				t.enter(d.index)
				work = append(work, frame{d.index, 0})
			case t.on[d.index]:
				t.low[f.service] = min(t.low[f.service], t.index[d.index])
			}
			continue
		}
		if t.low[f.service] == t.index[f.service] {
			t.leave(f.service)
		}
		work = work[:len(work)-1]
		if len(work) > 0 {
			up := work[len(work)-1].service
			t.low[up] = min(t.low[up], t.low[f.service])
		}
	}
}

func (t *tarjan) enter(i int) {
	t.next++
	t.index[i], t.low[i], t.on[i] = t.next, t.next, true
	t.stack = append(t.stack, i)
}

func (t *tarjan) leave(root int) {
	at := slices.Index(t.stack, root)
	ring := t.stack[at:]
	t.stack = t.stack[:at]
	for _, i := range ring {
		t.on[i] = false
		if len(ring) > 1 {
			t.m.services[i].cycle = len(t.m.rings) + 1
		}
	}
	if len(ring) > 1 {
		t.m.rings = append(t.m.rings, slices.Sorted(slices.Values(ring)))
	}
}

// ringOf gathers the services of a cycle that a loss takes out together with s.
func (j *judge) ringOf(s *service, l *loss) []*service {
	var ring []*service
	for _, i := range j.m.rings[s.cycle-1] {
		if x := &j.m.services[i]; x == s || l.takesService(x) {
			ring = append(ring, x)
		}
	}
	return ring
}

// judgeRing judges the services of a cycle. Those with a path that waits for
// nothing unjudged (without:) are judged in order, wave by wave; what is left
// waits for each other and is judged as one unit.
func (j *judge) judgeRing(s *service, l *loss, tier int) {
	ring := j.ringOf(s, l)
	judged := map[int]*result{}
	inRing := func(i int) bool { return slices.ContainsFunc(ring, func(x *service) bool { return x.index == i }) }
	of := func(d *dependency) *result {
		if r := judged[d.index]; r != nil {
			return r
		}
		if !inRing(d.index) {
			return j.inScenario(&j.m.services[d.index], l, tier)
		}
		return nil
	}
	free := func(x *service) func(*path) bool {
		return func(p *path) bool {
			for i := range x.deps {
				d := &x.deps[i]
				if d.Kind != holdfast.Optional && inRing(d.index) && judged[d.index] == nil &&
					!slices.Contains(p.Without, d.Service) && l.takesService(&j.m.services[d.index]) {
					return false
				}
			}
			return true
		}
	}
	for {
		wave := map[int]*result{}
		for _, x := range ring {
			if judged[x.index] != nil {
				continue
			}
			ok := free(x)
			if !slices.ContainsFunc(x.paths, func(p path) bool { return covers(&p, l.scenario) && ok(&p) }) && x.coversAny(l) {
				continue
			}
			wave[x.index] = j.judgeService(x, l, tier, func(p *path) []wait { return j.waits(x, p, l, of) }, ok)
		}
		if len(wave) == 0 {
			break
		}
		for i, r := range wave {
			judged[i] = r
		}
	}
	j.judgeUnit(ring, judged, l, tier, of)
}

// coversAny reports whether any path of the service claims to cover the scenario.
func (s *service) coversAny(l *loss) bool {
	return slices.ContainsFunc(s.paths, func(p path) bool { return covers(&p, l.scenario) })
}

// judgeUnit judges what is left of a ring as one unit: each member by its own, no
// better than degraded, and none better than the worst.
func (j *judge) judgeUnit(ring []*service, judged map[int]*result, l *loss, tier int, of func(*dependency) *result) {
	var unit []*service
	var who []string
	for _, x := range ring {
		if judged[x.index] == nil {
			unit = append(unit, x)
			who = append(who, x.Name)
		}
	}
	inUnit := func(i int) bool { return slices.ContainsFunc(unit, func(x *service) bool { return x.index == i }) }
	own := map[int]*result{}
	for _, x := range unit {
		own[x.index] = j.judgeService(x, l, tier, func(p *path) []wait {
			return slices.DeleteFunc(j.waits(x, p, l, of), func(w wait) bool {
				return w.lost && w.result == nil && w.dep.Kind != holdfast.Optional && inUnit(w.dep.index)
			})
		}, nil)
	}
	for _, x := range unit {
		others := j.restOfUnit(unit, own, x, strings.Join(who, " and "))
		judged[x.index] = j.judgeService(x, l, tier, func(p *path) []wait {
			return j.waits(x, p, l, func(d *dependency) *result {
				if inUnit(d.index) {
					return others
				}
				return of(d)
			})
		}, nil)
	}
	for _, x := range ring {
		j.results[resultKey{l, tier, x.index}] = judged[x.index]
	}
}

// restOfUnit stands for all other members of a unit: the worst of them, as each is by
// itself.
func (j *judge) restOfUnit(unit []*service, own map[int]*result, except *service, ring string) *result {
	var worst *result
	for _, x := range unit {
		r := own[x.index]
		if x == except {
			continue
		}
		if worst == nil || r.rank > worst.rank || r.rank == worst.rank && r.score < worst.score {
			worst = r
		}
	}
	r := *worst
	r.cyclic, r.ring = true, ring
	r.time = holdfast.RecoveryTime{Unorderable: true, AtLeast: true}
	floor := holdfast.Degraded.Rank()
	if r.rank < floor {
		r.rank, r.score, r.reason = floor, j.m.band(holdfast.Degraded).High, "its order of recovery is undefined"
	}
	for _, x := range unit {
		r.clock.join(own[x.index].clock)
	}
	return &r
}
