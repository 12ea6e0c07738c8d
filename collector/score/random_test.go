package score_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// dice makes random estates and evidence. Everything it makes is received before
// now, and no date of its catalogues lies after it.
type dice struct{ *rand.Rand }

func (d dice) chance(p float64) bool { return d.Float64() < p }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

// age is a random span, from seconds to years, small ones as likely as large.
func (d dice) age() holdfast.Duration {
	unit := pick(d, holdfast.Duration(time.Second), minute, hour, day, 30*day)
	return unit * holdfast.Duration(1+d.IntN(60)) / 2
}

func (d dice) flag() *bool {
	switch d.IntN(3) {
	case 0:
		return yes()
	case 1:
		return no()
	}
	return nil
}

var (
	diceSites  = []string{"ams", "fra", "fra-1", "lon"}
	diceHosts  = []string{"", "h1", "h2", "h3"}
	diceAgents = []string{"a1", "a2"}
)

// catalogue makes one to four services that may depend on each other in any way.
func (d dice) catalogue() *holdfast.Catalogue {
	c := &holdfast.Catalogue{
		Policy: holdfast.DefaultPolicy(),
		Sites:  []holdfast.Site{{Name: "ams", Supplier: "beta"}, {Name: "fra", Supplier: "alpha"}, {Name: "fra-1", Within: "fra"}, {Name: "lon"}},
		Scenarios: []holdfast.DeclaredScenario{
			{Name: "flood", Sites: []string{"fra"}, Teams: []string{"t2"}, Damaged: d.chance(0.5)}, {Name: "strike", Suppliers: []string{"beta"}, Hosts: []string{"h2"}},
		},
	}
	for i := range 2 {
		t := holdfast.Team{Name: fmt.Sprintf("t%d", i+1)}
		for k := range d.IntN(4) {
			m := holdfast.Member{Name: fmt.Sprintf("p%d", k+i)}
			if d.chance(0.7) {
				m.Trained = map[string]holdfast.Date{"plan1": date(ago(d.age()))}
			}
			t.Members = append(t.Members, m)
		}
		c.Teams = append(c.Teams, t)
	}
	for i := range 2 {
		p := holdfast.Plan{Name: fmt.Sprintf("plan%d", i+1), Version: pick(d, "1", "2"), Approver: pick(d, "", "cm")}
		if d.chance(0.7) {
			p.Approved = date(ago(d.age()))
		}
		for _, site := range diceSites {
			if d.chance(0.4) {
				k := holdfast.KeptCopy{Site: site, Host: pick(d, diceHosts...)}
				if d.chance(0.5) {
					k.Check = d.check("plan/"+p.Name+"/"+site, "files.archive")
				}
				p.Kept = append(p.Kept, k)
			}
		}
		c.Plans = append(c.Plans, p)
	}
	if d.chance(0.1) {
		c.Policy.Costs = map[string]int{"rpo-miss": d.IntN(100), "restored-stale": d.IntN(100), "two-media": 0}
	}
	if d.chance(0.2) {
		c.Policy.Keep = 10 * day
	}
	n := 1 + d.IntN(4)
	for i := range n {
		c.Services = append(c.Services, d.service(fmt.Sprintf("s%d", i), n, i))
	}
	return c
}

func (d dice) check(id, probe string) *holdfast.Check {
	c := check(id, probe, pick(d, diceAgents...), pick(d, minute/4, 5*minute, hour))
	return c
}

func (d dice) service(name string, n, self int) holdfast.Service {
	s := holdfast.Service{Name: name, Tier: 1 + d.IntN(4), Site: pick(d, diceSites...), Host: pick(d, diceHosts...), Owner: pick(d, "", "t1", "t2", "p1")}
	if d.chance(0.9) {
		s.BIA = d.bia()
	}
	for i := range n {
		if i != self && d.chance(0.35) {
			s.DependsOn = append(s.DependsOn, holdfast.Dependency{Service: fmt.Sprintf("s%d", i), Kind: pick(d, holdfast.DependencyKinds...)})
		}
	}
	for i := range d.IntN(3) {
		s.Datasets = append(s.Datasets, d.dataset(&s, fmt.Sprintf("d%d", i)))
	}
	if len(s.Datasets) == 2 && d.chance(0.3) {
		s.Consistent = []holdfast.Consistency{{Datasets: []string{"d0", "d1"}, Within: pick(d, minute, hour, day)}}
	}
	for i := range d.IntN(4) {
		s.Paths = append(s.Paths, d.path(&s, fmt.Sprintf("p%d", i)))
	}
	return s
}

