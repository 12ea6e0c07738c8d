package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Postures stand in the answers as the root package writes them.

// Status is the answer of GET /api/v1/status.
type Status struct {
	Schema       string             `json:"schema" enum:"holdfast.status/v1"`
	At           time.Time          `json:"at" doc:"when this was read, by the collector's clock"`
	Revision     uint64             `json:"revision" doc:"grows with everything that changes"`
	Catalogue    string             `json:"catalogue" doc:"hash of the catalogue in force"`
	Sentence     string             `json:"sentence" doc:"the estate in one sentence"`
	Notices      []holdfast.Notice  `json:"notices" doc:"what is wrong with the collector itself"`
	SilentAgents []string           `json:"silent_agents" doc:"have checks and do not report"`
	Services     []holdfast.Posture `json:"services" doc:"every one, worst first"`
}

// Services is the answer of GET /api/v1/services.
type Services struct {
	At       time.Time          `json:"at" doc:"when this was read, by the collector's clock"`
	Total    int                `json:"total" doc:"services that match, on all pages together"`
	Groups   []ServiceGroup     `json:"groups,omitempty" doc:"where asked to group: every group of all that match, the one with the worst service first"`
	Services []holdfast.Posture `json:"services" doc:"in the order asked for"`
	Next
}

// ServiceGroup counts the services of one owner, site or tier.
type ServiceGroup struct {
	Name     string                 `json:"name" doc:"the owner, site or tier; empty: none is stated"`
	Services int                    `json:"services" doc:"that match"`
	States   map[holdfast.State]int `json:"states" doc:"how many stand in which state; those of none are left out"`
}

// OneService is the answer of GET /api/v1/services/{name}.
type OneService struct {
	At      time.Time        `json:"at" doc:"when this was read, by the collector's clock"`
	Service holdfast.Posture `json:"service"`
}

// ServiceName is the path of everything about one service.
type ServiceName struct {
	Name string `path:"name" maxLength:"256" example:"payments" doc:"name of a service of the catalogue"`
}

// ServiceFilter is which services are asked for: those of the page's address.
type ServiceFilter struct {
	Text  string `query:"q" maxLength:"256" doc:"what stands in the name, title, owner, site or cause, in any case"`
	State string `query:"state" enum:"proven,stale,degraded,untested,unknown,broken,uncovered,not-judged,not-proven" doc:"only these"`
	Tier  int    `query:"tier" minimum:"1" maximum:"4" doc:"only these"`
	Owner string `query:"owner" maxLength:"256" doc:"only theirs"`
	Site  string `query:"site" maxLength:"256" doc:"only those there"`
}

func (q *ServiceFilter) filter() filter {
	f := filter{Text: strings.TrimSpace(q.Text), State: q.State, Owner: q.Owner, Site: q.Site}
	if q.Tier > 0 {
		f.Tier = strconv.Itoa(q.Tier)
	}
	return f
}

func (s *server) addEstateAPI(a *api) {
	register(a, operation{Route: "GET /status", ID: "get-status", Tag: "Readiness",
		Summary:     "The estate: its sentence, every service's posture, what is wrong with the collector",
		Description: "What holdfast status prints. With many services GET /services answers in pages."}, s.apiStatus)
	register(a, operation{Route: "GET /services", ID: "list-services", Tag: "Readiness",
		Summary: "The services' postures, filtered, in pages",
		Description: "Ordered worst first: by state, score, tier and name. A service whose standing changes while the pages are read may be met twice or not at all; " +
			"with sort=name every service is met once."}, s.apiServices)
	register(a, operation{Route: "GET /services/{name}", ID: "get-service", Tag: "Readiness",
		Summary: "A service's posture",
		Description: "It holds instants, never ages: subtract them from now. Data lost if it happened now: now - scenarios[].recovery_point; " +
			"the time back: scenarios[].recovery_time.total."}, s.apiService)
}

func (s *server) apiStatus(context.Context, *struct{}) (*answer[Status], error) {
	a := Status{
		Schema: "holdfast.status/v1", At: s.c.Now(), Revision: s.c.Revision(), Catalogue: s.c.Catalogue().Hash,
		Sentence: s.c.Sentence(), Notices: s.c.Notices(), SilentAgents: silent(s.c.Agents()),
	}
	a.Services = values(worstOf(s.c.Postures(), filter{}))
	return &answer[Status]{a}, nil
}

func (s *server) apiServices(_ context.Context, in *struct {
	ServiceFilter
	Group string `query:"group" enum:"owner,site,tier" doc:"count them by this"`
	Sort  string `query:"sort" enum:"worst,name" default:"worst" doc:"the order"`
	Paging
}) (*page[Services], error) {
	list, key := worstOf(s.c.Postures(), in.filter()), worstKey
	a := Services{At: s.c.Now(), Total: len(list), Groups: groupsOf(list, in.Group)}
	if in.Sort == "name" {
		key = func(p **holdfast.Posture) string { return (*p).Name }
		slices.SortFunc(list, func(a, b *holdfast.Posture) int { return strings.Compare(a.Name, b.Name) })
	}
	part, next, link := paged(list, in.Paging, key)
	a.Services, a.Next = values(part), next
	return &page[Services]{link, a}, nil
}

func (s *server) apiService(_ context.Context, in *ServiceName) (*answer[OneService], error) {
	p, ok := s.c.Posture(in.Name)
	if !ok {
		return nil, notFound("path.name", "service", in.Name)
	}
	return &answer[OneService]{OneService{s.c.Now(), p}}, nil
}

// worstOf returns those that match, worst first. It sorts pointers: a posture is
// large.
func worstOf(postures []holdfast.Posture, f filter) []*holdfast.Posture {
	list := make([]*holdfast.Posture, 0, len(postures))
	for i := range postures {
		if f.matches(&postures[i]) {
			list = append(list, &postures[i])
		}
	}
	slices.SortFunc(list, worse)
	return list
}

func values(list []*holdfast.Posture) []holdfast.Posture {
	out := make([]holdfast.Posture, len(list))
	for i := range list {
		out[i] = *list[i]
	}
	return out
}

// groupsOf counts services, which come worst first, by their owner, site or tier.
func groupsOf(list []*holdfast.Posture, by string) []ServiceGroup {
	if by == "" {
		return nil
	}
	groups, place := []ServiceGroup{}, map[string]int{}
	for _, p := range list {
		name := map[string]string{"owner": p.Owner, "site": p.Site, "tier": strconv.Itoa(p.Tier)}[by]
		i, seen := place[name]
		if !seen {
			i = len(groups)
			place[name], groups = i, append(groups, ServiceGroup{Name: name, States: map[holdfast.State]int{}})
		}
		groups[i].Services++
		groups[i].States[p.State]++
	}
	return groups
}

// worse orders postures: worse state, lower score, more critical tier, name.
// What is not judged comes last.
func worse(a, b *holdfast.Posture) int {
	if d := b.State.Rank() - a.State.Rank(); d != 0 {
		return d
	}
	if a.Score != nil && b.Score != nil && *a.Score != *b.Score {
		return *a.Score - *b.Score
	}
	return cmp.Or(a.Tier-b.Tier, strings.Compare(a.Name, b.Name))
}

// worstKey ascends along what worse orders.
func worstKey(p **holdfast.Posture) string {
	score := 0
	if (*p).Score != nil {
		score = *(*p).Score
	}
	return fmt.Sprintf("%d/%03d/%03d/%s", len(holdfast.States)-(*p).State.Rank(), score, (*p).Tier, (*p).Name)
}
