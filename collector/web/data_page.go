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

const datasetsShown = 50 // on one page

// dataView answers: is every dataset protected, fresh, off-site, unaltered, and has
// it been restored?
type dataView struct {
	Lead, Rest  string // the sentence, its count apart
	Others      string // how those stand that the count leaves out
	Facts       []fact
	Counts      []stateCount
	Filter      dataFilter
	Heads       []head
	Rows        []dataRow
	Matches     int
	Total       int
	Before      string // addresses of the neighbouring pages of rows
	After       string
	Unprotected *unprotectedView // nil: no agent has looked for databases yet
	CSV         string           // address of what is shown, as CSV; one line a copy
	CSVCopies   string
}

// head is a column's head, a link that sorts.
type head struct {
	Key, Label, Class string
	Link              string
	Sort              string // aria-sort; empty: not sorted by it
	Up                bool
}

// dataRow is a dataset in the table.
type dataRow struct {
	*ProtectedDataset
	ID      string
	Loss    bullet
	Why     string
	Details []copyRow
	Places  []placeRow
	// Restores is how long its restore tests took; nil: none was made.
	Restores *restoresView
	Slower   string // the latest took longer than usual
}

// copyRow is a copy of an opened row.
type copyRow struct {
	holdfast.CopyPosture
	Shown    holdfast.State
	Word     string // what the silhouette says
	Place    string
	Hard     []knownFact
	Evidence string // address of what its check saw; empty: nobody looks
}

// knownFact is a fact of a copy that somebody saw or declared.
type knownFact struct {
	Name, How string
	Value     bool
}

// Legend lists the states, best first.
func (v *dataView) Legend() []holdfast.State { return holdfast.States }

// placeRow is a scenario of an opened row.
type placeRow struct {
	*DatasetScenario
	Title string
	Loss  string
	Say   string
}

// dataFilter is which datasets are shown, and how sorted; all of it stands in the
// address.
type dataFilter struct {
	Text, Service, Owner, Site, State, Only, Sort string
	From                                          int
	Services, Owners, Sites                       []string
	States                                        []holdfast.State
}

// onlys are the questions an auditor asks first, beside a state.
var onlys = []struct{ Key, Label string }{
	{"problems", "Only problems"}, {"rule", "3-2-1-1-0 not met"}, {"unrestored", "Never restored"}, {"unverified", "Never verified"},
}

func newDataFilter(q url.Values) dataFilter {
	f := dataFilter{
		Text: strings.TrimSpace(q.Get("q")), Service: q.Get("service"), Owner: q.Get("owner"), Site: q.Get("site"),
		State: q.Get("state"), Only: q.Get("only"), Sort: q.Get("sort"),
	}
	if _, known := dataOrders[strings.TrimPrefix(f.Sort, "-")]; !known {
		f.Sort = ""
	}
	f.From, _ = strconv.Atoi(q.Get("from"))
	return f
}

// Onlys lists what may be asked for alone.
func (f dataFilter) Onlys() []struct{ Key, Label string } { return onlys }

// Any reports whether anything is filtered.
func (f dataFilter) Any() bool { return f.Text+f.Service+f.Owner+f.Site+f.State+f.Only != "" }

// query writes the filter as an address does.
func (f dataFilter) query() url.Values {
	q := url.Values{}
	for key, value := range map[string]string{"q": f.Text, "service": f.Service, "owner": f.Owner, "site": f.Site, "state": f.State, "only": f.Only, "sort": f.Sort} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.From > 0 {
		q.Set("from", strconv.Itoa(f.From))
	}
	return q
}

// at is the address below path.
func (f dataFilter) at(path string) string {
	if q := f.query(); len(q) > 0 {
		return path + "?" + q.Encode()
	}
	return path
}

// from is the address of the table from a row on.
func (f dataFilter) from(n int) string {
	f.From = n
	return f.at("/data")
}

// learn gathers what there is to choose from.
func (f *dataFilter) learn(all []ProtectedDataset) {
	services, owners, sites, states := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[holdfast.State]bool{}
	for i := range all {
		d := &all[i]
		services[d.Service], owners[d.Owner], sites[d.Site], states[d.State] = true, true, true, true
		for k := range d.Copies {
			sites[d.Copies[k].Site] = true
		}
	}
	f.Owners, f.Sites = sorted(owners), sorted(sites)
	if len(services) <= choices {
		f.Services = sorted(services)
	}
	for _, s := range append(slices.Clone(holdfast.States), holdfast.NotJudged) {
		if states[s] {
			f.States = append(f.States, s)
		}
	}
}

// choices is how many a list to choose from may hold; beyond, the search finds.
const choices = 300

