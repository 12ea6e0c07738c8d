package holdfast

import "time"

// CollectorFacts is what a collector says of itself.
type CollectorFacts struct {
	Version   string         `json:"version"`
	Started   time.Time      `json:"started"`
	Store     Bytes          `json:"store"`     // size of the file everything is kept in
	Retention Duration       `json:"retention"` // how long posture history is kept
	Authority time.Time      `json:"authority"` // when the authority of agents' certificates ends
	OpenID    *ProviderState `json:"openid,omitempty"`
}

// ProviderState is the OpenID Connect provider people log in with, and how it
// does.
type ProviderState struct {
	Title    string    `json:"title"`
	Issuer   string    `json:"issuer"`
	Answered time.Time `json:"answered,omitzero"` // last asked for its addresses; zero: not yet, or it does not answer
	Problem  string    `json:"problem,omitempty"` // what was wrong the last time
}

// CatalogueStatus is how the catalogue in force came to be, and what is wrong with
// the one on disk.
type CatalogueStatus struct {
	Hash     string    `json:"hash"`
	Accepted time.Time `json:"accepted,omitzero"`
	Services int       `json:"services"`
	Problem  string    `json:"problem,omitempty"` // why the one on disk is refused; empty: it is in force
	Since    time.Time `json:"problem_since,omitzero"`
}

// AcceptedCatalogue is a catalogue that is or was in force.
type AcceptedCatalogue struct {
	Hash     string    `json:"hash"`
	Accepted time.Time `json:"accepted"`
	Summary  string    `json:"summary"` // what it changed, a line each
}
