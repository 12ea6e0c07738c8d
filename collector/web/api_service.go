package web

import (
	"context"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Observations is the answer of GET /api/v1/observations/{id}.
type Observations struct {
	Check        string                 `json:"check"`
	Observations []holdfast.Observation `json:"observations" doc:"newest first"`
	Next
}

// ServiceTimeline is the answer of GET /api/v1/services/{name}/timeline.
type ServiceTimeline struct {
	At      time.Time `json:"at" doc:"when this was read, by the collector's clock"`
	Service string    `json:"service"`
	Timeline
}

// Recoveries is the answer of GET /api/v1/services/{name}/recovery.
type Recoveries struct {
	At        time.Time  `json:"at" doc:"when this was read, by the collector's clock"`
	Service   string     `json:"service"`
	Scenarios []Recovery `json:"scenarios" doc:"the worst first"`
}

// Tests is the answer of GET /api/v1/services/{name}/tests.
type Tests struct {
	Service string    `json:"service"`
	Tests   []DayTest `json:"tests" doc:"oldest first"`
}

// ServiceRecords is the answer of GET /api/v1/services/{name}/records.
type ServiceRecords struct {
	Service string            `json:"service"`
	Total   int               `json:"total" doc:"on all pages together"`
	Records []holdfast.Record `json:"records" doc:"in the order they were received"`
	Next
}

func (s *server) addServiceAPI(a *api) {
	register(a, operation{Route: "GET /services/{name}/timeline", ID: "get-timeline", Tag: "Readiness",
		Summary:     "A service day by day: the worst state and lowest score, the most data at risk, what was tested",
		Description: "Nothing is averaged: a day is as bad as its worst moment."}, s.apiTimeline)
	register(a, operation{Route: "GET /services/{name}/recovery", ID: "get-recovery", Tag: "Readiness",
		Summary:     "In which order a service and what it waits for come back in each scenario, with the time to spare",
		Description: "A service begins once everything it waits for is back. What is not critical has slack: it could be back that much later without delaying the service."}, s.apiRecovery)
	register(a, operation{Route: "GET /services/{name}/tests", ID: "list-tests", Tag: "Readiness",
		Summary:     "Verifications, restores and exercises of a service's paths, and how long they took",
		Description: "What probes measured and what people recorded, failed ones included."}, s.apiTests)
	register(a, operation{Route: "GET /services/{name}/records", ID: "list-service-records", Tag: "Records",
		Summary:     "What people attested that a service may rest on, in pages",
		Description: "Records that name it or one of its needs, and the reviews and trainings of the plans and teams of its paths."}, s.apiServiceRecords)
	register(a, operation{Route: "GET /observations/{id...}", ID: "list-observations", Tag: "Checks",
		Summary: "What was notable of a check, newest first, in pages",
		Description: "Changes of outcome, tests, and of recovery points the first of a day and those that end a long gap. " +
			"What it saw last is GET /checks/{id}."}, s.apiObservations)
}

func (s *server) apiTimeline(ctx context.Context, in *struct {
	ServiceName
	Days int `query:"days" minimum:"1" maximum:"366" default:"90" doc:"so many, today the last"`
}) (*answer[ServiceTimeline], error) {
	p, ok := s.c.Posture(in.Name)
	if !ok {
		return nil, notFound("path.name", "service", in.Name)
	}
	t, err := s.timeline(ctx, &p, in.Days)
	return &answer[ServiceTimeline]{ServiceTimeline{s.c.Now(), in.Name, t}}, err
}

func (s *server) apiRecovery(_ context.Context, in *ServiceName) (*answer[Recoveries], error) {
	p, ok := s.c.Posture(in.Name)
	if !ok {
		return nil, notFound("path.name", "service", in.Name)
	}
	return &answer[Recoveries]{Recoveries{s.c.Now(), in.Name, recoveries(&p, s.c.Posture)}}, nil
}

func (s *server) apiTests(ctx context.Context, in *struct {
	ServiceName
	Since time.Time `query:"since" doc:"only what was tested then or later; default: a year ago" example:"2026-01-01T00:00:00Z"`
}) (*answer[Tests], error) {
	p, ok := s.c.Posture(in.Name)
	if !ok {
		return nil, notFound("path.name", "service", in.Name)
	}
	if in.Since.IsZero() {
		in.Since = s.c.Now().Add(-restoreHistory)
	}
	list, err := s.testsMade(ctx, &p, s.c.Catalogue(), in.Since)
	return &answer[Tests]{Tests{in.Name, append([]DayTest{}, list...)}}, err
}

func (s *server) apiServiceRecords(ctx context.Context, in *struct {
	ServiceName
	Paging
}) (*page[ServiceRecords], error) {
	if _, ok := s.c.Posture(in.Name); !ok {
		return nil, notFound("path.name", "service", in.Name)
	}
	plans, teams := plansAndTeams(s.c.Catalogue().Service(in.Name))
	list, err := s.c.RecordsOn(ctx, in.Name, plans, teams)
	if err != nil {
		return nil, err
	}
	a := ServiceRecords{Service: in.Name, Total: len(list)}
	part, next, link := paged(list, in.Paging, func(r *holdfast.Record) string { return r.ID })
	a.Records, a.Next = part, next
	return &page[ServiceRecords]{link, a}, nil
}

func (s *server) apiObservations(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"1024" example:"payments/ledger/offsite" doc:"of the check; one that left the catalogue keeps its history"`
	Since
}) (*page[Observations], error) {
	list, next, link, err := newest(s.c.ObservedIn(ctx, in.ID, in.Since.Since, in.until()), &in.Since, func(o *holdfast.Observation) time.Time { return o.Received })
	if err != nil {
		return nil, err
	}
	if s.c.Catalogue().Check(in.ID) == nil && len(list) == 0 {
		return nil, notFound("path.id", "check", in.ID)
	}
	return &page[Observations]{link, Observations{in.ID, list, next}}, nil
}