func (f *dataFilter) matches(d *ProtectedDataset) bool {
	if f.Service != "" && d.Service != f.Service || f.Owner != "" && d.Owner != f.Owner || f.State != "" && string(d.State) != f.State {
		return false
	}
	if f.Site != "" && d.Site != f.Site && !slices.ContainsFunc(d.Copies, func(c holdfast.CopyPosture) bool { return c.Site == f.Site }) {
		return false
	}
	switch f.Only {
	case "problems":
		if !d.problem() {
			return false
		}
	case "rule":
		if d.RuleMet {
			return false
		}
	case "unrestored":
		if !d.Restored.IsZero() {
			return false
		}
	case "unverified":
		if !d.Verified.IsZero() {
			return false
		}
	}
	return holds(f.Text, d.Service, d.Called, d.Dataset, d.Title, d.Owner, d.Site, d.Reason)
}

// problem reports whether a dataset is not protected as agreed, for another reason
// than that it is left out on purpose.
func (d *ProtectedDataset) problem() bool { return d.State != holdfast.Proven && d.Left == "" }

// holds reports whether any of the texts holds what is looked for.
func holds(text string, in ...string) bool {
	if text == "" {
		return true
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(in, func(s string) bool { return strings.Contains(strings.ToLower(clip(s)), text) })
}

// dataOrder is how a column sorts: what needs attention comes first.
type dataOrder struct {
	less func(a, b *ProtectedDataset, now time.Time) int
	up   bool // first comes the smallest
}

var dataOrders = map[string]dataOrder{
	"":        {worstDataset, false},
	"dataset": {func(a, b *ProtectedDataset, _ time.Time) int { return byName(a, b) }, true},
	"loss":    {func(a, b *ProtectedDataset, now time.Time) int { return cmp.Compare(b.lossRank(now), a.lossRank(now)) }, false},
	"copies": {func(a, b *ProtectedDataset, _ time.Time) int {
		return cmp.Or(cmp.Compare(a.Hardened, b.Hardened), cmp.Compare(a.Offsite, b.Offsite), cmp.Compare(a.Onsite, b.Onsite))
	}, true},
	"rule":     {func(a, b *ProtectedDataset, _ time.Time) int { return cmp.Compare(a.held, b.held) }, true},
	"verified": {func(a, b *ProtectedDataset, _ time.Time) int { return a.Verified.Compare(b.Verified) }, true},
	"restored": {func(a, b *ProtectedDataset, _ time.Time) int { return a.Restored.Compare(b.Restored) }, true},
	"size":     {func(a, b *ProtectedDataset, _ time.Time) int { return cmp.Compare(b.Bytes, a.Bytes) }, false},
	"heard":    {func(a, b *ProtectedDataset, _ time.Time) int { return a.Heard.Compare(b.Heard) }, true},
}

func byName(a, b *ProtectedDataset) int {
	return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Dataset, b.Dataset))
}

// worstDataset orders by state, what is left out on purpose last of all.
func worstDataset(a, b *ProtectedDataset, now time.Time) int {
	rank := func(d *ProtectedDataset) int {
		switch {
		case d.Left != "":
			return -1
		case d.State == holdfast.NotJudged: // nobody agreed on anything: above what holds
			return 1
		}
		return 2 * d.State.Rank()
	}
	return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(a.Tier, b.Tier))
}

// lossRank orders datasets by how much of them would be lost, against their RPO.
func (d *ProtectedDataset) lossRank(now time.Time) float64 {
	if s := d.exposed(now); s != nil {
		return s.rank(now)
	}
	return -1
}

// chosen returns what a filter shows, sorted as it says.
func (f *dataFilter) chosen(all []ProtectedDataset, now time.Time) []*ProtectedDataset {
	var list []*ProtectedDataset
	for i := range all {
		if f.matches(&all[i]) {
			list = append(list, &all[i])
		}
	}
	name, reversed := strings.CutPrefix(f.Sort, "-")
	order := dataOrders[name]
	slices.SortFunc(list, func(a, b *ProtectedDataset) int {
		d := order.less(a, b, now)
		if reversed {
			d = -d
		}
		return cmp.Or(d, byName(a, b))
	})
	return list
}

var dataHeads = []struct{ key, label, class string }{
	{"", "State", "c-st"}, {"dataset", "Dataset", "c-nm"}, {"loss", "Data lost now", "c-b"}, {"copies", "Copies", "c-cp"}, {"rule", "3-2-1-1-0", "c-ru"},
	{"verified", "Verified", "c-ve"}, {"restored", "Restored", "c-re"}, {"size", "Size", "c-by"}, {"heard", "Heard", "c-he"},
}

