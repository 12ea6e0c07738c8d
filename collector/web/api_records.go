package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Records is the answer of GET /api/v1/records.
type Records struct {
	Total   int               `json:"total" doc:"records that match, on all pages together"`
	Records []holdfast.Record `json:"records" doc:"in the order they were received"`
	Next
}

// RecordInput is a record as it is sent: who attests and when it happened have
// defaults.
type RecordInput struct {
	holdfast.Record
	At time.Time `json:"at,omitzero" doc:"when it happened; default now"`
	By string    `json:"by,omitempty" doc:"who attests; default the sender"`
}

func (s *server) addRecordsAPI(a *api) {
	register(a, operation{Route: "GET /records", ID: "list-records", Tag: "Records",
		Summary:     "What people attested, in pages",
		Description: "Records are never changed or deleted; a later one says better."}, s.apiRecords)
	register(a, operation{Route: "POST /records", ID: "add-record", Tag: "Records", Status: http.StatusCreated,
		Summary:     "Enter what people attest",
		Description: "Which fields a record needs depends on its kind; an answer 422 names what is missing. Operators enter what was done, managers what was decided as well.",
		May:         mayRecord, Example: exampleRecord}, s.apiRecord)
}

// exampleRecord is one the document shows.
var exampleRecord = map[string]any{
	"record": "training", "at": "2026-06-18T09:00:00Z", "team": "payments-team", "plan": "site-loss-plan", "people": []string{"ada", "bela"},
}

// mayRecord reports whether the role may enter records of some kind.
func mayRecord(r holdfast.Role) bool { return slices.ContainsFunc(holdfast.RecordKinds, r.MayRecord) }

func (s *server) apiRecords(ctx context.Context, in *struct {
	Service string    `query:"service" maxLength:"256" doc:"only of this service"`
	Kind    string    `query:"kind" enum:"exercise,review,training,change,attestation,acceptance,maintenance,invocation" doc:"only these"`
	By      string    `query:"by" maxLength:"256" doc:"only what this person attests"`
	Since   time.Time `query:"since" doc:"only what happened then or later" example:"2026-06-01T00:00:00Z"`
	Paging
}) (*page[Records], error) {
	list, err := s.c.Records(ctx, in.Service)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(r holdfast.Record) bool {
		return in.Kind != "" && string(r.Kind) != in.Kind || in.By != "" && r.By != in.By || r.At.Before(in.Since)
	})
	a := Records{Total: len(list)}
	part, next, link := paged(list, in.Paging, func(r *holdfast.Record) string { return r.ID })
	a.Records, a.Next = part, next
	return &page[Records]{link, a}, nil
}

func (s *server) apiRecord(ctx context.Context, in *answer[RecordInput]) (*answer[holdfast.Record], error) {
	who, r := whoIs(ctx), in.Body.Record
	if !who.Role.MayRecord(r.Kind) {
		return nil, refuse(http.StatusForbidden, "body.record", "role %s may not enter a record of kind %s", who.Role, clip(string(r.Kind)))
	}
	r.At, r.By, r.EnteredBy = in.Body.At, in.Body.By, who.Name
	if r.By == "" {
		r.By = who.Name
	}
	stored, err := s.c.Record(ctx, r)
	switch {
	case errors.Is(err, holdfast.ErrInvalid):
		return nil, invalid("record", err)
	case err != nil:
		s.log.Error("record not stored", "err", err)
		return nil, refuse(http.StatusServiceUnavailable, "server", "the record is not stored; send it again")
	}
	return &answer[holdfast.Record]{stored}, nil
}
