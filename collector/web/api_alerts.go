package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Alerting is what got worse, who has it, and how people are told.
type Alerting interface {
	// Alerts returns every alert, those that ended within the last seven days
	// included. What they hold is never changed afterwards.
	Alerts() []holdfast.Alert
	Alert(id string) (holdfast.Alert, bool)
	// Acknowledge says that somebody has an alert until then. Here and below errors
	// that match holdfast.ErrInvalid say what is wrong with what was asked.
	Acknowledge(ctx context.Context, id, note string, until time.Time, by holdfast.Who) (holdfast.Alert, error)
	// Silences returns those that hold, will hold, or ended within seven days.
	Silences() []holdfast.Silence
	AddSilence(ctx context.Context, s holdfast.Silence, by holdfast.Who) (holdfast.Silence, error)
	EndSilence(ctx context.Context, id string, by holdfast.Who) (holdfast.Silence, error)
	// Routes returns every route of notices, in the order of the routes file.
	Routes() []holdfast.RouteState
	// TestRoute sends a test to every receiver of a route and waits. The error has a
	// line for each that did not take it: "receiver NAME (TARGET): why".
	TestRoute(ctx context.Context, name string) error
	// Deliveries returns the notices that wait and those given up, latest first.
	Deliveries() []holdfast.Delivery
	RetryDelivery(ctx context.Context, id string) error
}

// Alerts is the answer of GET /api/v1/alerts.
type Alerts struct {
	At     time.Time        `json:"at" doc:"when this was read, by the collector's clock"`
	Total  int              `json:"total" doc:"alerts that match, on all pages together"`
	Alerts []holdfast.Alert `json:"alerts" doc:"firing ones first, then pending, then resolved; within these the most urgent and oldest first"`
	Next
}

// OneAlert is the answer of GET /api/v1/alerts/{id}.
type OneAlert struct {
	At    time.Time      `json:"at" doc:"when this was read, by the collector's clock"`
	Alert holdfast.Alert `json:"alert"`
}

// AcknowledgeRequest is the body of POST /api/v1/alerts/{id}/acknowledge.
type AcknowledgeRequest struct {
	Note  string    `json:"note,omitempty" maxLength:"2000" doc:"what is being done"`
	Until time.Time `json:"until" doc:"nobody is reminded before then"`
}

// Silences is the answer of GET /api/v1/silences.
type Silences struct {
	At       time.Time          `json:"at" doc:"when this was read, by the collector's clock"`
	Silences []holdfast.Silence `json:"silences" doc:"those that end first come first; ended ones stay for seven days"`
}

// SilenceInput is the body of POST /api/v1/silences. It names at least one of
// service, site, host, agent, owner, kind and cause.
type SilenceInput struct {
	Maintenance bool               `json:"maintenance,omitempty" doc:"work that was announced"`
	Service     string             `json:"service,omitempty" maxLength:"256"`
	Site        string             `json:"site,omitempty" maxLength:"256"`
	Host        string             `json:"host,omitempty" maxLength:"256"`
	Agent       string             `json:"agent,omitempty" maxLength:"256"`
	Owner       string             `json:"owner,omitempty" maxLength:"256"`
	Kind        holdfast.AlertKind `json:"kind,omitempty" maxLength:"64" doc:"one kind of alert: rpo-breached"`
	Cause       string             `json:"cause,omitempty" maxLength:"1024" doc:"what is at fault, as the alert names it"`
	Reason      string             `json:"reason" minLength:"1" maxLength:"2000"`
	From        time.Time          `json:"from,omitzero" doc:"default now"`
	Until       time.Time          `json:"until"`
}

func (i SilenceInput) silence() holdfast.Silence {
	return holdfast.Silence{
		Maintenance: i.Maintenance, Service: i.Service, Site: i.Site, Host: i.Host, Agent: i.Agent, Owner: i.Owner, Kind: i.Kind, Cause: i.Cause,
		Reason: i.Reason, From: i.From, Until: i.Until,
	}
}

// Routes is the answer of GET /api/v1/routes.
type Routes struct {
	At     time.Time             `json:"at" doc:"when this was read, by the collector's clock"`
	Routes []holdfast.RouteState `json:"routes" doc:"in the order of the routes file; an alert goes along every one that matches"`
}

// RouteTest is the answer of POST /api/v1/routes/{name}/test.
type RouteTest struct {
	Route     string         `json:"route"`
	Receivers []ReceiverTest `json:"receivers"`
}

// ReceiverTest is what became of a test at one receiver.
type ReceiverTest struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Target  string `json:"target"`
	Problem string `json:"problem,omitempty" doc:"why it did not take it; absent: it did"`
}

