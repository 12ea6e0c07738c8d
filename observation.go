package holdfast

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Outcome is what a probe says of the thing it looked at.
type Outcome string

// The outcomes. A probe returns the first three; OutcomeUnknown is what an error,
// a crash or a deadline becomes: it could not tell, which is never "bad".
const (
	OK              Outcome = "ok"
	OutcomeDegraded Outcome = "degraded"
	Failed          Outcome = "failed"
	OutcomeUnknown  Outcome = "unknown"
)

// Outcomes lists every outcome, best first.
var Outcomes = []Outcome{OK, OutcomeDegraded, OutcomeUnknown, Failed}

// Reason says why an outcome is not ok, from a closed list.
type Reason string

// The reasons.
const (
	Empty                Reason = "empty"                 // there is nothing in it
	NoMatch              Reason = "no-match"              // a filter matches nothing
	Damaged              Reason = "damaged"               // what is there cannot be trusted
	Locked               Reason = "locked"                // somebody holds it
	Credential           Reason = "credential"            // the secret does not open it
	CredentialUnreadable Reason = "credential-unreadable" // the secret cannot be read here
	Missing              Reason = "missing"               // it is not there
	Unreachable          Reason = "unreachable"           // nobody answers
	Timeout              Reason = "timeout"               // no answer in time
	ToolMissing          Reason = "tool-missing"          // the tool is not installed
	Refused              Reason = "refused"               // the agent's own policy forbids it
	TooSmall             Reason = "too-small"             // less than the path needs
	Assertion            Reason = "assertion"             // the content is not what it should be
)

// Reasons lists every reason.
var Reasons = []Reason{Empty, NoMatch, Damaged, Locked, Credential, CredentialUnreadable, Missing,
	Unreachable, Timeout, ToolMissing, Refused, TooSmall, Assertion}

// Observation is what a probe saw at one instant: facts with units. A probe fills
// in everything from Outcome to Raw but Credential; the agent adds that, Check,
// Agent, Seq and At, the collector Received. An absent part did not happen.
type Observation struct {
	At    time.Time `json:"at"`    // when the probe began to look
	Check string    `json:"check"` // Check.ID

	Outcome        Outcome           `json:"outcome"`
	Reason         Reason            `json:"reason,omitempty"`
	Summary        string            `json:"summary,omitempty"` // one line for people
	RecoveryPoints []RecoveryPoint   `json:"recovery_points,omitempty"`
	Verification   *Verification     `json:"verification,omitempty"`
	Restoration    *Restoration      `json:"restoration,omitempty"`
	Replication    *Replication      `json:"replication,omitempty"`
	Capacity       *Capacity         `json:"capacity,omitempty"`
	Expiry         time.Time         `json:"expiry,omitzero"`
	Immutable      *bool             `json:"immutable,omitempty"`
	Offline        *bool             `json:"offline,omitempty"`
	Encrypted      *bool             `json:"encrypted,omitempty"`
	Credential     string            `json:"credential,omitempty"`  // of the agent: keyed hash of the secret that opens the copy
	Fingerprint    map[string]string `json:"fingerprint,omitempty"` // part → value: "tool": "restic 0.16"
	Measures       []Measure         `json:"measures,omitempty"`
	Facts          map[string]string `json:"facts,omitempty"` // further text facts, for people
	Raw            string            `json:"raw,omitempty"`   // an excerpt of the tool's own words, at most 4 KiB

	Agent    string    `json:"agent,omitempty"`
	Seq      uint64    `json:"seq,omitempty"`         // order within one agent
	Received time.Time `json:"received,omitzero"`     // by the collector; absent: At
	Offset   Duration  `json:"clock_offset,omitzero"` // agent clock − collector clock, already taken off the times
}

// RecoveryPoint is a moment the data is consistent as of. An observation holds,
// newest first, the newest four and the oldest kept of those that can be used: who
// lists fewer than five has no others, and what lies before the oldest is not kept.
type RecoveryPoint struct {
	Time  time.Time `json:"time"`
	ID    string    `json:"id,omitempty"`
	Bytes Bytes     `json:"bytes,omitempty"` // restored size
	Files int64     `json:"files,omitempty"`
	// Changed is what is new or rewritten since the point before it; nil: not
	// known, which is not the same as nothing.
	Changed *Bytes `json:"changed,omitempty"`
}

// Verification says that a copy's integrity was read through.
type Verification struct {
	Time   time.Time `json:"time"`
	Scope  float64   `json:"scope"` // share of the data read, 0–1
	Errors int64     `json:"errors"`
}

