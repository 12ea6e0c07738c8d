package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// RecoveryPath is how a recovery path stands: a row of the page /paths and of GET
// /api/v1/paths. It holds instants, never ages: readers subtract.
type RecoveryPath struct {
	Service   string                  `json:"service"`
	Called    string                  `json:"service_title"`
	Owner     string                  `json:"owner,omitempty"`
	Tier      int                     `json:"tier"`
	Site      string                  `json:"site,omitempty" doc:"of the service"`
	Path      string                  `json:"path"`
	At        string                  `json:"at,omitempty" doc:"the recovery site"`
	State     holdfast.State          `json:"state" doc:"worst of the scenarios it covers; uncovered: it is for some and covers none; not-judged: nothing is asked of it"`
	Reason    string                  `json:"reason,omitempty" doc:"the weakest link: what makes the state what it is"`
	Scenarios []holdfast.PathScenario `json:"scenarios"`
	Rungs     []PathRung              `json:"rungs" doc:"the proof ladder, lowest first; a rung that cannot exist is left out"`
	Proven    holdfast.Duration       `json:"proven_rto,omitempty"`
	Expected  holdfast.Duration       `json:"expected_rto,omitempty"`
	Committed holdfast.Duration       `json:"committed_rto,omitempty"`
	Point     time.Time               `json:"recovery_point,omitzero"`
	Current   bool                    `json:"recovery_point_is_now,omitempty"`
	RunsOut   []RunsOut               `json:"runs_out" doc:"what of it ends if nothing new is shown, the soonest first"`
}

// PathRung is a step of a path's proof ladder.
type PathRung struct {
	Rung holdfast.Rung `json:"rung"`
	holdfast.RungPosture
}

// RunsOut is when a proof, a review, a training, an attestation or a certificate
// ends.
type RunsOut struct {
	At   time.Time      `json:"at"`
	What string         `json:"what"`
	To   holdfast.State `json:"to" doc:"what the path turns to"`
}

// recoveryPaths lays every path out, by service and in the catalogue's order.
func recoveryPaths(postures []holdfast.Posture) []RecoveryPath {
	n := 0
	for i := range postures {
		n += len(postures[i].Paths)
	}
	list := make([]RecoveryPath, 0, n)
	for i := range postures {
		for k := range postures[i].Paths {
			list = append(list, newRecoveryPath(&postures[i], &postures[i].Paths[k]))
		}
	}
	return list
}

func newRecoveryPath(p *holdfast.Posture, path *holdfast.PathPosture) RecoveryPath {
	r := RecoveryPath{
		Service: p.Name, Called: titleOf(p), Owner: p.Owner, Tier: p.Tier, Site: p.Site, Path: path.Name, At: path.At, State: holdfast.NotJudged,
		Scenarios: path.Scenarios, Proven: path.Proven, Expected: path.Expected, Committed: path.Committed, Point: path.Point, Current: path.Current,
		Rungs: []PathRung{}, RunsOut: []RunsOut{},
	}
	for i := range path.Scenarios {
		if s := &path.Scenarios[i]; s.State != holdfast.Uncovered && s.State.Rank() > r.State.Rank() {
			r.State, r.Reason = s.State, first(s.Reasons)
		}
	}
	if r.State == holdfast.NotJudged && len(path.Scenarios) > 0 {
		r.State, r.Reason = holdfast.Uncovered, first(path.Scenarios[0].Reasons)
	}
	for _, rung := range holdfast.Rungs {
		if g, ok := path.Rungs[rung]; ok {
			r.Rungs = append(r.Rungs, PathRung{rung, g})
			if g.Required && g.State == holdfast.Proven && !g.Until.IsZero() {
				r.RunsOut = append(r.RunsOut, RunsOut{g.Until, "proof “" + string(rung) + "” runs out", holdfast.Stale})
			}
		}
	}
	for i := range path.Needs {
		if n := &path.Needs[i]; n.Verdict == holdfast.Met && !n.Until.IsZero() {
			r.RunsOut = append(r.RunsOut, RunsOut{n.Until, needRunsOut(n, p.Name, path.Name), endOf(n)})
		}
	}
	if p.Objectives != nil && !p.Objectives.ReviewDue.IsZero() {
		r.RunsOut = append(r.RunsOut, RunsOut{p.Objectives.ReviewDue, "review of the business impact analysis runs out", holdfast.Stale})
	}
	slices.SortStableFunc(r.RunsOut, func(a, b RunsOut) int { return a.At.Compare(b.At) })
	return r
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// proofGap is proof that is missing or has run out.
type proofGap struct {
	Service, Called string
	State           holdfast.State // untested or stale
	Why             string         // "never", "by age", "by change"
	What, Reason    string
	Since           time.Time
	Paths           []string
	tier            int
}

// proofGaps lists what was never shown and what went stale: the first of each.
func proofGaps(postures []*holdfast.Posture, scenario string) (untested, stale []proofGap) {
	for _, p := range postures {
		for i := range p.Findings {
			f := &p.Findings[i]
			if f.State != holdfast.Stale && f.State != holdfast.Untested || f.Code == codeDependency || scenario != "" && !slices.Contains(f.Scenarios, scenario) {
				continue
			}
			g := proofGap{
				Service: p.Name, Called: titleOf(p), State: f.State, What: shortNeed(f.Need, p.Name), Reason: clip(f.Reason), Since: f.Since, Paths: f.Paths, tier: p.Tier,
				Why: whyRanOut(p, f),
			}
			if f.State == holdfast.Stale {
				stale = append(stale, g)
			} else {
				untested = append(untested, g)
			}
		}
	}
	order := func(a, b proofGap) int {
		return cmp.Or(cmp.Compare(a.tier, b.tier), b.Since.Compare(a.Since), strings.Compare(a.Service, b.Service), strings.Compare(a.What, b.What))
	}
	slices.SortStableFunc(untested, order)
	slices.SortStableFunc(stale, order)
	return untested, stale
}

// codeDependency is the finding of a service that stands as badly as one it waits
// for: what runs out there is told there.
const codeDependency = "dependency"

// whyRanOut tells proof that is too old from proof that a change voided, and both
// from what was never there.
func whyRanOut(p *holdfast.Posture, f *holdfast.Finding) string {
	for i := range p.Paths {
		path := &p.Paths[i]
		for rung, g := range path.Rungs {
			if f.Need == p.Name+"/"+path.Name+"/"+string(rung) && g.Changed {
				return "by change"
			}
		}
	}
	if f.State == holdfast.Untested && f.At.IsZero() {
		return "never"
	}
	return "by age"
}
