package web

import (
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// recordFields are the fields of a kind's form, with what a service lets one choose
// from.
func recordFields(kind holdfast.RecordKind, p *holdfast.Posture, c *holdfast.Catalogue, who string) []field {
	by := field{Name: "by", Label: "Who attests", Type: "text", Value: who, Required: true}
	at := field{Name: "at", Label: "When it happened (UTC; empty: now)", Type: "time"}
	note := field{Name: "note", Label: "Note", Type: "area"}
	reason := field{Name: "reason", Label: "Reason", Type: "area", Required: true}
	until := field{Name: "until", Label: "Until (UTC)", Type: "time", Required: true}
	people := field{Name: "people", Label: "People, with commas between them", Type: "text", Required: true}
	path := field{Name: "path", Label: "Recovery path", Type: "select", Required: true, Options: pathOptions(p)}
	plan := field{Name: "plan", Label: "Plan", Type: "select", Required: true, Options: planOptions(p, c)}
	outcome := field{Name: "outcome", Label: "Outcome", Type: "select", Required: true, Options: []option{{"ok", "ok: it worked as planned"}, {"degraded", "degraded: it worked, and missed something"}, {"failed", "failed"}}}
	started := field{Name: "started", Label: "Began (UTC)", Type: "time", Required: true}
	took := field{Name: "duration", Label: "Took (like 45m or 1h30m)", Type: "text"}
	switch kind {
	case holdfast.Exercise:
		took.Required = true
		return []field{path, outcome, started, took, plan,
			{Name: "version", Label: "Version of the plan", Type: "text", Required: true, Value: versionOf(plan, c)},
			{Name: "site", Label: "Where", Type: "select", Required: true, Options: siteOptions(p, c)}, people,
			{Name: "point", Label: "Recovery point that was restored (UTC)", Type: "time", Hint: "What lies between it and the beginning is the loss that is counted."}, note, by}
	case holdfast.Invocation:
		return []field{path, outcome, started, took, note, by}
	case holdfast.Review:
		plan.Required = false
		plan.Label, plan.Options = "What was reviewed", append([]option{{"", "what the business agreed on this service"}}, plan.Options...)
		return []field{plan, {Name: "version", Label: "Version of the plan", Type: "text"},
			{Name: "editorial", Label: "The new version changes no procedure", Type: "check"}, at, note, by}
	case holdfast.Training:
		return []field{{Name: "team", Label: "Team", Type: "select", Required: true, Options: teamOptions(p, c)}, plan, people, at, note, by}
	case holdfast.Change:
		return []field{reason, {Name: "substantive", Label: "Substantive: exercises made before prove no more", Type: "check"},
			{Name: "data", Label: "It touches data: restores made before prove no more", Type: "check"}, at, by}
	case holdfast.Attestation:
		return []field{{Name: "need", Label: "Need", Type: "select", Required: true, Options: attestable(p, c)}, at, note, by}
	case holdfast.Acceptance:
		return []field{{Name: "need", Label: "What is accepted", Type: "select", Required: true, Options: openRisks(p)}, reason,
			{Name: "approver", Label: "Approved by", Type: "text", Required: true}, until, by}
	}
	return []field{reason, until, {Name: "site", Label: "Of a whole site (empty: of this service)", Type: "select", Options: append([]option{{}}, siteOptions(p, c)...)},
		{Name: "host", Label: "Of a host (empty: of this service)", Type: "text"}, by}
}

func pathOptions(p *holdfast.Posture) (list []option) {
	for i := range p.Paths {
		list = append(list, option{p.Paths[i].Name, clip(p.Paths[i].Name)})
	}
	return list
}

// planOptions lists the plans of the service's paths first, then all others.
func planOptions(p *holdfast.Posture, c *holdfast.Catalogue) (list []option) {
	mine, _ := plansAndTeams(c.Service(p.Name))
	for _, name := range mine {
		list = append(list, option{name, clip(name)})
	}
	for i := range c.Plans {
		if name := c.Plans[i].Name; !slices.Contains(mine, name) {
			list = append(list, option{name, clip(name)})
		}
	}
	return list
}

// versionOf is the version of the plan that stands first.
func versionOf(plan field, c *holdfast.Catalogue) string {
	if len(plan.Options) > 0 {
		for i := range c.Plans {
			if c.Plans[i].Name == plan.Options[0].Value {
				return clip(c.Plans[i].Version)
			}
		}
	}
	return ""
}

// siteOptions lists the recovery sites of the service's paths first.
func siteOptions(p *holdfast.Posture, c *holdfast.Catalogue) (list []option) {
	add := func(name string) {
		o := option{name, clip(name)}
		if name != "" && !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	for i := range p.Paths {
		add(p.Paths[i].At)
	}
	for i := range c.Sites {
		add(c.Sites[i].Name)
	}
	return list
}

func teamOptions(p *holdfast.Posture, c *holdfast.Catalogue) (list []option) {
	_, mine := plansAndTeams(c.Service(p.Name))
	for _, name := range mine {
		list = append(list, option{name, clip(name)})
	}
	for i := range c.Teams {
		if name := c.Teams[i].Name; !slices.Contains(mine, name) {
			list = append(list, option{name, clip(name)})
		}
	}
	return list
}

// plansAndTeams are those the paths of a service need.
func plansAndTeams(s *holdfast.Service) (plans, teams []string) {
	add := func(list *[]string, name string) {
		if name != "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	if s == nil {
		return nil, nil
	}
	for i := range s.Paths {
		for _, n := range s.Paths[i].Needs {
			add(&plans, n.Plan)
			add(&teams, n.Team)
		}
	}
	add(&teams, s.Owner)
	return plans, teams
}

// attestable lists the needs that a person vouches for, and the facts that are
// declared of copies.
func attestable(p *holdfast.Posture, c *holdfast.Catalogue) (list []option) {
	if s := c.Service(p.Name); s != nil {
		for i := range s.Paths {
			for _, n := range s.Paths[i].Needs {
				if n.Attest != "" {
					list = append(list, option{n.ID, shortNeed(n.ID, p.Name)})
				}
			}
		}
	}
	for i := range p.Data {
		for _, copied := range p.Data[i].Copies {
			for _, f := range []struct {
				name string
				fact holdfast.Fact
			}{{"immutable", copied.Immutable}, {"offline", copied.Offline}, {"encrypted", copied.Encrypted}} {
				if f.fact.How == "declared" {
					id := strings.Join([]string{p.Name, p.Data[i].Dataset, copied.Copy, f.name}, "/")
					list = append(list, option{id, shortNeed(id, p.Name)})
				}
			}
		}
	}
	return list
}

// openRisks lists what stands in a service's way, the dearest first.
func openRisks(p *holdfast.Posture) (list []option) {
	findings := slices.Clone(p.Findings)
	slices.SortStableFunc(findings, func(a, b holdfast.Finding) int { return b.Points - a.Points })
	for i := range findings {
		f := &findings[i]
		o := option{f.Need, shortNeed(f.Need, p.Name) + ": " + clip(f.Reason)}
		if !slices.ContainsFunc(list, func(x option) bool { return x.Value == o.Value }) {
			list = append(list, o)
		}
	}
	return list
}

// recordRow is a record in a list.
type recordRow struct {
	holdfast.Record
	What string
	Say  string
}

// newRecordRow puts a record into words.
func newRecordRow(r *holdfast.Record, service string) recordRow {
	row := recordRow{Record: clipped(*r), What: string(r.Kind)}
	var parts []string
	add := func(text string, when bool) {
		if when {
			parts = append(parts, clip(text))
		}
	}
	add(r.Path, r.Path != "")
	add(shortNeed(r.Need, service), r.Need != "")
	add("plan "+strings.TrimSpace(r.Plan+" "+r.Version), r.Plan != "")
	add("what the business agreed", r.Kind == holdfast.Review && r.Plan == "")
	add("at "+r.Site, r.Site != "")
	add("host "+r.Host, r.Host != "")
	add("team "+r.Team, r.Team != "")
	add("substantive", r.Substantive)
	add("touches data", r.Data)
	add("editorial", r.Editorial)
	add(outcomeWord(r.Outcome), r.Outcome != "")
	add("took "+span(r.Duration.Std()), r.Duration > 0)
	add(span(r.Started.Sub(r.Point))+" lost", !r.Point.IsZero() && !r.Started.IsZero())
	add("with "+enumerate(r.People), len(r.People) > 0)
	add("approved by "+r.Approver, r.Approver != "")
	row.Say = strings.Join(parts, ", ")
	return row
}
