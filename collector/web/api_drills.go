package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Drilling is recovery paths that are walked: those under way, those that were, and
// those that are booked. Errors match holdfast.ErrInvalid where what was asked for is
// none, holdfast.ErrUnknown where there is no such drill, step or booking, and
// holdfast.ErrConflict where it cannot be done as things stand; their text says why.
type Drilling interface {
	// Drills returns every drill that is kept, the latest first.
	Drills() []holdfast.Drill
	// RunningDrills returns those under way, the first to begin first.
	RunningDrills() []holdfast.Drill
	Drill(id string) (holdfast.Drill, bool)
	// PlanDrill says what a drill would do, without doing any of it.
	PlanDrill(o holdfast.DrillOrder) (holdfast.DrillPlan, error)
	StartDrill(ctx context.Context, o holdfast.DrillOrder, by holdfast.Who) (holdfast.Drill, error)
	// AnswerDrill says how a step went that people do; step is its number or name.
	AnswerDrill(ctx context.Context, id, step string, a holdfast.DrillAnswer, by holdfast.Who) (holdfast.Drill, error)
	CancelDrill(ctx context.Context, id, reason string, by holdfast.Who) (holdfast.Drill, error)
	// DrillBookings returns the appointments, the first to come first.
	DrillBookings() []holdfast.DrillBooking
	// BookDrill makes an appointment and says what it overlaps with.
	BookDrill(ctx context.Context, b holdfast.DrillBooking, by holdfast.Who) (holdfast.DrillBooking, []string, error)
	UnbookDrill(ctx context.Context, id string, by holdfast.Who) error
}

// Drills is the answer of GET /api/v1/drills.
type Drills struct {
	At     time.Time        `json:"at" doc:"when this was read, by the collector's clock"`
	Total  int              `json:"total" doc:"drills that match, on all pages together"`
	Drills []holdfast.Drill `json:"drills" doc:"the latest first"`
	Next
}

// OneDrill is the answer of GET /api/v1/drills/{id}.
type OneDrill struct {
	At    time.Time      `json:"at" doc:"when this was read, by the collector's clock"`
	Drill holdfast.Drill `json:"drill"`
}

// Rehearsal is the answer of GET /api/v1/services/{name}/paths/{path}/drill.
type Rehearsal struct {
	At   time.Time          `json:"at" doc:"when this was worked out, by the collector's clock"`
	Plan holdfast.DrillPlan `json:"plan" doc:"nothing of it has happened"`
}

