package score

import (
	"cmp"
	"slices"

	"github.com/holdfast-monitor/holdfast"
)

// accept marks the findings somebody accepted. An acceptance changes no verdict
// and no score.
func (j *judge) accept(p *holdfast.Posture, s *service, c *clock) {
	needs := map[string]bool{}
	for i := range p.Findings {
		f := &p.Findings[i]
		for _, r := range known(j.f.records.acceptances[f.Need], j.at) {
			if r.Service != "" && !s.called(r.Service) || r.Until.IsZero() {
				continue
			}
			c.due(r.Until)
			if !j.at.Before(r.Until) {
				continue
			}
			f.Accepted = true
			if !needs[f.Need+"\x00"+r.By+"\x00"+r.Until.String()] {
				needs[f.Need+"\x00"+r.By+"\x00"+r.Until.String()] = true
				p.Acceptances = append(p.Acceptances, holdfast.AcceptedRisk{Need: f.Need, By: r.By, Approver: r.Approver, Reason: r.Reason, Until: r.Until.UTC()})
			}
		}
	}
	for _, a := range s.asks {
		if a.omit != nil && j.at.Before(a.omit.Until.Time) {
			p.Acceptances = append(p.Acceptances, holdfast.AcceptedRisk{
				Need: s.Name + "/" + a.name, By: a.omit.Owner, Approver: a.omit.Approver, Reason: a.omit.Reason, Until: a.omit.Until.UTC(),
			})
		}
	}
	slices.SortStableFunc(p.Acceptances, func(a, b holdfast.AcceptedRisk) int {
		return cmp.Or(cmp.Compare(a.Need, b.Need), a.Until.Compare(b.Until), cmp.Compare(a.By, b.By))
	})
}

// windows lists the maintenance in force on a service, its host or its site.
func (j *judge) windows(s *service, c *clock) []holdfast.Window {
	var list []holdfast.Window
	for _, r := range known(j.f.records.maintenance, j.at) {
		if !s.maintained(&r) {
			continue
		}
		from := r.At
		if !r.Started.IsZero() {
			from = r.Started.UTC()
		}
		c.due(from)
		c.due(r.Until)
		if j.at.Before(from) || !j.at.Before(r.Until) {
			continue
		}
		list = append(list, holdfast.Window{By: r.By, Reason: r.Reason, From: from, Until: r.Until.UTC()})
	}
	return list
}

// maintained reports whether a maintenance window is on the service, or on a host
// or site it or one of its copies stands on.
func (s *service) maintained(r *holdfast.Record) bool {
	if s.called(r.Service) {
		return true
	}
	if r.Service != "" {
		return false
	}
	on := func(site, host string) bool {
		return r.Host != "" && r.Host == host || r.Host == "" && r.Site != "" && r.Site == site
	}
	if on(s.Site, s.Host) {
		return true
	}
	for i := range s.Datasets {
		for k := range s.Datasets[i].Copies {
			if c := &s.Datasets[i].Copies[k]; on(c.Site, c.Host) {
				return true
			}
		}
	}
	for i := range s.paths {
		for k := range s.paths[i].needs {
			if n := &s.paths[i].needs[k]; n.check != nil && on(n.Site, n.Host) {
				return true
			}
		}
	}
	return false
}