// heads are the columns' heads: following one sorts by it, once more turns it.
func (f dataFilter) heads() []head {
	name, reversed := strings.CutPrefix(f.Sort, "-")
	var list []head
	for _, h := range dataHeads {
		out := head{Key: h.key, Label: h.label, Class: h.class}
		to := f
		to.From, to.Sort = 0, h.key
		if h.key == name {
			out.Up = dataOrders[h.key].up != reversed
			out.Sort = "descending"
			if out.Up {
				out.Sort = "ascending"
			}
			if !reversed && h.key != "" {
				to.Sort = "-" + h.key
			}
		}
		out.Link = to.at("/data")
		list = append(list, out)
	}
	return list
}

func (s *server) dataPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("format") == "csv" || strings.HasPrefix(r.Header.Get("Accept"), "text/csv") {
		s.dataCSV(w, r)
		return
	}
	if s.unchanged(w, r) {
		return
	}
	now := s.c.Now()
	v := newDataView(s.datasets(), s.c, now, newDataFilter(q))
	s.addRestores(r.Context(), v.Rows, now)
	v.Unprotected = newUnprotectedView(s.discovery())
	s.show(w, r, http.StatusOK, "data", "Protected data", v)
}

// newDataView lays the datasets out, problems on top.
func newDataView(all []ProtectedDataset, c Hearing, now time.Time, f dataFilter) *dataView {
	if strings.TrimPrefix(f.Sort, "-") == "heard" {
		all = slices.Clone(all)
		finish(c, all)
	}
	v := &dataView{Filter: f, Total: len(all), Heads: f.heads()}
	v.Filter.learn(all)
	v.Lead, v.Rest, v.Others = dataSentence(all)
	v.tally(all, f, now)
	shown := f.chosen(all, now)
	v.Matches = len(shown)
	from := min(max(0, f.From), max(0, len(shown)-1)/datasetsShown*datasetsShown)
	if from > 0 {
		v.Before = f.from(from - datasetsShown)
	}
	shown = shown[from:]
	if len(shown) > datasetsShown {
		shown, v.After = shown[:datasetsShown], f.from(from+datasetsShown)
	}
	rows := make([]ProtectedDataset, len(shown))
	for i, d := range shown {
		rows[i] = *d
	}
	finish(c, rows)
	for i := range rows {
		v.Rows = append(v.Rows, newDataRow(&rows[i], now))
	}
	f.From = 0
	v.CSV = f.at("/data.csv")
	q := f.query()
	q.Set("each", "copy")
	v.CSVCopies = "/data.csv?" + q.Encode()
	return v
}

// dataWords are how a sentence says that so many datasets stand in a state.
var dataWords = []struct {
	state     holdfast.State
	one, many string
}{
	{holdfast.Uncovered, "1 would not come back at all in a scenario it must survive", "%d would not come back at all in a scenario they must survive"},
	{holdfast.Broken, "1 cannot be restored as things stand", "%d cannot be restored as things stand"},
	{holdfast.Unknown, "of 1 nobody can tell", "of %d nobody can tell"},
	{holdfast.Untested, "1 was never shown to restore", "%d were never shown to restore"},
	{holdfast.Degraded, "1 misses its target", "%d miss their target"},
	{holdfast.Stale, "1 rests on proof that has run out", "%d rest on proof that has run out"},
	{holdfast.NotJudged, "for 1 nobody has said how much may be lost", "for %d nobody has said how much may be lost"},
}

// dataSentence says how the organisation's data stands, as it could be read aloud.
func dataSentence(all []ProtectedDataset) (lead, rest, others string) {
	counts, left := map[holdfast.State]int{}, 0
	for i := range all {
		if all[i].Left != "" {
			left++
			continue
		}
		counts[all[i].State]++
	}
	lead = fmt.Sprintf("%d of %d", counts[holdfast.Proven], len(all))
	rest = " datasets are protected as agreed"
	if len(all) == 1 {
		rest = " dataset is protected as agreed"
	}
	var parts []string
	for _, w := range dataWords {
		if n := counts[w.state]; n == 1 {
			parts = append(parts, w.one)
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf(w.many, n))
		}
	}
	if left > 0 {
		parts = append(parts, fmt.Sprintf("%d left out on purpose", left))
	}
	others = enumerate(parts)
	if others != "" {
		others = strings.ToUpper(others[:1]) + others[1:]
	}
	return lead, rest, others
}

