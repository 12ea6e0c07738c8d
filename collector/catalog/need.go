package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// reservedNeeds are the last parts of the IDs of derived findings.
var reservedNeeds = []string{"intact", "restored", "exercised", "rpo", "rto", "capacity", "mbco"}

func (s *service) needs(d *pathDoc, p *holdfast.Path) {
	lines := make(map[string]int)
	var all []renamed
	for i := range d.Needs {
		n, ok := s.need(&d.Needs[i], p)
		if !ok {
			continue
		}
		at := d.Needs[i].node
		switch first, taken := lines[n.Name]; {
		case taken:
			s.add(at, fmt.Sprintf("a need called %s stands in line %d already", quote(n.Name), first), "give one of them a name:")
		case slices.Contains(reservedNeeds, n.Name):
			s.add(at, fmt.Sprintf("%s is reserved for IDs", quote(n.Name)), "name the need otherwise")
		}
		lines[n.Name] = at.line
		all = append(all, renamed{n.Name, d.Needs[i].Was})
		p.Needs = append(p.Needs, n)
	}
	s.checkWas(all)
}

// form is one way to write a need: the key that makes it what it is, and the
// keys that may stand beside it.
type form struct {
	key    string
	given  func(d *needDoc) bool
	beside []string
}

var forms = []form{
	{"probe", func(d *needDoc) bool { return d.Probe.given() }, []string{"on", "every", "timeout", "with", "credential"}},
	{"check", func(d *needDoc) bool { return d.Check.given() }, nil},
	{"attest", func(d *needDoc) bool { return d.Attest.given() }, []string{"by", "every"}},
	{"plan", func(d *needDoc) bool { return d.Plan.given() }, nil},
	{"team", func(d *needDoc) bool { return d.Team.given() }, []string{"trained"}},
}

var everyForm = []string{"name", "site", "host", "was"}

// formOf tells which form a need has; it reports none, several, and keys of
// another.
func (s *service) formOf(d *needDoc) (form, bool) {
	var found []form
	for _, f := range forms {
		if f.given(d) {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		if d.node.kind == mapping {
			s.add(d.node, "a need has exactly one of probe, check, attest, plan, team", "write two needs, or drop the key too many")
		}
		return form{}, false
	}
	f := found[0]
	for _, m := range d.node.members {
		foreign := slices.ContainsFunc(forms, func(other form) bool { return slices.Contains(other.beside, m.key) })
		if foreign && !slices.Contains(f.beside, m.key) {
			s.addKey(m, fmt.Sprintf("key %s does not belong to a need with %s", quote(m.key), quote(f.key)),
				"beside it stand "+strings.Join(append(slices.Clone(f.beside), everyForm...), ", "))
		}
	}
	return f, true
}

func (s *service) need(d *needDoc, p *holdfast.Path) (holdfast.Need, bool) {
	f, ok := s.formOf(d)
	if !ok {
		return holdfast.Need{}, false
	}
	n := holdfast.Need{Site: s.known("site", d.Site, s.names.sites), Host: d.Host.V, Was: d.Was.V}
	switch f.key {
	case "probe":
		n.Name = d.Probe.V
	case "check":
		n.Name = strings.Join(d.Check.V, ".")
	case "attest":
		n.Name, n.Attest, n.By, n.Every = d.Attest.V, d.Attest.V, d.By.V, d.Every.V
		s.attestation(d)
	case "plan":
		n.Name, n.Plan = d.Plan.V, s.known("plan", d.Plan, s.names.plans)
	case "team":
		n.Name, n.Team, n.Trained = d.Team.V, s.known("team", d.Team, s.names.teams), s.trained(d)
	}
	if d.Name.given() {
		n.Name = d.Name.V
	}
	if n.Name == "" {
		return n, false
	}
	n.ID = s.out.Name + "/" + p.Name + "/" + n.Name
	if f.key == "check" {
		s.refs[n.ID] = d.Check
		n.Ref = strings.Join(d.Check.V, "/")
		if len(d.Check.V) == 2 {
			n.Ref = s.out.Name + "/" + n.Ref
		}
		return n, len(d.Check.V) > 0 // its place is that of what it points to
	}
	if n.Site == "" {
		n.Site = p.At
	}
	if f.key == "probe" {
		at := s.position(&d.placeKeys, p.At)
		n.Site, n.Host = at.site, at.host
		n.Check = s.check(&d.checkKeys, d.node, n.ID, s.out.Tier)
		if ref, ok := s.copyRef(&d.Credential); ok {
			n.Credential = &ref
		}
	}
	if n.Check != nil || n.Attest != "" {
		s.places[n.ID] = position{n.Site, n.Host}
	}
	return n, true
}

func (s *service) attestation(d *needDoc) {
	if !d.Every.given() {
		s.addKey(d.node, "key `every` is missing", "an attestation holds for so long: every: 365d")
	}
	if !d.By.given() {
		s.warn(d.node, "the need does not say who attests", "state by: ROLE")
	}
}

func (s *service) trained(d *needDoc) int {
	if !d.Trained.given() {
		return 1
	}
	if d.Trained.ok && d.Trained.V == 0 {
		s.add(d.Trained.node, "trained must be 1 or more", "leave the need out where nobody must be trained")
	}
	return d.Trained.V
}

// resolveRefs follows needs that point to a check or need written elsewhere. Such
// a need stands where that thing stands, unless it says otherwise.
func (r *resolver) resolveRefs(c *holdfast.Catalogue) {
	for i := range c.Services {
		for j := range c.Services[i].Paths {
			needs := c.Services[i].Paths[j].Needs
			for k := range needs {
				if needs[k].Ref != "" {
					r.resolveRef(&needs[k])
				}
			}
		}
	}
}

func (r *resolver) resolveRef(n *holdfast.Need) {
	at, ok := r.places[n.Ref]
	if !ok || n.Ref == n.ID {
		ref := r.refs[n.ID]
		r.add(ref.node, fmt.Sprintf("no check %s", quote(n.Ref)), r.didYouMean(n.Ref, slices.Collect(maps.Keys(r.places))))
		return
	}
	if n.Site == "" {
		n.Site = at.site
		if n.Host == "" {
			n.Host = at.host
		}
	}
}