func (d dice) bia() *holdfast.BIA {
	b := &holdfast.BIA{
		RTO: holdfast.Objective{Limit: pick(d, minute, hour, day)}, RPO: holdfast.Objective{Limit: pick(d, minute, 15*minute, hour, day)},
		MTPD: pick(d, 0, hour, 7*day), WRT: pick(d, 0, 10*minute), MTDL: pick(d, 0, 2*hour, 3*day), Review: pick(d, 0, 30*day),
	}
	if d.chance(0.1) {
		b.RPO = holdfast.Objective{None: "nothing is kept"}
	}
	if d.chance(0.8) {
		b.Reviewed = date(ago(d.age()))
	}
	for _, name := range append([]string{"flood", "strike"}, holdfast.Scenarios...) {
		if d.chance(0.15) {
			if b.Scenarios == nil {
				b.Scenarios = map[string]holdfast.ScenarioTerms{}
			}
			b.Scenarios[name] = holdfast.ScenarioTerms{RPO: holdfast.Objective{Limit: pick(d, 0, 2*hour, 2*day)}, MTPD: pick(d, 0, day)}
		}
	}
	return b
}

func (d dice) dataset(s *holdfast.Service, name string) holdfast.Dataset {
	set := holdfast.Dataset{Name: name}
	for i, kind := range []holdfast.CopyKind{holdfast.Primary, holdfast.Backup, holdfast.Replica, holdfast.Backup} {
		if i > 0 && d.chance(0.3) {
			continue
		}
		c := holdfast.Copy{
			Name: fmt.Sprintf("c%d", i), Kind: kind, Site: pick(d, diceSites...), Host: pick(d, diceHosts...), Medium: pick(d, "", "disk", "tape"),
			Immutable: d.flag(), Offline: d.flag(), Encrypted: d.flag(), Keep: pick(d, 0, hour, 30*day),
		}
		if kind == holdfast.Primary {
			c.Name, c.Site, c.Host = holdfast.PrimaryCopy, s.Site, s.Host
		}
		if d.chance(0.85) {
			probe := "copy"
			if kind == holdfast.Replica {
				probe = "replica"
			}
			c.Check = d.check(s.Name+"/"+name+"/"+c.Name, probe)
		}
		set.Copies = append(set.Copies, c)
	}
	return set
}

