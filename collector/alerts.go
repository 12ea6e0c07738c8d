package collector

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// alerts is the manager of alerts and what the collector keeps for it.
type alerts struct {
	*alert.Manager
	reload chan struct{}

	mu          sync.Mutex
	maintenance []holdfast.Record // guarded by mu: windows that were recorded
	problem     string            // guarded by mu: why the routes file is refused
	since       time.Time         // guarded by mu: since when
	read        []byte            // watchRoutes' own: the file as last read
}

// newAlerts opens what was stored of alerts. Nothing is said before the catalogue
// is in force and all of it judged.
func (c *Collector) newAlerts(ctx context.Context) (err error) {
	c.alerts = &alerts{reload: make(chan struct{}, 1)}
	c.estate.rests = c.intake.settled
	c.alerts.Manager, err = alert.New(ctx, alert.Config{
		Documents: c.store, Source: alertSource{c}, Log: c.log, Now: c.now, URL: c.URL,
		CertificateLife: c.cfg.CertificateLife, Alive: c.judging, Changed: c.estate.changed,
		Sent: func(kind string) { c.count.notices.WithLabelValues(kind).Inc() },
	})
	return err
}

// alertSource is what alerts read besides postures. It implements alert.Source.
type alertSource struct{ c *Collector }

// Read calls f with a way to look up the latest results: one lock for many of them,
// for the intake waits for every lock.
func (s alertSource) Read(f func(alert.Latest)) {
	s.c.estate.read(func(k *holdfast.Catalogue, _ *score.Model, _ *score.Facts) {
		f(func(check string) (holdfast.Observation, bool) {
			known := k.Check(check)
			if known == nil {
				return holdfast.Observation{}, false
			}
			return s.c.intake.newest(check, known.On)
		})
	})
}

// Validity is how long a good observation of a check holds.
func (s alertSource) Validity(check string) (v holdfast.Duration) {
	s.c.estate.read(func(_ *holdfast.Catalogue, m *score.Model, _ *score.Facts) { v = m.Validity(check) })
	return v
}

// Target names what a check looks at.
func (s alertSource) Target(k *holdfast.Check) string {
	return s.c.Target(k)
}

// judging reports whether the judge goes round: heartbeats ask.
func (c *Collector) judging() bool {
	at, _ := c.estate.progress()
	return c.now().Sub(at) < 3*calm
}

// changed tells readers that something other than a posture changed.
func (e *estate) changed() {
	e.mu.Lock()
	e.revision++
	e.mu.Unlock()
	e.changes.publish()
}

// startAlerts tells the manager what boot found: maintenance, agents, routes. A
// routes file that is refused is no reason not to watch: it is said loudly.
func (c *Collector) startAlerts(ctx context.Context) error {
	for r, err := range c.store.Records(ctx) {
		if err != nil {
			return fmt.Errorf("read records: %w", err)
		}
		if r.Kind == holdfast.Maintenance && r.Until.After(c.now()) {
			c.alerts.recorded(r)
		}
	}
	c.alerts.Agents(c.Agents()...)
	if c.cfg.Alerts != "" {
		c.readRoutes()
	}
	return nil
}

// recorded takes a maintenance window in.
func (a *alerts) recorded(r holdfast.Record) {
	if r.Kind != holdfast.Maintenance {
		return
	}
	a.mu.Lock()
	a.maintenance = append(a.maintenance, r)
	list := a.maintenance
	a.mu.Unlock()
	a.SetMaintenance(list)
}

// agentStands tells alerts how an agent stands, where it may matter to them.
func (c *Collector) agentStands(was, is holdfast.AgentState) {
	if was.Connected == is.Connected && was.Certificate.Equal(is.Certificate) && was.Host == is.Host {
		return
	}
	id, err := c.store.Agent(context.Background(), is.Name)
	if err != nil {
		c.log.Error("agent cannot be read", "agent", is.Name, "err", err)
		return
	}
	c.alerts.Agents(c.agents.one(id, c.intake.heard))
}

const routesEvery = 2 * time.Second // as the catalogue is

