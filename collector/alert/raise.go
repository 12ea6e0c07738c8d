package alert

import (
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// wholeThing are the reasons that speak of a repository as a whole. With others (a
// filter that matches nothing, an empty one) the next copy in it may be well.
var wholeThing = map[holdfast.Reason]bool{
	holdfast.Damaged: true, holdfast.Locked: true, holdfast.Credential: true, holdfast.CredentialUnreadable: true,
	holdfast.Missing: true, holdfast.Unreachable: true, holdfast.Timeout: true, holdfast.ToolMissing: true,
}

// copyFailed is about the repository where copies of several services lie in it
// and the reason speaks of all of it; else about the copy.
func (d *derivation) copyFailed(f *holdfast.Finding) {
	cause, shared := causeOf(f), false
	if thing := d.x.copies[f.Check]; d.x.shared(thing) {
		if o, ok := d.latest(f.Check); ok && wholeThing[o.Reason] {
			cause, shared = thing, true
		}
	}
	s := d.raise(holdfast.PointFailed, cause, f)
	if shared {
		s.what = "what lies in " + cause + " cannot be used: " + f.Reason
	}
	d.failed[causeOf(f)] = s
}

// needFailed is about the copy where the need looks at one, of whatever service:
// the same check is at fault.
func (d *derivation) needFailed(f *holdfast.Finding) {
	if _, copy := d.x.copies[f.Check]; copy {
		d.copyFailed(f)
		return
	}
	d.raise(holdfast.NeedFailed, causeOf(f), f)
}

// unknown is about the check that cannot tell, unless its agent is silent: that is
// one alert naming everything it would see.
func (d *derivation) unknown(f *holdfast.Finding) {
	d.blind[f.Need], d.blind[causeOf(f)] = true, true
	l := d.x.checks[f.Check]
	if l != nil && d.agents[l.On].silent() {
		return
	}
	s := d.raise(holdfast.NeedUnknown, causeOf(f), f)
	if l == nil && s.severity == holdfast.Warning {
		s.severity = holdfast.Info // nobody was asked to look: a gap of the catalogue, not news
	}
}

// unknowable is what cannot be worked out: it follows from a copy or check of the
// path that failed or cannot tell, where there is one.
func (d *derivation) unknowable(f *holdfast.Finding) {
	if f.Check != "" {
		d.unknown(f)
		return
	}
	into, blind := d.explains(f.Paths)
	switch {
	case into != nil:
		d.fold(into, f)
	case !blind:
		d.raise(holdfast.NeedUnknown, f.Need, f).severity = holdfast.Info
	}
}

// explains returns what says that a copy of one of the paths failed, and whether
// nobody can tell of one of their checks.
func (d *derivation) explains(paths []string) (into *signal, blind bool) {
	for _, name := range paths {
		p := d.x.path(d.p.Name, name)
		if p == nil {
			continue
		}
		for i := range p.copies {
			if s := d.copyBad(p.copies[i].id); s != nil && into == nil {
				into = s
			}
			blind = blind || d.blind[p.copies[i].id]
		}
		for _, l := range p.checks {
			blind = blind || d.blind[l.ID]
		}
	}
	return into, blind
}

func (d *derivation) copyBad(id string) *signal {
	if s := d.failed[id]; s != nil {
		return s
	}
	return d.corrupt[id]
}

// testFailed folds a failed test of a copy into the failure of that copy, and a
// failed restore into a failed verification: the repository is damaged once.
func (d *derivation) testFailed(f *holdfast.Finding) {
	rung := holdfast.Rung(f.Need[strings.LastIndexByte(f.Need, '/')+1:])
	if rung == holdfast.Exercised || len(f.Paths) == 0 {
		d.raise(holdfast.PathBroken, f.Need, f)
		return
	}
	for _, name := range f.Paths {
		p := d.x.path(d.p.Name, name)
		if p == nil {
			continue
		}
		c, check := d.tested(p, rung)
		f.Check = check
		var bad *signal
		if c != nil {
			bad = d.copyBad(c.id)
		}
		switch {
		case bad != nil:
			d.fold(bad, f)
		case rung == holdfast.Intact && c != nil:
			d.corrupt[c.id] = d.raise(holdfast.VerificationFailed, c.id, f)
		default:
			d.raise(holdfast.RestoreFailed, f.Need, f)
		}
	}
}

// tested returns the copy whose test of a rung failed, and the test's check: of
// several the first whose latest result is bad.
func (d *derivation) tested(p *pathIndex, rung holdfast.Rung) (c *copyIndex, check string) {
	for i := range p.tests {
		t := &p.tests[i]
		if t.Rung != rung {
			continue
		}
		for j := range p.copies {
			if t.Dataset != "" && t.Dataset != p.copies[j].dataset {
				continue
			}
			o, _ := d.latest(t.Check.ID)
			bad := o.Outcome == holdfast.Failed || o.Verification != nil && o.Verification.Errors > 0
			if c == nil || bad {
				c, check = &p.copies[j], t.Check.ID
			}
			if bad {
				return c, check
			}
		}
	}
	if c == nil && len(p.copies) > 0 {
		c = &p.copies[0] // the failure came with the copy's own check
	}
	return c, check
}

// errorsFound is of a verification whose failure breaks no rung of a path here.
func (d *derivation) errorsFound(f *holdfast.Finding) {
	id := strings.TrimSuffix(f.Need, "/errors")
	if bad := d.copyBad(id); bad != nil {
		d.fold(bad, f)
		return
	}
	if f.Check == "" && d.x.checks[id] != nil {
		f.Check = id
	}
	d.corrupt[id] = d.raise(holdfast.VerificationFailed, id, f)
}

// rpo folds a breach into the failure of the copy it comes from. What grows only
// because nobody reports is part of that silence, until it is beyond bearing.
func (d *derivation) rpo(f *holdfast.Finding) {
	if len(f.Paths) == 0 {
		d.raise(holdfast.RPOBreached, f.Need, f)
		return
	}
	for _, name := range f.Paths {
		one := *f
		one.Paths = []string{name}
		c := d.oldest(name)
		if c == nil || f.Since.IsZero() { // it lies in the design: gaps, commitment, an exercise
			d.raise(holdfast.RPOBreached, f.Need, &one)
			continue
		}
		if bad := d.failed[c.id]; bad != nil {
			d.fold(bad, &one)
			continue
		}
		if f.Code == "rpo-miss" && c.check != nil && d.hushed(c, f.Since) {
			continue
		}
		if one.Check == "" && c.check != nil {
			one.Check = c.check.ID
		}
		d.raise(holdfast.RPOBreached, c.id, &one)
	}
}

// oldest returns the copy of a path whose newest point is oldest.
func (d *derivation) oldest(path string) *copyIndex {
	p := d.x.path(d.p.Name, path)
	if p == nil {
		return nil
	}
	var found *copyIndex
	var at time.Time
	for i := range p.copies {
		c := d.copyPosture(p.copies[i].id)
		if c != nil && !c.Point.IsZero() && (found == nil || c.Point.Before(at)) {
			found, at = &p.copies[i], c.Point
		}
	}
	return found
}

// hushed reports whether a copy's check could tell nothing any more when a breach
// came: its agent was silent, or it had run out.
func (d *derivation) hushed(c *copyIndex, breach time.Time) bool {
	if a := d.agents[c.check.On]; a.silent() && !a.since.IsZero() && !breach.Before(a.since) {
		return true
	}
	return d.blind[c.id]
}

func (d *derivation) copyPosture(id string) *holdfast.CopyPosture {
	for i := range d.p.Data {
		for j := range d.p.Data[i].Copies {
			if c := &d.p.Data[i].Copies[j]; d.p.Name+"/"+d.p.Data[i].Dataset+"/"+c.Copy == id {
				return c
			}
		}
	}
	return nil
}

// restoreExpired is a proof of restore that ran out; one that never was is a path
// untested.
func (d *derivation) restoreExpired(f *holdfast.Finding) {
	if f.At.IsZero() {
		d.standing(f)
		return
	}
	d.raise(holdfast.RestoreExpired, f.Need, f)
}

// training is of the team, in whatever path it is asked for.
func (d *derivation) training(f *holdfast.Finding) {
	d.raise(holdfast.TrainingOverdue, "team/"+f.Need[strings.LastIndexByte(f.Need, '/')+1:], f)
}

// uncovered is a service without a way back in some scenarios.
func (d *derivation) uncovered(f *holdfast.Finding) {
	one := *f
	one.Paths, one.Reason = nil, d.named(f.Reason)
	for _, p := range d.p.Paths { // those that claim to cover it
		if slices.ContainsFunc(p.Scenarios, func(s holdfast.PathScenario) bool {
			return s.State == holdfast.Uncovered && slices.Contains(f.Scenarios, s.Name)
		}) {
			one.Paths = append(one.Paths, p.Name)
		}
	}
	d.raise(holdfast.PathBroken, d.p.Name, &one)
}

// dependency is part of the alerts of the service waited for. Where none of them
// explains how it stands, one alert of the dependency names all who wait.
func (d *derivation) dependency(f *holdfast.Finding) {
	on := strings.TrimPrefix(f.Need, "dependency/")
	paths := d.pathsOf(f.Paths, f.Scenarios)
	d.waits = append(d.waits, wait{on: on, state: f.State, paths: paths, quiet: d.quiet(f), owner: d.p.Owner, tier: d.p.Tier})
	s := d.raise(kindOfState(f.State), "service/"+on, f)
	s.on = on
}

// standing is what is left: it is said of the path, by the state it makes of it.
func (d *derivation) standing(f *holdfast.Finding) {
	if f.State == holdfast.Proven {
		return
	}
	if len(f.Paths) == 0 {
		d.raise(kindOfState(f.State), f.Need, f)
	}
	for _, name := range f.Paths {
		one := *f
		one.Paths = []string{name}
		one.Reason = d.named(f.Reason)
		d.raise(kindOfState(f.State), d.p.Name+"/"+name, &one)
	}
}

// named says whose a reason is, where it does not say so itself.
func (d *derivation) named(reason string) string {
	if strings.HasPrefix(reason, d.p.Name) {
		return reason
	}
	return d.p.Name + ": " + reason
}

func kindOfState(s holdfast.State) holdfast.AlertKind {
	switch s {
	case holdfast.Stale:
		return holdfast.PathStale
	case holdfast.Degraded:
		return holdfast.NeedDegraded
	case holdfast.Untested:
		return holdfast.PathUntested
	case holdfast.Unknown:
		return holdfast.NeedUnknown
	}
	return holdfast.PathBroken
}
