package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// maxWithin is how many sites may lie within each other.
const maxWithin = 100

// resolveSites builds the sites; a site without a supplier has that of the
// nearest site above it that states one.
func (r *resolver) resolveSites() []holdfast.Site {
	docs := make(map[string]*siteDoc, len(r.sites))
	for _, d := range r.sites {
		if d.Site.V != "" {
			docs[d.Site.V] = d
		}
		r.known("site", d.Within, r.names.sites)
	}
	var out []holdfast.Site
	for _, d := range r.sites {
		s := holdfast.Site{Name: d.Site.V, Title: d.Title.V, Kind: d.Kind.V, Within: d.Within.V, Supplier: d.Supplier.V, Was: d.Was.V}
		above := []string{d.Site.V}
		for up := docs[d.Within.V]; up != nil; up = docs[up.Within.V] {
			if slices.Contains(above, up.Site.V) {
				if up == d && slices.Min(above) == d.Site.V { // once a ring
					r.add(d.Within.node, "sites lie within each other: "+strings.Join(append(above, up.Site.V), " within "), "one of them must stand free")
				}
				break
			}
			if s.Supplier == "" {
				s.Supplier = up.Supplier.V
			}
			if above = append(above, up.Site.V); len(above) > maxWithin {
				r.add(d.Within.node, fmt.Sprintf("more than %d sites lie within each other", maxWithin), "")
				break
			}
		}
		out = append(out, s)
	}
	return out
}

func (r *resolver) team(d *teamDoc) holdfast.Team {
	t := holdfast.Team{Name: d.Team.V, Title: d.Title.V, Was: d.Was.V}
	seen := make(map[string]bool)
	for _, m := range d.Members {
		if m.Name.V != "" && seen[m.Name.V] {
			r.add(m.Name.node, fmt.Sprintf("member %s stands here twice", quote(m.Name.V)), "")
		}
		seen[m.Name.V] = true
		member := holdfast.Member{Name: m.Name.V}
		for _, plan := range slices.Sorted(maps.Keys(m.Trained)) {
			on := m.Trained[plan]
			if r.names.plans[plan] == nil {
				r.addKey(on.node, fmt.Sprintf("no plan %s", quote(plan)), r.didYouMean(plan, slices.Collect(maps.Keys(r.names.plans))))
			}
			if member.Trained == nil {
				member.Trained = make(map[string]holdfast.Date)
			}
			member.Trained[plan] = on.V
		}
		t.Members = append(t.Members, member)
	}
	sortBy(t.Members, func(m holdfast.Member) string { return m.Name })
	return t
}

func (r *resolver) scenario(d *scenarioDoc) holdfast.DeclaredScenario {
	s := holdfast.DeclaredScenario{
		Name: d.Scenario.V, Title: d.Title.V, Was: d.Was.V,
		Sites:   r.knownAll("site", d.Sites, r.names.sites),
		Hosts:   r.unique("host", d.Hosts, func(name) {}),
		Teams:   r.knownAll("team", d.Teams, r.names.teams),
		Damaged: d.Data.V == damaged,
	}
	suppliers := make(map[string]bool)
	for _, site := range r.sites {
		if site.Supplier.V != "" {
			suppliers[site.Supplier.V] = true
		}
	}
	for _, l := range d.Suppliers {
		if l.V != "" && !suppliers[l.V] {
			r.add(l.node, fmt.Sprintf("no site has the supplier %s", quote(l.V)), r.didYouMean(l.V, slices.Collect(maps.Keys(suppliers))))
		}
		s.Suppliers = append(s.Suppliers, l.V)
	}
	slices.Sort(s.Suppliers)
	if len(s.Sites)+len(s.Hosts)+len(s.Suppliers)+len(s.Teams) == 0 && !s.Damaged {
		r.warn(d.node, "the scenario takes nothing out", "list sites, hosts, suppliers or teams, or say data: damaged")
	}
	return s
}

// planTiers finds the most critical tier among the services that name each plan.
func (r *resolver) planTiers() {
	r.tiers = make(map[string]int)
	for _, s := range r.services {
		for _, p := range s.Paths {
			for _, need := range p.Needs {
				if t := r.tiers[need.Plan.V]; need.Plan.V != "" && validTier(s.Tier.V) && (t == 0 || s.Tier.V < t) {
					r.tiers[need.Plan.V] = s.Tier.V
				}
			}
		}
	}
}

func validTier(t int) bool { return t >= 1 && t <= 4 }

func (r *resolver) plan(d *planDoc) holdfast.Plan {
	p := holdfast.Plan{
		Name: d.Plan.V, Title: d.Title.V, Version: d.Version.V, URL: d.URL.V, Owner: d.Owner.V, Approver: d.Approver.V,
		Approved: d.Approved.V, Review: d.Review.V, Activation: d.Activation.V, Recovery: d.Recovery.V, Return: d.Return.V, Was: d.Was.V,
	}
	tier := r.tiers[p.Name]
	if tier == 0 {
		tier = 4
	}
	first := make(map[string]*node)
	for i := range d.Kept {
		k := &d.Kept[i]
		kept := holdfast.KeptCopy{Site: r.known("site", k.Site, r.names.sites), Host: k.Host.V}
		if at := first[kept.Site]; at != nil && kept.Site != "" {
			r.add(k.Site.node, fmt.Sprintf("a copy at %s stands here already, in line %d", quote(kept.Site), at.line), "one a site: its ID is plan/PLAN/SITE")
		}
		first[kept.Site] = k.Site.node
		id := "plan/" + p.Name + "/" + kept.Site
		if kept.Check = r.check(&k.checkKeys, k.node, id, tier); kept.Check != nil {
			r.places[id] = position{kept.Site, kept.Host}
		}
		p.Kept = append(p.Kept, kept)
	}
	sortBy(p.Kept, func(k holdfast.KeptCopy) string { return k.Site })
	return p
}
