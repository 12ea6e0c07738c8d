package web

import (
	"cmp"
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

// turn is an instant at which something of a service turns, not yet in words:
// thousands are looked through for the few that are shown.
type turn struct {
	at      time.Time
	state   holdfast.State // what it turns to; empty: not told
	usual   bool
	limit   string // of a scenario: what its recovery point reaches
	in      string // the scenario
	path    *holdfast.PathPosture
	rung    holdfast.Rung
	need    *holdfast.NeedPosture
	finding *holdfast.Finding
	risk    *holdfast.AcceptedRisk
	what    string // where it is always the same
}

// turns calls yield for what of a service turns after now, in no order.
func turns(p *holdfast.Posture, now time.Time, yield func(turn)) {
	named := p.NextChange == nil
	each := func(t turn) {
		if t.at.After(now) {
			named = named || t.at.Equal(*p.NextChange)
			yield(t)
		}
	}
	for i := range p.Scenarios {
		if s := &p.Scenarios[i]; s.AskedBy == "" {
			each(turn{at: s.RPOAt, limit: "breaches RPO", in: s.Name, state: holdfast.Degraded, usual: now.Sub(s.Point) < s.RPOAt.Sub(now)})
			each(turn{at: s.BeyondAt, limit: "data lost goes beyond bearing", in: s.Name, state: holdfast.Broken, usual: now.Sub(s.Point) < s.BeyondAt.Sub(now)})
		}
	}
	if p.Objectives != nil {
		each(turn{at: p.Objectives.ReviewDue, what: "review of its business impact analysis runs out", state: holdfast.Stale})
	}
	for i := range p.Paths {
		path := &p.Paths[i]
		for _, rung := range holdfast.Rungs {
			if r, ok := path.Rungs[rung]; ok && r.Required {
				each(turn{at: r.Until, path: path, rung: rung, state: holdfast.Stale})
			}
		}
		for k := range path.Needs {
			if n := &path.Needs[k]; n.Verdict == holdfast.Met {
				each(turn{at: n.Until, path: path, need: n, state: endOf(n)})
			}
		}
	}
	for i := range p.Findings {
		if f := &p.Findings[i]; f.Code != "rpo-due" && !isRung(f.Need) {
			each(turn{at: f.Until, finding: f, state: worseThan(f), usual: strings.HasPrefix(f.Code, "rpo-")})
		}
	}
	for i := range p.Acceptances {
		each(turn{at: p.Acceptances[i].Until, risk: &p.Acceptances[i]})
	}
	for i := range p.Maintenance {
		each(turn{at: p.Maintenance[i].Until, what: "maintenance ends"})
	}
	if !named {
		each(turn{at: *p.NextChange, what: something})
	}
}

// say puts a turn of a service into words.
func (t *turn) say(service string) string {
	switch {
	case t.limit != "":
		return t.limit + " (" + scenarioTitle(t.in) + ")"
	case t.rung != "":
		return fmt.Sprintf("proof %q of %s runs out", t.rung, clip(t.path.Name))
	case t.need != nil:
		return needRunsOut(t.need, service, t.path.Name)
	case t.finding != nil:
		return getsWorse(t.finding)
	case t.risk != nil:
		return "acceptance of " + shortNeed(t.risk.Need, service) + " ends"
	}
	return t.what
}

// deadlines lists what of a service turns from now on, the soonest first.
// Scenarios that reach a limit at the same instant are told together.
func deadlines(p *holdfast.Posture, now time.Time) []deadline {
	var list []deadline
	scenarios := map[string][]string{} // by limit and instant
	turns(p, now, func(t turn) {
		what := t.say(p.Name)
		if t.limit != "" {
			key := t.limit + t.at.String()
			if scenarios[key] = append(scenarios[key], t.in); len(scenarios[key]) > 1 {
				i := slices.IndexFunc(list, func(d deadline) bool { return d.At.Equal(t.at) && strings.HasPrefix(d.What, t.limit) })
				list[i].What, list[i].usual = t.limit+" ("+scenarioList(scenarios[key])+")", list[i].usual && t.usual
				return
			}
		}
		if !slices.ContainsFunc(list, func(d deadline) bool { return d.At.Equal(t.at) && d.What == what }) {
			list = append(list, deadline{At: t.at, What: what, Service: p.Name, Name: titleOf(p), State: t.state, usual: t.usual})
		}
	})
	slices.SortFunc(list, func(a, b deadline) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.What, b.What)) })
	return list
}

