package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// filter is which services the table shows; all of it stands in the address.
type filter struct {
	Text, State, Tier, Owner, Site string
	From                           int
	States                         []holdfast.State
	Tiers                          []string
	Owners, Sites                  []string
}

func newFilter(q url.Values) filter {
	f := filter{Text: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Tier: q.Get("tier"), Owner: q.Get("owner"), Site: q.Get("site")}
	f.From, _ = strconv.Atoi(q.Get("from"))
	return f
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
	if f.State != "" && string(p.State) != f.State || f.Tier != "" && strconv.Itoa(p.Tier) != f.Tier ||
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

// only is the address of the table with one state alone.
func (f filter) only(s holdfast.State) string {
	f.State = string(s)
	return f.page(0)
}

// page is the address of the table from a row on.
func (f filter) page(from int) string {
	q := url.Values{}
	for key, value := range map[string]string{"q": f.Text, "state": f.State, "tier": f.Tier, "owner": f.Owner, "site": f.Site} {
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
