package holdfast

import "time"

// RecordKind says what a person attests.
type RecordKind string

// The kinds of record.
const (
	Exercise    RecordKind = "exercise"
	Review      RecordKind = "review"
	Training    RecordKind = "training"
	Change      RecordKind = "change"
	Attestation RecordKind = "attestation"
	Acceptance  RecordKind = "acceptance"
	Maintenance RecordKind = "maintenance"
	Invocation  RecordKind = "invocation"
)

// RecordKinds lists every kind.
var RecordKinds = []RecordKind{Exercise, Review, Training, Change, Attestation, Acceptance, Maintenance, Invocation}

// Record is what a person attests: who, when, of what. Records are never
// changed; a later one says better. Which fields a kind needs, Validate knows.
type Record struct {
	ID       string     `json:"id,omitempty"`
	At       time.Time  `json:"at"` // when the thing happened
	Kind     RecordKind `json:"record"`
	Service  string     `json:"service,omitempty"`
	Path     string     `json:"path,omitempty"`
	Scenario string     `json:"scenario,omitempty"`
	By       string     `json:"by"`
	Until    time.Time  `json:"until,omitzero"`
	Reason   string     `json:"reason,omitempty"`
	Note     string     `json:"note,omitempty"`

	Plan        string    `json:"plan,omitempty"`
	Version     string    `json:"version,omitempty"`
	Editorial   bool      `json:"editorial,omitempty"` // review: the revision changes no procedure
	Team        string    `json:"team,omitempty"`
	People      []string  `json:"people,omitempty"`
	Site        string    `json:"site,omitempty"`
	Host        string    `json:"host,omitempty"`
	Outcome     Outcome   `json:"outcome,omitempty"`
	Started     time.Time `json:"started,omitzero"`
	Duration    Duration  `json:"duration,omitempty"`
	Point       time.Time `json:"point,omitzero"` // the recovery point restored
	Bytes       Bytes     `json:"bytes,omitempty"`
	Substantive bool      `json:"substantive,omitempty"` // change: voids exercises
	Data        bool      `json:"data,omitempty"`        // change: touches data, voids restores
	Need        string    `json:"need,omitempty"`        // attestation, acceptance: the need's ID
	Approver    string    `json:"approver,omitempty"`

	Received time.Time `json:"received,omitzero"` // by the collector; absent: At
}
