package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	servicesShown = 100 // rows of the matrix, and of the list, on one page
	matrixColumns = 10
	gapsShown     = 8
	needsShown    = 8
)

// viewList is the view of paths one by one; the other is the matrix.
const viewList = "list"

// pathsView answers: which paths would fail today, across all services?
type pathsView struct {
	Lead, Rest string
	Others     string
	Counts     []stateCount // of paths
	Filter     pathsFilter
	Columns    []cell
	More       int // scenarios that have no column
	Matrix     []matrixRow
	List       []pathRow
	Matches    int // rows in all
	Total      int // paths in all
	Before     string
	After      string
	RunOut     runOut
	Untested   []proofGap
	Stale      []proofGap
	UntestedN  int
	StaleN     int
	Needs      []needRow
	NeedsN     int
	MatrixLink string
	ListLink   string
}

// matrixRow is a service in the matrix.
type matrixRow struct {
	Name, Title string
	Tier        int
	State       holdfast.State
	Cells       []matrixCell
}

type matrixCell struct {
	cell
	Path string // the best; empty: none
	Link string
}

// pathRow is a path in the list.
type pathRow struct {
	*RecoveryPath
	ID    string
	Why   string
	Cells []cell
	Steps []step
	Next  *RunsOut
	Took  string
}

type needRow struct {
	BreakingNeed
	Title string
	Link  string
	Also  int // more checks that look at the same thing
}

// pathsFilter is which paths are shown; all of it stands in the address.
type pathsFilter struct {
	View, Text, Scenario, State, Owner, Site, Tier string
	From                                           int
	Scenarios, Owners, Sites, Tiers                []string
	States                                         []holdfast.State
}

func newPathsFilter(q url.Values) pathsFilter {
	f := pathsFilter{
		Text: strings.TrimSpace(q.Get("q")), Scenario: q.Get("scenario"), State: q.Get("state"), Owner: q.Get("owner"), Site: q.Get("site"), Tier: q.Get("tier"),
	}
	if q.Get("view") == viewList {
		f.View = viewList
	}
	f.From, _ = strconv.Atoi(q.Get("from"))
	return f
}

// Any reports whether anything is filtered.
func (f pathsFilter) Any() bool { return f.Text+f.Scenario+f.State+f.Owner+f.Site+f.Tier != "" }

// Href is the address of the page with this filter.
func (f pathsFilter) Href() string {
	q := url.Values{}
	for key, value := range map[string]string{"view": f.View, "q": f.Text, "scenario": f.Scenario, "state": f.State, "owner": f.Owner, "site": f.Site, "tier": f.Tier} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.From > 0 {
		q.Set("from", strconv.Itoa(f.From))
	}
	if len(q) == 0 {
		return "/paths"
	}
	return "/paths?" + q.Encode()
}

// with is the address of a view, from a row on.
func (f pathsFilter) with(view string, from int) string {
	f.View, f.From = view, from
	return f.Href()
}

// only is the address of the list of paths in one state.
func (f pathsFilter) only(s holdfast.State) string {
	f.State = string(s)
	return f.with(viewList, 0)
}

// learn gathers what there is to choose from.
func (f *pathsFilter) learn(all []holdfast.Posture) {
	owners, sites, tiers, scenarios := map[string]bool{}, map[string]bool{}, map[int]bool{}, map[string]bool{}
	for i := range all {
		p := &all[i]
		owners[p.Owner], sites[p.Site], tiers[p.Tier] = true, true, true
		for k := range p.Scenarios {
			if p.Scenarios[k].AskedBy == "" {
				scenarios[p.Scenarios[k].Name] = true
			}
		}
	}
	f.Owners, f.Sites, f.Scenarios = sorted(owners), sorted(sites), sorted(scenarios)
	slices.SortFunc(f.Scenarios, scenarioOrder)
	for t := 1; t <= 4; t++ {
		if tiers[t] {
			f.Tiers = append(f.Tiers, strconv.Itoa(t))
		}
	}
	f.States = append(slices.Clone(holdfast.States), holdfast.NotJudged)
}

// service reports whether a service is among those asked for.
func (f *pathsFilter) service(p *holdfast.Posture) bool {
	if f.Owner != "" && p.Owner != f.Owner || f.Site != "" && p.Site != f.Site || f.Tier != "" && strconv.Itoa(p.Tier) != f.Tier {
		return false
	}
	if holds(f.Text, p.Name, p.Title, p.Owner, p.Site) {
		return true
	}
	return slices.ContainsFunc(p.Paths, func(path holdfast.PathPosture) bool { return holds(f.Text, path.Name, path.At) })
}

