package web

import (
	"cmp"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Targeting is what tells that several checks look at one thing.
type Targeting interface {
	// Target names what a check looks at: equal names, one thing.
	Target(*holdfast.Check) string
}

// BreakingNeed is something that keeps paths from being proven, with all the paths
// it does so to: one damaged repository is one, however many checks look at it.
type BreakingNeed struct {
	Root     string         `json:"root" doc:"the thing: what a check looks at, or a plan, a team, a service, a paper"`
	Kind     string         `json:"kind" enum:"check,plan,team,service,paper"`
	State    holdfast.State `json:"state" doc:"the worst it makes of a path"`
	Reason   string         `json:"reason"`
	Remedy   string         `json:"remedy"`
	Broken   int            `json:"paths_broken" doc:"paths that cannot be walked because of it, or of which nobody can tell"`
	Paths    []string       `json:"paths" doc:"SERVICE/PATH it keeps from being proven"`
	Services []string       `json:"services"`
	Points   int            `json:"points" doc:"it costs their scores together"`
	Checks   []string       `json:"checks" doc:"that look at it"`

	service string // whose page tells more
}

// breakingNeeds ranks what keeps paths from being proven: first what breaks most.
// Proof that is missing or old is a path's own, and not listed here.
func breakingNeeds(postures []*holdfast.Posture, catalogue *holdfast.Catalogue, c Targeting, scenario string) []BreakingNeed {
	found := map[string]*BreakingNeed{}
	targets := map[string]string{}         // by check: one stands in many findings
	broken := map[string]map[string]bool{} // by root: paths that cannot be walked
	for _, p := range postures {
		for i := range p.Findings {
			f := &p.Findings[i]
			if f.State.Rank() <= 0 || scenario != "" && !slices.Contains(f.Scenarios, scenario) {
				continue
			}
			root, kind := rootOf(f, func(check string) string {
				at, known := targets[check]
				if !known {
					if at = check; catalogue.Check(check) != nil {
						at = c.Target(catalogue.Check(check))
					}
					targets[check] = at
				}
				return at
			})
			if root == "" {
				continue
			}
			n := found[root]
			if n == nil {
				n = &BreakingNeed{Root: root, Kind: kind, State: holdfast.Proven, Paths: []string{}, Services: []string{}, Checks: []string{}, service: p.Name}
				found[root], broken[root] = n, map[string]bool{}
			}
			if f.State.Rank() > n.State.Rank() {
				n.State, n.Reason, n.Remedy, n.service = f.State, f.Reason, f.Remedy, p.Name
			}
			n.Points += f.Points
			addTo(&n.Services, p.Name)
			if f.Check != "" {
				addTo(&n.Checks, f.Check)
			}
			for _, path := range pathsOf(p, f) {
				addTo(&n.Paths, p.Name+"/"+path)
				if f.State.Rank() >= holdfast.Unknown.Rank() {
					broken[root][p.Name+"/"+path] = true
				}
			}
		}
	}
	list := make([]BreakingNeed, 0, len(found))
	for root, n := range found {
		if n.Broken = len(broken[root]); len(n.Paths) > 0 {
			list = append(list, *n)
		}
	}
	slices.SortFunc(list, func(a, b BreakingNeed) int {
		return cmp.Or(cmp.Compare(b.Broken, a.Broken), cmp.Compare(len(b.Paths), len(a.Paths)), cmp.Compare(b.Points, a.Points), strings.Compare(a.Root, b.Root))
	})
	return list
}

// addTo keeps a list sorted and free of doubles.
func addTo(list *[]string, name string) {
	if i, there := slices.BinarySearch(*list, name); !there {
		*list = slices.Insert(*list, i, name)
	}
}

// pathsOf are the paths a finding keeps from being proven: those it names, or all
// of its service.
func pathsOf(p *holdfast.Posture, f *holdfast.Finding) []string {
	if len(f.Paths) > 0 {
		return f.Paths
	}
	var all []string
	for i := range p.Paths {
		all = append(all, p.Paths[i].Name)
	}
	return all
}

// rootOf names the thing behind a finding; "": it is the path's own (its proof,
// its times, what it does not cover).
func rootOf(f *holdfast.Finding, target func(check string) string) (root, kind string) {
	last := f.Need[strings.LastIndexByte(f.Need, '/')+1:]
	switch {
	case isRung(f.Need):
		return "", ""
	case f.Code == codeDependency, f.Code == "cycle":
		return "service " + last, "service"
	case f.Check != "":
		return target(f.Check), "check"
	case strings.HasPrefix(f.Need, "plan/"):
		return "plan " + last, "plan"
	case strings.HasPrefix(f.Code, "training-"):
		return "team " + last, "team"
	case strings.HasPrefix(f.Code, "bia-"), strings.HasPrefix(f.Code, "attest-"), strings.HasPrefix(f.Code, "declared-"):
		return f.Need, "paper"
	case strings.HasPrefix(f.Code, "copy-"), strings.HasPrefix(f.Code, "need-"), strings.HasPrefix(f.Code, "capacity-"):
		return f.Need, "check"
	}
	return "", ""
}
