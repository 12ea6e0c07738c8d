package holdfast

import "time"

// Posture is the judgement of a service at one instant: could it be recovered as
// the business agreed, and what shows it. It holds instants, never ages: readers
// subtract. Lists are in a fixed order, so equal facts give equal bytes.
type Posture struct {
	Name       string            `json:"name"`
	Title      string            `json:"title,omitempty"`
	Owner      string            `json:"owner,omitempty"`
	Tier       int               `json:"tier"`
	Site       string            `json:"site,omitempty"`
	State      State             `json:"state"`
	Score      *int              `json:"score"` // nil: not judged
	Cause      *Cause            `json:"cause"` // nil: nothing stands in the way
	NextChange *time.Time        `json:"next_change"`
	Scenarios  []ScenarioPosture `json:"scenarios"`
	Paths      []PathPosture     `json:"paths"`
	Findings   []Finding         `json:"findings"`

	Objectives  *Objectives    `json:"objectives,omitempty"`
	Data        []DataPosture  `json:"data,omitempty"`
	Confidence  *Confidence    `json:"confidence,omitempty"`
	Acceptances []AcceptedRisk `json:"acceptances,omitempty"`
	Maintenance []Window       `json:"maintenance,omitempty"`
	Looser      []LooserTerm   `json:"looser_terms,omitempty"`

	// SilentAt is when the first good observation this posture rests on runs out
	// if nothing more is heard; zero: never. It is outside what is compared and
	// sealed: every report moves it.
	SilentAt time.Time `json:"-"`
}

// Cause is the finding that makes a service's state what it is.
type Cause struct {
	Need   string `json:"need"`
	State  State  `json:"state"`
	Reason string `json:"reason"`
}

// ScenarioPosture is how a service stands in one scenario: as its best path does.
type ScenarioPosture struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Score int    `json:"score"`
	Path  string `json:"path,omitempty"` // the best path; empty: none covers it
	// AskedBy is the consumer in whose scenario the service is judged although
	// its own BIA does not ask; such a scenario is outside the service's own score.
	AskedBy      string        `json:"asked_by,omitempty"`
	RTO          Objective     `json:"rto,omitzero"` // requested in this scenario
	RPO          Objective     `json:"rpo,omitzero"`
	MTPD         Duration      `json:"mtpd,omitempty"`
	RecoveryTime *RecoveryTime `json:"recovery_time,omitempty"` // nil: no path
	Point        time.Time     `json:"recovery_point,omitzero"` // newest usable
	Verified     time.Time     `json:"verified_point,omitzero"` // newest verified one
	// RPOAt and BeyondAt are when exposure reaches the RPO and the maximum
	// tolerable data loss if no newer point comes.
	RPOAt    time.Time    `json:"rpo_at,omitzero"`
	BeyondAt time.Time    `json:"beyond_at,omitzero"`
	Waits    []Dependence `json:"waits,omitempty"` // what the scenario takes out among its dependencies
}

// RecoveryTime is how long recovery takes along the critical path, from
// measurements.
type RecoveryTime struct {
	Total       Duration `json:"total"`
	Own         Duration `json:"own"`                    // the path's own share
	Chain       []string `json:"chain,omitempty"`        // dependencies waited for, first restored first
	AtLeast     bool     `json:"at_least,omitempty"`     // a link is unmeasured: shown with ≥
	Estimated   bool     `json:"estimated,omitempty"`    // scaled by growth: shown with ~
	RestoreOnly bool     `json:"restore_only,omitempty"` // no exercise: restore only
	Unorderable bool     `json:"unorderable,omitempty"`  // dependencies form a cycle
}

// Dependence is a dependency as judged in the scenario of its consumer.
type Dependence struct {
	Service string         `json:"service"`
	Kind    DependencyKind `json:"kind"`
	State   State          `json:"state"`
	Score   int            `json:"score"`
	Lost    bool           `json:"lost"` // the scenario takes it out; false: left standing, met
}

