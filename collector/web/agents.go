package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// agentsView answers: who is not reporting, and what are we blind to because of
// it?
type agentsView struct {
	Sentence string
	Agents   []agentRow
}

type agentRow struct {
	holdfast.AgentState
	State    holdfast.State // of the silhouette
	Word     string
	Skewed   bool
	Problems []string
	Services []string // that hang on its checks
}

// skewed is how far an agent's clock may be off before it is said.
const skewed = holdfast.Duration(2 * time.Second)

func (s *server) agentsPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	hang := map[string]map[string]bool{}
	catalogue := s.c.Catalogue()
	for k := range catalogue.Checks {
		owner, _, _ := strings.Cut(k.ID, "/")
		if catalogue.Service(owner) == nil {
			continue // a plan's copy
		}
		if hang[k.On] == nil {
			hang[k.On] = map[string]bool{}
		}
		hang[k.On][owner] = true
	}
	v := agentsView{}
	quiet := 0
	for _, a := range s.c.Agents() {
		row := newAgentRow(clipped(a))
		row.Services = sorted(hang[a.Name])
		if isSilent(&a) {
			quiet++
		}
		v.Agents = append(v.Agents, row)
	}
	slices.SortStableFunc(v.Agents, func(a, b agentRow) int { return b.State.Rank() - a.State.Rank() })
	switch {
	case len(v.Agents) == 0:
		v.Sentence = "No agent has joined yet, and the catalogue names none."
	case quiet == 0:
		v.Sentence = "Every agent that has checks is reporting."
	case quiet == 1:
		v.Sentence = "1 agent is silent: what it alone can see turns unknown."
	default:
		v.Sentence = fmt.Sprintf("%d agents are silent: what they alone can see turns unknown.", quiet)
	}
	s.show(w, r, http.StatusOK, "agents", "Agents", v)
}

func newAgentRow(a holdfast.AgentState) agentRow {
	row := agentRow{AgentState: a, State: holdfast.Proven, Word: "Reporting", Skewed: max(a.Offset, -a.Offset) > skewed}
	switch {
	case a.Revoked:
		row.State, row.Word = holdfast.NotJudged, "Removed"
	case a.Enrolled.IsZero() && !a.Connected:
		row.State, row.Word = holdfast.Unknown, "Never joined"
	case a.Clash != "":
		row.State, row.Word = holdfast.Broken, "Two hosts, one name"
	case !a.Connected && a.Checks > 0:
		row.State, row.Word = holdfast.Unknown, "Silent"
	case !a.Connected:
		row.State, row.Word = holdfast.NotJudged, "Away, has no checks"
	}
	if a.Clash != "" {
		row.Problems = append(row.Problems, "also used by host "+a.Clash+": remove the agent and join the right host again")
	}
	for _, p := range a.Plugins {
		if p.Problem != "" {
			row.Problems = append(row.Problems, "plugin "+p.Name+": "+p.Problem)
		}
	}
	for _, c := range a.Refused {
		row.Problems = append(row.Problems, "its own policy refuses "+c)
	}
	return row
}
