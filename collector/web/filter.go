package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// notProven is the state asked for to see everything but the proven.
const notProven = "not-proven"

// groupings are what services may be grouped by.
var groupings = []string{"owner", "site", "tier"}

// filter is which services are shown, and how; all of it stands in the address.
type filter struct {
	View, Text, State, Tier, Owner, Site, Group string
	From                                        int
	States                                      []holdfast.State
	Tiers                                       []string
	Owners, Sites                               []string
}

func newFilter(q url.Values) filter {
	f := filter{Text: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Tier: q.Get("tier"), Owner: q.Get("owner"), Site: q.Get("site")}
	f.From, _ = strconv.Atoi(q.Get("from"))
	if slices.Contains(groupings, q.Get("group")) {
		f.Group = q.Get("group")
	}
	if q.Get("view") == viewWall {
		f.View = viewWall
	}
	return f
}

// Groupings are what the services may be grouped by.
func (f filter) Groupings() []string { return groupings }

// key is the group a service belongs to, and how the group is called.
func (f filter) key(p *holdfast.Posture) (key, title string) {
	switch {
	case f.Group == "tier":
		return strconv.Itoa(p.Tier), "Tier " + strconv.Itoa(p.Tier)
	case f.Group == "owner" && p.Owner == "":
		return "", "No owner"
	case f.Group == "owner":
		return p.Owner, clip(p.Owner)
	case f.Group == "site" && p.Site == "":
		return "", "No site"
	case f.Group == "site":
		return p.Site, clip(p.Site)
	}
	return "", ""
}

// learn gathers what there is to choose from.
func (f *filter) learn(all []*holdfast.Posture) {
	owners, sites, tiers, states := map[string]bool{}, map[string]bool{}, map[int]bool{}, map[holdfast.State]bool{}
	for _, p := range all {
		owners[p.Owner], sites[p.Site], tiers[p.Tier], states[p.State] = true, true, true, true
	}
	for _, s := range append(slices.Clone(holdfast.States), holdfast.NotJudged) {
		if states[s] {
			f.States = append(f.States, s)
		}
	}
	for t := 1; t <= 4; t++ {
		if tiers[t] {
			f.Tiers = append(f.Tiers, strconv.Itoa(t))
		}
	}
	f.Owners, f.Sites = sorted(owners), sorted(sites)
}

// sorted returns the names, without the empty one.
func sorted(set map[string]bool) []string {
	var list []string
	for name := range set {
		if name != "" && len(name) <= maxShown {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Any reports whether anything is filtered.
func (f filter) Any() bool { return f.Text+f.State+f.Tier+f.Owner+f.Site != "" }

func (f filter) matches(p *holdfast.Posture) bool {
	if f.State == notProven && p.State == holdfast.Proven || f.State != "" && f.State != notProven && string(p.State) != f.State || f.Tier != "" && strconv.Itoa(p.Tier) != f.Tier ||
		f.Owner != "" && p.Owner != f.Owner || f.Site != "" && p.Site != f.Site {
		return false
	}
	text := strings.ToLower(f.Text)
	for _, s := range []string{p.Name, p.Title, p.Owner, p.Site} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return p.Cause != nil && strings.Contains(strings.ToLower(p.Cause.Reason), text)
}

// chosen are the services the filter lets through, in the order they come.
func (f filter) chosen(all []*holdfast.Posture) []*holdfast.Posture {
	return slices.DeleteFunc(slices.Clone(all), func(p *holdfast.Posture) bool { return !f.matches(p) })
}

// grouped puts services of one group together: the group with the worst service
// first, within it the order they come in.
func (f filter) grouped(services []*holdfast.Posture) []*holdfast.Posture {
	if f.Group == "" {
		return services
	}
	place := map[string]int{}
	for _, p := range services {
		key, _ := f.key(p)
		if _, seen := place[key]; !seen {
			place[key] = len(place)
		}
	}
	slices.SortStableFunc(services, func(a, b *holdfast.Posture) int {
		x, _ := f.key(a)
		y, _ := f.key(b)
		return place[x] - place[y]
	})
	return services
}

// groups counts the services of every group, by its key.
func (f filter) groups(services []*holdfast.Posture) map[string]*group {
	heads := map[string]*group{}
	if f.Group == "" {
		return heads
	}
	for _, p := range services {
		key, title := f.key(p)
		g := heads[key]
		if g == nil {
			g = &group{ID: anchor(f.Group + "/" + key), Title: title}
			heads[key] = g
		}
		g.Total++
		if p.State == holdfast.Proven {
			g.Proven++
		}
	}
	return heads
}

// only is the address of the table with one state alone.
func (f filter) only(s holdfast.State) string {
	f.State = string(s)
	return f.page(0)
}

// Wall is the address of the same services on the wallboard.
func (f filter) Wall() string { f.View = viewWall; return f.page(0) }

// Board is the address of the table.
func (f filter) Board() string { f.View = ""; return f.page(0) }

// All is the address without a filter, grouped and viewed as now.
func (f filter) All() string { return filter{View: f.View, Group: f.Group}.page(0) }

// page is the address from a row on.
func (f filter) page(from int) string {
	q := url.Values{}
	for key, value := range map[string]string{"q": f.Text, "state": f.State, "tier": f.Tier, "owner": f.Owner, "site": f.Site, "group": f.Group, "view": f.View} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if from > 0 {
		q.Set("from", strconv.Itoa(from))
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}