// Restoration is a restore that was really carried out and measured.
type Restoration struct {
	Started  time.Time `json:"started"`
	Duration Duration  `json:"duration"`
	Bytes    Bytes     `json:"bytes,omitempty"`
	Files    int64     `json:"files,omitempty"`
	Coverage float64   `json:"coverage"`         // share of the point restored, 0–1
	Checks   int64     `json:"checks,omitempty"` // content checks that passed
	Point    time.Time `json:"point,omitzero"`   // the recovery point restored
	Copy     string    `json:"copy,omitempty"`   // "ledger/offsite"; absent: the copy its path names
	Site     string    `json:"site,omitempty"`   // where; absent: the path's recovery site
}

// Replication is how far a replica is behind its primary, and what it holds.
type Replication struct {
	Lag         Duration `json:"lag"`
	Bytes       Bytes    `json:"bytes,omitempty"` // restored size of what it holds; 0: not known
	PrimarySeen bool     `json:"primary_seen"`    // false: the lag is against nothing
}

// Capacity is room at a place. Needed is what the path needs by its settings.
type Capacity struct {
	Needed Bytes `json:"needed,omitempty"`
	Free   Bytes `json:"free"`
}

// Measure is a number with a unit, for display and metrics.
type Measure struct {
	Name  string  `json:"name"`  // lower_case_with_underscores
	Value float64 `json:"value"` // never NaN or infinite
	Unit  string  `json:"unit"`  // "bytes", "seconds", "ratio", "" for a count
}

// Cost says how heavy a probe is on its host.
type Cost string

// The classes of cost, and the deadline a check of each has by default.
const (
	Cheap Cost = "cheap" // 10 s
	IO    Cost = "io"    // 2 m
	Heavy Cost = "heavy" // 1 h; one at a time per host, niced
)

// Timeout returns the default deadline of a check that runs every so often: the
// class's own, and always below the interval.
func (c Cost) Timeout(every Duration) Duration {
	limit := map[Cost]Duration{Cheap: 10e9, IO: 120e9, Heavy: 3600e9}[c]
	if limit == 0 {
		limit = 10e9
	}
	return min(limit, every*9/10)
}

// Description says what a probe is, for people and for the catalogue's reader.
type Description struct {
	Name       string     `json:"name"`             // "restic.repository"
	Observes   string     `json:"observes"`         // one sentence
	Settings   Settings   `json:"settings"`         // JSON Schema of the settings
	Cost       Cost       `json:"cost"`             //
	Privileges Privileges `json:"privileges"`       //
	Reasons    []Reason   `json:"reasons"`          // those it can give
	Target     []string   `json:"target"`           // settings that name the thing observed; empty: the agent's host
	Secret     []string   `json:"secret,omitempty"` // settings that name the files of the secret that opens it; empty: none does, or it cannot be told
	Paths      []string   `json:"paths,omitempty"`  // settings that name data, copies or their source on the agent's host: nothing is ever restored in, on or above them
}

// TargetOf names the thing that a check with these settings observes, like
// "restic repository=/srv/restic/ledger": the same for every probe of a family, so
// that one damaged repository is known as one. Settings that only choose within it,
// credentials and limits are left out.
func (d *Description) TargetOf(s Settings) string {
	family, _, _ := strings.Cut(d.Name, ".")
	var values map[string]any
	if s != "" && json.Unmarshal([]byte(s), &values) != nil {
		return family + " " + string(s)
	}
	parts := []string{family}
	for _, name := range d.Target {
		if v, ok := values[name]; ok {
			parts = append(parts, fmt.Sprintf("%s=%v", name, v))
		}
	}
	return strings.Join(parts, " ")
}

// PathsOf returns the absolute paths of this host that a check with these settings
// reads data at: the values of the settings in Paths, lists of texts among them.
func (d *Description) PathsOf(s Settings) []string {
	var values map[string]any
	if s == "" || json.Unmarshal([]byte(s), &values) != nil {
		return nil
	}
	var paths []string
	for _, name := range d.Paths {
		list, ok := values[name].([]any)
		if !ok {
			list = []any{values[name]}
		}
		for _, v := range list {
			if path, ok := v.(string); ok && strings.HasPrefix(path, "/") {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// Privileges is what a probe must be allowed to do. A probe that needs any of the
// first three runs only where the agent's own configuration names it.
type Privileges struct {
	Writes  bool     `json:"writes"`         // writes on the host, in scratch
	Secrets bool     `json:"secrets"`        // reads a secret by reference
	Command bool     `json:"command"`        // runs a program that a setting names
	Tools   []string `json:"tools"`          // programs it runs, by name
	Note    string   `json:"note,omitempty"` // what else: a capability, a group
}

// Safe reports whether an agent lets the probe run without being told so.
func (p Privileges) Safe() bool { return !p.Writes && !p.Secrets && !p.Command }