// CancelRequest is the body of POST /api/v1/drills/{id}/cancel.
type CancelRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"why it is aborted"`
}

// Bookings is the answer of GET /api/v1/drills/bookings.
type Bookings struct {
	At       time.Time               `json:"at" doc:"when this was read, by the collector's clock"`
	Bookings []holdfast.DrillBooking `json:"bookings" doc:"the first to come first; before them those that were missed and do not come again"`
}

// BookingInput is a booking as it is asked for.
type BookingInput struct {
	holdfast.DrillOrder
	At    time.Time         `json:"at,omitzero" doc:"when it is to start; default: after the first interval"`
	Every holdfast.Duration `json:"every,omitempty" doc:"how often it starts again, at least 1d; absent: once"`
}

// Booked is the answer of POST /api/v1/drills/bookings.
type Booked struct {
	Booking  holdfast.DrillBooking `json:"booking"`
	Warnings []string              `json:"warnings,omitempty" doc:"what it overlaps with, and why it could not start if it were due now"`
}

func (s *server) addDrillsAPI(a *api) {
	const tag = "Drills"
	may, conflict := holdfast.Role.MayDrill, []int{http.StatusConflict}
	order := holdfast.DrillOrder{Service: "identity", Path: "failover"}
	register(a, operation{Route: "GET /drills", ID: "list-drills", Tag: tag, Summary: "Drills under way and over, in pages",
		Description: "Each with its steps, what was expected and what happened. To follow one, listen to GET /events and ask again."}, s.apiDrills)
	register(a, operation{Route: "GET /drills/{id}", ID: "get-drill", Tag: tag, Summary: "One drill, step by step", Description: "What was expected, what happened, who took part, and every gap by its name."}, s.apiDrill)
	register(a, operation{Route: "GET /services/{name}/paths/{path}/drill", ID: "plan-drill", Tag: tag, Summary: "What a drill would do",
		Description: "Its steps, on which agent, who is asked, how long it should take, and what would keep it from starting or go wrong. Nothing is run or recorded."}, s.apiPlanDrill)
	register(a, operation{Route: "POST /drills", ID: "start-drill", Tag: tag, May: may, Status: http.StatusCreated, Errors: conflict, Example: order,
		Summary:     "Walk a recovery path",
		Description: "Its tests run on their agents in order, people are asked, and it ends in an exercise record. 409: a drill of the path is under way, or the path names no plan with a version."}, s.apiStartDrill)
	register(a, operation{Route: "POST /drills/{id}/steps/{step}", ID: "answer-step", Tag: tag, May: may, Errors: conflict, Example: holdfast.DrillAnswer{By: "dana", Note: "names point at Amsterdam"},
		Summary:     "Say how a step went that people do",
		Description: "409: the step is not asked for now, or the drill is over."}, s.apiAnswer)
	register(a, operation{Route: "POST /drills/{id}/cancel", ID: "cancel-drill", Tag: tag, May: may, Errors: conflict, Example: CancelRequest{"wrong day"},
		Summary:     "Abort a drill",
		Description: "What runs is stopped, nothing more is asked; the exercise is recorded as aborted and proves nothing. 409: it is over."}, s.apiCancelDrill)
	register(a, operation{Route: "GET /drills/bookings", ID: "list-bookings", Tag: tag, Summary: "Drills that are booked", Description: "And those that should have started and could not, with why."}, s.apiBookings)
	register(a, operation{Route: "POST /drills/bookings", ID: "book-drill", Tag: tag, May: may, Status: http.StatusCreated,
		Example: BookingInput{DrillOrder: order, Every: 90 * holdfast.Day},
		Summary: "Book a drill, once or again and again", Description: "One that cannot start at its time, or within a quarter of an hour, is missed: it is told and not made up for."}, s.apiBook)
	register(a, operation{Route: "DELETE /drills/bookings/{id}", ID: "unbook-drill", Tag: tag, May: may, Summary: "End a booking", Description: "A drill it has started goes on."}, s.apiUnbook)
}

// latestFirst is a key that ascends as time goes back.
func latestFirst(at time.Time, id string) string {
	return fmt.Sprintf("%020d %s", math.MaxInt64-at.UnixNano(), id)
}

func (s *server) apiDrills(_ context.Context, in *struct {
	Service string `query:"service" maxLength:"256" doc:"only of this service"`
	Path    string `query:"path" maxLength:"256" doc:"only of paths of this name"`
	Running bool   `query:"running" doc:"only those under way"`
	Paging
}) (*page[Drills], error) {
	list := slices.DeleteFunc(s.c.Drills(), func(d holdfast.Drill) bool {
		return in.Service != "" && d.Service != in.Service || in.Path != "" && d.Path != in.Path || in.Running && !d.Running()
	})
	a := &page[Drills]{Body: Drills{At: s.c.Now(), Total: len(list)}}
	a.Body.Drills, a.Body.Next, a.Link = paged(list, in.Paging, func(d *holdfast.Drill) string { return latestFirst(d.Started, d.ID) })
	return a, nil
}

func (s *server) apiDrill(_ context.Context, in *struct {
	ID string `path:"id" maxLength:"256" example:"20260620-0badcafe" doc:"of the drill"`
}) (*answer[OneDrill], error) {
	d, ok := s.c.Drill(in.ID)
	if !ok {
		return nil, notFound("path.id", "drill", in.ID)
	}
	return &answer[OneDrill]{OneDrill{s.c.Now(), d}}, nil
}

func (s *server) apiPlanDrill(_ context.Context, in *struct {
	Name         string `path:"name" maxLength:"256" example:"identity" doc:"of the service"`
	Path         string `path:"path" maxLength:"256" example:"failover" doc:"of the recovery path"`
	Scenario     string `query:"scenario" maxLength:"256" doc:"whose objectives hold; default: the strictest of those the path covers"`
	Dependencies bool   `query:"dependencies" doc:"walk the paths it waits for as well"`
}) (*answer[Rehearsal], error) {
	service := s.c.Catalogue().Service(in.Name)
	if service == nil || service.Path(in.Path) == nil {
		return nil, notFound("path.path", "path", in.Name+"/"+in.Path)
	}
	p, err := s.c.PlanDrill(holdfast.DrillOrder{Service: in.Name, Path: in.Path, Scenario: in.Scenario, Dependencies: in.Dependencies})
	if errors.Is(err, holdfast.ErrInvalid) {
		return nil, invalid("drill", err)
	}
	return &answer[Rehearsal]{Rehearsal{s.c.Now(), p}}, err
}

// drillProblem turns an error of drilling into a problem; the rest is the server's.
func drillProblem(thing, place string, err error) error {
	switch {
	case errors.Is(err, holdfast.ErrInvalid):
		return invalid(thing, err)
	case errors.Is(err, holdfast.ErrUnknown):
		return refuse(http.StatusNotFound, place, "%s", clip(err.Error()))
	case errors.Is(err, holdfast.ErrConflict):
		return refuse(http.StatusConflict, place, "%s", clip(err.Error()))
	}
	return err
}

func (s *server) apiStartDrill(ctx context.Context, in *answer[holdfast.DrillOrder]) (*answer[holdfast.Drill], error) {
	d, err := s.c.StartDrill(ctx, in.Body, whoIs(ctx))
	return &answer[holdfast.Drill]{d}, drillProblem("drill", "body.path", err)
}

func (s *server) apiAnswer(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"256" example:"20260620-0badcafe" doc:"of the drill"`
	Step string `path:"step" maxLength:"256" example:"names" doc:"its name, or its number"`
	Body holdfast.DrillAnswer
}) (*answer[holdfast.Drill], error) {
	d, err := s.c.AnswerDrill(ctx, in.ID, in.Step, in.Body, whoIs(ctx))
	return &answer[holdfast.Drill]{d}, drillProblem("answer", "path.step", err)
}

