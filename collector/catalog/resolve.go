package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// resolver turns documents into the catalogue: it follows references, fills in
// defaults of place and refuses impossible values.
type resolver struct {
	*faults
	options   Options
	services  []*serviceDoc
	sites     []*siteDoc
	teams     []*teamDoc
	plans     []*planDoc
	policies  []*policyDoc
	scenarios []*scenarioDoc

	names names
	// tiers is the most critical tier of the services whose paths name a plan.
	tiers map[string]int
	// places are where checks and needs stand, by ID; refs the needs that point
	// to one, by their own ID.
	places map[string]position
	refs   map[string]reference
	probes map[string]*probeSchema
}

// names are the declared names of each kind, with the document that declares.
type names struct {
	services, sites, teams, plans, scenarios map[string]*node

	members map[string]bool // of any team
}

// position is where a thing stands.
type position struct{ site, host string }

func (r *resolver) resolve() *holdfast.Catalogue {
	r.places, r.refs = make(map[string]position), make(map[string]reference)
	r.probes = make(map[string]*probeSchema)
	r.index()
	c := &holdfast.Catalogue{Policy: r.policy()}
	c.Sites = r.resolveSites()
	for _, d := range r.teams {
		c.Teams = append(c.Teams, r.team(d))
	}
	for _, d := range r.scenarios {
		c.Scenarios = append(c.Scenarios, r.scenario(d))
	}
	r.planTiers()
	for _, d := range r.plans {
		c.Plans = append(c.Plans, r.plan(d))
	}
	for _, d := range r.services {
		s := &service{resolver: r, doc: d}
		c.Services = append(c.Services, s.resolve())
	}
	r.resolveRefs(c)
	sortBy(c.Sites, func(s holdfast.Site) string { return s.Name })
	sortBy(c.Teams, func(t holdfast.Team) string { return t.Name })
	sortBy(c.Plans, func(p holdfast.Plan) string { return p.Name })
	sortBy(c.Scenarios, func(s holdfast.DeclaredScenario) string { return s.Name })
	sortBy(c.Services, func(s holdfast.Service) string { return s.Name })
	return c
}

func sortBy[T any](list []T, key func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

// index gathers names and reports those declared twice, and clashes of `was`.
func (r *resolver) index() {
	r.names = names{
		services: declare(r, r.services, func(d *serviceDoc) (name, name) { return d.Service, d.Was }),
		sites:    declare(r, r.sites, func(d *siteDoc) (name, name) { return d.Site, d.Was }),
		teams:    declare(r, r.teams, func(d *teamDoc) (name, name) { return d.Team, d.Was }),
		plans:    declare(r, r.plans, func(d *planDoc) (name, name) { return d.Plan, d.Was }),
		scenarios: declare(r, r.scenarios, func(d *scenarioDoc) (name, name) {
			return d.Scenario, d.Was
		}),
	}
	r.names.members = make(map[string]bool)
	for _, t := range r.teams {
		for _, m := range t.Members {
			r.names.members[m.Name.V] = true
		}
	}
	for _, d := range r.services {
		if slices.Contains(reservedServices, d.Service.V) {
			r.add(d.Service.node, fmt.Sprintf("%s is reserved for IDs", quote(d.Service.V)), "name the service otherwise")
		}
	}
	for _, d := range r.scenarios {
		if slices.Contains(holdfast.Scenarios, d.Scenario.V) {
			r.add(d.Scenario.node, fmt.Sprintf("scenario %s is built in", quote(d.Scenario.V)), "declare yours under another name")
		}
	}
}

// reservedServices begin the IDs of things that belong to no service.
var reservedServices = []string{"plan", "dependency"}

// declare indexes the documents of a kind by name.
func declare[T any](r *resolver, list []*T, naming func(*T) (own, was name)) map[string]*node {
	declared := make(map[string]*node, len(list))
	var all []renamed
	for _, d := range list {
		own, was := naming(d)
		if own.V == "" {
			continue
		}
		if first := declared[own.V]; first != nil {
			r.add(own.node, fmt.Sprintf("%s is declared twice", quote(own.V)), "first in "+place{first.file, first.line, 0}.String())
			continue
		}
		declared[own.V] = own.node
		all = append(all, renamed{own.V, was})
	}
	r.checkWas(all)
	return declared
}

// renamed is a named thing and what it says it was.
type renamed struct {
	name string
	was  name
}

// checkWas reports old names that are still in use, or claimed twice, among
// things of one kind and place.
func (r *resolver) checkWas(all []renamed) {
	now, before := make(map[string]bool, len(all)), make(map[string]string)
	for _, x := range all {
		now[x.name] = true
	}
	for _, x := range all {
		old := x.was.V
		if old == "" {
			continue
		}
		switch {
		case now[old]:
			r.add(x.was.node, fmt.Sprintf("was: %s is still in use", quote(old)), "history can go on under one name only")
		case before[old] != "":
			r.add(x.was.node, fmt.Sprintf("was: %s is claimed by %s already", quote(old), quote(before[old])), "history can go on under one name only")
		}
		before[old] = x.name
	}
}

// known reports a reference to a name nobody declares, and answers the name.
func (r *resolver) known(what string, ref name, declared map[string]*node) string {
	if ref.V != "" && declared[ref.V] == nil {
		r.add(ref.node, fmt.Sprintf("no %s %s", what, quote(ref.V)), r.didYouMean(ref.V, slices.Collect(maps.Keys(declared))))
	}
	return ref.V
}

// knownAll follows a list of references; it reports repetitions and sorts.
func (r *resolver) knownAll(what string, refs []name, declared map[string]*node) []string {
	return r.unique(what, refs, func(ref name) { r.known(what, ref, declared) })
}

// unique gathers names, sorted, reporting repetitions.
func (r *resolver) unique(what string, refs []name, each func(name)) []string {
	var out []string
	seen := make(map[string]bool, len(refs))
	for _, ref := range refs {
		if ref.V == "" {
			continue
		}
		if seen[ref.V] {
			r.add(ref.node, fmt.Sprintf("%s %s stands here twice", what, quote(ref.V)), "")
			continue
		}
		each(ref)
		seen[ref.V] = true
		out = append(out, ref.V)
	}
	slices.Sort(out)
	return out
}

// knownScenario reports a scenario that is neither built in nor declared; n is
// the node (or, for a key, the value under it) that names it.
func (r *resolver) knownScenario(n *node, scenario string, report func(n *node, problem, hint string)) {
	if scenario == "" || slices.Contains(holdfast.Scenarios, scenario) || r.names.scenarios[scenario] != nil {
		return
	}
	known := slices.AppendSeq(slices.Clone(holdfast.Scenarios), maps.Keys(r.names.scenarios))
	report(n, fmt.Sprintf("no scenario %s", quote(scenario)), r.didYouMean(scenario, known))
}

func (r *resolver) scenarioNames(refs []name) []string {
	return r.unique("scenario", refs, func(ref name) { r.knownScenario(ref.node, ref.V, r.add) })
}
