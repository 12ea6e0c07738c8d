package holdfast

import "time"

// PastStanding is how a service stood from an instant on, until the next.
type PastStanding struct {
	At        time.Time        `json:"at"`
	State     State            `json:"state"`
	Score     *int             `json:"score"` // nil: not judged
	Cause     string           `json:"cause,omitempty"`
	Scenarios map[string]State `json:"scenarios"` // those of its own
}
