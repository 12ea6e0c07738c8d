package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// The answers of the API. Its document is made from these types, never written by
// hand. Postures, agents, observations and records stand in them as the root
// package writes them.

// Status is the answer of GET /api/v1/status.
type Status struct {
	Schema       string             `json:"schema" enum:"holdfast.status/v1"`
	At           time.Time          `json:"at" doc:"when this was read, by the collector's clock"`
	Revision     uint64             `json:"revision" doc:"grows with everything that changes"`
	Catalogue    string             `json:"catalogue" doc:"hash of the catalogue in force"`
	Sentence     string             `json:"sentence" doc:"the estate in one sentence"`
	Notices      []holdfast.Notice  `json:"notices" doc:"what is wrong with the collector itself"`
	SilentAgents []string           `json:"silent_agents"`
	Services     []holdfast.Posture `json:"services" doc:"worst first"`
}

// Services is the answer of GET /api/v1/services.
type Services struct {
	At       time.Time          `json:"at"`
	Services []holdfast.Posture `json:"services" doc:"worst first"`
}

// OneService is the answer of GET /api/v1/services/{name}.
type OneService struct {
	At      time.Time        `json:"at"`
	Service holdfast.Posture `json:"service"`
}

// History is the answer of GET /api/v1/services/{name}/history.
type History struct {
	Service string                    `json:"service"`
	Changes []holdfast.StandingChange `json:"changes" doc:"newest first"`
}

// Agents is the answer of GET /api/v1/agents.
type Agents struct {
	At     time.Time             `json:"at"`
	Agents []holdfast.AgentState `json:"agents" doc:"by name"`
}

// CheckAnswer is the answer of GET /api/v1/checks/{id}.
type CheckAnswer struct {
	At          time.Time             `json:"at"`
	Check       string                `json:"check"`
	Observation *holdfast.Observation `json:"observation,omitempty" doc:"the latest; absent: never observed"`
}

// Records is the answer of GET /api/v1/records.
type Records struct {
	Records []holdfast.Record `json:"records" doc:"oldest first"`
}

// RecordInput is a record as it is sent: who attests and when it happened have
// defaults.
type RecordInput struct {
	holdfast.Record
	At time.Time `json:"at,omitzero" doc:"when it happened; default now"`
	By string    `json:"by,omitempty" doc:"who attests; default the sender"`
}

// RunRequest is the body of POST /api/v1/checks/run.
type RunRequest struct {
	Check string `json:"check" minLength:"1" maxLength:"1024" doc:"ID of the check"`
}

// answer wraps a body as huma wants it.
type answer[T any] struct{ Body T }

func (s *server) apiStatus(context.Context, *struct{}) (*answer[Status], error) {
	services := s.c.Postures()
	slices.SortFunc(services, worstFirst)
	return &answer[Status]{Status{
		Schema: "holdfast.status/v1", At: s.c.Now(), Revision: s.c.Revision(), Catalogue: s.c.Catalogue().Hash,
		Sentence: s.c.Sentence(), Notices: s.c.Notices(), SilentAgents: silent(s.c.Agents()), Services: services,
	}}, nil
}

func (s *server) apiServices(context.Context, *struct{}) (*answer[Services], error) {
	services := s.c.Postures()
	slices.SortFunc(services, worstFirst)
	return &answer[Services]{Services{s.c.Now(), services}}, nil
}

func (s *server) apiService(_ context.Context, in *struct {
	Name string `path:"name" maxLength:"256"`
}) (*answer[OneService], error) {
	p, ok := s.c.Posture(in.Name)
	if !ok {
		return nil, huma.Error404NotFound("there is no service " + in.Name + " in the catalogue")
	}
	return &answer[OneService]{OneService{s.c.Now(), p}}, nil
}