// PathPosture is how one path stands.
type PathPosture struct {
	Name      string               `json:"name"`
	At        string               `json:"at,omitempty"`
	Scenarios []PathScenario       `json:"scenarios"`
	Rungs     map[Rung]RungPosture `json:"rungs"`
	Point     time.Time            `json:"recovery_point,omitzero"`
	Current   bool                 `json:"recovery_point_is_now,omitempty"` // the data itself: there is no instant to hold
	Proven    Duration             `json:"proven_rto,omitempty"`
	Expected  Duration             `json:"expected_rto,omitempty"`
	Committed Duration             `json:"committed_rto,omitempty"`
	Needs     []NeedPosture        `json:"needs,omitempty"` // the chain, in the catalogue's order
	Leaves    map[string]string    `json:"leaves,omitempty"`
}

// PathScenario is a path in one scenario it is asked about.
type PathScenario struct {
	Name    string   `json:"name"`
	State   State    `json:"state"`
	Reasons []string `json:"reasons"` // why it is not proven, or does not cover
}

// RungPosture is how a rung stands.
type RungPosture struct {
	State    State     `json:"state"`
	Required bool      `json:"required"`
	At       time.Time `json:"at,omitzero"`    // of the test that holds it
	Until    time.Time `json:"until,omitzero"` // when it runs out
	Reason   string    `json:"reason,omitempty"`
	Changed  bool      `json:"changed,omitempty"` // it ran out by what changed since the test, not by age
}

// NeedPosture is a link of a path's chain.
type NeedPosture struct {
	Need     string    `json:"need"`
	Kind     NeedKind  `json:"kind"`
	Verdict  Verdict   `json:"verdict"`
	State    State     `json:"state"` // what it contributes
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at,omitzero"`    // of the evidence
	Until    time.Time `json:"until,omitzero"` // when it runs out, or out further: a paper's cadence, an expiry
	Attested bool      `json:"attested,omitempty"`
	Declared bool      `json:"declared,omitempty"`
}

// Finding is one judged need that costs points, or might.
type Finding struct {
	Need      string    `json:"need"`
	Code      string    `json:"code"` // row of the table in package score
	Kind      NeedKind  `json:"kind"`
	Verdict   Verdict   `json:"verdict"`
	State     State     `json:"state"` // what it contributes
	Points    int       `json:"points"`
	Gain      int       `json:"gain"` // what re-judging with it met gives
	Reason    string    `json:"reason"`
	Remedy    string    `json:"remedy"`
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"` // when it turns, or turns worse
	Scenarios []string  `json:"scenarios,omitempty"`
	Paths     []string  `json:"paths,omitempty"`
	Check     string    `json:"check,omitempty"` // whose observation is the evidence
	At        time.Time `json:"at,omitzero"`     // of the evidence
	Accepted  bool      `json:"accepted,omitempty"`
	Attested  bool      `json:"attested,omitempty"`
	Declared  bool      `json:"declared,omitempty"`
	Together  []string  `json:"together,omitempty"` // needs to mend together, where this one alone gains nothing
}

// Objectives keeps requested, committed and proven apart. Zero: not stated or
// not measured.
type Objectives struct {
	RTO  ThreeFold `json:"rto"`
	RPO  ThreeFold `json:"rpo"`
	MTPD Duration  `json:"mtpd,omitempty"`
	WRT  Duration  `json:"wrt,omitempty"`
	MTDL Duration  `json:"mtdl,omitempty"`
	MBCO string    `json:"mbco,omitempty"`
	// ReviewDue is when the review of the business impact analysis runs out; zero:
	// it has.
	ReviewDue time.Time `json:"review_due,omitzero"`
}

// ThreeFold is an objective as requested (BIA), committed (design of the binding
// path) and proven (latest valid tests).
type ThreeFold struct {
	Requested Objective `json:"requested"`
	Committed Duration  `json:"committed,omitempty"`
	Proven    Duration  `json:"proven,omitempty"`
}