func (s *server) apiCancelDrill(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"256" example:"20260620-0badcafe" doc:"of the drill"`
	Body CancelRequest
}) (*answer[holdfast.Drill], error) {
	d, err := s.c.CancelDrill(ctx, in.ID, in.Body.Reason, whoIs(ctx))
	return &answer[holdfast.Drill]{d}, drillProblem("cancellation", "path.id", err)
}

func (s *server) apiBookings(context.Context, *struct{}) (*answer[Bookings], error) {
	return &answer[Bookings]{Bookings{s.c.Now(), s.c.DrillBookings()}}, nil
}

func (s *server) apiBook(ctx context.Context, in *answer[BookingInput]) (*answer[Booked], error) {
	b, warnings, err := s.c.BookDrill(ctx, holdfast.DrillBooking{DrillOrder: in.Body.DrillOrder, At: in.Body.At, Every: in.Body.Every}, whoIs(ctx))
	return &answer[Booked]{Booked{b, warnings}}, drillProblem("booking", "body.path", err)
}

func (s *server) apiUnbook(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"256" example:"0badcafe" doc:"of the booking"`
}) (*struct{}, error) {
	err := s.c.UnbookDrill(ctx, in.ID, whoIs(ctx))
	return nil, drillProblem("booking", "path.id", err)
}