func (d dice) path(s *holdfast.Service, name string) holdfast.Path {
	p := holdfast.Path{Name: name, At: pick(d, diceSites...), RPO: pick(d, 0, 0, hour), RTO: pick(d, 0, hour), Parallel: d.chance(0.3)}
	for _, x := range append([]string{"flood", "strike"}, holdfast.Scenarios...) {
		if d.chance(0.8) {
			p.Covers = append(p.Covers, x)
		}
	}
	for _, set := range s.Datasets {
		switch {
		case d.chance(0.85):
			p.From = append(p.From, holdfast.CopyRef{Dataset: set.Name, Copy: pick(d, set.Copies...).Name})
		case d.chance(0.7):
			p.Leaves = map[string]string{set.Name: "rebuilt"}
		}
	}
	for _, dep := range s.DependsOn {
		if d.chance(0.25) {
			p.Without = append(p.Without, dep.Service)
		}
	}
	id := s.Name + "/" + name + "/"
	add := func(n holdfast.Need) {
		n.ID = id + n.Name
		p.Needs = append(p.Needs, n)
	}
	place := func() string {
		if d.chance(0.7) {
			return p.At
		}
		return pick(d, diceSites...)
	}
	if d.chance(0.8) {
		add(holdfast.Need{Name: "room", Site: p.At, Host: "h9", Check: d.check(id+"room", "room")})
	}
	if d.chance(0.5) {
		add(holdfast.Need{Name: "port", Site: place(), Host: pick(d, diceHosts...), Check: d.check(id+"port", "port")})
	}
	if len(p.From) > 0 && d.chance(0.4) {
		add(holdfast.Need{Name: "key", Site: p.At, Host: "h9", Credential: &p.From[0], Check: d.check(id+"key", "port")})
	}
	if d.chance(0.2) {
		add(holdfast.Need{Name: "exit", Site: "lon", Attest: "contract", By: "cm", Every: pick(d, 30*day, 365*day)})
	}
	if d.chance(0.2) {
		add(holdfast.Need{Name: "shared", Site: p.At, Ref: "s0/p0/room"})
	}
	if d.chance(0.6) {
		add(holdfast.Need{Name: "plan1", Plan: pick(d, "plan1", "plan1", "plan2")})
	}
	if d.chance(0.5) {
		add(holdfast.Need{Name: "t1", Team: pick(d, "t1", "t2"), Trained: 1 + d.IntN(2)})
	}
	if d.chance(0.7) {
		p.Tests = append(p.Tests, holdfast.Test{Rung: holdfast.Intact, Check: *d.check(id+"intact", "verify")})
	}
	if d.chance(0.8) {
		p.Tests = append(p.Tests, holdfast.Test{Rung: holdfast.Restored, Check: *d.check(id+"restored", "restore")})
	}
	return p
}

// evidence makes observations and records for every check and path, in the order
// of their receipt within each agent.
func (d dice) evidence(c *holdfast.Catalogue) (seen []holdfast.Observation, records []holdfast.Record) {
	for k := range c.Checks {
		for range d.IntN(4) {
			seen = append(seen, d.observation(k))
		}
	}
	for i := range c.Services {
		s := &c.Services[i]
		for k := range s.Paths {
			p := &s.Paths[k]
			for range d.IntN(3) {
				records = append(records, d.exercise(s, p))
			}
		}
		for range d.IntN(2) {
			records = append(records, holdfast.Record{At: ago(d.age()), Kind: holdfast.Review, Service: s.Name, By: "cm"},
				holdfast.Record{At: ago(d.age()), Kind: holdfast.Change, Service: s.Name, By: "cm", Reason: "moved", Substantive: d.chance(0.5), Data: d.chance(0.5)})
		}
		for k := range s.Paths {
			for _, n := range s.Paths[k].Needs {
				if n.Attest != "" && d.chance(0.7) {
					records = append(records, holdfast.Record{At: ago(d.age()), Kind: holdfast.Attestation, Need: n.ID, By: "cm", Outcome: pick(d, "", holdfast.OK, holdfast.Failed)})
				}
			}
		}
	}
	for range d.IntN(3) {
		records = append(records, holdfast.Record{At: ago(d.age()), Kind: holdfast.Review, Plan: "plan1", By: "cm", Version: pick(d, "1", "2"), Editorial: d.chance(0.5)},
			holdfast.Record{At: ago(d.age()), Kind: holdfast.Training, Team: "t1", Plan: "plan1", People: []string{"p0", "p1"}, By: "cm"})
	}
	return seen, records
}

func (d dice) exercise(s *holdfast.Service, p *holdfast.Path) holdfast.Record {
	at := d.age()
	took := pick(d, minute, hour, 3*hour)
	r := holdfast.Record{
		At: ago(at), Kind: holdfast.Exercise, Service: s.Name, Path: p.Name, By: "cm", Plan: pick(d, "", "plan1"), Version: pick(d, "1", "2"), Site: p.At,
		Outcome: pick(d, holdfast.OK, holdfast.OK, holdfast.OutcomeDegraded, holdfast.Failed), Started: ago(at + took), Duration: took,
		Point: ago(at + took + pick(d, minute, hour, 2*day)), Bytes: pick(d, 0, 10*gib, 100*gib), People: []string{"p0"},
	}
	if d.chance(0.1) {
		r.People = nil
	}
	return r
}

