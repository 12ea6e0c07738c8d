package alert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Source is what alerts are made of besides postures. Every method may be called
// from many goroutines at once, and is quick.
type Source interface {
	// Read calls f with a way to look up the latest result of checks, whatever they
	// say, for as long as f runs; f is quick and calls nothing else of the source.
	Read(f func(latest Latest))
	// Validity is how long a good observation of a check holds; 0: no such check.
	Validity(check string) holdfast.Duration
	// Target names the thing a check looks at, the same for all checks that look
	// at it.
	Target(k *holdfast.Check) string
}

// Latest returns a check's latest result.
type Latest func(check string) (holdfast.Observation, bool)

// derivation works out what is to be said of one service.
type derivation struct {
	x      *index
	latest Latest
	agents map[string]stand
	p      *holdfast.Posture
	at     time.Time

	signals map[string]*signal // by ID
	waits   []wait
	next    time.Time // when something turns although nothing new is judged; zero: never

	failed  map[string]*signal // copy that cannot be used → what says so
	corrupt map[string]*signal // copy whose verification failed → what says so
	blind   map[string]bool    // copies and checks nobody can tell of
}

// derive returns the signals of a service, what it waits for, and when to ask
// again although nothing new is judged.
func derive(x *index, latest Latest, agents map[string]stand, p *holdfast.Posture, at time.Time) *derivation {
	d := &derivation{
		x: x, latest: latest, agents: agents, p: p, at: at, signals: map[string]*signal{},
		failed: map[string]*signal{}, corrupt: map[string]*signal{}, blind: map[string]bool{},
	}
	findings := slices.Clone(p.Findings)
	slices.SortStableFunc(findings, func(a, b holdfast.Finding) int {
		return cmp.Or(cmp.Compare(orderOf(a.Code), orderOf(b.Code)), cmp.Compare(b.State.Rank(), a.State.Rank()), cmp.Compare(a.Need, b.Need))
	})
	for i := range findings {
		if r, known := rules[findings[i].Code]; known {
			r.raise(d, &findings[i])
		} else {
			d.standing(&findings[i])
		}
	}
	d.copies()
	d.tests()
	d.silentAgents()
	return d
}

// turn notes when something will be different.
func (d *derivation) turn(at time.Time) {
	if at.After(d.at) && (d.next.IsZero() || at.Before(d.next)) {
		d.next = at
	}
}

// raise adds a signal that a finding gives rise to.
func (d *derivation) raise(kind holdfast.AlertKind, cause string, f *holdfast.Finding) *signal {
	s := &signal{
		kind: kind, cause: cause, check: f.Check, state: f.State, severity: d.severity(kind, f),
		paths: d.pathsOf(f.Paths, f.Scenarios), what: f.Reason, against: d.agreed(), next: f.Remedy,
		since: f.Since, quiet: d.quiet(f),
	}
	return d.add(s)
}

// add fills in what follows from service and check, and joins signals of one
// cause.
func (d *derivation) add(s *signal) *signal {
	s.service, s.owner, s.tier = d.p.Name, d.p.Owner, d.p.Tier
	if s.link == "" {
		s.link = "/services/" + d.p.Name
	}
	if l := d.x.checks[s.check]; l != nil {
		s.agent, s.site, s.host = l.On, l.site, l.host
	}
	if s.site == "" && s.agent == "" {
		s.site = d.p.Site
	}
	if was := d.signals[s.id()]; was != nil {
		was.merge(s)
		return was
	}
	d.signals[s.id()] = s
	return s
}

// fold makes a finding part of a signal that explains it: its paths are named
// there, and what keeps the cause quiet keeps what follows from it quiet.
func (d *derivation) fold(into *signal, f *holdfast.Finding) {
	into.paths = joinPaths(into.paths, d.pathsOf(f.Paths, f.Scenarios))
	into.state = into.state.Worse(f.State)
	into.severity = graverSeverity(into.severity, d.severity(into.kind, f))
}

func graverSeverity(a, b holdfast.Severity) holdfast.Severity {
	if severityRank(b) < severityRank(a) {
		return b
	}
	return a
}

// severity is critical where the service could not be recovered as agreed now: in
// a scenario the finding is of, its best path misses an objective, is broken, or
// nobody can tell. Where another path stands, it is a warning.
func (d *derivation) severity(kind holdfast.AlertKind, f *holdfast.Finding) holdfast.Severity {
	if !breaking[kind] && f.Code != "expired" {
		return holdfast.Warning
	}
	for i := range d.p.Scenarios {
		s := &d.p.Scenarios[i]
		if s.AskedBy != "" || len(f.Scenarios) > 0 && !slices.Contains(f.Scenarios, s.Name) {
			continue
		}
		switch s.State {
		case holdfast.Degraded, holdfast.Unknown, holdfast.Broken, holdfast.Uncovered:
			return holdfast.Critical
		}
	}
	return holdfast.Warning
}

// pathsOf returns paths with the worst state each is in, in the given scenarios;
// no scenarios are all.
func (d *derivation) pathsOf(names, scenarios []string) []holdfast.AlertPath {
	var list []holdfast.AlertPath
	for _, name := range names {
		i := slices.IndexFunc(d.p.Paths, func(p holdfast.PathPosture) bool { return p.Name == name })
		if i < 0 {
			continue
		}
		state := holdfast.Proven
		for _, s := range d.p.Paths[i].Scenarios {
			if len(scenarios) == 0 || slices.Contains(scenarios, s.Name) {
				state = state.Worse(s.State)
			}
		}
		list = append(list, holdfast.AlertPath{Service: d.p.Name, Path: name, State: state})
	}
	return list
}

// agreed says the target.
func (d *derivation) agreed() string {
	o := d.p.Objectives
	if o == nil {
		return ""
	}
	var parts []string
	if o.RPO.Requested.Stated() {
		parts = append(parts, "RPO "+o.RPO.Requested.Limit.String())
	}
	if o.RTO.Requested.Stated() {
		parts = append(parts, "RTO "+o.RTO.Requested.Limit.String())
	}
	if len(parts) == 0 {
		return ""
	}
	return "agreed for " + d.p.Name + ": " + strings.Join(parts, ", ")
}

// quiet says why a finding wakes nobody: its risk is accepted, or the service is
// under maintenance.
func (d *derivation) quiet(f *holdfast.Finding) string {
	if f.Accepted {
		for _, a := range d.p.Acceptances {
			if a.Need == f.Need {
				return fmt.Sprintf("risk accepted by %s until %s", a.By, moment(a.Until))
			}
		}
		return "risk accepted"
	}
	return d.maintained()
}

func (d *derivation) maintained() string {
	if len(d.p.Maintenance) == 0 {
		return ""
	}
	m := d.p.Maintenance[0]
	return strings.TrimSuffix(fmt.Sprintf("maintenance by %s until %s: %s", m.By, moment(m.Until), m.Reason), ": ")
}

// moment writes an instant for people.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
