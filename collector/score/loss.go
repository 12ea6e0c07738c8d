package score

import (
	"slices"

	"github.com/holdfast-monitor/holdfast"
)

// loss is what a scenario takes out, for the service whose scenario it is
// (JUDGEMENT.md 3). Dependencies are judged under the loss of their consumer.
type loss struct {
	scenario string
	sites    map[string]bool // sites lost with all that stands there
	hostsOf  map[string]bool // sites whose hosts are lost while the site stands (ransomware)
	hosts    map[string]bool
	// unhosted is the site where a thing or service that states no host counts as
	// standing on the lost one: a fact not stated is the worst.
	unhosted     string
	hasUnhosted  bool
	teams        map[string]bool
	people       map[string]bool
	allTeams     bool
	damaged      bool // the data itself is damaged: replicas follow
	onlyHardened bool // copies neither immutable nor offline are lost, anywhere
}

// takesPlace reports whether what stands at the site, on the host, is lost.
func (l *loss) takesPlace(site, host string) bool {
	switch {
	case l.sites[site], l.hostsOf[site], host != "" && l.hosts[host]:
		return true
	}
	return host == "" && l.hasUnhosted && site == l.unhosted
}

// takesSite reports whether nothing can be recovered at the site.
func (l *loss) takesSite(site string) bool { return l.sites[site] }

// takesCopy reports whether a copy is lost with its place; whether its content is
// any good after the scenario, structure tells.
func (l *loss) takesCopy(c *holdfast.Copy) bool {
	if l.onlyHardened {
		return false // an immutable or offline copy survives wherever it is
	}
	return l.takesPlace(c.Site, c.Host)
}

// takesTeam reports whether a team is lost as a whole.
func (l *loss) takesTeam(team string) bool { return l.allTeams || l.teams[team] }

// lossKey names what a scenario takes out for a service: equal keys, equal losses.
func (m *Model) lossKey(s *service, scenario string) string {
	switch scenario {
	case holdfast.HostLoss:
		return scenario + "\x00" + s.Site + "\x00" + s.Host
	case holdfast.SiteLoss, holdfast.Ransomware:
		return scenario + "\x00" + s.Site
	case holdfast.SupplierLoss:
		return scenario + "\x00" + m.supplierOf(s.Site) + "\x00" + s.Site
	case holdfast.DataCorruption:
		return scenario
	case holdfast.StaffLoss:
		return scenario + "\x00" + s.Owner
	}
	return scenario + "\x00" + m.supplierOf(s.Site)
}

// loss returns what a scenario takes out for a service. Called while the model is
// made only: a model does not change.
func (m *Model) loss(s *service, scenario string) *loss {
	key := m.lossKey(s, scenario)
	if l := m.losses[key]; l != nil {
		return l
	}
	l := &loss{scenario: scenario, sites: map[string]bool{}, hostsOf: map[string]bool{}, hosts: map[string]bool{}, teams: map[string]bool{}, people: map[string]bool{}}
	m.losses[key] = l
	switch scenario {
	case holdfast.HostLoss:
		if s.Host != "" {
			l.hosts[s.Host] = true
		}
		l.unhosted, l.hasUnhosted = s.Site, true
	case holdfast.SiteLoss:
		m.loseSite(l, s.Site)
	case holdfast.SupplierLoss:
		m.loseSupplier(l, m.supplierOf(s.Site), true)
		m.loseSite(l, s.Site)
	case holdfast.DataCorruption:
		l.damaged = true
	case holdfast.Ransomware:
		l.onlyHardened = true
		for _, site := range m.sitesWithin(s.Site) {
			l.hostsOf[site] = true
		}
	case holdfast.StaffLoss:
		l.allTeams = s.Owner == ""
		m.loseTeam(l, s.Owner)
	default:
		m.loseDeclared(l, s, scenario)
	}
	return l
}

func (m *Model) loseDeclared(l *loss, s *service, scenario string) {
	d, ok := m.declared[scenario]
	if !ok {
		return // the catalogue's reader refuses a scenario nobody declares
	}
	for _, site := range d.Sites {
		m.loseSite(l, site)
	}
	for _, supplier := range d.Suppliers {
		m.loseSupplier(l, supplier, supplier == m.supplierOf(s.Site))
	}
	for _, host := range d.Hosts {
		l.hosts[host] = true
	}
	for _, team := range d.Teams {
		m.loseTeam(l, team)
	}
	l.damaged = d.Damaged
}

// loseSite takes out a site and the sites within.
func (m *Model) loseSite(l *loss, site string) {
	for _, s := range m.sitesWithin(site) {
		l.sites[s] = true
	}
}

// loseSupplier takes out every site of a supplier, what lies within them, and,
// with unstated, the sites that state none: they count as its own.
func (m *Model) loseSupplier(l *loss, supplier string, unstated bool) {
	for name := range m.sites {
		of := m.supplierOf(name)
		if of == supplier && supplier != "" || of == "" && unstated {
			m.loseSite(l, name)
		}
	}
	if unstated {
		l.sites[""] = true
	}
}

// loseTeam takes out a team and the people in it, wherever else they are members.
// An owner that is no team is a person.
func (m *Model) loseTeam(l *loss, name string) {
	if name == "" {
		return
	}
	l.teams[name] = true
	team, ok := m.teams[name]
	if !ok {
		l.people[name] = true
		return
	}
	for i := range team.Members {
		l.people[team.Members[i].Name] = true
	}
}

// supplierOf returns who runs a site, from the nearest site above that says so.
func (m *Model) supplierOf(name string) string {
	for range len(m.sites) + 1 {
		s, ok := m.sites[name]
		if !ok {
			return ""
		}
		if s.Supplier != "" {
			return s.Supplier
		}
		name = s.Within
	}
	return ""
}

// sitesWithin returns a site and every site within it.
func (m *Model) sitesWithin(name string) []string {
	within := []string{name}
	for i := 0; i < len(within); i++ {
		within = append(within, m.inside[within[i]]...)
		if len(within) > len(m.sites)+1 { // a ring; the catalogue's reader refuses it
			slices.Sort(within)
			return slices.Compact(within)
		}
	}
	return within
}

// takesService reports whether a service goes down in the loss, as a dependency
// does that stands on what is lost.
func (l *loss) takesService(s *service) bool {
	if l.damaged && len(l.sites)+len(l.hosts) == 0 {
		return false // data of the service in question, nothing else
	}
	return l.takesPlace(s.Site, s.Host)
}
