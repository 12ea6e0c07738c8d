package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Runner runs checks at once.
type Runner interface {
	// RunCheck asks for a check at once, in somebody's name; a run of it that is
	// under way answers for it. An error that matches holdfast.ErrInvalid says that
	// there is no such check; with any other the agent could not be asked, and the
	// run says so as well.
	RunCheck(ctx context.Context, check, by string) (holdfast.Run, error)
	// Runs returns the runs that are remembered, the latest first.
	Runs() []holdfast.Run
}

// CheckAnswer is the answer of GET /api/v1/checks/{id}.
type CheckAnswer struct {
	At          time.Time             `json:"at"`
	Check       string                `json:"check"`
	Observation *holdfast.Observation `json:"observation,omitempty" doc:"the latest; absent: never observed"`
}

// Runs is the answer of GET /api/v1/checks/runs.
type Runs struct {
	At   time.Time      `json:"at" doc:"when this was read, by the collector's clock"`
	Runs []holdfast.Run `json:"runs" doc:"the latest first; a restart of the collector forgets them, what they saw is kept"`
}

// RunRequest is the body of POST /api/v1/checks/run.
type RunRequest struct {
	Check string `json:"check" minLength:"1" maxLength:"1024" doc:"ID of the check"`
}

func (s *server) addChecksAPI(a *api) {
	register(a, operation{Route: "GET /checks/{id...}", ID: "get-check", Tag: "Checks",
		Summary:     "What a check saw last",
		Description: "Facts with their units, the tool's own words, the agent and the time: the evidence behind a finding. The ID keeps its slashes."}, s.apiCheck)
	register(a, operation{Route: "GET /checks/runs", ID: "list-runs", Tag: "Checks",
		Summary:     "Runs that were asked for, and how far each has come",
		Description: "At most 256 are remembered. To follow one, listen to GET /events and ask again."}, s.apiRuns)
	register(a, operation{Route: "POST /checks/run", ID: "run-check", Tag: "Checks", Status: http.StatusAccepted,
		Summary:     "Run a check at once",
		Description: "Asks the check's agent; the agent's own policy still decides, and a restore waits until no other heavy check runs on its host. A run of the check that is under way answers for it. 409: the agent is not connected.",
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

func (s *server) apiRun(ctx context.Context, in *answer[RunRequest]) (*answer[holdfast.Run], error) {
	run, err := s.c.RunCheck(ctx, in.Body.Check, whoIs(ctx).Name)
	switch {
	case errors.Is(err, holdfast.ErrInvalid):
		return nil, notFound("body.check", "check", in.Body.Check)
	case err != nil:
		return nil, refuse(http.StatusConflict, "body.check", "%s", err)
	}
	return &answer[holdfast.Run]{run}, nil
}

func (s *server) apiRuns(_ context.Context, in *struct {
	Check   string `query:"check" maxLength:"1024" doc:"only of this check"`
	Service string `query:"service" maxLength:"256" doc:"only of checks that this service rests on"`
}) (*answer[Runs], error) {
	a := Runs{At: s.c.Now(), Runs: s.c.Runs()}
	var rests map[string]bool
	if in.Service != "" {
		p, ok := s.c.Posture(in.Service)
		if !ok {
			return nil, notFound("query.service", "service", in.Service)
		}
		rests = map[string]bool{}
		for _, id := range restsOn(&p, s.c.Catalogue()) {
			rests[id] = true
		}
	}
	a.Runs = slices.DeleteFunc(a.Runs, func(r holdfast.Run) bool {
		return in.Check != "" && r.Check != in.Check || rests != nil && !rests[r.Check]
	})
	return &answer[Runs]{a}, nil
}
