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

const agentsShown = 100 // on one page

// agentsView answers: who is not reporting, and what are we blind to because of
// it?
type agentsView struct {
	Sentence string
	Rest     string // what becomes of it
	Filter   agentFilter
	Rows     []agentRow
	Matches  int
	Total    int
	Before   string // addresses of the neighbouring pages of rows
	After    string
}

// agentRow is an agent as people see it.
type agentRow struct {
	holdfast.AgentState
	agentStanding
	Link     string
	Problems []problem
	Checks   checkCounts
	Plugins  int // known
	Failing  int // plugins that fail
	Blind    blindness
	Watches  int // services that have a check on it
	Skewed   bool
	Other    bool // it runs another version than the collector
	Ended    bool // its certificate has
}

// problem is what is wrong with an agent, and what mends it. A minor one stands on
// the agent's own page alone.
type problem struct {
	What, Fix string
	Minor     bool
}

// checkCounts are an agent's checks by what they said last.
type checkCounts struct{ All, OK, Failing, Unknown, Never, Refused int }

// agentStanding is how an agent stands, in a word.
type agentStanding struct {
	Key   string         // as the filter names it
	Word  string         //
	State holdfast.State // of the silhouette
	rank  int            // silent first
}

var standings = []agentStanding{
	{"silent", "Silent", holdfast.Unknown, 0},
	{"missing", "Never joined", holdfast.Unknown, 1},
	{"clash", "Two hosts, one name", holdfast.Broken, 2},
	{"attention", "Needs attention", holdfast.Degraded, 3},
	{"reporting", "Reporting", holdfast.Proven, 4},
	{"away", "Away, has no checks", holdfast.NotJudged, 5},
	{"removed", "Removed", holdfast.NotJudged, 6},
}

func standingNamed(key string) agentStanding {
	return standings[slices.IndexFunc(standings, func(s agentStanding) bool { return s.Key == key })]
}

// Clocks and spools are spoken of from here on. Times are corrected anyhow;
// JUDGEMENT flags what is off by more than 30 s.
const (
	skewed  = holdfast.Duration(2 * time.Second)
	off     = holdfast.Duration(30 * time.Second)
	spooled = 100 // reports
)

// stands says how an agent stands.
func stands(a *holdfast.AgentState) agentStanding {
	switch {
	case a.Revoked:
		return standingNamed("removed")
	case a.Enrolled.IsZero() && !a.Connected:
		return standingNamed("missing")
	case !a.Connected && a.Checks > 0:
		return standingNamed("silent")
	case a.Clash != "":
		return standingNamed("clash")
	case !a.Connected:
		return standingNamed("away")
	case len(a.Refused) > 0 || a.Spooled > spooled || clockOff(a) > off || slices.ContainsFunc(a.Plugins, func(p holdfast.PluginHealth) bool { return p.Problem != "" }):
		return standingNamed("attention")
	}
	return standingNamed("reporting")
}

func clockOff(a *holdfast.AgentState) holdfast.Duration { return max(a.Offset, -a.Offset) }

func agentPath(name string) string { return "/agents/" + url.PathEscape(name) }

// agentFilter is which agents are shown; all of it stands in the address.
type agentFilter struct {
	Text, Standing, Site string
	From                 int
	Standings            []agentStanding
	Sites                []string
}

func newAgentFilter(q url.Values) agentFilter {
	f := agentFilter{Text: strings.TrimSpace(q.Get("q")), Standing: q.Get("standing"), Site: q.Get("site")}
	f.From, _ = strconv.Atoi(q.Get("from"))
	return f
}

// Any reports whether anything is filtered.
func (f agentFilter) Any() bool { return f.Text+f.Standing+f.Site != "" }

func (f agentFilter) matches(a *holdfast.AgentState) bool {
	if f.Standing != "" && stands(a).Key != f.Standing || f.Site != "" && a.Site != f.Site {
		return false
	}
	text := strings.ToLower(f.Text)
	return slices.ContainsFunc([]string{a.Name, a.Host, a.Site, a.Version}, func(s string) bool { return strings.Contains(strings.ToLower(s), text) })
}

// learn gathers what there is to choose from.
func (f *agentFilter) learn(all []holdfast.AgentState) {
	sites, keys := map[string]bool{}, map[string]bool{}
	for i := range all {
		sites[all[i].Site], keys[stands(&all[i]).Key] = true, true
	}
	f.Sites = sorted(sites)
	f.Standings = slices.DeleteFunc(slices.Clone(standings), func(s agentStanding) bool { return !keys[s.Key] })
}

// page is the address from a row on.
func (f agentFilter) page(from int) string {
	q := url.Values{}
	for key, value := range map[string]string{"q": f.Text, "standing": f.Standing, "site": f.Site} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if from > 0 {
		q.Set("from", strconv.Itoa(from))
	}
	if len(q) == 0 {
		return "/agents"
	}
	return "/agents?" + q.Encode()
}

func (s *server) agentsPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	s.show(w, r, http.StatusOK, "agents", "Agents", s.agents(newAgentFilter(r.URL.Query())))
}