// tally fills in what stands beside the sentence.
func (v *dataView) tally(all []ProtectedDataset, f dataFilter, now time.Time) {
	counts := map[holdfast.State]int{}
	met, restored := 0, 0
	var losing *ProtectedDataset
	most := 0.0
	for i := range all {
		d := &all[i]
		counts[d.State]++
		if d.RuleMet {
			met++
		}
		if !d.Restored.IsZero() {
			restored++
		}
		if r := d.lossRank(now); losing == nil || r > most {
			losing, most = d, r
		}
	}
	only := func(key string) string { return dataFilter{Only: key}.at("/data") }
	if losing != nil && losing.exposed(now) != nil {
		b := losing.exposure(now)
		x := fact{What: "Most data at risk", Value: string(b.Value), Of: losing.Service + "/" + losing.Dataset, Link: dataFilter{Service: losing.Service}.at("/data")}
		switch {
		case b.Hatch == "" && b.Times == "":
			x.Value = "within target"
		case b.Times != "":
			x.Value, x.Of = b.Times+" target", x.Of+", target "+b.Of
		}
		if b.Bad || b.Hatch != "" {
			x.State = losing.State
		}
		x.Of = clip(x.Of)
		v.Facts = append(v.Facts, x)
	}
	v.Facts = append(v.Facts,
		fact{What: "Meet 3-2-1-1-0 in full", Value: fmt.Sprintf("%d of %d", met, len(all)), Of: "copies, media, off-site, locked, no errors", Link: only("rule")},
		fact{What: "Restored at least once", Value: fmt.Sprintf("%d of %d", restored, len(all)), Of: "by a test that passed", Link: only("unrestored")})
	states := slices.Clone(holdfast.States)
	slices.Reverse(states)
	for _, s := range append(states, holdfast.NotJudged) {
		if counts[s] > 0 {
			f := f
			f.State, f.From = string(s), 0
			v.Counts = append(v.Counts, stateCount{s, counts[s], f.at("/data")})
		}
	}
}

func newDataRow(d *ProtectedDataset, now time.Time) dataRow {
	row := dataRow{ProtectedDataset: d, ID: anchor(d.Service + "/" + d.Dataset), Loss: d.exposure(now), Why: clip(d.Reason)}
	switch {
	case d.Left != "":
		row.Why = clip(d.Left)
	case d.State == holdfast.Proven:
		row.Why = "fresh, verified and restored in date"
	case row.Why == "":
		row.Why = stateWord(d.State)
	}
	for i := range d.Copies {
		c := copyRow{CopyPosture: d.Copies[i], Shown: verdictState(d.Copies[i].Verdict), Word: clip(string(d.Copies[i].Verdict)), Place: "on-site"}
		c.Kind = holdfast.CopyKind(clip(string(c.Kind)))
		if c.Offsite {
			c.Place = "off-site"
		}
		for _, f := range []struct {
			name string
			holdfast.Fact
		}{{"immutable", c.Immutable}, {"offline", c.Offline}, {"encrypted", c.Encrypted}} {
			switch {
			case f.How == "" || f.How == "unstated":
			case f.Value:
				c.Hard = append(c.Hard, knownFact{f.name, clip(f.How), true})
			default:
				c.Hard = append(c.Hard, knownFact{"not " + f.name, clip(f.How), false})
			}
		}
		if d.checks[i] != "" {
			c.Evidence = servicePath(d.Service) + "#" + anchor(d.checks[i])
		} else {
			c.Shown, c.Word = holdfast.NotJudged, "nobody looks"
		}
		row.Details = append(row.Details, c)
	}
	for i := range d.Scenarios {
		row.place(newPlaceRow(&d.Scenarios[i], now))
	}
	return row
}

// place adds a scenario; those that are alike are told together.
func (r *dataRow) place(p placeRow) {
	for i := range r.Places {
		o := &r.Places[i]
		if o.State == p.State && o.Path == p.Path && o.Copy == p.Copy && o.Loss == p.Loss && o.Say == p.Say {
			o.Title += ", " + p.Title
			return
		}
	}
	r.Places = append(r.Places, p)
}

func newPlaceRow(s *DatasetScenario, now time.Time) placeRow {
	p := placeRow{DatasetScenario: s, Title: scenarioTitle(s.Scenario), Say: clip(strings.Join(s.Reasons, "; "))}
	switch {
	case s.Left != "":
		p.Loss, p.Say = "left out", clip(s.Left)
	case s.Path == "":
		p.Loss = "all lost"
	case s.blocked:
		p.Loss = "no way"
	case s.Current:
		p.Loss = "nothing lost"
	case s.Point.IsZero():
		p.Loss = "loss not known"
	default:
		p.Loss = span(now.Sub(s.Point)) + " lost"
		if s.RPO.Stated() {
			p.Loss += " of " + span(s.RPO.Limit.Std())
		}
	}
	return p
}

// verdictState is the silhouette of a copy's verdict.
func verdictState(v holdfast.Verdict) holdfast.State {
	switch v {
	case holdfast.Met:
		return holdfast.Proven
	case holdfast.Unmet:
		return holdfast.Broken
	case holdfast.NotApplicable:
		return holdfast.NotJudged
	}
	return holdfast.Unknown
}
