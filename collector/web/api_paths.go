package web

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RecoveryPaths is the answer of GET /api/v1/paths.
type RecoveryPaths struct {
	At       time.Time      `json:"at" doc:"when this was read, by the collector's clock"`
	Sentence string         `json:"sentence" doc:"how all paths stand, whatever is asked for here"`
	Total    int            `json:"total" doc:"paths that match, on all pages together"`
	Paths    []RecoveryPath `json:"paths" doc:"by service and path"`
	Next
}

// PathsQuery is which paths are asked for: the filter of the page /paths.
type PathsQuery struct {
	Text     string `query:"q" maxLength:"200" doc:"only where service, path, owner, site or reason holds this text"`
	Scenario string `query:"scenario" maxLength:"256" doc:"only paths asked about this scenario"`
	State    string `query:"state" enum:"proven,stale,degraded,untested,unknown,broken,uncovered,not-judged" doc:"only in this state; with scenario: there"`
	Owner    string `query:"owner" maxLength:"256" doc:"only of this owner's services"`
	Site     string `query:"site" maxLength:"256" doc:"only where the service stands or recovers at this site"`
	Tier     int    `query:"tier" minimum:"1" maximum:"4" doc:"only of services of this tier"`
}

// BreakingNeeds is the answer of GET /api/v1/needs.
type BreakingNeeds struct {
	At    time.Time      `json:"at" doc:"when this was read, by the collector's clock"`
	Needs []BreakingNeed `json:"needs" doc:"what breaks most paths first"`
}

// addPathsAPI adds what the page /paths shows; what runs out is list-deadlines.
func (s *server) addPathsAPI(a *api) {
	register(a, operation{Route: "GET /paths", ID: "list-paths", Tag: "Readiness",
		Summary:     "Every recovery path: how it stands in each scenario, its proof, what of it runs out",
		Description: "What the page /paths lists."}, s.apiPaths)
	register(a, operation{Route: "GET /needs", ID: "list-needs", Tag: "Readiness",
		Summary:     "What keeps most paths from being proven",
		Description: "One thing is one entry, however many checks look at it. Proof that is missing or old is a path's own and stands there."}, s.apiNeeds)
}

func (s *server) apiPaths(_ context.Context, in *struct {
	PathsQuery
	Paging
}) (*page[RecoveryPaths], error) {
	f := pathsFilter{Text: in.Text, Scenario: in.Scenario, State: in.State, Owner: in.Owner, Site: in.Site, Tier: tierText(in.Tier)}
	now := s.c.Now()
	all := s.recovery().paths
	a := RecoveryPaths{At: now, Paths: []RecoveryPath{}}
	lead, rest, others := pathsSentence(all)
	a.Sentence = lead + rest + "."
	if others != "" {
		a.Sentence += " " + others + "."
	}
	chosen := f.paths(all)
	a.Total = len(chosen)
	byServiceAndPath(chosen)
	list, next, link := paged(chosen, in.Paging, func(r **RecoveryPath) string { return (*r).Service + "\x00" + (*r).Path })
	for _, r := range list {
		a.Paths = append(a.Paths, *r)
	}
	a.Next = next
	return &page[RecoveryPaths]{link, a}, nil
}

func (s *server) apiNeeds(_ context.Context, in *struct {
	Scenario string `query:"scenario" maxLength:"256" doc:"only what stands in the way in this scenario"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"at most so many"`
}) (*answer[BreakingNeeds], error) {
	known := s.recovery()
	list := known.needs
	if in.Scenario != "" {
		list = breakingNeeds(known.services, s.c.Catalogue(), s.c, in.Scenario)
	}
	return &answer[BreakingNeeds]{BreakingNeeds{s.c.Now(), list[:min(len(list), in.Limit)]}}, nil
}

func tierText(tier int) string {
	if tier == 0 {
		return ""
	}
	return strconv.Itoa(tier)
}

func byServiceAndPath(list []*RecoveryPath) {
	slices.SortFunc(list, func(a, b *RecoveryPath) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Path, b.Path))
	})
}
