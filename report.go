package holdfast

import "time"

// Assignment is the checks an agent has to run.
type Assignment struct {
	Version string  `json:"version"`       // changes whenever Checks do
	Checks  []Check `json:"checks"`        // sorted by ID
	Key     []byte  `json:"key,omitempty"` // for Observation.Credential; empty: none is told
}

// Report is what an agent says at once. Within one epoch sequence numbers grow by
// one with every report; a new epoch (a larger number) begins when the agent's
// data folder is new.
type Report struct {
	Agent        string        `json:"agent"`
	Epoch        uint64        `json:"epoch"`
	Seq          uint64        `json:"seq"`
	Sent         time.Time     `json:"sent"` // agent clock
	Observations []Observation `json:"observations"`
}

// Phase is how far a long look has come.
type Phase struct {
	Name  string `json:"name"`            // in a word or two: "restore", "compare"
	Done  int64  `json:"done"`            // of Total, in any unit
	Total int64  `json:"total,omitempty"` // 0: not known
}

// AgentState is what is known of an agent: how it stands, and what we are blind
// to without it.
type AgentState struct {
	Name        string         `json:"name"`
	Site        string         `json:"site,omitempty"`
	Host        string         `json:"host,omitempty"`
	Version     string         `json:"version,omitempty"`
	Connected   bool           `json:"connected"`
	LastHeard   time.Time      `json:"last_heard,omitzero"`
	SilentSince time.Time      `json:"silent_since,omitzero"` // zero: reporting
	Enrolled    time.Time      `json:"enrolled,omitzero"`
	Certificate time.Time      `json:"certificate_until,omitzero"`
	Recoveries  int            `json:"recoveries,omitempty"` // joined again by its bound key
	Revoked     bool           `json:"revoked,omitempty"`
	Clash       string         `json:"clash,omitempty"` // a second host that used its name
	Offset      Duration       `json:"clock_offset,omitzero"`
	Checks      int            `json:"checks"`
	Refused     []string       `json:"refused,omitempty"` // checks its own policy forbids
	Spooled     int            `json:"spooled"`           // reports waiting on the agent
	Plugins     []PluginHealth `json:"plugins,omitempty"`
}

// Sight is how a check stands with the agent it is placed on.
type Sight struct {
	Check   string    `json:"check"`
	Outcome Outcome   `json:"outcome,omitempty"` // of its latest result; empty: the agent never reported one
	At      time.Time `json:"at,omitzero"`       // of that result
	Until   time.Time `json:"until,omitzero"`    // when what it saw last runs out unless it is seen again; zero: it saw nothing
}

// PluginHealth is how a plugin fares on one agent.
type PluginHealth struct {
	Name     string    `json:"name"`
	Running  bool      `json:"running"`
	Restarts int       `json:"restarts"`
	Failed   time.Time `json:"failed,omitzero"` // last crash, hang or refusal
	Problem  string    `json:"problem,omitempty"`
}