func (s *server) agents(f agentFilter) agentsView {
	all := s.c.Agents()
	f.learn(all)
	v := agentsView{Total: len(all), Filter: f}
	v.Sentence, v.Rest = s.hearingSentence(all)
	list := slices.DeleteFunc(all, func(a holdfast.AgentState) bool { return !f.matches(&a) })
	slices.SortStableFunc(list, func(a, b holdfast.AgentState) int { return stands(&a).rank - stands(&b).rank })
	v.Matches = len(list)
	from := min(max(f.From, 0), max(len(list)-1, 0))
	until := min(from+agentsShown, len(list))
	if from > 0 {
		v.Before = f.page(max(from-agentsShown, 0))
	}
	if until < len(list) {
		v.After = f.page(until)
	}
	blind := s.blindSpots(list[from:until])
	for i := range list[from:until] {
		v.Rows = append(v.Rows, s.agentRow(&list[from+i], blind[list[from+i].Name]))
	}
	return v
}

// hearingSentence says who is silent, and what becomes of it.
func (s *server) hearingSentence(all []holdfast.AgentState) (sentence, rest string) {
	var lost []holdfast.AgentState
	checks := 0
	for i := range all {
		checks += all[i].Checks
		if key := stands(&all[i]).Key; key == "silent" || all[i].Checks > 0 && (key == "missing" || key == "removed") {
			lost = append(lost, all[i])
		}
	}
	switch {
	case checks == 0:
		return "No agent has anything to look at", "The catalogue places no check."
	case len(lost) == 0:
		return "Every agent that has checks is reporting", ""
	}
	dark, later, next := s.lose(lost)
	sentence = counted(len(lost), "agent does", "agents do") + " not report"
	switch {
	case dark+later == 0:
		return sentence, "No recovery path rests on what would be seen."
	case later == 0:
		return sentence, "Because of that nobody can tell about " + counted(dark, "service", "services") + "."
	case dark == 0:
		return sentence, fmt.Sprintf("%s sight unless reports come again, the first at %s.", counted(later, "service loses", "services lose"), next.UTC().Format("15:04 UTC"))
	}
	return sentence, fmt.Sprintf("Because of that nobody can tell about %s, and %d more lose sight, the first at %s.", counted(dark, "service", "services"), later, next.UTC().Format("15:04 UTC"))
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// agentRow says everything the table says of an agent. Spots are its blind ones.
func (s *server) agentRow(agent *holdfast.AgentState, spots []BlindSpot) agentRow {
	now, catalogue := s.c.Now(), s.c.Catalogue()
	a := clipped(*agent)
	row := agentRow{AgentState: a, agentStanding: stands(&a), Link: agentPath(a.Name), Skewed: clockOff(&a) > skewed, Plugins: len(a.Plugins)}
	row.Other = a.Version != "" && a.Version != s.version
	row.Ended = !a.Certificate.IsZero() && !a.Certificate.After(now)
	row.Checks.All, row.Checks.Refused = a.Checks, len(a.Refused)
	watched := map[string]bool{}
	for _, x := range s.c.Sights(agent.Name) {
		switch x.Outcome {
		case holdfast.OK:
			row.Checks.OK++
		case holdfast.Failed, holdfast.OutcomeDegraded:
			row.Checks.Failing++
		case holdfast.OutcomeUnknown:
			row.Checks.Unknown++
		default:
			row.Checks.Never++
		}
		if owner, _, _ := strings.Cut(x.Check, "/"); catalogue.Service(owner) != nil { // else a plan's copy
			watched[owner] = true
		}
	}
	row.Watches = len(watched)
	for _, p := range a.Plugins {
		if p.Problem != "" {
			row.Failing++
		}
	}
	row.Blind = sumBlind(catalogue, spots, now)
	row.Problems = problems(&row, s.version)
	return row
}

// problems says what is wrong with an agent, each with what mends it.
func problems(r *agentRow, version string) []problem {
	var list []problem
	add := func(what, fix string) { list = append(list, problem{What: what, Fix: fix}) }
	host := cmp.Or(r.Host, r.Name)
	if r.Clash != "" {
		add("Also used by another host: "+r.Clash, "find out which host is the right one, remove the agent, join that host again")
	}
	switch r.Key {
	case "silent":
		add("No session", "on "+host+": is it up, does the agent run (holdfast agent status), does it reach the collector?")
	case "missing":
		add("The catalogue places checks on it and nobody has joined it", "holdfast collector token --agent "+r.Name+", then holdfast agent --join on the host; or correct the catalogue")
	case "removed":
		if r.AgentState.Checks > 0 {
			add("Removed, and the catalogue still places checks on it", "place them elsewhere, or join it again")
		}
	}
	if r.Ended {
		add("Its certificate has ended", "it comes back by its key when it runs, a counted number of times; else join it again")
	}
	if clockOff(&r.AgentState) > off {
		add("Its clock is off by "+span(r.Offset.Std()), "mend time synchronisation on "+host+" (timedatectl, chronyc tracking); reported times are corrected meanwhile, those of tools are not")
	}
	if r.Spooled > spooled {
		add(fmt.Sprintf("Holds %d reports back", r.Spooled), "a slow link, or a collector that could not store: they come as it allows")
	}
	for _, p := range r.AgentState.Plugins {
		if p.Problem != "" {
			add("Plugin "+p.Name+": "+p.Problem, "try holdfast probe run on "+host+"; its log says more")
		}
	}
	if n := len(r.Refused); n > 0 {
		add(counted(n, "check is", "checks are")+" refused by its own policy", "allow the probe in agent.yaml on "+host+" if it may run there, or place the check elsewhere")
	}
	if r.Other {
		list = append(list, problem{"Runs version " + r.Version + ", the collector " + version, "update the collector first, then the agents", true})
	}
	return list
}
