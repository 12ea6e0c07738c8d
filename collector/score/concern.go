package score

import (
	"slices"

	"github.com/holdfast-monitor/holdfast"
)

// indexPlans gives checks of kept plans the strictest validity among the services
// that name the plan.
func (m *Model) indexPlans() {
	for i := range m.catalogue.Plans {
		p := &m.catalogue.Plans[i]
		for j := range p.Kept {
			if p.Kept[j].Check == nil {
				continue
			}
			k := m.checks[p.Kept[j].Check.ID]
			for _, s := range k.services {
				k.validity = min(k.validity, validity(k.Check, m.services[s].Tier))
			}
		}
	}
}

// indexShares finds the checks through which paths of several services see the
// room at their recovery site.
func (m *Model) indexShares() {
	through := map[*check][]member{}
	for i := range m.services {
		for j := range m.services[i].paths {
			p := &m.services[i].paths[j]
			for k := range p.needs {
				if n := &p.needs[k]; n.check != nil && n.stands(p.At) {
					through[n.check] = append(through[n.check], member{i, j})
				}
			}
		}
	}
	for i := range m.services {
		for j := range m.services[i].paths {
			p := &m.services[i].paths[j]
			for k := range p.needs {
				members := through[p.needs[k].check]
				if p.needs[k].check != nil && slices.ContainsFunc(members, func(x member) bool { return x.service != i }) {
					p.shares = append(p.shares, share{p.needs[k].check, members})
				}
			}
		}
	}
}

// stands reports whether what the need looks at stands at the site.
func (n *need) stands(site string) bool {
	return n.check != nil && (n.Site == site || n.check.site == site)
}

// Concerned returns the services to judge again when what is known of these checks
// changes, sorted by name: those that look at them, those that share room with
// them, and all that depend on these.
func (m *Model) Concerned(checks ...string) []string {
	var start []int
	for _, id := range checks {
		if c := m.checks[id]; c != nil {
			start = append(start, c.services...)
		}
	}
	if len(start) == 0 {
		return nil
	}
	slices.Sort(start)
	return m.names(m.withConsumers(slices.Compact(start)))
}

// withConsumers adds to services those that share room with them and those that
// depend on them, and so on.
func (m *Model) withConsumers(start []int) []int {
	seen := make(map[int]bool, len(start))
	var all []int
	add := func(i int) {
		if !seen[i] {
			seen[i] = true
			all = append(all, i)
		}
	}
	for _, i := range start {
		add(i)
		for j := range m.services[i].paths {
			for _, sh := range m.services[i].paths[j].shares {
				for _, other := range sh.members {
					add(other.service)
				}
			}
		}
	}
	for n := 0; n < len(all); n++ {
		for _, c := range m.services[all[n]].consumers {
			add(c)
		}
	}
	return all
}

func (m *Model) names(services []int) []string {
	list := make([]string, 0, len(services))
	for _, i := range services {
		list = append(list, m.services[i].Name)
	}
	slices.Sort(list)
	return list
}

// Catalogue returns the catalogue the model was made of.
func (m *Model) Catalogue() *holdfast.Catalogue { return m.catalogue }