// Deliveries is the answer of GET /api/v1/deliveries.
type Deliveries struct {
	At         time.Time           `json:"at" doc:"when this was read, by the collector's clock"`
	Total      int                 `json:"total" doc:"notices that match, on all pages together"`
	Deliveries []holdfast.Delivery `json:"deliveries" doc:"notices that wait and those given up, by ID"`
	Next
}

func (s *server) addAlertsAPI(a *api) {
	add := func(route, id, summary, description string) operation {
		return operation{Route: route, ID: id, Tag: "Alerts", Summary: summary, Description: description}
	}
	register(a, add("GET /alerts", "list-alerts", "What got worse, one alert for each cause, in pages",
		"One damaged repository is one alert that names the paths and services it takes down. GET /events tells when they change."), s.apiAlerts)
	register(a, add("GET /alerts/{id}", "get-alert", "One alert", "What, effect against target, since when, who has it, what to do next."), s.apiAlert)
	o := add("POST /alerts/{id}/acknowledge", "acknowledge-alert", "Say that you have an alert",
		"Nobody is reminded of it until then. One that gets worse is told all the same.")
	o.May, o.Example = holdfast.Role.MayAnswerAlerts, map[string]any{"note": "replacing the repository", "until": "2026-06-20T16:00:00Z"}
	register(a, o, s.apiAcknowledge)
	register(a, add("GET /silences", "list-silences", "What is kept quiet, why and until when",
		"A silence keeps notices back; it changes no verdict and no score."), s.apiSilences)
	o = add("POST /silences", "add-silence", "Keep alerts quiet",
		"What is left out matches everything; something has to be named. Verdicts and scores stay as they are.")
	o.May, o.Status = holdfast.Role.MayAnswerAlerts, http.StatusCreated
	o.Example = map[string]any{"host": "db1", "maintenance": true, "reason": "kernel update", "until": "2026-06-20T16:00:00Z"}
	register(a, o, s.apiAddSilence)
	o = add("POST /silences/{id}/end", "end-silence", "End a silence early", "It stays listed, with who ended it and when.")
	o.May = holdfast.Role.MayAnswerAlerts
	register(a, o, s.apiEndSilence)
	register(a, add("GET /routes", "list-routes", "Who is told what, and how their receivers do", "Addresses are shown without credentials."), s.apiRoutes)
	o = add("POST /routes/{name}/test", "test-route", "Send a test to every receiver of a route", "It waits for the answers and says what each receiver did.")
	o.May = holdfast.Role.MayTestRoutes
	register(a, o, s.apiTestRoute)
	register(a, add("GET /deliveries", "list-deliveries", "Notices that wait and those given up, in pages", "A notice is tried again, ever less often, and given up after a day."), s.apiDeliveries)
	o = add("POST /deliveries/{id}/retry", "retry-delivery", "Have a notice tried again at once", "One of an alert that ended meanwhile is thrown away.")
	o.May = holdfast.Role.MayAnswerAlerts
	register(a, o, s.apiRetry)
}

func (s *server) apiAlerts(_ context.Context, in *struct {
	Status  string `query:"status" enum:"pending,firing,resolved" doc:"only these"`
	Service string `query:"service" maxLength:"256" doc:"only those that concern this service"`
	Paging
}) (*page[Alerts], error) {
	list := slices.DeleteFunc(s.c.Alerts(), func(a holdfast.Alert) bool {
		return in.Status != "" && string(a.Status) != in.Status || in.Service != "" && !slices.Contains(a.Services, in.Service)
	})
	slices.SortFunc(list, func(a, b holdfast.Alert) int { return strings.Compare(alertOrder(&a), alertOrder(&b)) })
	a := Alerts{At: s.c.Now(), Total: len(list)}
	part, next, link := paged(list, in.Paging, alertOrder)
	a.Alerts, a.Next = part, next
	return &page[Alerts]{link, a}, nil
}

// alertOrder is where an alert stands in lists: by status, severity, tier, age; of
// those that ended the last first.
func alertOrder(a *holdfast.Alert) string {
	status := slices.Index([]holdfast.AlertStatus{holdfast.AlertFiring, holdfast.AlertPending, holdfast.AlertResolved}, a.Status)
	severity := slices.Index([]holdfast.Severity{holdfast.Critical, holdfast.Warning, holdfast.Info}, a.Severity)
	if a.Status == holdfast.AlertResolved {
		return fmt.Sprintf("%d %020d %s", status, 1<<62-a.Resolved.Unix(), a.ID)
	}
	return fmt.Sprintf("%d %d %02d %020d %s", status, severity+1, a.Tier, max(a.Since.Unix(), 0), a.ID)
}

