package web_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// desk is the alerts of the tests' estate. How they come about is tested where
// they are made, in collector/alert.
type desk struct {
	alerts     []holdfast.Alert
	silences   []holdfast.Silence
	routes     []holdfast.RouteState
	deliveries []holdfast.Delivery
	tested     []string
	refuse     string // receiver that takes no test
}

func newDesk(now time.Time) desk {
	a := holdfast.Alert{
		ID: "a-firing", Kind: holdfast.PointFailed, Cause: "payments/ledger/offsite", Check: "payments/ledger/offsite", Agent: "dr1", Host: "s3", Site: "ams",
		Severity: holdfast.Critical, Status: holdfast.AlertFiring, What: "The copy payments/ledger/offsite is damaged",
		Effect: "takes 3 paths of 3 services down; 14 min of data at risk, 5 min agreed", Next: "Run restic check --read-data on dr1 and repair the repository",
		Link: "/services/payments", Tier: 1, Owners: []string{"payments-team"}, Services: []string{"payments", "settlement", "shop"},
		Paths: []holdfast.AlertPath{{Service: "payments", Path: "restore-in-ams", State: holdfast.Broken}, {Service: "shop", Path: "restore-in-ams", State: holdfast.Degraded}},
		Since: now.Add(-42 * time.Minute), Fired: now.Add(-41 * time.Minute), Changed: now.Add(-41 * time.Minute),
	}
	had, hushed, ended, blip := a, a, a, a
	had.ID, had.Kind, had.Severity, had.What = "a-acked", holdfast.PathStale, holdfast.Warning, "The restore test of shop is 3 days overdue"
	had.Services, had.Paths, had.Owners, had.Link = []string{"shop"}, []holdfast.AlertPath{}, []string{"shop-team"}, "/services/shop"
	had.Ack = &holdfast.Acknowledgement{By: "dana", Note: "booked for tonight", At: now.Add(-time.Hour), Until: now.Add(5 * time.Hour)}
	hushed.ID, hushed.Kind, hushed.What, hushed.Silenced, hushed.Quiet = "a-quiet", holdfast.NeedFailed, "Host db1 has too little room", []string{"s-holds"}, "maintenance by ada until 18:00: kernel update"
	ended.ID, ended.Kind, ended.What, ended.Status, ended.Resolved = "a-ended", holdfast.AgentSilent, "Agent dr1 is silent", holdfast.AlertResolved, now.Add(-26*time.Hour)
	ended.Since = now.Add(-31 * time.Hour)
	blip.ID, blip.What, blip.Status, blip.Fired = "a-pending", "May become one", holdfast.AlertPending, time.Time{}
	return desk{
		alerts: []holdfast.Alert{a, had, hushed, ended, blip},
		silences: []holdfast.Silence{
			{ID: "s-holds", Maintenance: true, Host: "db1", By: "ada", Reason: "kernel update", From: now.Add(-time.Hour), Until: now.Add(6 * time.Hour)},
			{ID: "s-over", Service: "wiki", Kind: holdfast.PathStale, By: "ada", Reason: "moves next week", From: now.AddDate(0, 0, -3), Until: now.AddDate(0, 0, -1)},
		},
		routes: []holdfast.RouteState{{
			Name: "everything", Tiers: []int{1, 2}, Remind: holdfast.Duration(4 * time.Hour), Receivers: []holdfast.ReceiverState{
				{Name: "am/am1.example.org:9093", Type: "alertmanager", Target: "https://am1.example.org:9093", Delivered: now.Add(-time.Minute)},
				{Name: "desk", Type: "webhook", Target: "https://desk.example.org/hooks/holdfast", Failed: now.Add(-2 * time.Minute), Problem: "answered 503 Service Unavailable", Waiting: 1, Dead: 1},
				{Name: "night", Type: "chat", Target: "slack (slack.com)"},
			},
		}},
		deliveries: []holdfast.Delivery{
			{ID: "n-dead", Alert: "a-ended", What: "Agent dr1 is silent", Status: holdfast.AlertFiring, Route: "everything", Receiver: "desk", Made: now.Add(-30 * time.Hour), Tries: 20, Problem: "answered 503 Service Unavailable", Dead: now.Add(-6 * time.Hour)},
			{ID: "n-waits", Alert: "a-firing", What: a.What, Status: holdfast.AlertFiring, Route: "everything", Receiver: "desk", Made: now.Add(-40 * time.Minute), Tries: 6, Next: now.Add(3 * time.Minute), Problem: "answered 503 Service Unavailable"},
		},
	}
}

