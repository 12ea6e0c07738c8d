package alert

import (
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// index is what alerts need to know of a catalogue. It never changes.
type index struct {
	catalogue *holdfast.Catalogue
	plans     map[string]*holdfast.Plan
	checks    map[string]*lookout        // by ID
	services  map[string][]pathIndex     // service → its paths
	agents    map[string][]string        // agent → services whose recovery rests on its checks
	validity  map[string]time.Duration   // agent → the shortest validity of its checks
	things    map[string]map[string]bool // thing → services with a copy in it
	copies    map[string]string          // a copy's own check → the thing the copy lies in
}

// lookout is a check and where the thing stands that it looks at.
type lookout struct {
	*holdfast.Check
	site, host string
	validity   time.Duration
}

// pathIndex is a path with the checks it rests on.
type pathIndex struct {
	name   string
	copies []copyIndex
	tests  []holdfast.Test
	checks []*lookout // of copies, needs, plans and tests, each once
}

// copyIndex is a copy a path restores from.
type copyIndex struct {
	id      string // SERVICE/DATASET/COPY
	dataset string
	check   *lookout // nil: nobody looks
}

func newIndex(c *holdfast.Catalogue, source Source) *index {
	x := &index{
		catalogue: c, plans: make(map[string]*holdfast.Plan, len(c.Plans)), checks: map[string]*lookout{}, services: make(map[string][]pathIndex, len(c.Services)),
		agents: map[string][]string{}, validity: map[string]time.Duration{}, things: map[string]map[string]bool{}, copies: map[string]string{},
	}
	for i := range c.Services {
		x.addChecks(&c.Services[i], source)
	}
	for i := range c.Plans {
		x.plans[c.Plans[i].Name] = &c.Plans[i]
		for _, k := range c.Plans[i].Kept {
			if k.Check != nil {
				x.add(k.Check, k.Site, k.Host, source)
			}
		}
	}
	for i := range c.Services {
		x.addPaths(&c.Services[i], source)
	}
	return x
}

func (x *index) add(k *holdfast.Check, site, host string, source Source) {
	l := &lookout{Check: k, site: site, host: host, validity: source.Validity(k.ID).Std()}
	x.checks[k.ID] = l
	if v, known := x.validity[k.On]; !known || l.validity < v {
		x.validity[k.On] = l.validity
	}
}

func (x *index) addChecks(s *holdfast.Service, source Source) {
	for i := range s.Datasets {
		for j := range s.Datasets[i].Copies {
			c := &s.Datasets[i].Copies[j]
			if c.Check == nil {
				continue
			}
			x.add(c.Check, c.Site, c.Host, source)
			thing := thingOf(c, source)
			if x.things[thing] == nil {
				x.things[thing] = map[string]bool{}
			}
			x.things[thing][s.Name] = true
			x.copies[c.Check.ID] = thing
		}
	}
	for i := range s.Paths {
		p := &s.Paths[i]
		for j := range p.Needs {
			if n := &p.Needs[j]; n.Check != nil {
				x.add(n.Check, n.Site, n.Host, source)
			}
		}
		for j := range p.Tests {
			x.add(&p.Tests[j].Check, p.At, "", source)
		}
	}
}

// thingOf names what a copy lies in: the repository, and where it stands.
func thingOf(c *holdfast.Copy, source Source) string {
	thing := source.Target(c.Check)
	if place := c.Host; place != "" {
		return thing + " at " + place
	}
	if c.Site != "" {
		return thing + " at " + c.Site
	}
	return thing
}

func (x *index) addPaths(s *holdfast.Service, source Source) {
	list := make([]pathIndex, 0, len(s.Paths))
	for i := range s.Paths {
		p := &s.Paths[i]
		out := pathIndex{name: p.Name, tests: p.Tests}
		for _, ref := range p.From {
			d := s.Dataset(ref.Dataset)
			if d == nil || d.Copy(ref.Copy) == nil {
				continue
			}
			c := copyIndex{id: s.Name + "/" + ref.String(), dataset: ref.Dataset}
			if copy := d.Copy(ref.Copy); copy.Check != nil {
				c.check = x.checks[copy.Check.ID]
				out.rest(c.check)
			}
			out.copies = append(out.copies, c)
		}
		for j := range p.Needs {
			out.restOn(x, &p.Needs[j])
		}
		for j := range p.Tests {
			out.rest(x.checks[p.Tests[j].Check.ID])
		}
		for _, l := range out.checks {
			if !slices.Contains(x.agents[l.On], s.Name) {
				x.agents[l.On] = append(x.agents[l.On], s.Name)
			}
		}
		list = append(list, out)
	}
	x.services[s.Name] = list
}

func (p *pathIndex) rest(l *lookout) {
	if l != nil && !slices.Contains(p.checks, l) {
		p.checks = append(p.checks, l)
	}
}

// restOn adds the checks of a need: its own, the one it refers to, those of a
// plan's kept copies.
func (p *pathIndex) restOn(x *index, n *holdfast.Need) {
	if n.Check != nil {
		p.rest(x.checks[n.Check.ID])
	}
	if n.Ref != "" {
		p.rest(x.checks[n.Ref])
	}
	if plan := x.plans[n.Plan]; plan != nil {
		for _, k := range plan.Kept {
			if k.Check != nil {
				p.rest(x.checks[k.Check.ID])
			}
		}
	}
}

// path returns a path of a service, or nil.
func (x *index) path(service, name string) *pathIndex {
	list := x.services[service]
	for i := range list {
		if list[i].name == name {
			return &list[i]
		}
	}
	return nil
}

// shared reports whether copies of several services lie in the same thing.
func (x *index) shared(thing string) bool { return len(x.things[thing]) > 1 }
