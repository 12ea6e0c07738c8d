package holdfast

import (
	"errors"
	"time"
)

// Who is whom a session or a token stands for.
type Who struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
}

// SessionLife is how long a browser stays logged in.
const SessionLife = 12 * time.Hour

var (
	// ErrNoAccess is the answer to every token and session that does not open:
	// unknown, used or run out is nobody's business.
	ErrNoAccess = errors.New("not known, used, or run out")
	// ErrInvalid matches errors of what a caller asked for; their text says what is
	// wrong with it.
	ErrInvalid = errors.New("invalid")
	// ErrConflict matches errors of what cannot be done as things stand now; their
	// text says what stands against it.
	ErrConflict = errors.New("not now")
)

// Notice is something that is wrong with the collector itself, for every page.
type Notice struct {
	Text  string    `json:"text"` // may have several lines
	Since time.Time `json:"since,omitzero"`
}

// StandingChange is a change of a service's standing.
type StandingChange struct {
	At      time.Time `json:"at"`
	Service string    `json:"service"`
	From    State     `json:"from"` // empty: judged for the first time
	To      State     `json:"to"`
	Score   *int      `json:"score"` // nil: not judged
	Cause   string    `json:"cause,omitempty"`
}
