// Package collector is the half that judges: it takes reports in, keeps them,
// judges every service against its business impact analysis, and shows what it
// found.
//
// Its rooms do not know each other: ingest talks to agents, store keeps, catalog
// reads what the business declared, score judges, web shows. This package alone
// sees them all and joins them by plain calls: a report is applied to the living
// state (estate), made durable (intake), acknowledged, and what it concerns is
// judged anew.
package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/drill"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/openid"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// Collector is a collector on one data folder. New opens it, Run works until it
// is told to stop.
type Collector struct {
	cfg    Config
	log    *slog.Logger
	probes map[string]holdfast.Description
	now    func() time.Time

	store    store.Store
	estate   *estate
	intake   *intake
	agents   *agents
	ingest   *ingest.Server
	alerts   *alerts
	runs     *runs
	found    *found
	drills   *drill.Manager
	book     *book
	access   *access
	openid   *openid.Provider // nil: none is set up
	started  time.Time
	count    *counters
	registry *prometheus.Registry
	version  string
	reload   chan struct{}

	pages  net.Listener
	agentl net.Listener
	url    string

	mu        sync.RWMutex
	catalogue holdfast.CatalogueStatus // guarded by mu
}

// New opens the data folder, reads the catalogue and binds both ports. Probes are
// the descriptions of known probes, to check settings with. What it opened, Run
// closes.
func New(ctx context.Context, cfg Config, probes map[string]holdfast.Description, version string, log *slog.Logger) (*Collector, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	st, err := bolt.Open(cfg.Data, bolt.Options{Program: version, Logger: log})
	if err != nil {
		return nil, err
	}
	c := &Collector{
		cfg: cfg, log: log, probes: probes, now: time.Now, started: time.Now(),
		store: st, agents: newAgents(), reload: make(chan struct{}, 1), registry: newRegistry(version), version: version,
	}
	c.count = newCounters(c.registry)
	c.access = newAccess(c.store, c.now, log)
	c.estate = newEstate(log, c.now)
	c.estate.saved = c.saveTransitions
	c.book = newBook()
	c.runs = newRuns(c.now, c.estate.announce)
	c.found = newFound(c.store, c.estate.announce)
	c.intake = newIntake(log, c.store, c.estate, c.count)
	c.intake.reported = func(reports []*ingest.Report) { c.runs.reported(reports, c.intake.latest) }
	c.estate.busy = c.intake.busy
	if err := c.newAlerts(ctx); err != nil {
		c.close()
		return nil, err
	}
	c.estate.told = c.alerts.Judged
	if err := c.newDrills(ctx); err != nil {
		c.close()
		return nil, err
	}
	if err := c.open(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// open rebuilds the living state and binds both ports.
func (c *Collector) open(ctx context.Context) (err error) {
	c.ingest, err = ingest.New(ingest.Config{
		Data: c.cfg.Data, Identities: watchedIdentities{c.store, c}, Core: core{c}, Log: c.log,
		CertificateLife: c.cfg.CertificateLife,
	})
	if err != nil {
		return err
	}
	if c.agents.key, err = c.ingest.CredentialKey(); err != nil {
		return err
	}
	if err := c.boot(ctx); err != nil {
		return err
	}
	if err := c.startAlerts(ctx); err != nil {
		return err
	}
	if c.pages, err = net.Listen("tcp", c.cfg.Listen); err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	if c.agentl, err = net.Listen("tcp", c.cfg.Agents); err != nil {
		return fmt.Errorf("agents' port: %w", err)
	}
	c.url = c.cfg.url(c.pages.Addr())
	return c.openOpenID()
}

// close lets go of everything New opened.
func (c *Collector) close() {
	for _, l := range []net.Listener{c.pages, c.agentl} {
		if l != nil {
			l.Close()
		}
	}
	if err := c.store.Close(); err != nil {
		c.log.Error("store not closed cleanly", "err", err)
	}
}

// URL is where people find the pages.
func (c *Collector) URL() string { return c.url }

// AgentsAddress is where agents dial.
func (c *Collector) AgentsAddress() string { return c.agentl.Addr().String() }

// Reload reads the catalogue and the routes of alerts again at once.
func (c *Collector) Reload() {
	for _, ask := range []chan struct{}{c.reload, c.alerts.reload} {
		select {
		case ask <- struct{}{}:
		default:
		}
	}
}

// Run works until ctx ends, then drains: agents are sent away, what they were
// promised is durable, pages close. It returns within ten seconds of that.
func (c *Collector) Run(ctx context.Context, pages http.Handler) error {
	defer c.close()
	admin, err := c.listenAdmin() // before anybody can hear that the collector is ready
	if err != nil {
		return err
	}
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx)) // intake and judge outlive the ports
	outer, stopOuter := context.WithCancelCause(ctx)
	var ports, core sync.WaitGroup
	start := func(group *sync.WaitGroup, what string, run func() error) {
		group.Go(func() {
			if err := run(); err != nil {
				stopOuter(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	start(&core, "take reports in", func() error { return c.intake.run(inner) })
	start(&core, "judge", func() error { return c.estate.judge(inner) })
	start(&core, "alerts", func() error { return c.alerts.Run(inner) })
	start(&core, "drills", func() error { return c.drills.Run(inner) })
	start(&core, "watch the clock", func() error { return c.watchClock(inner) })
	start(&core, "prune", func() error { return c.prune(inner) })
	start(&ports, "admin socket", func() error { return serveHTTP(outer, admin, c.adminHandler()) })
	start(&ports, "agents' port", func() error { return c.ingest.Serve(c.agentl) })
	start(&ports, "pages", func() error { return c.servePages(outer, pages) })
	start(&ports, "catalogue", func() error { c.watchCatalogue(outer); return nil })
	start(&ports, "routes of alerts", func() error { c.watchRoutes(outer); return nil })

	<-outer.Done()
	c.log.Info("stopping")
	c.ingest.Stop()
	ports.Wait()
	stopInner()
	core.Wait()
	if err := context.Cause(outer); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// servePages serves pages and API until ctx ends.
func (c *Collector) servePages(ctx context.Context, pages http.Handler) error {
	l := c.pages
	if c.cfg.CertFile != "" {
		var err error
		if l, err = withTLS(l, c.cfg.CertFile, c.cfg.KeyFile); err != nil {
			return err
		}
	}
	return serveHTTP(ctx, l, pages)
}

// saveTransitions makes changes of standing part of the history.
func (c *Collector) saveTransitions(ctx context.Context, moved []transition) error {
	if len(moved) == 0 {
		return nil
	}
	batch := store.Batch{Transitions: make([]store.Transition, len(moved))}
	for i, m := range moved {
		value, err := encodePosture(m.to)
		if err != nil {
			return err
		}
		batch.Transitions[i] = store.Transition{
			At: m.at, Service: m.to.Name, From: m.from, To: m.to.State,
			Score: m.to.Score, Cause: causeOf(m.to), Value: value,
		}
	}
	c.count.stored.Inc()
	return c.store.Commit(ctx, batch)
}

// prune deletes history older than the retention and what logins left behind, once
// an hour.
func (c *Collector) prune(ctx context.Context) error {
	for {
		if err := c.store.Prune(ctx, c.now().Add(-c.cfg.Retention)); err != nil && ctx.Err() == nil {
			c.log.Error("old history not deleted", "err", err)
		}
		if err := c.access.prune(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("ended sessions not deleted", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
	}
}

// watchClock notices when the wall clock moves against the monotonic one: every
// deadline is then looked at again.
func (c *Collector) watchClock(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := c.now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := c.now()
		if jump := now.Round(0).Sub(before.Round(0)) - now.Sub(before); jump.Abs() > 2*time.Second {
			c.count.clockJumps.Inc()
			c.log.Warn("the collector's clock jumped", "by", jump)
			c.estate.rejudge()
		}
		before = now
	}
}

// options are what the catalogue's reader knows besides the files.
func (c *Collector) options() catalog.Options {
	return catalog.Options{Probes: c.probes, Costs: score.Codes()}
}