// DataPosture is how a dataset is protected.
type DataPosture struct {
	Dataset string        `json:"dataset"`
	Title   string        `json:"title,omitempty"`
	Copies  []CopyPosture `json:"copies"`
	Rule    CopyRule      `json:"rule"`
}

// Copy returns the copy of that name, or nil.
func (d *DataPosture) Copy(name string) *CopyPosture {
	for i := range d.Copies {
		if d.Copies[i].Copy == name {
			return &d.Copies[i]
		}
	}
	return nil
}

// CopyRule counts a dataset's copies by the rule of 3-2-1-1-0: 3 copies, on 2
// media, 1 of them off-site, 1 immutable or offline, 0 errors at the last
// verification of each (JUDGEMENT.md 4).
type CopyRule struct {
	Copies   int   `json:"copies"` // the primary included
	Media    int   `json:"media"`
	Offsite  int   `json:"offsite"`
	Hardened int   `json:"hardened"` // immutable or offline; a replica never is
	Errors   int64 `json:"errors"`   // of the last verifications together; those never made count as none
}

// CopyPosture is one copy as last seen.
type CopyPosture struct {
	Copy      string    `json:"copy"`
	Kind      CopyKind  `json:"kind"`
	Site      string    `json:"site,omitempty"`
	Medium    string    `json:"medium,omitempty"`
	Verdict   Verdict   `json:"verdict"`
	Reason    string    `json:"reason,omitempty"`
	Point     time.Time `json:"recovery_point,omitzero"`
	Oldest    time.Time `json:"oldest_point,omitzero"`
	Gap       Duration  `json:"gap,omitempty"` // largest between the newest four points
	Bytes     Bytes     `json:"bytes,omitempty"`
	Verified  time.Time `json:"verified,omitzero"`
	Scope     float64   `json:"verified_scope,omitempty"` // share that was read, 0–1
	Errors    int64     `json:"verified_errors,omitempty"`
	Restored  time.Time `json:"restored,omitzero"` // of the last that passed
	Took      Duration  `json:"restore_took,omitempty"`
	Coverage  float64   `json:"restore_coverage,omitempty"` // share that was restored, 0–1
	Through   string    `json:"restore_path,omitempty"`     // the path whose test restored it
	Immutable Fact      `json:"immutable"`
	Offline   Fact      `json:"offline"`
	Encrypted Fact      `json:"encrypted"`
	Seen      time.Time `json:"seen,omitzero"`     // last heard of
	Offsite   bool      `json:"offsite,omitempty"` // outside the service's site and the sites within
}

// Fact is a yes or no with how it is known.
type Fact struct {
	Value bool   `json:"value"`
	How   string `json:"how"` // "observed", "declared" or "unstated"
}

// Confidence says how much of a posture rests on live observation.
type Confidence struct {
	Needs    int       `json:"needs"`
	Observed int       `json:"observed"`         // with a live observation
	Attested int       `json:"attested"`         // met by a record
	Weakest  time.Time `json:"weakest,omitzero"` // the oldest evidence it rests on
}

// AcceptedRisk is a risk somebody accepted: shown, silences alerts, changes
// neither verdict nor score.
type AcceptedRisk struct {
	Need     string    `json:"need"`
	By       string    `json:"by"`
	Approver string    `json:"approver,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

// Window is a maintenance window in force.
type Window struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
}

// LooserTerm is a term looser than the default, or than 90 days ago.
type LooserTerm struct {
	Term string    `json:"term"` // "scenario ransomware", "rpo", "tier 1 restored"
	Was  string    `json:"was"`
	Is   string    `json:"is"`
	By   string    `json:"by,omitempty"`
	At   time.Time `json:"at,omitzero"` // when it changed; zero: looser than the default
}