func (s *server) apiAlert(_ context.Context, in *struct {
	ID string `path:"id" maxLength:"256" example:"a-firing" doc:"of the alert"`
}) (*answer[OneAlert], error) {
	a, ok := s.c.Alert(in.ID)
	if !ok {
		return nil, notFound("path.id", "alert", in.ID)
	}
	return &answer[OneAlert]{OneAlert{s.c.Now(), a}}, nil
}

func (s *server) apiAcknowledge(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"256" example:"a-firing" doc:"of the alert"`
	Body AcknowledgeRequest
}) (*answer[holdfast.Alert], error) {
	if a, ok := s.c.Alert(in.ID); !ok || a.Status == holdfast.AlertResolved {
		return nil, notFound("path.id", "open alert", in.ID)
	}
	a, err := s.c.Acknowledge(ctx, in.ID, in.Body.Note, in.Body.Until, whoIs(ctx))
	if errors.Is(err, holdfast.ErrInvalid) {
		return nil, invalid("acknowledgement", err)
	}
	return &answer[holdfast.Alert]{a}, err
}

func (s *server) apiSilences(context.Context, *struct{}) (*answer[Silences], error) {
	return &answer[Silences]{Silences{s.c.Now(), s.c.Silences()}}, nil
}

func (s *server) apiAddSilence(ctx context.Context, in *answer[SilenceInput]) (*answer[holdfast.Silence], error) {
	silence, err := s.c.AddSilence(ctx, in.Body.silence(), whoIs(ctx))
	if errors.Is(err, holdfast.ErrInvalid) {
		return nil, invalid("silence", err)
	}
	return &answer[holdfast.Silence]{silence}, err
}

func (s *server) apiEndSilence(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"256" example:"s-holds" doc:"of the silence"`
}) (*answer[holdfast.Silence], error) {
	silence, err := s.c.EndSilence(ctx, in.ID, whoIs(ctx))
	if errors.Is(err, holdfast.ErrInvalid) {
		return nil, notFound("path.id", "silence that holds named", in.ID)
	}
	return &answer[holdfast.Silence]{silence}, err
}

func (s *server) apiRoutes(context.Context, *struct{}) (*answer[Routes], error) {
	return &answer[Routes]{Routes{s.c.Now(), s.c.Routes()}}, nil
}

func (s *server) apiTestRoute(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"256" example:"everything" doc:"of the route"`
}) (*answer[RouteTest], error) {
	test, err := s.testRoute(ctx, in.Name)
	if errors.Is(err, holdfast.ErrInvalid) {
		return nil, notFound("path.name", "route", in.Name)
	}
	return &answer[RouteTest]{test}, err
}

// testRoute sends a test and says what each receiver of the route did.
func (s *server) testRoute(ctx context.Context, name string) (RouteTest, error) {
	routes := s.c.Routes()
	i := slices.IndexFunc(routes, func(r holdfast.RouteState) bool { return r.Name == name })
	err := s.c.TestRoute(ctx, name)
	if i < 0 || errors.Is(err, holdfast.ErrInvalid) {
		return RouteTest{}, fmt.Errorf("%w route", holdfast.ErrInvalid)
	}
	test := RouteTest{Route: name, Receivers: []ReceiverTest{}}
	for _, r := range routes[i].Receivers {
		one := ReceiverTest{Name: r.Name, Type: r.Type, Target: r.Target}
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if why, ok := strings.CutPrefix(line, fmt.Sprintf("receiver %s (%s): ", r.Name, r.Target)); ok {
					one.Problem = strings.TrimSpace(why)
				}
			}
		}
		test.Receivers = append(test.Receivers, one)
	}
	return test, nil
}

func (s *server) apiDeliveries(_ context.Context, in *struct {
	Dead bool `query:"dead" doc:"true: only those given up"`
	Paging
}) (*page[Deliveries], error) {
	list := slices.DeleteFunc(s.c.Deliveries(), func(d holdfast.Delivery) bool { return in.Dead && d.Dead.IsZero() })
	slices.SortFunc(list, func(a, b holdfast.Delivery) int { return strings.Compare(a.ID, b.ID) })
	a := Deliveries{At: s.c.Now(), Total: len(list)}
	part, next, link := paged(list, in.Paging, func(d *holdfast.Delivery) string { return d.ID })
	a.Deliveries, a.Next = part, next
	return &page[Deliveries]{link, a}, nil
}

func (s *server) apiRetry(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"256" example:"n-dead" doc:"of the notice"`
}) (*struct{}, error) {
	err := s.c.RetryDelivery(ctx, in.ID)
	if errors.Is(err, holdfast.ErrInvalid) {
		return nil, notFound("path.id", "notice that waits or is dead named", in.ID)
	}
	return nil, err
}
