package web

import (
	"context"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Agents is the answer of GET /api/v1/agents.
type Agents struct {
	At     time.Time             `json:"at"`
	Agents []holdfast.AgentState `json:"agents" doc:"by name"`
}

func (s *server) addAgentsAPI(a *api) {
	register(a, operation{Route: "GET /agents", ID: "list-agents", Tag: "Agents",
		Summary: "Every agent that is enrolled or named in the catalogue"}, s.apiAgents)
}

func (s *server) apiAgents(context.Context, *struct{}) (*answer[Agents], error) {
	return &answer[Agents]{Agents{s.c.Now(), s.c.Agents()}}, nil
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