func (d dice) observation(k *holdfast.Check) holdfast.Observation {
	at := d.age()
	o := holdfast.Observation{Check: k.ID, At: ago(at), Received: ago(at), Agent: k.On, Outcome: pick(d, holdfast.OK, holdfast.OK, holdfast.OK, holdfast.OK, holdfast.OutcomeDegraded, holdfast.Failed, holdfast.OutcomeUnknown)}
	if d.chance(0.05) {
		o.Agent = pick(d, diceAgents...)
	}
	if o.Outcome == holdfast.Failed {
		o.Reason = pick(d, holdfast.Damaged, holdfast.Unreachable)
	}
	if d.chance(0.3) {
		o.Fingerprint = map[string]string{"tool": pick(d, "restic 0.16.1", "restic 0.16.2", "restic 0.17")}
	}
	if o.Outcome == holdfast.OutcomeUnknown {
		return o
	}
	switch k.Probe {
	case "copy":
		d.copyFacts(&o, at, false)
	case "replica":
		d.copyFacts(&o, at, true)
	case "room":
		o.Capacity = &holdfast.Capacity{Free: holdfast.Bytes(d.IntN(400)) * gib, Needed: pick(d, 0, 100*gib)}
	case "port":
		if d.chance(0.3) {
			o.Expiry = now.Add((pick(d, -day, 10*day, 100*day)).Std())
		}
	case "verify":
		o.Verification = &holdfast.Verification{Time: ago(at + minute), Scope: pick(d, 0.1, 1, 1), Errors: int64(pick(d, 0, 0, 0, 3))}
	case "restore":
		o.Restoration = &holdfast.Restoration{
			Started: ago(at + hour), Duration: pick(d, 0, minute, hour), Bytes: pick(d, 0, 50*gib, 100*gib), Coverage: pick(d, 0.01, 1, 1), Checks: int64(d.IntN(3)),
			Point: ago(at + hour + pick(d, minute, day, 60*day)), Site: pick(d, "", "", "ams"),
		}
	}
	return o
}

func (d dice) copyFacts(o *holdfast.Observation, at holdfast.Duration, replica bool) {
	switch {
	case replica && d.chance(0.9):
		o.Replication = &holdfast.Replication{Lag: pick(d, 0, minute, hour), Bytes: pick(d, 0, 80*gib), PrimarySeen: d.chance(0.8)}
	case d.chance(0.9):
		point := at + pick(d, 0, minute, hour, day)
		for range 1 + d.IntN(5) {
			o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: ago(point), Bytes: pick(d, 0, 50*gib, 100*gib, 200*gib), Files: pick[int64](d, 0, 10, 1000)})
			if d.chance(0.5) {
				o.RecoveryPoints[len(o.RecoveryPoints)-1].Changed = new(pick(d, 0, 1, 10*gib, 50*gib))
			}
			point += pick(d, minute, 5*minute, hour, day)
		}
	}
	if d.chance(0.2) {
		o.Credential = pick(d, "a1", "b2", "c3")
	}
	if d.chance(0.1) {
		if o.Fingerprint == nil {
			o.Fingerprint = map[string]string{}
		}
		o.Fingerprint[holdfast.PartRepository] = pick(d, "r1", "r2")
	}
	if d.chance(0.2) {
		o.Verification = &holdfast.Verification{Time: ago(at + pick(d, 0, hour)), Scope: 1, Errors: int64(pick(d, 0, 0, 0, 1))}
	}
	if d.chance(0.3) {
		o.Immutable = d.flag()
	}
	if d.chance(0.1) {
		o.Encrypted = d.flag()
	}
}

func factsOf(seen []holdfast.Observation, records []holdfast.Record) *score.Facts {
	f := score.NewFacts()
	for _, o := range seen {
		f.Observe(o)
	}
	for _, r := range records {
		f.Record(r)
	}
	return f
}
