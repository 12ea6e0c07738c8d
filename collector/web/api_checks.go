package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// CheckAnswer is the answer of GET /api/v1/checks/{id}.
type CheckAnswer struct {
	At          time.Time             `json:"at"`
	Check       string                `json:"check"`
	Observation *holdfast.Observation `json:"observation,omitempty" doc:"the latest; absent: never observed"`
}

// RunRequest is the body of POST /api/v1/checks/run.
type RunRequest struct {
	Check string `json:"check" minLength:"1" maxLength:"1024" doc:"ID of the check"`
}

func (s *server) addChecksAPI(a *api) {
	register(a, operation{Route: "GET /checks/{id...}", ID: "get-check", Tag: "Checks",
		Summary: "What a check saw last"}, s.apiCheck)
	register(a, operation{Route: "POST /checks/run", ID: "run-check", Tag: "Checks",
		Summary:     "Run a check at once",
		Description: "Asks the check's agent; the agent's own policy still decides. 409: the agent is not connected.",
		May:         holdfast.Role.MayRunChecks, Errors: []int{http.StatusConflict},
		Example: RunRequest{"payments/ledger/offsite"}}, s.apiRun)
}

func (s *server) apiCheck(_ context.Context, in *struct {
	ID string `path:"id" maxLength:"1024" example:"payments/ledger/offsite" doc:"with its slashes: SERVICE/DATASET/COPY"`
}) (*answer[CheckAnswer], error) {
	if s.c.Catalogue().Check(in.ID) == nil {
		return nil, notFound("path.id", "check", in.ID)
	}
	a := CheckAnswer{At: s.c.Now(), Check: in.ID}
	if o, ok := s.c.Observation(in.ID); ok {
		a.Observation = &o
	}
	return &answer[CheckAnswer]{a}, nil
}

func (s *server) apiRun(_ context.Context, in *answer[RunRequest]) (*struct{}, error) {
	err := s.c.RunCheck(in.Body.Check)
	switch {
	case errors.Is(err, holdfast.ErrInvalid):
		return nil, notFound("body.check", "check", in.Body.Check)
	case err != nil:
		return nil, refuse(http.StatusConflict, "body.check", "%s", err)
	}
	return nil, nil
}
