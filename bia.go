package holdfast

// BIA is a service's business impact analysis (ISO/TS 22317): what the business
// asked for. Zero durations are not stated.
type BIA struct {
	RTO       Objective `json:"rto"`            // recovery time objective
	RPO       Objective `json:"rpo"`            // recovery point objective
	MTPD      Duration  `json:"mtpd,omitempty"` // maximum tolerable period of disruption
	WRT       Duration  `json:"wrt,omitempty"`  // work recovery time, after systems are back
	MTDL      Duration  `json:"mtdl,omitempty"` // maximum tolerable data loss; default max(36 h, 4 × RPO)
	MBCO      string    `json:"mbco,omitempty"` // minimum business continuity objective
	Functions []string  `json:"functions,omitempty"`
	Impact    []Impact  `json:"impact,omitempty"`
	Reviewed  Date      `json:"reviewed,omitzero"`
	Review    Duration  `json:"review,omitempty"` // cadence; default the tier's plan review
	// Scenarios are the objectives that differ in a scenario, and scenarios left
	// out, by scenario name. One named here is asked besides the tier's.
	Scenarios map[string]ScenarioTerms `json:"scenarios,omitempty"`
}

// Objective is a limit in time, or the reason why there is none.
type Objective struct {
	Limit Duration `json:"limit,omitempty"`
	None  string   `json:"none,omitempty"` // the reason; Limit is then 0
}

// Stated reports whether there is a limit to judge against.
func (o Objective) Stated() bool { return o.Limit > 0 }

// Impact is what a disruption costs once it has lasted After.
type Impact struct {
	After Duration `json:"after"`
	Level string   `json:"level"`
	Note  string   `json:"note,omitempty"`
}

// ScenarioTerms are a service's own terms in one scenario; what is not stated is
// the BIA's.
type ScenarioTerms struct {
	RTO  Objective `json:"rto,omitzero"`
	RPO  Objective `json:"rpo,omitzero"`
	MTPD Duration  `json:"mtpd,omitempty"`
	MTDL Duration  `json:"mtdl,omitempty"`
	Omit *Omission `json:"omit,omitempty"`
}

// Omission leaves a scenario out; it needs what an acceptance needs.
type Omission struct {
	Owner    string `json:"owner"`
	Reason   string `json:"reason"`
	Approver string `json:"approver"`
	Until    Date   `json:"until"`
}
