package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// agentView answers: how is this agent, what does it look at, and what are we
// blind to because of it?
type agentView struct {
	agentRow
	Say    string
	Health []pluginRow
	Spots  []spotRow
	Looks  []lookRow
	Told   string // version of the collector
}

type pluginRow struct {
	holdfast.PluginHealth
	State holdfast.State
}

// spotRow is a check nobody looks through.
type spotRow struct {
	BlindSpot
	Dark  bool
	Say   string
	Paths []spotPath
}

type spotPath struct {
	BlindNeed
	Title string
}

// lookRow is a check of the agent.
type lookRow struct {
	AgentCheck
	State    holdfast.State // of the silhouette
	Word     string
	Due      time.Time // when it looks next; zero: nobody knows
	Late     bool      // it should have looked long ago
	Refused  bool
	Evidence string // where what it saw stands; empty: it saw nothing, or belongs to no service
}

func (s *server) agentPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	name := r.PathValue("name")
	a, ok := s.agent(name)
	if !ok {
		s.missingPage(w, r, "There is no agent "+clip(name))
		return
	}
	s.show(w, r, http.StatusOK, "agent", clip(name), s.agentDetail(a))
}

// agent returns one of the agents.
func (s *server) agent(name string) (*holdfast.AgentState, bool) {
	all := s.c.Agents()
	i := slices.IndexFunc(all, func(a holdfast.AgentState) bool { return a.Name == name })
	if i < 0 {
		return nil, false
	}
	return &all[i], true
}

var whySay = map[string]string{
	whySilent: "the agent is silent", whyMissing: "nobody runs it", whyRefused: "the agent's own policy refuses it",
	whyError: "it ran and could not tell", whyNever: "it has not been reported yet",
}

func (s *server) agentDetail(a *holdfast.AgentState) agentView {
	now, catalogue := s.c.Now(), s.c.Catalogue()
	spots := s.blindSpots([]holdfast.AgentState{*a})[a.Name]
	v := agentView{agentRow: s.agentRow(a, spots), Told: s.version}
	v.Say = saidOf(&v.agentRow)
	for _, p := range v.AgentState.Plugins {
		state := holdfast.Proven
		if p.Problem != "" {
			state = holdfast.Broken
		}
		v.Health = append(v.Health, pluginRow{p, state})
	}
	for _, b := range spots {
		row := spotRow{BlindSpot: b, Dark: b.Dark(now), Say: whySay[b.Why]}
		for _, n := range b.Needs {
			title := n.Service
			if o := catalogue.Service(n.Service); o != nil && o.Title != "" {
				title = o.Title
			}
			row.Paths = append(row.Paths, spotPath{n, clip(title)})
		}
		v.Spots = append(v.Spots, row)
	}
	slices.SortStableFunc(v.Spots, func(a, b spotRow) int { return a.From.Compare(b.From) })
	for _, c := range s.checksOf(a.Name) {
		v.Looks = append(v.Looks, s.look(c, a, catalogue))
	}
	slices.SortStableFunc(v.Looks, func(a, b lookRow) int { return b.State.Rank() - a.State.Rank() })
	return v
}

// saidOf is the agent's standing as a sentence.
func saidOf(r *agentRow) string {
	n := len(r.Blind.Services)
	switch {
	case n == 0 && r.Key == "reporting":
		return "It reports, and " + counted(r.Watches, "service rests", "services rest") + " on what it sees."
	case n == 0:
		return "No service loses sight because of it."
	case r.Blind.Dark == n:
		return "Because of it nobody can tell about " + counted(n, "service", "services") + "."
	case r.Blind.Dark == 0:
		return counted(n, "service loses", "services lose") + " sight because of it, unless it looks again."
	}
	return "Because of it nobody can tell about " + counted(r.Blind.Dark, "service", "services") + ", and " + counted(n-r.Blind.Dark, "more loses", "more lose") + " sight."
}

// checksOf are the checks of an agent, by ID, with what each said last.
func (s *server) checksOf(agent string) []AgentCheck {
	list, catalogue := []AgentCheck{}, s.c.Catalogue()
	for _, x := range s.c.Sights(agent) {
		k := catalogue.Check(x.Check)
		if k == nil {
			continue // the catalogue has changed in between
		}
		c := AgentCheck{ID: k.ID, Probe: k.Probe, Every: k.Every, At: x.At, Outcome: x.Outcome, Until: x.Until}
		if o, ok := s.c.Observation(k.ID); ok && x.Outcome != "" {
			c.Summary = o.Summary
		}
		list = append(list, c)
	}
	return list
}

func (s *server) look(c AgentCheck, a *holdfast.AgentState, catalogue *holdfast.Catalogue) lookRow {
	row := lookRow{AgentCheck: c, State: outcomeState(c.Outcome), Word: string(c.Outcome), Refused: slices.Contains(a.Refused, c.ID)}
	row.ID, row.Summary = clip(c.ID), clip(c.Summary)
	switch {
	case row.Refused:
		row.Word, row.State = "refused", holdfast.Unknown
	case c.Outcome == "":
		row.Word, row.State = "never reported", holdfast.Unknown
	}
	if !c.At.IsZero() && a.Connected && !row.Refused {
		row.Due = c.At.Add(c.Every.Std())
		row.Late = row.Due.Add(c.Every.Std()).Before(s.c.Now()) // a whole interval: reports come in batches
	}
	if owner, _, _ := strings.Cut(c.ID, "/"); catalogue.Service(owner) != nil && c.Outcome != "" {
		row.Evidence = servicePath(owner) + "#" + anchor(c.ID)
	}
	return row
}