// path reports whether a path of such a service is: one for the scenario, in the
// state it has there or as a whole.
func (f *pathsFilter) path(r *RecoveryPath) bool {
	state := r.State
	if f.Scenario != "" {
		i := slices.IndexFunc(r.Scenarios, func(s holdfast.PathScenario) bool { return s.Name == f.Scenario })
		if i < 0 {
			return false
		}
		state = r.Scenarios[i].State
	}
	return (f.State == "" || string(state) == f.State) && (holds(f.Text, r.Service, r.Called, r.Owner, r.Site, r.Path, r.At, r.Reason))
}

// paths returns what the filter shows of all paths, the worst first.
func (f *pathsFilter) paths(all []RecoveryPath) []*RecoveryPath {
	var list []*RecoveryPath
	for i := range all {
		r := &all[i]
		if (f.Owner == "" || r.Owner == f.Owner) && (f.Site == "" || r.Site == f.Site || r.At == f.Site) && (f.Tier == "" || strconv.Itoa(r.Tier) == f.Tier) && f.path(r) {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b *RecoveryPath) int {
		return cmp.Or(cmp.Compare(b.State.Rank(), a.State.Rank()), cmp.Compare(a.Tier, b.Tier))
	})
	return list
}

func (s *server) pathsPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	v := newPathsView(s.recovery(), s.c.Catalogue(), s.c, s.c.Now(), newPathsFilter(r.URL.Query()))
	s.show(w, r, http.StatusOK, "paths", "Recovery paths", v)
}

// newPathsView lays the paths out.
func newPathsView(known *recovery, catalogue *holdfast.Catalogue, c Targeting, now time.Time, f pathsFilter) *pathsView {
	all := known.paths
	v := &pathsView{Filter: f, Total: len(all), MatrixLink: f.with("", 0), ListLink: f.with(viewList, 0)}
	v.Filter.learn(known.postures)
	v.Lead, v.Rest, v.Others = pathsSentence(all)
	v.tally(all, f)
	var services []*holdfast.Posture
	for _, p := range known.services {
		if f.service(p) {
			services = append(services, p)
		}
	}
	shown := f.paths(all)
	if f.View == viewList {
		v.list(shown, f, now)
	} else {
		v.matrix(services, f)
	}
	v.RunOut = newRunOut(shown, now)
	needs := known.needs
	v.Untested, v.Stale = known.untested, known.stale
	if f.Scenario != "" || len(services) < len(known.services) {
		needs = breakingNeeds(services, catalogue, c, f.Scenario)
		v.Untested, v.Stale = proofGaps(services, f.Scenario)
	}
	v.UntestedN, v.StaleN = len(v.Untested), len(v.Stale)
	v.Untested, v.Stale = v.Untested[:min(gapsShown, v.UntestedN)], v.Stale[:min(gapsShown, v.StaleN)]
	v.NeedsN = len(needs)
	for _, n := range needs[:min(needsShown, len(needs))] {
		v.Needs = append(v.Needs, newNeedRow(n))
	}
	return v
}

// pathsSentence says how the paths stand, as it could be read aloud.
func pathsSentence(all []RecoveryPath) (lead, rest, others string) {
	counts := map[holdfast.State]int{}
	for i := range all {
		counts[all[i].State]++
	}
	lead, rest = fmt.Sprintf("%d of %d", counts[holdfast.Proven], len(all)), " recovery paths are proven in every scenario they cover"
	if len(all) == 1 {
		rest = " recovery path is proven in every scenario it covers"
	}
	var parts []string
	for _, w := range []struct {
		state holdfast.State
		say   string
	}{
		{holdfast.Broken, "%d cannot be walked"}, {holdfast.Unknown, "of %d nobody can tell"}, {holdfast.Uncovered, "%d would not survive what it is for"},
		{holdfast.Untested, "%d never shown to work"}, {holdfast.Degraded, "%d working outside target"}, {holdfast.Stale, "%d resting on proof that has run out"},
		{holdfast.NotJudged, "%d not judged"},
	} {
		if n := counts[w.state]; n > 0 {
			parts = append(parts, fmt.Sprintf(w.say, n))
		}
	}
	others = enumerate(parts)
	if others != "" {
		others = strings.ToUpper(others[:1]) + others[1:]
	}
	return lead, rest, others
}

// tally counts paths by state.
func (v *pathsView) tally(all []RecoveryPath, f pathsFilter) {
	counts := map[holdfast.State]int{}
	for i := range all {
		counts[all[i].State]++
	}
	states := slices.Clone(holdfast.States)
	slices.Reverse(states)
	for _, s := range append(states, holdfast.NotJudged) {
		if counts[s] > 0 {
			v.Counts = append(v.Counts, stateCount{s, counts[s], f.only(s)})
		}
	}
}

// cut takes the part of n rows that is shown and links its neighbours.
func (v *pathsView) cut(n int, f pathsFilter) (from, until int) {
	v.Matches = n
	from = min(max(0, f.From), max(0, n-1)/servicesShown*servicesShown)
	if from > 0 {
		v.Before = f.with(f.View, from-servicesShown)
	}
	until = min(n, from+servicesShown)
	if until < n {
		v.After = f.with(f.View, until)
	}
	return from, until
}

