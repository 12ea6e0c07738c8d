package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// deadline is something that turns at an instant although every check goes on
// reporting the same.
type deadline struct {
	At            time.Time
	What          string
	Service, Name string
	State         holdfast.State // what it turns to; empty: not told
	usual         bool           // a recovery point growing older, less than half way to its RPO
}

// deadlines lists what of a service turns from now on, the soonest first.
func deadlines(p *holdfast.Posture, now time.Time) []deadline {
	var list []deadline
	add := func(at time.Time, what string, to holdfast.State, usual bool) {
		if !at.After(now) {
			return
		}
		for i := range list {
			if list[i].At.Equal(at) && list[i].What == what {
				return
			}
		}
		list = append(list, deadline{At: at, What: what, Service: p.Name, Name: titleOf(p), State: to, usual: usual})
	}
	breaches := map[time.Time][]string{}
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		if s.AskedBy != "" {
			continue
		}
		if s.RPOAt.After(now) {
			breaches[s.RPOAt] = append(breaches[s.RPOAt], scenarioTitle(s.Name))
		}
		add(s.BeyondAt, "data lost goes beyond bearing ("+scenarioTitle(s.Name)+")", holdfast.Broken, now.Sub(s.Point) < s.BeyondAt.Sub(now))
	}
	for at, scenarios := range breaches {
		usual := true
		for i := range p.Scenarios {
			if s := &p.Scenarios[i]; s.RPOAt.Equal(at) && now.Sub(s.Point) >= at.Sub(now) {
				usual = false
			}
		}
		slices.SortFunc(scenarios, scenarioOrder)
		add(at, "breaches RPO ("+strings.Join(scenarios, ", ")+")", holdfast.Degraded, usual)
	}
	for i := range p.Paths {
		path := &p.Paths[i]
		for _, rung := range holdfast.Rungs {
			if r, ok := path.Rungs[rung]; ok && r.Required {
				add(r.Until, fmt.Sprintf("proof %q of %s runs out", rung, clip(path.Name)), holdfast.Stale, false)
			}
		}
	}
	for i := range p.Findings {
		if f := &p.Findings[i]; f.Code != "rpo-due" && !isRung(f.Need) {
			add(f.Until, clip(f.Reason), "", false)
		}
	}
	for _, a := range p.Acceptances {
		add(a.Until, "acceptance of "+shortNeed(a.Need, p.Name)+" ends", "", false)
	}
	for _, m := range p.Maintenance {
		add(m.Until, "maintenance ends", "", false)
	}
	if p.NextChange != nil && !slices.ContainsFunc(list, func(d deadline) bool { return d.At.Equal(*p.NextChange) }) {
		add(*p.NextChange, "the judgement changes", "", false)
	}
	slices.SortFunc(list, func(a, b deadline) int {
		if d := a.At.Compare(b.At); d != 0 {
			return d
		}
		return strings.Compare(a.What, b.What)
	})
	return list
}

// isRung reports whether a need is a step of the proof ladder, told with its path.
func isRung(need string) bool {
	return slices.ContainsFunc(holdfast.Rungs, func(r holdfast.Rung) bool { return strings.HasSuffix(need, "/"+string(r)) })
}

// breaksNext is the first deadline worth attention: not a fresh recovery point
// that the next backup renews.
func breaksNext(p *holdfast.Posture, now time.Time) *deadline {
	for _, d := range deadlines(p, now) {
		if !d.usual {
			return &d
		}
	}
	return nil
}

// due fills in what breaks next over all services.
func (v *overview) due(all []*holdfast.Posture, now time.Time) {
	for _, p := range all {
		if p.NextChange == nil {
			continue
		}
		if d := breaksNext(p, now); d != nil {
			v.Due = append(v.Due, *d)
		}
	}
	slices.SortFunc(v.Due, func(a, b deadline) int {
		if d := a.At.Compare(b.At); d != 0 {
			return d
		}
		return strings.Compare(a.Service, b.Service)
	})
	v.Due = v.Due[:min(len(v.Due), dueShown)]
}

// policyNote says that proof ages faster here than anywhere real.
type policyNote struct {
	Name  string
	Tiers []policyTier
}

type policyTier struct {
	Tier  int
	Terms []string
}

// newPolicyNote returns a note where the policy asks for proof oftener than daily,
// as a demo's does, else nil.
func newPolicyNote(c *holdfast.Catalogue) *policyNote {
	note, fast := policyNote{Name: clip(c.Policy.Name)}, false
	for i, t := range c.Policy.Tiers {
		tier := policyTier{Tier: i + 1}
		for _, rung := range holdfast.Rungs {
			if every := t.Cadence(rung); every > 0 {
				tier.Terms = append(tier.Terms, string(rung)+" "+span(every.Std()))
				fast = fast || every < holdfast.Day
			}
		}
		if len(tier.Terms) > 0 {
			note.Tiers = append(note.Tiers, tier)
		}
	}
	if !fast {
		return nil
	}
	return &note
}
