package score

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// judge is one round of judging: what was worked out of facts at one instant,
// kept so that nothing is worked out twice.
type judge struct {
	m        *Model
	f        *Facts
	at       time.Time
	sights   map[*check]*sight
	services map[int]*serviceBase
	results  map[resultKey]*result
	slab     []item
}

func (m *Model) newJudge(f *Facts, at time.Time) *judge {
	return &judge{
		m: m, f: f, at: at.UTC(), sights: map[*check]*sight{}, services: map[int]*serviceBase{}, results: map[resultKey]*result{},
	}
}

// newItem takes an item from a slab: judging makes many.
func (j *judge) newItem() *item {
	if len(j.slab) == 0 {
		j.slab = make([]item, 64)
	}
	it := &j.slab[0]
	j.slab = j.slab[1:]
	return it
}

// Judge judges every service at one instant, by name. Nothing received after it
// counts.
func (m *Model) Judge(f *Facts, at time.Time) []holdfast.Posture {
	postures := make([]holdfast.Posture, len(m.services))
	workers := min(runtime.GOMAXPROCS(0), 1+len(m.services)/64)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			from, to := len(m.services)*w/workers, len(m.services)*(w+1)/workers
			j := m.newJudge(f, at)
			for i := from; i < to; i++ {
				postures[i] = j.posture(&m.services[i])
				if len(j.sights) > 4096 { // bound what is kept: shared dependencies are soon worked out again
					j = m.newJudge(f, at)
				}
			}
		})
	}
	wg.Wait()
	return postures
}

// JudgeService judges one service at one instant; the zero posture where the
// catalogue has no such service.
func (m *Model) JudgeService(f *Facts, name string, at time.Time) holdfast.Posture {
	i, ok := m.byName[name]
	if !ok {
		return holdfast.Posture{}
	}
	return m.newJudge(f, at).posture(&m.services[i])
}

// indexAsks lists the scenarios a service is asked to survive: its tier's and
// those its BIA names, in a fixed order.
func (m *Model) indexAsks(s *service) {
	if s.BIA == nil {
		return
	}
	asked := slices.Clone(m.policy.Tier(s.Tier).Scenarios)
	for name := range s.BIA.Scenarios {
		if !slices.Contains(asked, name) {
			asked = append(asked, name)
		}
	}
	slices.SortFunc(asked, func(a, b string) int {
		return cmp.Or(cmp.Compare(scenarioOrder(a), scenarioOrder(b)), cmp.Compare(a, b))
	})
	for _, name := range slices.Compact(asked) {
		s.asks = append(s.asks, ask{name: name, loss: m.loss(s, name), omit: s.BIA.Scenarios[name].Omit})
	}
}

// scenarioOrder puts the built-in scenarios first.
func scenarioOrder(name string) int {
	if i := slices.Index(holdfast.Scenarios, name); i >= 0 {
		return i
	}
	return len(holdfast.Scenarios)
}

// asked returns the scenarios a service is judged on now. One left out comes back
// when the omission ends; where nothing else would be left, none is left out.
func (j *judge) asked(s *service, c *clock) []*ask {
	var asked, all []*ask
	for i := range s.asks {
		a := &s.asks[i]
		all = append(all, a)
		if a.omit != nil && a.omit.Owner != "" && a.omit.Reason != "" && a.omit.Approver != "" {
			c.due(a.omit.Until.Time)
			if j.at.Before(a.omit.Until.Time) {
				continue
			}
		}
		asked = append(asked, a)
	}
	if len(asked) == 0 {
		return all
	}
	return asked
}

// indexDemands finds, for each service, the scenarios of its consumers that take
// it out although its own BIA does not ask for them.
func (m *Model) indexDemands() {
	for i := range m.services {
		s := &m.services[i]
		for k := range s.asks {
			m.demand(s, &s.asks[k])
		}
	}
	for i := range m.services {
		slices.SortFunc(m.services[i].askedBy, func(a, b demand) int {
			return cmp.Or(cmp.Compare(scenarioOrder(a.loss.scenario), scenarioOrder(b.loss.scenario)), cmp.Compare(a.loss.scenario, b.loss.scenario),
				cmp.Compare(a.consumer, b.consumer), cmp.Compare(a.tier, b.tier))
		})
	}
}

func (m *Model) demand(s *service, a *ask) {
	if len(s.deps) == 0 {
		return
	}
	seen := map[int]bool{s.index: true}
	queue := []*service{s}
	for len(queue) > 0 {
		x := queue[0]
		queue = queue[1:]
		for _, d := range x.deps {
			y := &m.services[d.index]
			if d.Kind == holdfast.Optional || seen[d.index] || !a.loss.takesService(y) {
				continue
			}
			seen[d.index] = true
			queue = append(queue, y)
			if !slices.ContainsFunc(y.asks, func(own ask) bool { return own.name == a.name }) {
				y.demanded(demand{s.Name, s.Tier, a.loss})
			}
		}
	}
}

// demanded notes a demand; of equal ones the first consumer by name is kept.
func (s *service) demanded(d demand) {
	for i := range s.askedBy {
		old := &s.askedBy[i]
		if old.loss == d.loss && old.tier == d.tier {
			old.consumer = min(old.consumer, d.consumer)
			return
		}
	}
	s.askedBy = append(s.askedBy, d)
}
