package score

import (
	"slices"

	"github.com/holdfast-monitor/holdfast"
)

// Model is an immutable index over a catalogue. It may be used by any number of
// goroutines.
type Model struct {
	catalogue *holdfast.Catalogue
	policy    holdfast.Policy
	costs     map[string]int
	defaults  []holdfast.LooserTerm // of the policy: looser than the default
	sites     map[string]*holdfast.Site
	inside    map[string][]string // site → the sites directly within
	teams     map[string]*holdfast.Team
	plans     map[string]*holdfast.Plan
	declared  map[string]*holdfast.DeclaredScenario
	services  []service
	byName    map[string]int
	checks    map[string]*check
	attests   map[string]*holdfast.Need // needs met by a record, by ID
	rings     [][]int                   // cycles of dependencies, services by index
	losses    map[string]*loss          // by key: equal losses are one
}

// check is a check with what judging needs to know of it.
type check struct {
	*holdfast.Check
	was      []string          // former IDs
	validity holdfast.Duration // how long a good observation holds
	services []int             // whose own paths or copies look at it
	site     string            // where the thing stands
	host     string
}

// service is a service with what judging needs to know of it.
type service struct {
	*holdfast.Service
	index     int
	paths     []path
	consumers []int // services that depend on it, optional ones apart
	deps      []dependency
	cycle     int             // > 0: the ring of dependencies it stands in
	attested  map[string]bool // needs that a record may attest
	asks      []ask           // the scenarios it is judged on, by its tier and BIA, none left out
	askedBy   []demand        // scenarios of consumers in which it is judged besides
}

type dependency struct {
	*holdfast.Dependency
	index int
}

// ask is a scenario a service is asked to survive.
type ask struct {
	name string
	loss *loss
	omit *holdfast.Omission // left out until then
}

// demand is a scenario of a consumer that takes the service out.
type demand struct {
	consumer string
	tier     int
	loss     *loss
}

// path is a path with its copies and checks followed.
type path struct {
	*holdfast.Path
	index    int
	copies   []copyOf
	missing  []string // datasets it neither restores nor leaves
	needs    []need
	plans    []*holdfast.Plan
	tests    []test
	shares   []share  // capacity checks that other services' paths look through as well
	evidence []*check // all checks that observe something of the path
}

// copyOf is the copy of a dataset that a path restores from.
type copyOf struct {
	ref holdfast.CopyRef
	*holdfast.Copy
	id    string // SERVICE/DATASET/COPY
	check *check // nil: nobody looks
	// feeds are the checks whose observations attest something of the copy.
	feeds []feed
}

// feed is a check that may attest something of a copy.
type feed struct {
	check *check
	rung  holdfast.Rung // of the test it is; empty: the copy's own check
	path  int           // the path whose test it is
	only  bool          // counts only where the observation names the copy
}

type need struct {
	*holdfast.Need
	check  *check
	attest *holdfast.Need // where it is met by a record, also through a reference
	places [][2]string    // site and host of what it stands on
}

type test struct {
	*holdfast.Test
	check *check
}

// share is a capacity check that several paths look through.
type share struct {
	check   *check
	members []member
}

type member struct{ service, path int }

// NewModel indexes a catalogue. The catalogue must not change afterwards.
func NewModel(c *holdfast.Catalogue) *Model {
	m := &Model{
		catalogue: c, policy: c.Policy, costs: map[string]int{},
		sites: map[string]*holdfast.Site{}, inside: map[string][]string{}, teams: map[string]*holdfast.Team{},
		plans: map[string]*holdfast.Plan{}, declared: map[string]*holdfast.DeclaredScenario{},
		byName: make(map[string]int, len(c.Services)), checks: map[string]*check{}, attests: map[string]*holdfast.Need{}, losses: map[string]*loss{},
	}
	if m.policy.Bands == nil {
		m.policy.Bands = holdfast.DefaultPolicy().Bands
	}
	for code := range rules {
		m.costs[code] = m.costOf(code)
	}
	m.defaults = m.policyLooser()
	for i := range c.Sites {
		m.sites[c.Sites[i].Name] = &c.Sites[i]
		if up := c.Sites[i].Within; up != "" {
			m.inside[up] = append(m.inside[up], c.Sites[i].Name)
		}
	}
	for i := range c.Teams {
		m.teams[c.Teams[i].Name] = &c.Teams[i]
	}
	for i := range c.Plans {
		m.plans[c.Plans[i].Name] = &c.Plans[i]
	}
	for i := range c.Scenarios {
		m.declared[c.Scenarios[i].Name] = &c.Scenarios[i]
	}
	m.services = make([]service, len(c.Services))
	for i := range c.Services {
		m.services[i] = service{Service: &c.Services[i], index: i, attested: map[string]bool{}}
		m.byName[c.Services[i].Name] = i
	}
	m.indexChecks()
	for i := range m.services {
		m.indexService(&m.services[i])
	}
	m.indexPlans()
	m.indexShares()
	m.findCycles()
	for i := range m.services {
		m.indexAsks(&m.services[i])
	}
	m.indexDemands()
	return m
}

// costOf returns what a finding costs: the policy's word, else the default.
func (m *Model) costOf(code string) int {
	if c, ok := m.policy.Costs[code]; ok {
		return c
	}
	return rules[code].Cost
}

// called reports whether name is the service's, now or formerly.
func (s *service) called(name string) bool {
	return name != "" && (name == s.Name || name == s.Was)
}

func (s *service) namesPlan(plan string) bool {
	for i := range s.paths {
		for _, p := range s.paths[i].plans {
			if p.Name == plan || p.Was == plan && plan != "" {
				return true
			}
		}
	}
	return false
}

func (s *service) namesTeam(team string) bool {
	for i := range s.paths {
		for j := range s.paths[i].needs {
			if s.paths[i].needs[j].Team == team {
				return true
			}
		}
	}
	return false
}

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

// Concerned returns the services to judge again when what is known of a check
// changes, sorted by name: those that look at it, those that share room with
// them, and all that depend on these.
func (m *Model) Concerned(check string) []string {
	c := m.checks[check]
	if c == nil {
		return nil
	}
	return m.names(m.withConsumers(c.services))
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
