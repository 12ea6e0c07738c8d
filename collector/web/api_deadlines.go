package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Deadlines is the answer of GET /api/v1/deadlines.
type Deadlines struct {
	At        time.Time  `json:"at" doc:"when this was read, by the collector's clock"`
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
	list := dueWithin(s.c.Postures(), in.Service, now, now.Add(within.Std()), in.after, in.Limit+1)
	a := Deadlines{At: now, Deadlines: list}
	link := ""
	if len(list) > in.Limit {
		a.Deadlines = list[:in.Limit]
		a.Next, link = in.more(a.Deadlines[in.Limit-1].key())
	}
	return &page[Deadlines]{link, a}, nil
}

// key is where a deadline stands among all of them.
func (d *Deadline) key() string { return instantKey(d.At, d.Service) + d.What }

func instantKey(at time.Time, service string) string {
	return at.UTC().Format("2006-01-02T15:04:05.000000000") + "/" + service + "/"
}

// dueWithin lists what of every service, or of one, turns after now and not after
// until, the soonest first: at most so many, beyond a key. Only what is listed is
// put into words. What only follows from another service's deadline is left out.
func dueWithin(postures []holdfast.Posture, service string, now, until time.Time, after string, most int) []Deadline {
	type instant struct {
		at time.Time
		p  *holdfast.Posture
	}
	var instants []instant
	for i := range postures {
		p := &postures[i]
		if service != "" && p.Name != service {
			continue
		}
		turns(p, now, func(t turn) {
			if !t.usual && t.what != something && !t.at.After(until) {
				instants = append(instants, instant{at: t.at, p: p})
			}
		})
	}
	slices.SortFunc(instants, func(a, b instant) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.p.Name, b.p.Name)) })
	instants = slices.CompactFunc(instants, func(a, b instant) bool { return a.at.Equal(b.at) && a.p == b.p })
	from, _ := slices.BinarySearchFunc(instants, after, func(n instant, after string) int {
		if key := instantKey(n.at, n.p.Name); !strings.HasPrefix(after, key) { // at the cursor's own instant some may be left
			return strings.Compare(key, after)
		}
		return 0
	})
	list := []Deadline{}
	for _, n := range instants[from:] {
		for _, d := range deadlines(n.p, now) {
			due := Deadline{At: d.At, Service: n.p.Name, What: d.What, To: d.State}
			if d.At.Equal(n.at) && !d.usual && d.What != something && due.key() > after {
				list = append(list, due)
			}
		}
		if len(list) >= most {
			return list[:most]
		}
	}
	return list
}
