package web

import (
	"context"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Agents is the answer of GET /api/v1/agents.
type Agents struct {
	At     time.Time             `json:"at" doc:"when this was read, by the collector's clock"`
	Total  int                   `json:"total" doc:"agents that match, on all pages together"`
	Agents []holdfast.AgentState `json:"agents" doc:"by name"`
	Next
}

// OneAgent is the answer of GET /api/v1/agents/{name}.
type OneAgent struct {
	At       time.Time           `json:"at" doc:"when this was read, by the collector's clock"`
	Agent    holdfast.AgentState `json:"agent"`
	Checks   []AgentCheck        `json:"checks" doc:"what the catalogue has it look at, by ID"`
	Services []string            `json:"services" doc:"that have a check on it: what nobody else may be able to see"`
	Blind    []BlindSpot         `json:"blind" doc:"checks that nobody looks through because of it, each with the needs that are or become unknown"`
}

// AgentCheck is a check of an agent and how it came out last.
type AgentCheck struct {
	ID      string            `json:"id"`
	Probe   string            `json:"probe"`
	Every   holdfast.Duration `json:"every"`
	At      time.Time         `json:"at,omitzero" doc:"of the latest result; absent: the agent never reported one"`
	Outcome holdfast.Outcome  `json:"outcome,omitempty" enum:"ok,degraded,failed,unknown"`
	Summary string            `json:"summary,omitempty"`
	Until   time.Time         `json:"until,omitzero" doc:"when what it saw last runs out unless it is seen again; absent: it saw nothing"`
}

func (s *server) addAgentsAPI(a *api) {
	register(a, operation{Route: "GET /agents", ID: "list-agents", Tag: "Agents",
		Summary:     "Every agent that is enrolled or named in the catalogue, by name, in pages",
		Description: "When it was last heard, what its own policy refuses, how its plugins, clock, spool and certificate do."}, s.apiAgents)
	register(a, operation{Route: "GET /agents/{name}", ID: "get-agent", Tag: "Agents",
		Summary:     "An agent, its checks, and what we are blind to without it",
		Description: "Each check with how it came out last and when that runs out; each blind spot with the needs, paths and services behind it."}, s.apiAgent)
}

func (s *server) apiAgents(_ context.Context, in *struct {
	Silent bool   `query:"silent" doc:"true: only those that have checks and do not report"`
	Site   string `query:"site" maxLength:"256" doc:"only those there"`
	Paging
}) (*page[Agents], error) {
	list := slices.DeleteFunc(s.c.Agents(), func(a holdfast.AgentState) bool {
		return in.Silent && !isSilent(&a) || in.Site != "" && a.Site != in.Site
	})
	a := Agents{At: s.c.Now(), Total: len(list)}
	part, next, link := paged(list, in.Paging, func(a *holdfast.AgentState) string { return a.Name })
	a.Agents, a.Next = part, next
	return &page[Agents]{link, a}, nil
}

func (s *server) apiAgent(_ context.Context, in *struct {
	Name string `path:"name" maxLength:"256" example:"db1" doc:"name of an agent"`
}) (*answer[OneAgent], error) {
	agent, ok := s.agent(in.Name)
	if !ok {
		return nil, notFound("path.name", "agent", in.Name)
	}
	a := OneAgent{At: s.c.Now(), Agent: *agent, Checks: s.checksOf(in.Name)}
	catalogue, services := s.c.Catalogue(), map[string]bool{}
	for _, k := range a.Checks {
		if owner, _, _ := strings.Cut(k.ID, "/"); catalogue.Service(owner) != nil { // else a plan's copy
			services[owner] = true
		}
	}
	a.Services = append([]string{}, sorted(services)...)
	a.Blind = append([]BlindSpot{}, s.blindSpots([]holdfast.AgentState{*agent})[in.Name]...)
	return &answer[OneAgent]{a}, nil
}

// silent names the agents that have checks and do not report.
func silent(agents []holdfast.AgentState) []string {
	names := []string{}
	for _, a := range agents {
		if isSilent(&a) {
			names = append(names, a.Name)
		}
	}
	return names
}

func isSilent(a *holdfast.AgentState) bool {
	return !a.Connected && a.Checks > 0 && !a.Revoked
}
