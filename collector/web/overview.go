package web

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	rowsShown    = 200 // services on one page of the overview
	unitsShown   = 80  // silhouettes beside the sentence; beyond, only counts
	columnsShown = 5   // scenario columns
	changesShown = 7
	dueShown     = 6
)

// overview answers: could we recover right now, with proof, and if not, which
// service and why?
type overview struct {
	Lead, Rest string // the sentence, its count apart
	Judged     bool
	Tiers      []tierUnits
	Facts      []fact
	Hearing    hearing
	Policy     *policyNote

	Filter  filter
	Columns []string
	Rows    []row
	Counts  []stateCount
	Matches int
	Total   int
	From    int
	Before  string // addresses of the neighbouring pages of rows
	After   string
	More    int // scenarios that have no column

	Changes []change
	Lost    bool // the history cannot be read
	Due     []deadline
}

// tierUnits is a tier beside the sentence.
type tierUnits struct {
	Tier, Proven, Total int
	Units               []unit
}

type unit struct {
	Name, Title string
	State       holdfast.State
}

type fact struct {
	What, Value, Of string
	State           holdfast.State
	Link            string
}

type stateCount struct {
	State holdfast.State
	Count int
	Link  string
}

type change struct {
	holdfast.StandingChange
	Title string
	Short string // the cause, without the service's name
	Known bool
}

// own leaves a service's name out of what is said below it.
func own(text, service string) string { return clip(strings.ReplaceAll(text, service+"/", "")) }

// row is a service in the table.
type row struct {
	Group       *group // it opens
	Name, Title string
	Tier        int
	State       holdfast.State
	Score, Why  string
	Accepted    bool
	Maintained  bool
	Loss, Back  bullet
	Cells       []cell
	Next        *deadline
}

// group is what stands over services that belong together.
type group struct {
	ID, Title     string
	Proven, Total int
}

type cell struct {
	Head, Title string
	State       holdfast.State
	Asked       bool
}

func (s *server) overviewPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	f := newFilter(r.URL.Query())
	if f.View == viewWall {
		s.wallPage(w, r, f)
		return
	}
	changes, err := s.c.Changes(r.Context(), "", changesShown)
	if err != nil {
		s.log.Error("history cannot be read", "err", err)
	}
	v := newOverview(s.c.Postures(), s.c.Now(), f)
	v.Lost, v.Hearing = err != nil, newHearing(s.c.Agents())
	v.Lead, v.Rest = cutSentence(s.c.Sentence())
	v.Policy, v.Judged = newPolicyNote(s.c.Catalogue()), s.c.Ready()
	for _, c := range changes {
		p, known := s.c.Posture(c.Service)
		p.Name = c.Service
		v.Changes = append(v.Changes, change{clipped(c), titleOf(&p), own(c.Cause, c.Service), known})
	}
	s.show(w, r, http.StatusOK, "overview", "Readiness", v)
}

// cutSentence parts the count from the rest: "6 of 14", " services could …".
func cutSentence(sentence string) (lead, rest string) {
	i := strings.Index(sentence, " service")
	if i < 0 {
		return "", sentence
	}
	return sentence[:i], sentence[i:]
}

// newOverview lays the postures out, worst first.
func newOverview(postures []holdfast.Posture, now time.Time, f filter) *overview {
	v := &overview{Filter: f, Total: len(postures)}
	all := worstAbove(postures)
	v.Filter.learn(all)
	v.tally(all, f)
	v.facts(all, now)
	v.due(all, now)

	shown := f.grouped(f.chosen(all))
	v.Matches = len(shown)
	v.From = min(max(0, f.From), max(0, len(shown)-1)/rowsShown*rowsShown)
	if v.From > 0 {
		v.Before = f.page(v.From - rowsShown)
	}
	heads := f.groups(shown)
	shown = shown[v.From:]
	if len(shown) > rowsShown {
		shown, v.After = shown[:rowsShown], f.page(v.From+rowsShown)
	}
	v.columns(shown)
	last := (*group)(nil)
	for _, p := range shown {
		r := newRow(p, v.Columns, now)
		key, _ := f.key(p)
		if g := heads[key]; g != last {
			r.Group, last = g, g
		}
		v.Rows = append(v.Rows, r)
	}
	return v
}

// worstAbove sorts postures, the worst first.
func worstAbove(postures []holdfast.Posture) []*holdfast.Posture {
	all := make([]*holdfast.Posture, len(postures))
	for i := range postures {
		all[i] = &postures[i]
	}
	slices.SortFunc(all, worse)
	return all
}

// tally counts states, and proven services by tier.
func (v *overview) tally(all []*holdfast.Posture, f filter) {
	counts := map[holdfast.State]int{}
	for _, p := range all {
		counts[p.State]++
	}
	states := slices.Clone(holdfast.States)
	slices.Reverse(states)
	for _, s := range append(states, holdfast.NotJudged) {
		v.Counts = append(v.Counts, stateCount{s, counts[s], f.only(s)}) // those without a service too: each keeps its place
	}
	for tier := 1; tier <= 4; tier++ {
		t := tierUnits{Tier: tier}
		for _, p := range all {
			if p.Tier != tier {
				continue
			}
			t.Total++
			if p.State == holdfast.Proven {
				t.Proven++
			}
			if len(all) <= unitsShown {
				t.Units = append(t.Units, unit{p.Name, titleOf(p), p.State})
			}
		}
		if t.Total > 0 {
			v.Tiers = append(v.Tiers, t)
		}
	}
}

