package score

import (
	"slices"

	"github.com/holdfast-monitor/holdfast"
)

// indexChecks knows every check by its ID, with its former IDs.
func (m *Model) indexChecks() {
	for i := range m.services {
		s := m.services[i].Service
		former := names(s.Name, s.Was)
		for j := range s.Datasets {
			d := &s.Datasets[j]
			for k := range d.Copies {
				c := &d.Copies[k]
				if c.Check != nil {
					m.addCheck(c.Check, s.Tier, formerIDs(former, names(d.Name, d.Was), names(c.Name, c.Was)), c.Site, c.Host)
				}
			}
		}
		for j := range s.Paths {
			p := &s.Paths[j]
			for k := range p.Needs {
				n := &p.Needs[k]
				ids := formerIDs(former, names(p.Name, p.Was), names(n.Name, n.Was))
				if n.Attest != "" {
					m.attests[n.ID] = n
				}
				if n.Check != nil {
					m.addCheck(n.Check, s.Tier, ids, n.Site, n.Host)
				}
			}
			for k := range p.Tests {
				t := &p.Tests[k]
				ids := formerIDs(former, names(p.Name, p.Was), []string{string(t.Rung)})
				if t.Dataset != "" {
					var dataset []string
					if d := s.Dataset(t.Dataset); d != nil {
						dataset = names(d.Name, d.Was)
					}
					ids = formerIDs(former, names(p.Name, p.Was), []string{string(t.Rung)}, dataset)
				}
				m.addCheck(&t.Check, s.Tier, ids, p.At, "")
			}
		}
	}
	for i := range m.catalogue.Plans {
		p := &m.catalogue.Plans[i]
		for j := range p.Kept {
			if k := &p.Kept[j]; k.Check != nil {
				m.addCheck(k.Check, 4, formerIDs([]string{"plan"}, names(p.Name, p.Was), []string{k.Site}), k.Site, k.Host)
			}
		}
	}
}

func (m *Model) addCheck(c *holdfast.Check, tier int, ids []string, site, host string) {
	m.checks[c.ID] = &check{
		Check: c, validity: validity(c, tier), site: site, host: host,
		was: slices.DeleteFunc(ids, func(id string) bool { return id == c.ID }),
	}
}

func names(name, was string) []string {
	if was == "" {
		return []string{name}
	}
	return []string{name, was}
}

// formerIDs joins every combination of names into an ID.
func formerIDs(parts ...[]string) []string {
	ids := []string{""}
	for i, part := range parts {
		var longer []string
		for _, id := range ids {
			for _, name := range part {
				if i > 0 {
					name = id + "/" + name
				}
				longer = append(longer, name)
			}
		}
		ids = longer
	}
	return ids
}

// indexService follows a service's paths, copies and dependencies.
func (m *Model) indexService(s *service) {
	for i := range s.DependsOn {
		d := &s.DependsOn[i]
		if j, ok := m.byName[d.Service]; ok {
			s.deps = append(s.deps, dependency{d, j})
			if d.Kind != holdfast.Optional {
				m.services[j].consumers = append(m.services[j].consumers, s.index)
			}
		}
	}
	s.paths = make([]path, len(s.Paths))
	for i := range s.Paths {
		m.indexPath(s, &s.paths[i], i)
	}
	for i := range s.Datasets {
		for j := range s.Datasets[i].Copies {
			c := &s.Datasets[i].Copies[j]
			m.concern(c.Check, s.index)
			for _, fact := range hardFacts {
				s.attested[s.Name+"/"+s.Datasets[i].Name+"/"+c.Name+"/"+fact] = true
			}
		}
	}
}

// concern notes that a service looks at a check.
func (m *Model) concern(c *holdfast.Check, service int) {
	if c == nil {
		return
	}
	if k := m.checks[c.ID]; !slices.Contains(k.services, service) {
		k.services = append(k.services, service)
	}
}

func (m *Model) indexPath(s *service, p *path, i int) {
	p.Path, p.index = &s.Paths[i], i
	for j := range s.Datasets {
		d := &s.Datasets[j]
		at := slices.IndexFunc(p.From, func(r holdfast.CopyRef) bool { return r.Dataset == d.Name })
		if at < 0 {
			if _, left := p.Leaves[d.Name]; !left {
				p.missing = append(p.missing, d.Name)
			}
			continue
		}
		if c := d.Copy(p.From[at].Copy); c != nil {
			p.copies = append(p.copies, m.indexCopy(s, p.From[at], c))
		} else {
			p.missing = append(p.missing, d.Name)
		}
	}
	for j := range p.Needs {
		m.indexNeed(s, p, &p.Needs[j])
	}
	for j := range p.Tests {
		t := &p.Tests[j]
		p.tests = append(p.tests, test{t, m.checks[t.Check.ID]})
		m.concern(&t.Check, s.index)
		p.evidence = append(p.evidence, m.checks[t.Check.ID])
	}
	for j := range p.copies {
		if c := p.copies[j].check; c != nil {
			p.evidence = append(p.evidence, c)
		}
	}
}

func (m *Model) indexNeed(s *service, p *path, n *holdfast.Need) {
	x := need{Need: n, places: [][2]string{{n.Site, n.Host}}}
	switch {
	case n.Check != nil:
		x.check = m.checks[n.Check.ID]
	case n.Ref != "":
		x.check, x.attest = m.checks[n.Ref], m.attests[n.Ref]
		if x.check != nil {
			x.places = append(x.places, [2]string{x.check.site, x.check.host})
		}
	case n.Attest != "":
		x.attest = n
	case n.Plan != "":
		if plan := m.plans[n.Plan]; plan != nil {
			p.plans = append(p.plans, plan)
			for i := range plan.Kept {
				m.concern(plan.Kept[i].Check, s.index)
			}
		}
	}
	if x.check != nil {
		m.concern(x.check.Check, s.index)
		p.evidence = append(p.evidence, x.check)
	}
	if x.attest != nil {
		s.attested[x.attest.ID] = true
	}
	p.needs = append(p.needs, x)
}

// indexCopy follows a copy to every check that may attest something of it: its
// own, and the tests of every path that restores from it.
func (m *Model) indexCopy(s *service, ref holdfast.CopyRef, c *holdfast.Copy) copyOf {
	x := copyOf{ref: ref, Copy: c, id: s.Name + "/" + ref.String()}
	if c.Check != nil {
		x.check = m.checks[c.Check.ID]
		x.feeds = append(x.feeds, feed{check: x.check, path: -1})
	}
	for i := range s.Paths {
		p := &s.Paths[i]
		restores := slices.Contains(p.From, ref)
		for j := range p.Tests {
			t := &p.Tests[j]
			if t.Dataset != "" && t.Dataset != ref.Dataset {
				continue
			}
			x.feeds = append(x.feeds, feed{check: m.checks[t.Check.ID], rung: t.Rung, path: i, only: !restores})
		}
	}
	return x
}
