package holdfast

import "time"

// TermChange is one thing that changed in a catalogue: a term (an objective, a
// tier, a scenario left out, a cadence, a cost) or a definition that proof rests
// on (of a copy, a path, a recovery site, a plan's version, a declared fact).
// Package score computes the changes between two catalogues; who and when adds
// the one who accepted them.
type TermChange struct {
	At      time.Time `json:"at"` // when the catalogue came into force
	By      string    `json:"by,omitempty"`
	Service string    `json:"service,omitempty"` // empty: of the policy, or a plan
	Term    string    `json:"term"`              // "rpo", "scenario ransomware", "tier 1 restored", "copy ledger/offsite"
	Was     string    `json:"was"`               // empty: it was not there
	Is      string    `json:"is"`                // empty: it is gone
}