// watchRoutes follows the routes file until ctx ends. A bad one is refused whole
// and the last good one stays in force, loudly.
func (c *Collector) watchRoutes(ctx context.Context) {
	if c.cfg.Alerts == "" {
		return
	}
	tick := time.NewTicker(routesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.alerts.reload:
			c.readRoutes()
		case <-tick.C:
			if text, err := os.ReadFile(c.cfg.Alerts); err != nil || !bytes.Equal(text, c.alerts.read) {
				c.readRoutes()
			}
		}
	}
}

// readRoutes puts the routes file in force, or says why not.
func (c *Collector) readRoutes() {
	a := c.alerts
	text, err := os.ReadFile(c.cfg.Alerts)
	var routes *alert.Routes
	if err == nil {
		routes, err = alert.ParseRoutes(c.cfg.Alerts, text)
	}
	same := bytes.Equal(text, a.read)
	a.read = text
	a.mu.Lock()
	was := a.problem
	if err != nil {
		if a.problem = err.Error(); was == "" {
			a.since = c.now()
		}
	} else {
		a.problem, a.since = "", time.Time{}
	}
	is := a.problem
	a.mu.Unlock()
	switch {
	case err == nil:
		a.SetRoutes(*routes)
		c.log.Info("routes of alerts in force", "routes", len(routes.Routes))
	case is != was || !same:
		c.log.Error("routes of alerts refused, the last good ones stay in force", "err", err)
	}
	if is != was {
		c.estate.changed()
	}
}

// troubles says what is wrong with alerting.
func (a *alerts) troubles() []holdfast.Notice {
	list := a.Trouble()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.problem != "" {
		list = append(list, holdfast.Notice{Text: "The routes file of alerts is refused; the last good one is in force, if there was one.\n" + a.problem, Since: a.since})
	}
	return list
}

// alerts writes how alerts and their notices stand.
func (s *sheet) alerts(t alert.Tally) {
	for _, kind := range holdfast.AlertKinds {
		for _, status := range []holdfast.AlertStatus{holdfast.AlertPending, holdfast.AlertFiring} {
			s.add(metricAlerts, float64(t.Alerts[kind][status]), s.share("kind", string(kind)), s.share("status", string(status)))
		}
	}
	s.add(metricWaiting, float64(t.Waiting))
	s.add(metricDead, float64(t.Dead))
}

// What pages and API read and do. Errors that match holdfast.ErrInvalid say what is
// wrong with what was asked.

// Alerts returns every alert: firing, pending, and those that ended within the
// last seven days.
func (c *Collector) Alerts() []holdfast.Alert { return c.alerts.Alerts() }

// Alert returns one alert.
func (c *Collector) Alert(id string) (holdfast.Alert, bool) { return c.alerts.Alert(id) }

// Acknowledge says that somebody has an alert until then.
func (c *Collector) Acknowledge(ctx context.Context, id, note string, until time.Time, by holdfast.Who) (holdfast.Alert, error) {
	return c.alerts.Acknowledge(ctx, id, note, until, by)
}

// Silences returns the silences that hold, will hold, or ended within the last
// seven days.
func (c *Collector) Silences() []holdfast.Silence { return c.alerts.Silences() }

// AddSilence keeps alerts quiet.
func (c *Collector) AddSilence(ctx context.Context, s holdfast.Silence, by holdfast.Who) (holdfast.Silence, error) {
	return c.alerts.AddSilence(ctx, s, by)
}

// EndSilence ends a silence early.
func (c *Collector) EndSilence(ctx context.Context, id string, by holdfast.Who) (holdfast.Silence, error) {
	return c.alerts.EndSilence(ctx, id, by)
}

// Routes returns every route of notices and how its receivers do.
func (c *Collector) Routes() []holdfast.RouteState { return c.alerts.Routes() }

// TestRoute sends a test to every receiver of a route and waits for the answers.
func (c *Collector) TestRoute(ctx context.Context, name string) error {
	return c.alerts.TestRoute(ctx, name)
}

// Deliveries returns the notices that wait and those given up.
func (c *Collector) Deliveries() []holdfast.Delivery { return c.alerts.Deliveries() }

// RetryDelivery has a notice tried again at once.
func (c *Collector) RetryDelivery(ctx context.Context, id string) error {
	return c.alerts.Retry(ctx, id)
}