func (e *estate) Alerts() []holdfast.Alert {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]holdfast.Alert{}, e.desk.alerts...)
}

func (e *estate) Alert(id string) (holdfast.Alert, bool) {
	for _, a := range e.Alerts() {
		if a.ID == id {
			return a, true
		}
	}
	return holdfast.Alert{}, false
}

func (e *estate) Acknowledge(_ context.Context, id, note string, until time.Time, by holdfast.Who) (holdfast.Alert, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !until.After(e.now()) {
		return holdfast.Alert{}, fmt.Errorf("%w acknowledgement: until: has passed", holdfast.ErrInvalid)
	}
	for i := range e.desk.alerts {
		if a := &e.desk.alerts[i]; a.ID == id && a.Status != holdfast.AlertResolved {
			a.Ack = &holdfast.Acknowledgement{By: by.Name, Note: note, At: e.now(), Until: until}
			e.revision++
			return *a, nil
		}
	}
	return holdfast.Alert{}, fmt.Errorf("%w acknowledgement: no alert is open", holdfast.ErrInvalid)
}

func (e *estate) Silences() []holdfast.Silence {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]holdfast.Silence{}, e.desk.silences...)
}

func (e *estate) AddSilence(_ context.Context, s holdfast.Silence, by holdfast.Who) (holdfast.Silence, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var faults []error
	if s.Service+s.Site+s.Host+s.Agent+s.Owner+string(s.Kind)+s.Cause == "" {
		faults = append(faults, errors.New("service: a silence that names nothing would keep everything quiet"))
	}
	if !s.Until.After(e.now()) {
		faults = append(faults, errors.New("until: has passed"))
	}
	if len(faults) > 0 {
		return s, fmt.Errorf("%w silence: %w", holdfast.ErrInvalid, errors.Join(faults...))
	}
	s.ID, s.By = fmt.Sprintf("s-%d", len(e.desk.silences)), by.Name
	if s.From.IsZero() {
		s.From = e.now()
	}
	e.desk.silences = append(e.desk.silences, s)
	e.revision++
	return s, nil
}

func (e *estate) EndSilence(_ context.Context, id string, by holdfast.Who) (holdfast.Silence, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.desk.silences {
		if s := &e.desk.silences[i]; s.ID == id && s.Ended.IsZero() && s.Until.After(e.now()) {
			s.Ended, s.EndedBy = e.now(), by.Name
			e.revision++
			return *s, nil
		}
	}
	return holdfast.Silence{}, fmt.Errorf("%w silence: no silence %q holds", holdfast.ErrInvalid, id)
}

func (e *estate) Routes() []holdfast.RouteState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]holdfast.RouteState{}, e.desk.routes...)
}

func (e *estate) TestRoute(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.desk.tested = append(e.desk.tested, name)
	for _, r := range e.desk.routes {
		if r.Name != name {
			continue
		}
		for _, x := range r.Receivers {
			if x.Name == e.desk.refuse {
				return fmt.Errorf("receiver %s (%s): answered 503 Service Unavailable", x.Name, x.Target)
			}
		}
		return nil
	}
	return fmt.Errorf("%w route: there is no %q", holdfast.ErrInvalid, name)
}

func (e *estate) Deliveries() []holdfast.Delivery {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]holdfast.Delivery{}, e.desk.deliveries...)
}

func (e *estate) RetryDelivery(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, d := range e.desk.deliveries {
		if d.ID == id {
			e.desk.deliveries = append(e.desk.deliveries[:i:i], e.desk.deliveries[i+1:]...)
			return nil
		}
	}
	return fmt.Errorf("%w delivery: no notice %q", holdfast.ErrInvalid, id)
}
