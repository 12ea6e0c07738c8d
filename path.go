package holdfast

// Path is how a service comes back in some scenarios (ISO 22301 8.3.3,
// NIST SP 800-34 §3.4): which copies it restores from, where, and what it needs.
type Path struct {
	Name     string            `json:"name"`
	Covers   []string          `json:"covers"`         // scenarios
	At       string            `json:"at"`             // the recovery site
	From     []CopyRef         `json:"from,omitempty"` // one copy of each dataset
	Leaves   map[string]string `json:"leaves,omitempty"`
	RTO      Duration          `json:"rto,omitempty"`      // committed; 0: not stated
	RPO      Duration          `json:"rpo,omitempty"`      // committed; 0: not stated
	Without  []string          `json:"without,omitempty"`  // dependencies it does not wait for
	Parallel bool              `json:"parallel,omitempty"` // datasets are restored side by side
	Needs    []Need            `json:"needs,omitempty"`
	Tests    []Test            `json:"tests,omitempty"` // by rung, then dataset
	Steps    []PersonStep      `json:"steps,omitempty"` // what people do, in their order
	MBCO     *Check            `json:"mbco,omitempty"`  // sees whether the minimum level is reached, at the end of a drill
	Was      string            `json:"was,omitempty"`
}

// CopyRef names a copy of a dataset of the same service: "ledger/offsite";
// "ledger" alone means the primary.
type CopyRef struct {
	Dataset string `json:"dataset"`
	Copy    string `json:"copy"`
}

// String writes "ledger/offsite".
func (r CopyRef) String() string { return r.Dataset + "/" + r.Copy }

// PersonStep is what somebody has to do when the path is walked, besides what tests
// do by themselves.
type PersonStep struct {
	Name   string   `json:"name"`             // unique in the path
	Title  string   `json:"title,omitempty"`  // what is to be done
	Who    string   `json:"who"`              // a team, or a member of one
	Expect Duration `json:"expect,omitempty"` // how long it should take; 0: not stated
	Before bool     `json:"before,omitempty"` // done before anything is restored
}

// Need is a prerequisite of a path. Exactly one of Check with neither Ref nor
// Attest, Ref, Attest, Plan or Team says what it is; a credential need has
// Credential and Check.
type Need struct {
	ID         string   `json:"id"`   // SERVICE/PATH/NAME
	Name       string   `json:"name"` // unique in the path
	Site       string   `json:"site,omitempty"`
	Host       string   `json:"host,omitempty"`
	Check      *Check   `json:"check,omitempty"`
	Ref        string   `json:"ref,omitempty"` // a check or need written elsewhere, by ID
	Credential *CopyRef `json:"credential,omitempty"`
	Attest     string   `json:"attest,omitempty"` // met by a record
	By         string   `json:"by,omitempty"`     // the role that attests
	Every      Duration `json:"every,omitempty"`  // cadence of the attestation
	Plan       string   `json:"plan,omitempty"`
	Team       string   `json:"team,omitempty"`
	Trained    int      `json:"trained,omitempty"` // people of the team who must be trained
	Was        string   `json:"was,omitempty"`
}

// Rung is a step of the proof ladder.
type Rung string

// The ladder, lowest first. Declared and Fresh are steps for the eye, judged as
// needs; the other three are proven by tests and have a clock each.
const (
	Declared  Rung = "declared"
	Fresh     Rung = "fresh"
	Intact    Rung = "intact"    // integrity verified
	Restored  Rung = "restored"  // really restored, content checked
	Exercised Rung = "exercised" // the whole path walked, by people, with the plan
)

// Rungs lists the three proven by tests, lowest first.
var Rungs = []Rung{Intact, Restored, Exercised}

// Test is a check that feeds a rung of its path.
type Test struct {
	Rung    Rung   `json:"rung"`
	Dataset string `json:"dataset,omitempty"` // where there is one test per dataset
	Check   Check  `json:"check"`
}
