package drill

import (
	"fmt"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// maxSteps bounds a drill, and so its document.
const maxSteps = 300

// confirmation is the step of a path that names none for people.
const confirmation = "confirm"

// planner puts a drill together from the catalogue and what is known now.
type planner struct {
	source  Source
	k       *holdfast.Catalogue
	agents  map[string]holdfast.AgentState
	plan    holdfast.DrillPlan
	checks  map[string]bool // that have a step
	visited map[string]bool // services whose dependencies were followed
}

// Plan says what a drill would do, without doing any of it: an error matches
// holdfast.ErrInvalid and says which service or path there is none of.
func (m *Manager) Plan(o holdfast.DrillOrder) (holdfast.DrillPlan, error) {
	k := m.cfg.Source.Catalogue()
	s := k.Service(o.Service)
	if s == nil {
		return holdfast.DrillPlan{}, fmt.Errorf("%w drill: service: there is no %q in the catalogue", holdfast.ErrInvalid, o.Service)
	}
	if o.Path == "" && len(s.Paths) == 1 {
		o.Path = s.Paths[0].Name
	}
	p := s.Path(o.Path)
	if p == nil {
		return holdfast.DrillPlan{}, fmt.Errorf("%w drill: path: service %s has no %q", holdfast.ErrInvalid, o.Service, o.Path)
	}
	if o.Scenario != "" && !slices.Contains(p.Covers, o.Scenario) {
		return holdfast.DrillPlan{}, fmt.Errorf("%w drill: scenario: path %s does not cover %q: it covers %v", holdfast.ErrInvalid, o.Path, o.Scenario, p.Covers)
	}
	b := &planner{source: m.cfg.Source, k: k, agents: map[string]holdfast.AgentState{}, checks: map[string]bool{}, visited: map[string]bool{}}
	for _, a := range m.cfg.Source.Agents() {
		b.agents[a.Name] = a
	}
	b.plan.DrillOrder, b.plan.Site = o, p.At
	b.terms(s, p)
	b.walkedWith(p)
	b.steps(s, p)
	b.number()
	b.warn(m)
	return b.plan, nil
}

// walkedWith finds the plan the path is walked with.
func (b *planner) walkedWith(p *holdfast.Path) {
	for i := range p.Needs {
		for j := range b.k.Plans {
			if plan := &b.k.Plans[j]; plan.Name == p.Needs[i].Plan && b.plan.Plan == "" {
				b.plan.Plan, b.plan.Version = plan.Name, plan.Version
			}
		}
	}
	if b.plan.Plan == "" {
		b.refuse("path %s names no plan: an exercise is walked with one; add {plan: NAME} to its needs", p.Name)
	} else if b.plan.Version == "" {
		b.refuse("plan %s states no version: an exercise names the one it was walked with", b.plan.Plan)
	}
	if p.At == "" {
		b.refuse("path %s states no recovery site (at:)", p.Name)
	}
}

func (b *planner) refuse(format string, args ...any) {
	b.plan.Refusals = append(b.plan.Refusals, fmt.Sprintf(format, args...))
}

func (b *planner) warning(format string, args ...any) {
	b.plan.Warnings = append(b.plan.Warnings, fmt.Sprintf(format, args...))
}

// steps lists what is walked, in order.
func (b *planner) steps(s *holdfast.Service, p *holdfast.Path) {
	b.people(s, p, true)
	b.dependencies(s, p)
	b.machine(s, p, "")
	b.people(s, p, false)
	for i := range p.Tests {
		if t := &p.Tests[i]; t.Rung == holdfast.Exercised {
			b.check(holdfast.DrillStep{Kind: holdfast.StepExercise, Name: t.Check.ID, Check: t.Check.ID, Agent: t.Check.On})
		}
	}
	if c := p.MBCO; c != nil {
		b.check(holdfast.DrillStep{Kind: holdfast.StepMBCO, Name: c.ID, Check: c.ID, Agent: c.On, Title: b.plan.Terms.MBCO})
	}
}

// people adds the steps of people before or after the data is restored.
func (b *planner) people(s *holdfast.Service, p *holdfast.Path, before bool) {
	for _, x := range p.Steps {
		if x.Before == before {
			b.add(holdfast.DrillStep{Kind: holdfast.StepPerson, Name: x.Name, Title: x.Title, Who: x.Who, Expect: x.Expect})
			b.plan.Terms.People += x.Expect
		}
	}
	if len(p.Steps) > 0 || before {
		return
	}
	who := s.Owner
	for i := range p.Needs {
		if p.Needs[i].Team != "" {
			who = p.Needs[i].Team
			break
		}
	}
	b.add(holdfast.DrillStep{Kind: holdfast.StepPerson, Name: confirmation, Who: who, Title: "Look at what came back and confirm that " + s.Name + " could run from it"})
}

// machine adds the needs, copies and restore tests of a path. Of names the path
// where it is a dependency's.
func (b *planner) machine(s *holdfast.Service, p *holdfast.Path, of string) {
	for i := range p.Needs {
		b.need(p, &p.Needs[i], of)
	}
	var data []string
	for _, ref := range p.From {
		d := s.Dataset(ref.Dataset)
		if d == nil {
			continue
		}
		c := d.Copy(ref.Copy)
		if c == nil {
			continue
		}
		if c.Kind != holdfast.Primary {
			data = append(data, ref.Dataset)
		}
		id := s.Name + "/" + ref.String()
		switch {
		case c.Check != nil:
			b.check(holdfast.DrillStep{Kind: holdfast.StepCopy, Name: id, Check: c.Check.ID, Agent: c.Check.On, Of: of})
		case c.Kind != holdfast.Primary && of == "":
			b.warning("no check looks at copy %s", id)
		}
	}
	first := true
	for i := range p.Tests {
		t := &p.Tests[i]
		if t.Rung != holdfast.Restored {
			continue
		}
		x := holdfast.DrillStep{Kind: holdfast.StepRestore, Name: t.Check.ID, Check: t.Check.ID, Agent: t.Check.On, Of: of, Beside: p.Parallel && !first, Data: data}
		if t.Dataset != "" {
			x.Data = []string{t.Dataset}
		}
		if o, ok := b.source.Observation(t.Check.ID); ok && o.Restoration != nil && o.Outcome == holdfast.OK {
			x.Expect = o.Restoration.Duration
		}
		b.check(x)
		first = false
	}
}

// need adds a need. What no agent can look at is looked up in the judgement.
func (b *planner) need(p *holdfast.Path, n *holdfast.Need, of string) {
	check := n.Check
	if check == nil && n.Ref != "" {
		check = b.k.Check(n.Ref)
	}
	if check != nil {
		kind := holdfast.StepNeed
		if n.Credential != nil {
			kind = holdfast.StepKey
		}
		b.check(holdfast.DrillStep{Kind: kind, Name: n.ID, Check: check.ID, Agent: check.On, Of: of})
		return
	}
	if of != "" {
		return // of a dependency only what can be run
	}
	name := n.ID
	if n.Plan != "" {
		name = "plan/" + n.Plan
	}
	b.add(holdfast.DrillStep{Kind: holdfast.StepPaper, Name: name})
	for i := range b.k.Plans {
		for j := range b.k.Plans[i].Kept {
			if kept := &b.k.Plans[i].Kept[j]; b.k.Plans[i].Name == n.Plan && kept.Site == p.At && kept.Check != nil {
				b.check(holdfast.DrillStep{Kind: holdfast.StepNeed, Name: kept.Check.ID, Check: kept.Check.ID, Agent: kept.Check.On})
			}
		}
	}
}

// dependencies names the paths of what this one waits for, and adds their steps
// where they are walked as well; what is needed first comes first.
func (b *planner) dependencies(s *holdfast.Service, p *holdfast.Path) {
	b.visited[s.Name] = true
	for _, dep := range s.DependsOn {
		if dep.Kind == holdfast.Optional || slices.Contains(p.Without, dep.Service) || b.visited[dep.Service] {
			continue
		}
		other := b.k.Service(dep.Service)
		if other == nil {
			continue
		}
		way := b.pathOf(other)
		if way == nil {
			b.visited[other.Name] = true
			b.warning("%s, which it waits for, has no recovery path", other.Name)
			continue
		}
		b.dependencies(other, way)
		of := other.Name + "/" + way.Name
		b.plan.Depends = append(b.plan.Depends, of)
		if b.plan.Dependencies {
			b.machine(other, way, of)
		}
	}
}

// pathOf returns the path a dependency would take: its best in the scenario, else
// the first that covers it, else the first there is; nil: it has none.
func (b *planner) pathOf(s *holdfast.Service) *holdfast.Path {
	if posture, ok := b.source.Posture(s.Name); ok {
		for _, sc := range posture.Scenarios {
			if (sc.Name == b.plan.Scenario || b.plan.Scenario == "") && sc.Path != "" {
				if p := s.Path(sc.Path); p != nil {
					return p
				}
			}
		}
	}
	for i := range s.Paths {
		if slices.Contains(s.Paths[i].Covers, b.plan.Scenario) {
			return &s.Paths[i]
		}
	}
	if len(s.Paths) > 0 {
		return &s.Paths[0]
	}
	return nil
}

// check adds a step that runs a check; one check is run once.
func (b *planner) check(x holdfast.DrillStep) {
	if b.checks[x.Check] {
		return
	}
	b.checks[x.Check] = true
	b.add(x)
}

func (b *planner) add(x holdfast.DrillStep) {
	x.State = holdfast.StepPlanned
	b.plan.Steps = append(b.plan.Steps, x)
}

func (b *planner) number() {
	if n := len(b.plan.Steps); n > maxSteps {
		b.refuse("the walk has %d steps, at most %d", n, maxSteps)
		b.plan.Steps = b.plan.Steps[:maxSteps]
	}
	for i := range b.plan.Steps {
		b.plan.Steps[i].Number = i + 1
	}
}

// terms is what the drill is measured by.
func (b *planner) terms(s *holdfast.Service, p *holdfast.Path) {
	t := &b.plan.Terms
	t.Committed = p.RTO
	posture, _ := b.source.Posture(s.Name)
	for i := range posture.Paths {
		if x := &posture.Paths[i]; x.Name == p.Name {
			t.Expected, t.RestoreOnly = x.Expected, x.Rungs[holdfast.Exercised].At.IsZero()
		}
	}
	if s.BIA == nil {
		return
	}
	t.RTO, t.RPO, t.MBCO = objectives(s.BIA, b.plan.Scenario, p.Covers)
}

// objectives returns what the business asks for in a scenario, or the strictest of
// several.
func objectives(bia *holdfast.BIA, scenario string, covers []string) (rto, rpo holdfast.Objective, mbco string) {
	asked := covers
	if scenario != "" {
		asked = []string{scenario}
	}
	for i, name := range asked {
		own := bia.Scenarios[name]
		x, y := bia.RTO, bia.RPO
		if own.RTO != (holdfast.Objective{}) {
			x = own.RTO
		}
		if own.RPO != (holdfast.Objective{}) {
			y = own.RPO
		}
		if i == 0 {
			rto, rpo = x, y
			continue
		}
		rto, rpo = stricter(rto, x), stricter(rpo, y)
	}
	if len(asked) == 0 {
		rto, rpo = bia.RTO, bia.RPO
	}
	return rto, rpo, bia.MBCO
}

func stricter(a, b holdfast.Objective) holdfast.Objective {
	if b.Stated() && (!a.Stated() || b.Limit < a.Limit) {
		return b
	}
	return a
}

// warn says what is known beforehand to go wrong, or to wait.
func (b *planner) warn(m *Manager) {
	var heavy []string
	for i := range b.plan.Steps {
		x := &b.plan.Steps[i]
		if x.Agent == "" {
			continue
		}
		a, known := b.agents[x.Agent]
		switch {
		case !known || !a.Connected:
			b.warning("%s: agent %s is not connected", x.Name, x.Agent)
		case slices.Contains(a.Refused, x.Check):
			b.warning("%s: agent %s refuses it by its own policy", x.Name, x.Agent)
		}
		if x.Kind == holdfast.StepRestore && !slices.Contains(heavy, x.Agent) {
			heavy = append(heavy, x.Agent)
		}
	}
	for _, dataset := range unrestored(b.plan.Steps, b.k, b.plan.DrillOrder) {
		b.warning("no test restores dataset %s: people have to, and say from which point", dataset)
	}
	for _, d := range m.underWay() {
		switch {
		case d.Service == b.plan.Service && d.Path == b.plan.Path:
			b.refuse("drill %s of this path is under way, started by %s", d.ID, d.By)
		default:
			for i := range d.Steps {
				if x := &d.Steps[i]; x.Kind == holdfast.StepRestore && x.State.Open() && slices.Contains(heavy, x.Agent) {
					b.warning("drill %s of %s/%s restores on %s as well: one waits for the other", d.ID, d.Service, d.Path, x.Agent)
					break
				}
			}
		}
	}
}

// unrestored lists the datasets of the path that no restore test covers, replicas
// apart: those are promoted by people.
func unrestored(steps []holdfast.DrillStep, k *holdfast.Catalogue, o holdfast.DrillOrder) (list []string) {
	s := k.Service(o.Service)
	if s == nil {
		return nil
	}
	p := s.Path(o.Path)
	if p == nil {
		return nil
	}
	for _, ref := range p.From {
		d := s.Dataset(ref.Dataset)
		if d == nil || d.Copy(ref.Copy) == nil || d.Copy(ref.Copy).Kind != holdfast.Backup {
			continue
		}
		if !slices.ContainsFunc(steps, func(x holdfast.DrillStep) bool {
			return x.Kind == holdfast.StepRestore && x.Of == "" && slices.Contains(x.Data, ref.Dataset)
		}) {
			list = append(list, ref.Dataset)
		}
	}
	return list
}
