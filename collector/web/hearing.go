package web

import (
	"fmt"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// silentShown is how many silent agents are named in one line.
const silentShown = 5

// hearing says in one line of fixed height whether the agents report, so that one
// that falls silent moves nothing on the page.
type hearing struct {
	Known  int                   // agents that have checks
	Silent []holdfast.AgentState // the first of them
	Quiet  int                   // how many are silent
}

func newHearing(agents []holdfast.AgentState) hearing {
	var h hearing
	for i := range agents {
		a := &agents[i]
		if a.Revoked || a.Checks == 0 {
			continue
		}
		h.Known++
		if !isSilent(a) {
			continue
		}
		if h.Quiet++; h.Quiet <= silentShown {
			h.Silent = append(h.Silent, *a)
		}
	}
	return h
}

// Say is the line without the names.
func (h hearing) Say() string {
	switch {
	case h.Known == 0:
		return "No agent has joined yet: nothing is observed."
	case h.Quiet == 0 && h.Known == 1:
		return "The agent is reporting."
	case h.Quiet == 0:
		return fmt.Sprintf("All %d agents are reporting.", h.Known)
	case h.Quiet == 1:
		return "Agent " + clip(h.Silent[0].Name) + " is silent"
	}
	return fmt.Sprintf("%d of %d agents are silent", h.Quiet, h.Known)
}

// More counts the silent ones that are not named.
func (h hearing) More() int { return h.Quiet - len(h.Silent) }
