package holdfast

import (
	"errors"
	"fmt"
	"time"
)

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
	ID        string     `json:"id,omitempty"`
	At        time.Time  `json:"at"` // when the thing happened
	Kind      RecordKind `json:"record"`
	Service   string     `json:"service,omitempty"`
	Path      string     `json:"path,omitempty"`
	Scenario  string     `json:"scenario,omitempty"`
	By        string     `json:"by"`                   // who attests
	EnteredBy string     `json:"entered_by,omitempty"` // whose token or session entered it
	Until     time.Time  `json:"until,omitzero"`
	Reason    string     `json:"reason,omitempty"`
	Note      string     `json:"note,omitempty"`

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
	Drill       string    `json:"drill,omitempty"` // exercise: the drill it came of

	Received time.Time `json:"received,omitzero"` // by the collector; absent: At
}

// neededBy names, per kind, what a record must say. By and At are always needed.
var neededBy = map[RecordKind][]string{
	Exercise:    {"service", "path", "plan", "version", "site", "outcome", "started", "duration", "people"},
	Review:      {},
	Training:    {"team", "people", "plan"},
	Change:      {"service", "reason"},
	Attestation: {"need"},
	Acceptance:  {"need", "reason", "approver", "until"},
	Maintenance: {"reason", "until"},
	Invocation:  {"service", "path", "outcome", "started"},
}

// Validate says every fault of the record at once, each naming its field and
// what to write. Received is when the collector got it: nothing can be attested
// before it happened.
func (r *Record) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	needs, known := neededBy[r.Kind]
	if !known {
		return fmt.Errorf("record: %q is no kind of record: use one of %v", r.Kind, RecordKinds)
	}
	said := map[string]bool{
		"service": r.Service != "", "path": r.Path != "", "plan": r.Plan != "", "version": r.Version != "",
		"site": r.Site != "", "outcome": r.Outcome != "", "started": !r.Started.IsZero(), "duration": r.Duration > 0,
		"people": len(r.People) > 0, "team": r.Team != "", "need": r.Need != "", "reason": r.Reason != "",
		"approver": r.Approver != "", "until": !r.Until.IsZero(),
	}
	for _, field := range needs {
		if !said[field] {
			fault("%s: a record of kind %s must state it", field, r.Kind)
		}
	}
	if r.By == "" {
		fault("by: say who attests")
	}
	if r.At.IsZero() {
		fault("at: say when it happened")
	}
	if r.Kind == Review && r.Plan == "" && r.Service == "" {
		fault("plan: a review is of a plan, or of a service's BIA: state plan or service")
	}
	if r.Kind == Maintenance && r.Service == "" && r.Site == "" && r.Host == "" {
		fault("service: a maintenance window is on a service, a site or a host: state one")
	}
	if o := r.Outcome; o != "" && !(o == OutcomeUnknown && r.Kind == Exercise && r.Drill != "") && o != OK && o != OutcomeDegraded && o != Failed {
		fault("outcome: %q is none: use ok, degraded or failed", o)
	}
	if r.Duration < 0 {
		fault("duration: %s is negative", r.Duration)
	}
	if r.Bytes < 0 {
		fault("bytes: %d is negative", r.Bytes)
	}
	if !r.Until.IsZero() && !r.Until.After(r.At) {
		fault("until: %s is not after %s", r.Until.Format(time.RFC3339), r.At.Format(time.RFC3339))
	}
	if !r.Point.IsZero() && r.Point.After(r.Started) {
		fault("point: the recovery point %s lies after the start %s", r.Point.Format(time.RFC3339), r.Started.Format(time.RFC3339))
	}
	if !r.Received.IsZero() {
		for _, f := range []struct {
			name string
			at   time.Time
		}{{"at", r.At}, {"started", r.Started}, {"point", r.Point}, {"started + duration", r.end()}} {
			if f.at.After(r.Received) {
				fault("%s: %s lies in the future: a record says what has happened (received %s)", f.name, f.at.Format(time.RFC3339), r.Received.Format(time.RFC3339))
			}
		}
	}
	return errors.Join(faults...)
}

func (r *Record) end() time.Time {
	if r.Started.IsZero() {
		return time.Time{}
	}
	return r.Started.Add(r.Duration.Std())
}
