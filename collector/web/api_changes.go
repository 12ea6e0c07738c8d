package web

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/danielgtaylor/huma/v2"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Feed is what happened in the past.
type Feed interface {
	// ChangesIn yields the changes of a service's standing within [from, until),
	// newest first. A zero instant is no bound, "" stands for every service.
	ChangesIn(ctx context.Context, service string, from, until time.Time) iter.Seq2[holdfast.StandingChange, error]
}

// Changes is the answer of GET /api/v1/changes.
type Changes struct {
	Changes []holdfast.StandingChange `json:"changes" doc:"newest first"`
	Next
}

// History is the answer of GET /api/v1/services/{name}/history.
type History struct {
	Service string                    `json:"service"`
	Changes []holdfast.StandingChange `json:"changes" doc:"newest first"`
	Next
}

// Since is how far back changes are asked for, and which page of them.
type Since struct {
	Since time.Time `query:"since" doc:"only what changed then or later; default: all that is kept" example:"2026-06-20T00:00:00Z"`
	Until time.Time `query:"until" doc:"only what changed before; default: now"`
	Paging

	place changePlace // where the cursor says to go on
}

// changePlace is a place among changes, newest first: so many of that instant
// were sent already.
type changePlace struct {
	at   time.Time
	sent int
}

const placeForm = "%d/%d"

// Resolve reads the cursor. Huma calls it.
func (s *Since) Resolve(ctx huma.Context) []error {
	if faults := s.Paging.Resolve(ctx); faults != nil || s.after == "" {
		return faults
	}
	var at int64
	if _, err := fmt.Sscanf(s.after, placeForm, &at, &s.place.sent); err != nil {
		return badCursor()
	}
	s.place.at = time.Unix(0, at).UTC()
	return nil
}

func (s *server) addChangesAPI(a *api) {
	register(a, operation{Route: "GET /changes", ID: "list-changes", Tag: "Readiness",
		Summary: "What changed: every change of a service's standing, newest first",
		Description: "To follow what happens, listen to GET /events and ask with since = the instant of the newest change known; " +
			"since is included, so that two changes of one instant are not parted: leave out what is known."}, s.apiChanges)
	register(a, operation{Route: "GET /services/{name}/history", ID: "get-history", Tag: "Readiness",
		Summary:     "How a service's standing changed, newest first",
		Description: "A service that left the catalogue keeps its history."}, s.apiHistory)
}

func (s *server) apiChanges(ctx context.Context, in *struct {
	Since
	Service string `query:"service" maxLength:"256" doc:"only of this service"`
}) (*page[Changes], error) {
	list, next, link, err := s.changes(ctx, in.Service, &in.Since)
	if err != nil {
		return nil, err
	}
	return &page[Changes]{link, Changes{list, next}}, nil
}

func (s *server) apiHistory(ctx context.Context, in *struct {
	ServiceName
	Since
}) (*page[History], error) {
	list, next, link, err := s.changes(ctx, in.Name, &in.Since)
	if err != nil {
		return nil, err
	}
	if _, known := s.c.Posture(in.Name); !known && len(list) == 0 {
		return nil, notFound("path.name", "service", in.Name)
	}
	return &page[History]{link, History{in.Name, list, next}}, nil
}

// changes reads a page of them.
func (s *server) changes(ctx context.Context, service string, in *Since) ([]holdfast.StandingChange, Next, string, error) {
	list, next, link, err := newest(s.c.ChangesIn(ctx, service, in.Since, in.until()), in, func(c *holdfast.StandingChange) time.Time { return c.At })
	if err != nil {
		return nil, Next{}, "", fmt.Errorf("read changes: %w", err)
	}
	return list, next, link, nil
}

// until is before when a page lies that goes on where the cursor says.
func (s *Since) until() time.Time {
	if s.place.at.IsZero() {
		return s.Until
	}
	return s.place.at.Add(1)
}

// newest takes a page of what all yields, newest first: what lies before in.until.
// Only the page is read: years may lie behind it.
func newest[T any](all iter.Seq2[T, error], in *Since, at func(*T) time.Time) (list []T, next Next, link string, err error) {
	skip, sent := in.place.sent, 0 // sent: of the last instant in the list
	list = []T{}
	for x, err := range all {
		if err != nil {
			return nil, Next{}, "", err
		}
		when := at(&x)
		if skip > 0 && when.Equal(in.place.at) {
			skip--
			continue
		}
		if len(list) == in.Limit {
			last := at(&list[len(list)-1])
			if last.Equal(in.place.at) {
				sent += in.place.sent
			}
			next, link = in.more(fmt.Sprintf(placeForm, last.UnixNano(), sent))
			return list, next, link, nil
		}
		if len(list) == 0 || !when.Equal(at(&list[len(list)-1])) {
			sent = 0
		}
		list, sent = append(list, x), sent+1
	}
	return list, Next{}, "", nil
}
