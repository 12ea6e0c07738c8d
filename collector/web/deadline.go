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
	usual         bool           // the next backup renews it: a point less than half way to its RPO, a miss that grows
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
	for _, l := range limits(p, now) {
		slices.SortFunc(l.scenarios, scenarioOrder)
		for i := range l.scenarios {
			l.scenarios[i] = scenarioTitle(l.scenarios[i])
		}
		add(l.at, l.what+" ("+strings.Join(l.scenarios, ", ")+")", l.state, now.Sub(l.point) < l.at.Sub(now))
	}
	if p.Objectives != nil {
		add(p.Objectives.ReviewDue, "review of its business impact analysis runs out", holdfast.Stale, false)
	}
	for i := range p.Paths {
		path := &p.Paths[i]
		for _, rung := range holdfast.Rungs {
			if r, ok := path.Rungs[rung]; ok && r.Required {
				add(r.Until, fmt.Sprintf("proof %q of %s runs out", rung, clip(path.Name)), holdfast.Stale, false)
			}
		}
		for k := range path.Needs {
			if n := &path.Needs[k]; n.Verdict == holdfast.Met {
				what, to := needRunsOut(n, p.Name, path.Name)
				add(n.Until, what, to, false)
			}
		}
	}
	for i := range p.Findings {
		if f := &p.Findings[i]; f.Code != "rpo-due" && !isRung(f.Need) {
			what, to := getsWorse(f)
			add(f.Until, what, to, strings.HasPrefix(f.Code, "rpo-"))
		}
	}
	for _, a := range p.Acceptances {
		add(a.Until, "acceptance of "+shortNeed(a.Need, p.Name)+" ends", "", false)
	}
	for _, m := range p.Maintenance {
		add(m.Until, "maintenance ends", "", false)
	}
	if p.NextChange != nil && !slices.ContainsFunc(list, func(d deadline) bool { return d.At.Equal(*p.NextChange) }) {
		add(*p.NextChange, something, "", false)
	}
	slices.SortFunc(list, func(a, b deadline) int {
		if d := a.At.Compare(b.At); d != 0 {
			return d
		}
		return strings.Compare(a.What, b.What)
	})
	return list
}

// needRunsOut names what ends of a need that is met, and what becomes of it: a
// paper goes stale, what a check saw ending is over.
func needRunsOut(n *holdfast.NeedPosture, service, path string) (what string, to holdfast.State) {
	name := shortNeed(strings.TrimPrefix(n.Need, service+"/"), path)
	switch {
	case strings.HasPrefix(n.Need, "plan/"):
		return "review of plan " + clip(strings.TrimPrefix(n.Need, "plan/")) + " runs out", holdfast.Stale
	case n.Declared:
		return "attestation that " + name + " holds runs out", holdfast.Stale
	case n.Attested:
		return "attestation of " + name + " runs out", holdfast.Stale
	case n.Kind == holdfast.Assurance:
		return "training of " + name + " runs out", holdfast.Stale
	}
	return name + " expires", holdfast.Broken
}

// getsWorse says what a finding turns to.
func getsWorse(f *holdfast.Finding) (what string, to holdfast.State) {
	reason := clip(f.Reason)
	switch {
	case f.Code == "expiring":
		return "ends: " + reason, holdfast.Broken
	case strings.HasPrefix(f.Code, "rpo-"):
		return "misses its RPO by more: " + reason, ""
	case f.State == holdfast.Stale:
		return "counts as untested: " + reason, holdfast.Untested
	}
	return "gets worse: " + reason, ""
}

// something is what is said of a change that comes from elsewhere.
const something = "a dependency, or what it shares room with, turns"

// limit is when the age of a recovery point reaches what the business bears.
type limit struct {
	at, point time.Time
	what      string
	state     holdfast.State
	scenarios []string
}

// limits are those ahead; scenarios that share one are told together.
func limits(p *holdfast.Posture, now time.Time) []*limit {
	var list []*limit
	add := func(s *holdfast.ScenarioPosture, at time.Time, what string, state holdfast.State) {
		if !at.After(now) {
			return
		}
		i := slices.IndexFunc(list, func(l *limit) bool { return l.at.Equal(at) && l.state == state })
		if i < 0 {
			i, list = len(list), append(list, &limit{at: at, point: s.Point, what: what, state: state})
		}
		list[i].scenarios = append(list[i].scenarios, s.Name)
	}
	for i := range p.Scenarios {
		if s := &p.Scenarios[i]; s.AskedBy == "" {
			add(s, s.RPOAt, "breaches RPO", holdfast.Degraded)
			add(s, s.BeyondAt, "data lost goes beyond bearing", holdfast.Broken)
		}
	}
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

// due fills in what breaks next over all services. Nothing of a service turns
// before its next change, so only those that change soonest are looked into.
func (v *overview) due(all []*holdfast.Posture, now time.Time) {
	soonest := slices.DeleteFunc(slices.Clone(all), func(p *holdfast.Posture) bool { return p.NextChange == nil })
	slices.SortStableFunc(soonest, func(a, b *holdfast.Posture) int { return a.NextChange.Compare(*b.NextChange) })
	known := map[time.Time]bool{} // when something turns that can be named
	for i, p := range soonest {
		if len(v.Due) >= dueShown && i > 0 && p.NextChange.After(v.Due[dueShown-1].At) {
			break
		}
		list := deadlines(p, now)
		for _, d := range list {
			known[d.At] = known[d.At] || d.What != something
		}
		next := slices.IndexFunc(list, func(d deadline) bool { return !d.usual && (d.What != something || !known[d.At]) })
		if next < 0 {
			continue
		}
		v.Due = append(v.Due, list[next])
		slices.SortStableFunc(v.Due, func(a, b deadline) int { return a.At.Compare(b.At) })
		v.Due = v.Due[:min(len(v.Due), 2*dueShown)]
	}
	v.Due = slices.DeleteFunc(v.Due, func(d deadline) bool { return d.What == something && known[d.At] }) // follows from another
	v.Due = v.Due[:min(len(v.Due), dueShown)]
}
