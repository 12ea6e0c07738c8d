package alert

import (
	"fmt"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// What is told although no finding says it: a backup that did not come, an RPO
// about to be breached, a test that could not be made, an agent that is silent.

// dueShare is how much of its RPO a service has used when it is told that a breach
// is near.
const dueShare = 0.8

// missedAfter is how many of its longest usual gaps a backup may stay away.
const missedAfter = 2

// missedShare is how much of its RPO a service may use before a backup counts as
// missed: what comes every few seconds may rest for some.
const missedShare = 0.25

// copies looks for backups that do not come. A copy's usual rhythm is the longest
// gap between its newest four points: a new point is missed once the newest is
// twice as old, and older than a quarter of the RPO, and the check has had its turn
// to see a newer one, although the copy itself is well and its check reports.
func (d *derivation) copies() {
	paths := d.x.services[d.p.Name]
	for i := range paths {
		for j := range paths[i].copies {
			c := &paths[i].copies[j]
			if p := d.copyPosture(c.id); p != nil && c.check != nil && d.reports(c, p) {
				d.missed(&paths[i], c, p)
			}
		}
	}
	d.due()
}

// reports reports whether a copy is a backup whose check sees it, so that its
// points are the newest there are.
func (d *derivation) reports(c *copyIndex, p *holdfast.CopyPosture) bool {
	return p.Kind == holdfast.Backup && p.Verdict != holdfast.VerdictUnknown && !p.Point.IsZero() &&
		d.failed[c.id] == nil && !d.agents[c.check.On].silent()
}

func (d *derivation) missed(path *pathIndex, c *copyIndex, p *holdfast.CopyPosture) {
	if p.Gap <= 0 {
		return
	}
	late := p.Point.Add(max(missedAfter*p.Gap.Std(), d.usedShare(missedShare)) + c.check.Every.Std())
	d.turn(late)
	if d.at.Before(late) {
		return
	}
	d.add(&signal{
		kind: holdfast.PointMissed, cause: c.id, check: c.check.ID, severity: holdfast.Warning, state: holdfast.Proven,
		paths: d.pathsOf([]string{path.name}, nil),
		what:  fmt.Sprintf("%s has no new recovery point since %s: they came every %s at the longest", c.id, moment(p.Point), holdfast.Duration(p.Gap.Std().Round(time.Second))),
		next:  "look why the backup did not run, and run it",
		since: late, against: d.agreed(), quiet: d.quiet(&holdfast.Finding{Need: c.id}),
	})
}

// usedShare is a share of the service's RPO; 0 where it states none.
func (d *derivation) usedShare(share float64) time.Duration {
	if d.p.Objectives == nil {
		return 0
	}
	return time.Duration(share * float64(d.p.Objectives.RPO.Requested.Limit))
}

// due tells of an RPO that will be breached soon. A copy that is in its rhythm is
// not due, however near its rhythm comes to the RPO: its next point is.
func (d *derivation) due() {
	for i := range d.p.Scenarios {
		s := &d.p.Scenarios[i]
		if s.AskedBy != "" || s.RPOAt.IsZero() || !s.RPO.Stated() || !d.at.Before(s.RPOAt) {
			continue
		}
		c := d.oldest(s.Path)
		if c == nil || c.check == nil {
			continue
		}
		p := d.copyPosture(c.id)
		if !d.reports(c, p) {
			continue
		}
		near := s.Point.Add(time.Duration(dueShare * float64(s.RPO.Limit)))
		if late := s.Point.Add(p.Gap.Std()); late.After(near) {
			near = late
		}
		if !near.Before(s.RPOAt) {
			continue
		}
		d.turn(near)
		if d.at.Before(near) {
			continue
		}
		d.add(&signal{
			kind: holdfast.RPODue, cause: c.id, check: c.check.ID, severity: holdfast.Warning, state: holdfast.Proven,
			paths: d.pathsOf([]string{s.Path}, nil),
			what:  fmt.Sprintf("service %s breaches its RPO of %s at %s: the newest point of %s is of %s", d.p.Name, s.RPO.Limit, moment(s.RPOAt), c.id, moment(s.Point)),
			next:  "get a new recovery point into the copy before that",
			since: near, against: d.agreed(), quiet: d.quiet(&holdfast.Finding{Need: c.id}),
		})
	}
}

// overdueAfter is how many intervals a test may stay away although its agent
// reports.
const overdueAfter = 2

// tests looks for tests that were not made: the latest try ended in an error, or
// none came when it was due. The proof goes on ageing meanwhile.
func (d *derivation) tests() {
	paths := d.x.services[d.p.Name]
	for i := range paths {
		for j := range paths[i].tests {
			t := &paths[i].tests[j]
			l := d.x.checks[t.Check.ID]
			o, seen := d.latest(t.Check.ID)
			if !seen || l == nil || d.agents[l.On].silent() {
				continue
			}
			overdue := o.At.Add(overdueAfter * t.Check.Every.Std())
			if back := d.agents[l.On].back.Add(t.Check.Every.Std()); back.After(overdue) {
				overdue = back // it had no time to run it yet
			}
			overdue = overdue.Add(t.Check.Timeout.Std())
			d.turn(overdue)
			s := signal{
				kind: holdfast.RestoreNotRun, cause: t.Check.ID, check: t.Check.ID, severity: holdfast.Warning, state: holdfast.Proven,
				paths: d.pathsOf([]string{paths[i].name}, nil), against: d.agreed(), quiet: d.quiet(&holdfast.Finding{Need: t.Check.ID}),
			}
			switch {
			case o.Outcome == holdfast.OutcomeUnknown:
				s.what = "test " + t.Check.ID + " could not be made" + because(&o)
				s.next, s.since = "mend what keeps the test from running, then run it: the proof goes on ageing", o.At
			case !d.at.Before(overdue):
				s.what = fmt.Sprintf("test %s was last made %s, due every %s", t.Check.ID, moment(o.At), t.Check.Every)
				s.next, s.since = "look why agent "+l.On+" does not run it, or run it now", overdue
			default:
				continue
			}
			if bad := d.testExplained(&paths[i], t); bad != nil {
				bad.paths = joinPaths(bad.paths, s.paths) // it cannot be tested because it is damaged
				continue
			}
			d.add(&s)
		}
	}
}

// testExplained returns the failure of a copy that the test would have restored.
func (d *derivation) testExplained(p *pathIndex, t *holdfast.Test) *signal {
	for i := range p.copies {
		if t.Dataset == "" || t.Dataset == p.copies[i].dataset {
			if s := d.failed[p.copies[i].id]; s != nil {
				return s
			}
		}
	}
	return nil
}

func because(o *holdfast.Observation) string {
	switch {
	case o.Summary != "" && o.Reason != "":
		return fmt.Sprintf(": %s (%s)", o.Summary, o.Reason)
	case o.Summary != "":
		return ": " + o.Summary
	case o.Reason != "":
		return ": " + string(o.Reason)
	}
	return ""
}

// stand is what alerts need to know of an agent.
type stand struct {
	name        string
	known       bool // it is enrolled, or was
	connected   bool
	revoked     bool
	since       time.Time // silent since then; zero: never heard
	back        time.Time // since when it reports; zero: it does not, or did at the start
	host, site  string
	certificate time.Time // until when; zero: none
	warn        time.Time // from when on it should have been renewed long ago; zero: none
}

// silent reports whether nobody runs the agent's checks.
func (a stand) silent() bool { return !a.connected }

// silentAgents says what the service is blind to: one alert for an agent, however
// many checks it has.
func (d *derivation) silentAgents() {
	paths := d.x.services[d.p.Name]
	blind := map[string][]string{} // agent → paths
	checks := map[string]map[string]bool{}
	for i := range paths {
		for _, l := range paths[i].checks {
			list := blind[l.On]
			if len(list) == 0 || list[len(list)-1] != paths[i].name {
				blind[l.On] = append(list, paths[i].name)
			}
			if checks[l.On] == nil {
				checks[l.On] = map[string]bool{}
			}
			checks[l.On][l.ID] = true
		}
	}
	for agent, names := range blind {
		a := d.agents[agent]
		a.name = agent
		s := &signal{
			cause: "agent/" + agent, agent: agent, host: a.host, site: a.site, severity: holdfast.Warning, state: holdfast.Proven,
			paths: d.pathsOf(names, nil), checks: len(checks[agent]), link: "/agents", quiet: d.maintained(),
		}
		if a.silent() {
			s.kind, s.what, s.next, s.since = holdfast.AgentSilent, a.sentence(), a.step(), a.since
			s.state = holdfast.Unknown
			d.add(s)
		} else if !a.warn.IsZero() {
			d.turn(a.warn)
			if !d.at.Before(a.warn) {
				s.kind, s.since = holdfast.CertificateEnding, a.warn
				s.what = fmt.Sprintf("the certificate of agent %s ends %s and was not renewed", agent, moment(a.certificate))
				s.next = "look into the agent's log why it does not renew, or let it join again"
				d.add(s)
			}
		}
	}
}

func (a stand) sentence() string {
	switch {
	case a.revoked:
		return "agent " + a.name + " is revoked, and checks are still assigned to it"
	case !a.known:
		return "agent " + a.name + " never joined"
	case a.since.IsZero():
		return "agent " + a.name + " was never heard"
	}
	return "agent " + a.name + " is silent since " + moment(a.since)
}

func (a stand) step() string {
	switch {
	case a.revoked:
		return "let another agent run its checks, or let it join again: holdfast collector token --agent " + a.name
	case !a.known:
		return "let it join: holdfast collector token --agent " + a.name
	}
	on := a.host
	if on == "" {
		on = "its host"
	}
	return strings.TrimSpace("on " + on + ": holdfast agent status")
}
