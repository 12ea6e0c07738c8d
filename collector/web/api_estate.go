package web

import (
	"context"
	"slices"
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

// ServiceName is the path of everything about one service.
type ServiceName struct {
	Name string `path:"name" maxLength:"256" example:"payments" doc:"name of a service of the catalogue"`
}

func (s *server) addEstateAPI(a *api) {
	register(a, operation{Route: "GET /status", ID: "get-status", Tag: "Readiness",
		Summary: "The estate: every service's posture, what is wrong with the collector"}, s.apiStatus)
	register(a, operation{Route: "GET /services", ID: "list-services", Tag: "Readiness",
		Summary: "Every service's posture, worst first"}, s.apiServices)
	register(a, operation{Route: "GET /services/{name}", ID: "get-service", Tag: "Readiness",
		Summary: "A service's posture"}, s.apiService)
	register(a, operation{Route: "GET /services/{name}/history", ID: "get-history", Tag: "Readiness",
		Summary: "How a service's standing changed"}, s.apiHistory)
}

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

func (s *server) apiService(_ context.Context, in *ServiceName) (*answer[OneService], error) {
	p, ok := s.c.Posture(in.Name)
	if !ok {
		return nil, notFound("path.name", "service", in.Name)
	}
	return &answer[OneService]{OneService{s.c.Now(), p}}, nil
}

func (s *server) apiHistory(ctx context.Context, in *struct {
	ServiceName
	Limit int `query:"limit" minimum:"1" maximum:"10000" default:"500" doc:"at most so many, the newest"`
}) (*answer[History], error) {
	changes, err := s.c.Changes(ctx, in.Name, in.Limit)
	if err != nil {
		return nil, err
	}
	if _, known := s.c.Posture(in.Name); !known && len(changes) == 0 {
		return nil, notFound("path.name", "service", in.Name)
	}
	return &answer[History]{History{in.Name, changes}}, nil
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