// scenarioList writes scenarios in their order.
func scenarioList(names []string) string {
	names = slices.SortedFunc(slices.Values(names), scenarioOrder)
	for i := range names {
		names[i] = scenarioTitle(names[i])
	}
	return strings.Join(names, ", ")
}

// endOf is what a need that is met turns to as it ends: a paper goes stale, what a
// check saw ending is over.
func endOf(n *holdfast.NeedPosture) holdfast.State {
	if n.Kind == holdfast.Assurance || n.Attested || n.Declared {
		return holdfast.Stale
	}
	return holdfast.Broken
}

// needRunsOut names what ends of a need that is met.
func needRunsOut(n *holdfast.NeedPosture, service, path string) string {
	name := shortNeed(strings.TrimPrefix(n.Need, service+"/"), path)
	switch {
	case strings.HasPrefix(n.Need, "plan/"):
		return "review of plan " + clip(strings.TrimPrefix(n.Need, "plan/")) + " runs out"
	case n.Declared:
		return "attestation that " + name + " holds runs out"
	case n.Attested:
		return "attestation of " + name + " runs out"
	case n.Kind == holdfast.Assurance:
		return "training of " + name + " runs out"
	}
	return name + " expires"
}

// worseThan is what a finding turns to; empty: the same, only more of it.
func worseThan(f *holdfast.Finding) holdfast.State {
	switch {
	case f.Code == "expiring":
		return holdfast.Broken
	case f.State == holdfast.Stale:
		return holdfast.Untested
	}
	return ""
}

// getsWorse says what a finding turns to.
func getsWorse(f *holdfast.Finding) string {
	reason := clip(f.Reason)
	switch {
	case f.Code == "expiring":
		return "ends: " + reason
	case strings.HasPrefix(f.Code, "rpo-"):
		return "misses its RPO by more: " + reason
	case f.State == holdfast.Stale:
		return "counts as untested: " + reason
	}
	return "gets worse: " + reason
}

// something is what is said of a change that comes from elsewhere.
const something = "a dependency, or what it shares room with, turns"

// isRung reports whether a need is a step of the proof ladder, told with its path.
func isRung(need string) bool {
	return slices.ContainsFunc(holdfast.Rungs, func(r holdfast.Rung) bool { return strings.HasSuffix(need, "/"+string(r)) })
}

// breaksNext is the first deadline worth attention: not a fresh recovery point
// that the next backup renews.
func breaksNext(p *holdfast.Posture, now time.Time) *deadline {
	for _, d := range deadlines(p, now) {
		if !d.usual && d.What != something {
			return &d
		}
	}
	return nil
}

// breaksAt is when that is, without its words; zero: nothing lies ahead. What
// follows from another service's deadline is not its own.
func breaksAt(p *holdfast.Posture, now time.Time) time.Time {
	var first time.Time
	turns(p, now, func(t turn) {
		if !t.usual && t.what != something && (first.IsZero() || t.at.Before(first)) {
			first = t.at
		}
	})
	return first
}

// due fills in what breaks next over all services, one deadline of each.
func (v *overview) due(all []*holdfast.Posture, now time.Time) {
	type next struct {
		at time.Time
		p  *holdfast.Posture
	}
	var soonest []next
	for _, p := range all {
		if at := breaksAt(p, now); !at.IsZero() {
			soonest = append(soonest, next{at, p})
		}
	}
	slices.SortStableFunc(soonest, func(a, b next) int { return a.at.Compare(b.at) })
	for _, n := range soonest[:min(len(soonest), dueShown)] {
		list := deadlines(n.p, now)
		if i := slices.IndexFunc(list, func(d deadline) bool { return !d.usual && d.At.Equal(n.at) && d.What != something }); i >= 0 {
			v.Due = append(v.Due, list[i])
		}
	}
}