// matrix lays services out by scenario: each cell is the scenario's best path.
func (v *pathsView) matrix(services []*holdfast.Posture, f pathsFilter) {
	services = slices.DeleteFunc(slices.Clone(services), func(p *holdfast.Posture) bool { return !inMatrix(p, f) })
	slices.SortFunc(services, worse)
	from, until := v.cut(len(services), f)
	services = services[from:until]
	v.columns(services, f)
	for _, p := range services {
		row := matrixRow{Name: p.Name, Title: titleOf(p), Tier: p.Tier, State: p.State}
		for _, c := range v.Columns {
			x := matrixCell{cell: c, Link: servicePath(p.Name) + "#paths"}
			for i := range p.Scenarios {
				if s := &p.Scenarios[i]; scenarioTitle(s.Name) == c.Title && s.AskedBy == "" {
					x.State, x.Asked, x.Path = s.State, true, clip(s.Path)
				}
			}
			row.Cells = append(row.Cells, x)
		}
		v.Matrix = append(v.Matrix, row)
	}
}

// inMatrix reports whether any cell that is asked for is in the state asked for.
func inMatrix(p *holdfast.Posture, f pathsFilter) bool {
	if f.Scenario == "" && f.State == "" {
		return true
	}
	if f.State == string(holdfast.NotJudged) {
		return p.State == holdfast.NotJudged
	}
	return slices.ContainsFunc(p.Scenarios, func(s holdfast.ScenarioPosture) bool {
		return s.AskedBy == "" && (f.Scenario == "" || s.Name == f.Scenario) && (f.State == "" || string(s.State) == f.State)
	})
}

// columns picks the scenarios of the matrix: those asked most.
func (v *pathsView) columns(services []*holdfast.Posture, f pathsFilter) {
	asked := map[string]int{}
	for _, p := range services {
		for i := range p.Scenarios {
			if s := &p.Scenarios[i]; s.AskedBy == "" && (f.Scenario == "" || s.Name == f.Scenario) {
				asked[s.Name]++
			}
		}
	}
	var names []string
	for name := range asked {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(asked[b], asked[a]), scenarioOrder(a, b)) })
	v.More = max(0, len(names)-matrixColumns)
	names = names[:min(len(names), matrixColumns)]
	slices.SortFunc(names, scenarioOrder)
	for _, name := range names {
		v.Columns = append(v.Columns, cell{Head: scenarioHead(name), Title: scenarioTitle(name)})
	}
}

// list lays paths out one by one.
func (v *pathsView) list(shown []*RecoveryPath, f pathsFilter, now time.Time) {
	from, until := v.cut(len(shown), f)
	for _, r := range shown[from:until] {
		row := pathRow{RecoveryPath: r, ID: anchor(r.Service + "/" + r.Path), Why: clip(r.Reason), Took: "never measured"}
		switch {
		case r.State == holdfast.Proven:
			row.Why = "every need met, every proof in date"
		case r.State == holdfast.NotJudged:
			row.Why = "nothing is asked of it"
		}
		if r.Proven > 0 {
			row.Took = span(r.Proven.Std())
			if r.Expected > r.Proven {
				row.Took += ", ~" + span(r.Expected.Std()) + " now"
			}
		}
		for i := range r.Scenarios {
			s := &r.Scenarios[i]
			row.Cells = append(row.Cells, cell{Head: scenarioHead(s.Name), Title: scenarioTitle(s.Name), State: s.State, Asked: true})
		}
		for _, g := range r.Rungs {
			row.Steps = append(row.Steps, step{g.Rung, g.RungPosture, true})
		}
		if len(r.RunsOut) > 0 {
			row.Next = &r.RunsOut[0]
		}
		v.List = append(v.List, row)
	}
}

func newNeedRow(n BreakingNeed) needRow {
	row := needRow{BreakingNeed: n, Title: clip(n.Root), Link: servicePath(n.service)}
	switch {
	case n.Kind == "service":
		row.Link = servicePath(strings.TrimPrefix(n.Root, "service "))
	case len(n.Checks) > 0:
		row.Title, row.Also = clip(n.Checks[0]), len(n.Checks)-1
		owner, _, _ := strings.Cut(n.Checks[0], "/")
		if owner == "plan" {
			owner = n.service
		}
		row.Link = servicePath(owner) + "#" + anchor(n.Checks[0])
	}
	row.Reason = clip(n.Reason)
	return row
}

// Legend lists the states, best first.
func (v *pathsView) Legend() []holdfast.State { return holdfast.States }

// Untested is the address of the paths that are untested.
func (f pathsFilter) Untested() string { return f.only(holdfast.Untested) }

// Stale is the address of the paths that went stale.
func (f pathsFilter) Stale() string { return f.only(holdfast.Stale) }
