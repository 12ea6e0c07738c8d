package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Deadlines is the answer of GET /api/v1/deadlines.
type Deadlines struct {
	At        time.Time  `json:"at" doc:"when this was read, by the collector's clock"`
	Total     int        `json:"total" doc:"deadlines within the time asked for, on all pages together"`
	Deadlines []Deadline `json:"deadlines" doc:"the soonest first"`
	Next
}

// Deadline is something that turns at an instant although every check goes on
// reporting the same.
type Deadline struct {
	At      time.Time      `json:"at" doc:"when it turns"`
	Service string         `json:"service"`
	What    string         `json:"what" doc:"what turns, for people"`
	To      holdfast.State `json:"to,omitempty" doc:"what it turns to; absent: that depends"`
}

func (s *server) addDeadlinesAPI(a *api) {
	register(a, operation{Route: "GET /deadlines", ID: "list-deadlines", Tag: "Readiness",
		Summary: "What breaks next: everything that turns although every check goes on reporting the same",
		Description: "Proof that runs out, recovery points that grow too old, acceptances and maintenance windows that end, reviews that fall due. " +
			"A recovery point that is still younger than half its RPO is left out: the next backup renews it."}, s.apiDeadlines)
}

func (s *server) apiDeadlines(_ context.Context, in *struct {
	Service string `query:"service" maxLength:"256" doc:"only of this service"`
	Within  string `query:"within" maxLength:"32" default:"30d" doc:"how far to look ahead: a duration like 12h or 30d" example:"7d"`
	Paging
}) (*page[Deadlines], error) {
	within, err := holdfast.ParseDuration(in.Within)
	if err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "query.within", "%s", err)
	}
	now := s.c.Now()
	list := dueWithin(s.c.Postures(), in.Service, now, now.Add(within.Std()))
	a := Deadlines{At: now, Total: len(list)}
	part, next, link := paged(list, in.Paging, func(d *Deadline) string {
		return fmt.Sprintf("%s/%s/%s", d.At.UTC().Format("2006-01-02T15:04:05.000000000"), d.Service, d.What)
	})
	a.Deadlines, a.Next = part, next
	return &page[Deadlines]{link, a}, nil
}

// dueWithin lists what of every service, or of one, turns after now and not after
// until, the soonest first. What follows from something that has a name is left out.
func dueWithin(postures []holdfast.Posture, service string, now, until time.Time) []Deadline {
	list, named := []Deadline{}, map[time.Time]bool{}
	for i := range postures {
		p := &postures[i]
		for _, d := range deadlines(p, now) {
			named[d.At] = named[d.At] || d.What != something
			if !d.usual && !d.At.After(until) && (service == "" || p.Name == service) {
				list = append(list, Deadline{At: d.At, Service: p.Name, What: d.What, To: d.State})
			}
		}
	}
	list = slices.DeleteFunc(list, func(d Deadline) bool { return d.What == something && named[d.At] })
	slices.SortFunc(list, func(a, b Deadline) int {
		if d := a.At.Compare(b.At); d != 0 {
			return d
		}
		return strings.Compare(a.Service+"/"+a.What, b.Service+"/"+b.What)
	})
	return list
}
