package holdfast

// Policy is the organisation's terms: cadences, scenarios, costs. The zero value
// judges nothing; DefaultPolicy is what holds where a catalogue says nothing.
type Policy struct {
	Name          string            `json:"name"`
	Tiers         [4]TierPolicy     `json:"tiers"` // tier 1 first
	Bands         map[State]Band    `json:"bands"`
	Costs         map[string]int    `json:"costs"` // finding code → points; absent: the default of package score
	ExpiryWarning Duration          `json:"expiry_warning"`
	Void          map[string][]Rung `json:"void"`            // part of a fingerprint → the rungs its change voids
	RestoredShare float64           `json:"restored_share"`  // coverage at which a restore counts as complete, 0–1
	Headroom      float64           `json:"capacity_factor"` // capacity a path needs ÷ its copies' restored size
	Anomalies     Anomalies         `json:"anomalies"`
	Keep          Duration          `json:"keep,omitempty"` // Copy.Keep where a backup states none
	Source        string            `json:"source,omitempty"`
}

// Anomalies says when a backup's newest recovery point differs so much from the
// points before it that somebody should look: each is a multiple of their median, 0
// judges nothing.
type Anomalies struct {
	Size    float64 `json:"size"`    // fewer bytes than this many times the median
	Files   float64 `json:"files"`   // fewer files
	Changed float64 `json:"changed"` // more changed, and more than Share of the whole
	Share   float64 `json:"changed_share"`
}

// TierPolicy is what a tier asks: cadences, 0 where the rung is not required
// (Training 0: trained once is enough), and the scenarios to survive.
type TierPolicy struct {
	Intact    Duration `json:"intact"`
	Restored  Duration `json:"restored"`
	Exercised Duration `json:"exercised"`
	Plan      Duration `json:"plan"`
	Training  Duration `json:"training"`
	Scenarios []string `json:"scenarios"`
}

// Cadence returns how often the rung must be proven, 0 where it is not required.
func (t TierPolicy) Cadence(r Rung) Duration {
	switch r {
	case Intact:
		return t.Intact
	case Restored:
		return t.Restored
	case Exercised:
		return t.Exercised
	}
	return 0
}

// Band is the range of scores of a state.
type Band struct {
	Low  int `json:"low"`
	High int `json:"high"`
}

// Tier returns the terms of a tier from 1 to 4.
func (p *Policy) Tier(n int) TierPolicy { return p.Tiers[n-1] }

// Parts of a path's fingerprint that void a rung when they change. Others are
// shown and void nothing.
const (
	PartCopy    = "copy"    // definition of a copy the path restores from
	PartTool    = "tool"    // major.minor of the backup tool
	PartEngine  = "engine"  // major.minor of the database engine
	PartPath    = "path"    // definition of the path
	PartSite    = "site"    // the recovery site
	PartPlan    = "plan"    // version of a plan, editorial revisions apart
	PartChange  = "change"  // a change record marked substantive
	PartDataset = "dataset" // a substantive change that touches data
)

// PartRepository is the part of a copy's fingerprint by which its tool tells one
// repository from another. It voids nothing: it says whose recovery points those
// listed are.
const PartRepository = "repository"

// DefaultPolicy is the policy of JUDGEMENT.md 2, 3 and 6 (NIST SP 800-34
// §3.5.4; DORA 11(6), 12(2)). Callers may change the value they get.
func DefaultPolicy() Policy {
	grave := []string{HostLoss, SiteLoss, DataCorruption, Ransomware}
	return Policy{
		Name: "default",
		Tiers: [4]TierPolicy{
			{Intact: 7 * Day, Restored: 30 * Day, Exercised: 180 * Day, Plan: 180 * Day, Training: 365 * Day, Scenarios: grave},
			{Intact: 30 * Day, Restored: 90 * Day, Exercised: 365 * Day, Plan: 365 * Day, Training: 365 * Day, Scenarios: grave},
			{Intact: 90 * Day, Restored: 180 * Day, Plan: 365 * Day, Scenarios: []string{HostLoss, DataCorruption}},
			{Intact: 180 * Day, Restored: 365 * Day, Plan: 730 * Day, Scenarios: []string{DataCorruption}},
		},
		Bands: map[State]Band{
			Proven: {86, 100}, Stale: {71, 85}, Degraded: {61, 70}, Untested: {41, 60},
			Unknown: {21, 40}, Broken: {11, 20}, Uncovered: {0, 10},
		},
		Costs:         map[string]int{},
		ExpiryWarning: 21 * Day,
		Void: map[string][]Rung{
			PartCopy: {Intact, Restored}, PartTool: {Intact, Restored}, PartEngine: {Intact, Restored},
			PartPath: {Exercised}, PartSite: {Exercised}, PartPlan: {Exercised}, PartChange: {Exercised},
			PartDataset: {Restored, Exercised},
		},
		RestoredShare: 1,
		Headroom:      1.2,
		Anomalies:     Anomalies{Size: 0.5, Files: 0.5, Changed: 5, Share: 0.2},
	}
}
