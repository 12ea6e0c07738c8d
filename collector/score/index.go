package score

import (
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
