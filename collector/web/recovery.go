package web

import (
	"cmp"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Recovery is how a service and what it waits for come back in a scenario, one
// after the other: its critical path (NIST SP 800-34 §3.4.4 orders recovery the
// same way).
type Recovery struct {
	Scenario string                 `json:"scenario"`
	State    holdfast.State         `json:"state"`
	Time     *holdfast.RecoveryTime `json:"recovery_time" doc:"null: no path covers it"`
	RTO      holdfast.Duration      `json:"rto,omitempty" doc:"absent: none is asked"`
	MTPD     holdfast.Duration      `json:"mtpd,omitempty"`
	Steps    []RecoveryStep         `json:"steps" doc:"what is recovered, in the order it may begin; the service itself is the last"`
}

// RecoveryStep is one service coming back.
type RecoveryStep struct {
	Service  string            `json:"service"`
	Title    string            `json:"title"`
	Path     string            `json:"path,omitempty" doc:"by which it comes back; empty: none, or not known"`
	State    holdfast.State    `json:"state"`
	Start    holdfast.Duration `json:"start" doc:"after the disruption, once what it waits for is back"`
	Length   holdfast.Duration `json:"length" doc:"its own share; 0 with unmeasured: nobody knows"`
	Slack    holdfast.Duration `json:"slack,omitempty" doc:"how much later it could be back without delaying the service"`
	Critical bool              `json:"critical,omitempty" doc:"any delay of it delays the service"`
	Unknown  bool              `json:"unmeasured,omitempty" doc:"never measured: the length is none"`
	Waits    []string          `json:"waits,omitempty" doc:"services that come back before it begins"`
}

func (x *RecoveryStep) end() holdfast.Duration { return x.Start + x.Length }

// maxSteps bounds what a chain of services may be: of more, the rest is left out.
const maxSteps = 200

// recoveries lays out every scenario of a service's own, the worst first. Find
// returns a service's posture.
func recoveries(p *holdfast.Posture, find func(string) (holdfast.Posture, bool)) []Recovery {
	list := []Recovery{}
	for _, s := range ownScenarios(p) {
		r := Recovery{Scenario: s.Name, State: s.State, Time: s.RecoveryTime, RTO: s.RTO.Limit, MTPD: s.MTPD, Steps: []RecoveryStep{}}
		if s.RecoveryTime != nil && !s.RecoveryTime.Unorderable {
			g := steps{scenario: s.Name, find: find, at: map[string]int{}}
			g.add(p, s)
			r.Steps = g.ordered(p.Name, s.RecoveryTime.Chain)
		}
		list = append(list, r)
	}
	return list
}

// steps gathers what is recovered in a scenario.
type steps struct {
	scenario string
	find     func(string) (holdfast.Posture, bool)
	list     []RecoveryStep
	at       map[string]int // service → place in list
}

// add adds a service and what it waits for in the scenario.
func (g *steps) add(p *holdfast.Posture, s *holdfast.ScenarioPosture) {
	x := RecoveryStep{Service: p.Name, Title: titleOf(p), Path: clip(s.Path), State: s.State}
	if t := s.RecoveryTime; t != nil {
		x.Start, x.Length, x.Unknown = t.Total-t.Own, t.Own, t.Own == 0 && t.AtLeast
	} else {
		x.Unknown = true
	}
	g.at[p.Name] = len(g.list)
	g.list = append(g.list, x)
	for _, w := range s.Waits {
		if !w.Lost || w.Kind == holdfast.Optional {
			continue
		}
		i := g.at[p.Name]
		g.list[i].Waits = append(g.list[i].Waits, w.Service)
		if _, known := g.at[w.Service]; known || len(g.list) >= maxSteps {
			continue
		}
		g.wait(w)
	}
}

// wait adds a dependency as it stands in the scenario.
func (g *steps) wait(w holdfast.Dependence) {
	if d, ok := g.find(w.Service); ok {
		for i := range d.Scenarios {
			if d.Scenarios[i].Name == g.scenario {
				g.add(&d, &d.Scenarios[i])
				return
			}
		}
	}
	g.at[w.Service] = len(g.list)
	g.list = append(g.list, RecoveryStep{Service: w.Service, Title: clip(w.Service), State: w.State, Unknown: true})
}

// ordered works out who has time to spare, and sorts by beginning.
func (g *steps) ordered(service string, chain []string) []RecoveryStep {
	late := map[string]holdfast.Duration{} // how late each may begin
	byEnd := slices.Clone(g.list)
	slices.SortStableFunc(byEnd, func(a, b RecoveryStep) int {
		return cmp.Or(lastly(b, a, service), cmp.Compare(b.end(), a.end()))
	})
	for _, x := range byEnd {
		mine, known := late[x.Service]
		if !known {
			mine = x.Start
		}
		for _, w := range x.Waits {
			d := &g.list[g.at[w]]
			may := max(mine-d.end(), 0) + d.Start
			if was, known := late[w]; !known || may < was {
				late[w] = may
			}
		}
	}
	for i := range g.list {
		x := &g.list[i]
		x.Critical = x.Service == service || slices.Contains(chain, x.Service)
		if may, known := late[x.Service]; known && !x.Critical {
			x.Slack = max(may-x.Start, 0)
		}
	}
	slices.SortStableFunc(g.list, func(a, b RecoveryStep) int {
		return cmp.Or(lastly(a, b, service), cmp.Compare(a.Start, b.Start), cmp.Compare(a.end(), b.end()), cmp.Compare(a.Service, b.Service))
	})
	return g.list
}

// lastly orders the service itself behind all others.
func lastly(a, b RecoveryStep, service string) int {
	switch {
	case a.Service == b.Service:
		return 0
	case a.Service == service:
		return 1
	case b.Service == service:
		return -1
	}
	return 0
}

// gantt is a recovery as a picture: scenarios that come out alike share one.
type gantt struct {
	Scenarios string
	State     holdfast.State
	Say       string // how long, against the objective
	Over      string // how much over the objective; empty: it is not
	Rows      []ganttRow
	Ticks     []axisTick
	RTO       *axisTick
}

type ganttRow struct {
	RecoveryStep
	Self  bool
	X     string // where it begins
	Bar   string // width up to the objective, or all of it
	Over  string // width beyond it
	OverX string
	Spare *[2]string // from and to of its time to spare
	Text  string
	At    axisTick
	Say   string
}

// ganttShare is how much of the width the longest time takes: the rest is for the
// text behind the last bar.
const ganttShare = 84.0

// gantts draws the recoveries in which something is waited for.
func gantts(list []Recovery, service string) (pictures []gantt, alone []string) {
	for i := range list {
		r := &list[i]
		if len(r.Steps) < 2 {
			if r.Time != nil && !r.Time.Unorderable {
				alone = append(alone, scenarioTitle(r.Scenario))
			}
			continue
		}
		g := newGantt(r, service)
		if k := slices.IndexFunc(pictures, func(o gantt) bool {
			return o.Say == g.Say && slices.EqualFunc(o.Rows, g.Rows, func(a, b ganttRow) bool { return a.Say == b.Say && a.State == b.State })
		}); k >= 0 {
			pictures[k].Scenarios += ", " + g.Scenarios
			continue
		}
		pictures = append(pictures, g)
	}
	return pictures, alone
}

func newGantt(r *Recovery, service string) gantt {
	total, rto := r.Time.Total.Std(), r.RTO.Std()
	g := gantt{Scenarios: scenarioTitle(r.Scenario), State: r.State, Say: timeText(r.Time) + " in all"}
	if rto > 0 {
		g.Say += ", RTO " + span(rto)
		if total > rto {
			g.Over = span(total-rto) + " over"
		}
	}
	longest := max(total, rto, time.Minute)
	for i := range r.Steps {
		longest = max(longest, r.Steps[i].end().Std()+r.Steps[i].Slack.Std())
	}
	x := func(d time.Duration) float64 { return ganttShare * float64(d) / float64(longest) }
	last := 0.0
	for _, step := range ganttSteps(longest) {
		if at := x(step); at-last >= 12 && (rto == 0 || at < x(rto)-9 || at > x(rto)+9) {
			g.Ticks = append(g.Ticks, axisTick{percent(at), span(step), "middle"})
			last = at
		}
	}
	if rto > 0 {
		g.RTO = &axisTick{percent(x(rto)), "RTO " + span(rto), "middle"}
	}
	for i := range r.Steps {
		g.Rows = append(g.Rows, newGanttRow(&r.Steps[i], service, rto, r.Time.AtLeast, x))
	}
	return g
}

// ganttSteps are multiples of the step that gives about four of them.
func ganttSteps(longest time.Duration) (list []time.Duration) {
	step := axisSteps[len(axisSteps)-1]
	for _, s := range axisSteps {
		if longest/s <= 5 {
			step = s
			break
		}
	}
	for d := step; d <= longest; d += step {
		list = append(list, d)
	}
	return list
}

func newGanttRow(step *RecoveryStep, service string, rto time.Duration, atLeast bool, x func(time.Duration) float64) ganttRow {
	start, end := step.Start.Std(), step.end().Std()
	r := ganttRow{RecoveryStep: *step, Self: step.Service == service, X: percent(x(start)), Text: span(step.Length.Std())}
	until := end
	if r.Self && rto > 0 && end > rto {
		until = max(rto, start)
		r.OverX, r.Over = percent(x(until)), percent(x(end)-x(until))
	}
	r.Bar = percent(max(x(until)-x(start), 0.4))
	tail := end
	if step.Slack > 0 {
		tail += step.Slack.Std()
		r.Spare = &[2]string{percent(x(end)), percent(x(tail))}
	}
	r.At = axisTick{percent(x(end)), "", "start"}
	least := ""
	if r.Self && atLeast {
		least = "no less than "
	}
	switch {
	case step.Unknown:
		r.Text, r.At.X = "never measured", percent(x(start)+6)
		r.Say = "begins after " + spoken(start) + ", never measured"
	default:
		r.Say = "from " + spoken(start) + " to " + least + spoken(end)
	}
	if start == 0 {
		r.Say = "back after " + least + spoken(end)
		if step.Unknown {
			r.Say = "never measured"
		}
	}
	switch {
	case step.Critical && !r.Self:
		r.Say += ", every delay of it delays the service"
	case step.Slack > 0:
		r.Say += ", " + spoken(step.Slack.Std()) + " to spare"
	}
	return r
}