// facts are the two numbers that rule the screen.
func (v *overview) facts(all []*holdfast.Posture, now time.Time) {
	var lossWorst, backWorst float64
	var losing, slow *holdfast.Posture
	for _, p := range all {
		l, b := worstScenarios(p, now)
		if l == nil {
			continue
		}
		if r := lossRank(stand(p, l), now); losing == nil || r > lossWorst {
			losing, lossWorst = p, r
		}
		if r := timeRank(stand(p, b)); slow == nil || r > backWorst {
			slow, backWorst = p, r
		}
	}
	if losing == nil {
		return
	}
	loss, _ := worstBullets(losing, now)
	_, back := worstBullets(slow, now)
	v.Facts = []fact{newFact("Most data at risk", loss, losing), newFact("Slowest recovery", back, slow)}
}

func newFact(what string, b bullet, p *holdfast.Posture) fact {
	f := fact{What: what, Value: b.Times + " target", Of: titleOf(p), Link: servicePath(p.Name)}
	switch {
	case b.Hatch != "":
		f.Value = string(b.Value)
	case !b.Target:
		f.Value = "no target"
	case b.Times == "":
		f.Value = "within target"
	}
	if b.Bad || b.Hatch != "" {
		f.State = p.State
	}
	if b.Times != "" {
		f.Of += ", target " + b.Of
	}
	return f
}

// columns picks the scenarios that have a column: the built-in ones, and others
// that are asked of every third service.
func (v *overview) columns(shown []*holdfast.Posture) {
	asked := map[string]int{}
	for _, p := range shown {
		for i := range p.Scenarios {
			if p.Scenarios[i].AskedBy == "" {
				asked[p.Scenarios[i].Name]++
			}
		}
	}
	for name, count := range asked {
		if slices.Contains(holdfast.Scenarios, name) || 3*count >= len(shown) {
			v.Columns = append(v.Columns, name)
		}
	}
	slices.SortFunc(v.Columns, func(a, b string) int {
		return cmp.Or(cmp.Compare(asked[b], asked[a]), scenarioOrder(a, b))
	})
	v.Columns = v.Columns[:min(len(v.Columns), columnsShown)]
	v.More = len(asked) - len(v.Columns)
	slices.SortFunc(v.Columns, scenarioOrder)
}

// Span is how many columns the table has.
func (v *overview) Span() int { return 5 + len(v.Columns) }

// Heads are the columns' heads.
func (v *overview) Heads() []cell {
	list := make([]cell, len(v.Columns))
	for i, c := range v.Columns {
		list[i] = cell{Head: scenarioHead(c), Title: scenarioTitle(c)}
	}
	return list
}

func newRow(p *holdfast.Posture, columns []string, now time.Time) row {
	r := row{
		Name: p.Name, Title: titleOf(p), Tier: p.Tier, State: p.State, Score: "–",
		Accepted: len(p.Acceptances) > 0, Maintained: len(p.Maintenance) > 0,
	}
	switch {
	case p.State == holdfast.NotJudged:
		r.Why = "No business impact analysis: nobody has said what it must survive"
	case p.Cause != nil:
		r.Why = own(p.Cause.Reason, p.Name)
	default:
		r.Why = "Every need met, every proof in date"
	}
	if p.Score != nil {
		r.Score = strconv.Itoa(*p.Score)
	}
	r.Loss, r.Back = worstBullets(p, now)
	if next := breaksNext(p, now); next != nil && p.State == holdfast.Proven {
		r.Next = next
	}
	for _, c := range columns {
		x := cell{Head: scenarioHead(c), Title: scenarioTitle(c)}
		for i := range p.Scenarios {
			if s := &p.Scenarios[i]; s.Name == c && s.AskedBy == "" {
				x.State, x.Asked = s.State, true
			}
		}
		r.Cells = append(r.Cells, x)
	}
	return r
}

// worstBullets shows a service by its worst scenario, for loss and time apart.
func worstBullets(p *holdfast.Posture, now time.Time) (loss, back bullet) {
	l, b := worstScenarios(p, now)
	if l == nil {
		return bullet{Label: "Data lost now", Value: "–", Say: "No target"}, bullet{Label: "Time back", Value: "–", Say: "No target"}
	}
	return lossBullet(stand(p, l), now), timeBullet(stand(p, b))
}

// worstScenarios are those of a service's own in which most would be lost, and
// recovery takes longest, each against its target; nil: none is asked.
func worstScenarios(p *holdfast.Posture, now time.Time) (loss, back *holdfast.ScenarioPosture) {
	var lossWorst, backWorst float64
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		if s.AskedBy != "" {
			continue
		}
		x := stand(p, s)
		if r := lossRank(x, now); loss == nil || r > lossWorst {
			loss, lossWorst = s, r
		}
		if r := timeRank(x); back == nil || r > backWorst {
			back, backWorst = s, r
		}
	}
	return loss, back
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
