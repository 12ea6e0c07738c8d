package collector

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// agents is what each agent has to run, and how each stands.
type agents struct {
	key         []byte // agents hash credentials under it; set before the first assignment
	mu          sync.RWMutex
	assignments map[string]*holdfast.Assignment // guarded by mu; never changed in place
	states      map[string]holdfast.AgentState  // guarded by mu
}

func newAgents() *agents {
	return &agents{assignments: map[string]*holdfast.Assignment{}, states: map[string]holdfast.AgentState{}}
}

// assign works out every agent's assignment anew and returns the agents whose
// assignment changed.
func (a *agents) assign(c *holdfast.Catalogue) []string {
	byAgent := map[string][]holdfast.Check{}
	for k := range c.Checks {
		byAgent[k.On] = append(byAgent[k.On], *k)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var changed []string
	for name := range a.assignments {
		if byAgent[name] == nil {
			byAgent[name] = []holdfast.Check{}
		}
	}
	for name, checks := range byAgent {
		slices.SortFunc(checks, func(x, y holdfast.Check) int { return strings.Compare(x.ID, y.ID) })
		next := &holdfast.Assignment{Version: assignmentVersion(checks, a.key), Checks: checks, Key: a.key}
		if was := a.assignments[name]; was == nil || was.Version != next.Version {
			a.assignments[name] = next
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

func assignmentVersion(checks []holdfast.Check, key []byte) string {
	h := hmac.New(sha256.New, key)
	json.NewEncoder(h).Encode(checks)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

var noChecks = &holdfast.Assignment{Version: assignmentVersion(nil, nil)}

// assignment returns what an agent has to run.
func (a *agents) assignment(agent string) *holdfast.Assignment {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if got := a.assignments[agent]; got != nil {
		return got
	}
	return noChecks
}

// stands takes in how an agent stands now and returns how it stood.
func (a *agents) stands(s holdfast.AgentState, now time.Time) (was, is holdfast.AgentState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was = a.states[s.Name]
	s.LastHeard, s.SilentSince = was.LastHeard, was.SilentSince
	switch {
	case s.Connected:
		s.LastHeard, s.SilentSince = now, time.Time{}
	case was.Connected:
		s.SilentSince = now
	}
	a.states[s.Name] = s
	return was, s
}

// list returns every agent that is enrolled, named in the catalogue, or both.
// Heard tells when an agent last reported.
func (a *agents) list(enrolled []holdfast.AgentIdentity, heard func(agent string) time.Time) []holdfast.AgentState {
	a.mu.RLock()
	defer a.mu.RUnlock()
	all := map[string]holdfast.AgentState{}
	for name, as := range a.assignments {
		if len(as.Checks) > 0 {
			all[name] = holdfast.AgentState{Name: name, Checks: len(as.Checks)}
		}
	}
	for _, id := range enrolled {
		s := a.known(id, heard)
		s.Checks = all[id.Name].Checks
		all[id.Name] = s
	}
	list := make([]holdfast.AgentState, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return list
}

// known joins an agent's identity with how it stands, its checks apart. The caller
// holds mu.
func (a *agents) known(id holdfast.AgentIdentity, heard func(agent string) time.Time) holdfast.AgentState {
	s := a.states[id.Name]
	s.Name, s.Site, s.Enrolled, s.Recoveries, s.Revoked = id.Name, id.Site, id.Enrolled, id.Recoveries, !id.Revoked.IsZero()
	if at := heard(id.Name); at.After(s.LastHeard) {
		s.LastHeard = at
	}
	if !s.Connected && s.SilentSince.IsZero() {
		s.SilentSince = s.LastHeard
	}
	if s.Certificate.IsZero() {
		s.Certificate = id.NotAfter
	}
	if s.Clash == "" {
		s.Clash = id.Clash
	}
	return s
}

// one returns how one enrolled agent stands, its checks apart.
func (a *agents) one(id holdfast.AgentIdentity, heard func(agent string) time.Time) holdfast.AgentState {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.known(id, heard)
}