func (s *server) apiHistory(ctx context.Context, in *struct {
	Name  string `path:"name" maxLength:"256"`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"500" doc:"at most so many, the newest"`
}) (*answer[History], error) {
	changes, err := s.c.Changes(ctx, in.Name, in.Limit)
	if err != nil {
		s.log.Error("history cannot be read", "service", in.Name, "err", err)
		return nil, huma.Error500InternalServerError("the history cannot be read; the collector's log says why")
	}
	if _, known := s.c.Posture(in.Name); !known && len(changes) == 0 {
		return nil, huma.Error404NotFound("there is no service " + in.Name + ", and none is remembered")
	}
	return &answer[History]{History{in.Name, changes}}, nil
}

func (s *server) apiAgents(context.Context, *struct{}) (*answer[Agents], error) {
	return &answer[Agents]{Agents{s.c.Now(), s.c.Agents()}}, nil
}

func (s *server) apiCheck(_ context.Context, in *struct {
	ID string `path:"id" maxLength:"1024" doc:"with its slashes: SERVICE/DATASET/COPY"`
}) (*answer[CheckAnswer], error) {
	if s.c.Catalogue().Check(in.ID) == nil {
		return nil, huma.Error404NotFound("there is no check " + in.ID + " in the catalogue")
	}
	a := CheckAnswer{At: s.c.Now(), Check: in.ID}
	if o, ok := s.c.Observation(in.ID); ok {
		a.Observation = &o
	}
	return &answer[CheckAnswer]{a}, nil
}

func (s *server) apiRun(ctx context.Context, in *answer[RunRequest]) (*struct{}, error) {
	if who := whoIs(ctx); !who.Role.MayRunChecks() {
		return nil, huma.Error403Forbidden("role " + string(who.Role) + " may not run checks")
	}
	err := s.c.RunCheck(in.Body.Check)
	switch {
	case errors.Is(err, holdfast.ErrInvalid):
		return nil, huma.Error404NotFound("there is no check "+in.Body.Check+" in the catalogue", &huma.ErrorDetail{Location: "body.check", Message: "no such check"})
	case err != nil:
		return nil, huma.Error409Conflict(err.Error())
	}
	return nil, nil
}

func (s *server) apiRecords(ctx context.Context, in *struct {
	Service string `query:"service" maxLength:"256" doc:"only records of this service"`
}) (*answer[Records], error) {
	list, err := s.c.Records(ctx, in.Service)
	if err != nil {
		s.log.Error("records cannot be read", "err", err)
		return nil, huma.Error500InternalServerError("records cannot be read; the collector's log says why")
	}
	return &answer[Records]{Records{list}}, nil
}

func (s *server) apiRecord(ctx context.Context, in *answer[RecordInput]) (*answer[holdfast.Record], error) {
	who, r := whoIs(ctx), in.Body.Record
	if !who.Role.MayRecord(r.Kind) {
		return nil, huma.Error403Forbidden("role " + string(who.Role) + " may not enter a record of kind " + string(r.Kind))
	}
	r.At, r.By, r.EnteredBy = in.Body.At, in.Body.By, who.Name
	if r.By == "" {
		r.By = who.Name
	}
	stored, err := s.c.Record(ctx, r)
	switch {
	case errors.Is(err, holdfast.ErrInvalid):
		return nil, huma.Error422UnprocessableEntity("the record is not valid", faults(err)...)
	case err != nil:
		s.log.Error("record not stored", "err", err)
		return nil, huma.Error503ServiceUnavailable("the record is not stored; send it again")
	}
	return &answer[holdfast.Record]{stored}, nil
}

// faults takes the lines of an invalid record's error apart: each opens with its
// field.
func faults(err error) []error {
	text := strings.TrimPrefix(err.Error(), holdfast.ErrInvalid.Error()+" record: ")
	var list []error
	for line := range strings.Lines(text) {
		field, message, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || strings.ContainsAny(field, ` "`) && field != "started + duration" {
			field, message = "", strings.TrimSpace(line)
		}
		list = append(list, &huma.ErrorDetail{Location: strings.TrimSuffix("body."+field, "."), Message: message})
	}
	return list
}

// worstFirst orders postures: worse state, lower score, more critical tier, name.
// What is not judged comes last.
func worstFirst(a, b holdfast.Posture) int { return worse(&a, &b) }

func worse(a, b *holdfast.Posture) int {
	if d := b.State.Rank() - a.State.Rank(); d != 0 {
		return d
	}
	if a.Score != nil && b.Score != nil && *a.Score != *b.Score {
		return *a.Score - *b.Score
	}
	if d := a.Tier - b.Tier; d != 0 {
		return d
	}
	return strings.Compare(a.Name, b.Name)
}

// silent names the agents that have checks and do not report.
func silent(agents []holdfast.AgentState) []string {
	names := []string{}
	for _, a := range agents {
		if isSilent(&a) {
			names = append(names, a.Name)
		}
	}
	return names
}

func isSilent(a *holdfast.AgentState) bool {
	return !a.Connected && a.Checks > 0 && !a.Revoked
}

// writeProblem writes an error as the API does (RFC 9457).
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail})
}
