package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// boot rebuilds the living state from the store: the catalogue last in force,
// what was observed, what was recorded, who is enrolled. Then the catalogue on
// disk is read; a bad one is refused and the last good one stays.
func (c *Collector) boot(ctx context.Context) error {
	if err := c.recallObservations(ctx); err != nil {
		return err
	}
	for r, err := range c.store.Records(ctx) {
		if err != nil {
			return fmt.Errorf("read records: %w", err)
		}
		c.estate.facts.Record(r)
		c.book.add(r)
	}
	if err := c.found.recall(ctx); err != nil {
		return err
	}
	c.estate.facts.Enrolled(c.estate.enrolled)
	for id, err := range c.store.Agents(ctx) {
		if err != nil {
			return fmt.Errorf("read agents: %w", err)
		}
		c.enrolled(id)
	}
	if err := c.bootCatalogue(ctx); err != nil {
		return err
	}
	return c.recallStandings(ctx)
}

// recallStandings reads how each service stood, so that a restart is no change.
func (c *Collector) recallStandings(ctx context.Context) error {
	services := c.Catalogue().Services
	for i := range services {
		last, err := c.Changes(ctx, services[i].Name, 1)
		if err != nil {
			return err
		}
		for _, t := range last {
			s := standing{t.To, -1, t.Cause}
			if t.Score != nil {
				s.score = *t.Score
			}
			c.estate.standing[t.Service] = s
		}
	}
	return nil
}

// bootCatalogue puts the last good catalogue in force, then the one on disk.
func (c *Collector) bootCatalogue(ctx context.Context) error {
	for old, err := range c.store.Catalogues(ctx) {
		if err != nil {
			return fmt.Errorf("read kept catalogues: %w", err)
		}
		var changes []holdfast.TermChange
		if err := json.Unmarshal(old.Terms, &changes); err != nil {
			return fmt.Errorf("catalogue of %s: terms: %w", old.At, err)
		}
		for _, ch := range changes {
			c.estate.facts.Change(ch)
		}
	}
	event := catalog.Read(c.cfg.Catalog, c.options())
	last, err := c.store.Catalogue(ctx)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return fmt.Errorf("read the kept catalogue: %w", err)
	case event.Err == nil && event.Catalogue.Hash == last.Hash:
		c.putInForce(event.Catalogue, holdfast.CatalogueStatus{Hash: last.Hash, Accepted: last.At})
		return nil
	default:
		kept, err := catalog.Parse(last.Files, c.options())
		if err != nil {
			c.log.Warn("the kept catalogue does not read any more; the one on disk must", "err", err)
			break
		}
		c.putInForce(kept, holdfast.CatalogueStatus{Hash: last.Hash, Accepted: last.At})
	}
	if event.Err != nil && c.CatalogueStatus().Hash == "" {
		return fmt.Errorf("catalogue %s: %w", c.cfg.Catalog, event.Err)
	}
	c.catalogueRead(ctx, event)
	return nil
}

// watchCatalogue follows the catalogue on disk until ctx ends.
func (c *Collector) watchCatalogue(ctx context.Context) {
	catalog.Watch(ctx, c.cfg.Catalog, c.options(), c.CatalogueStatus().Hash, c.reload, func(e catalog.Event) { c.catalogueRead(ctx, e) })
}

// catalogueRead puts a catalogue that was read in force, or says why not.
func (c *Collector) catalogueRead(ctx context.Context, e catalog.Event) {
	if e.Err != nil {
		c.mu.Lock()
		c.catalogue.Problem, c.catalogue.Since = e.Err.Error(), c.now()
		c.mu.Unlock()
		c.log.Error("catalogue refused, the last good one stays in force", "err", e.Err)
		c.estate.changes.publish()
		return
	}
	for _, w := range e.Warnings {
		c.log.Warn("catalogue", "warning", w.String())
	}
	var before *holdfast.Catalogue
	c.estate.read(func(k *holdfast.Catalogue, _ *score.Model, _ *score.Facts) { before = k })
	now := c.now()
	if before.Hash != e.Catalogue.Hash {
		if err := c.keepCatalogue(ctx, before, e); err != nil {
			c.log.Error("catalogue not taken: it cannot be stored", "err", err)
			return
		}
	} else {
		now = c.CatalogueStatus().Accepted
	}
	c.putInForce(e.Catalogue, holdfast.CatalogueStatus{Hash: e.Catalogue.Hash, Accepted: now})
	c.log.Info("catalogue in force", "services", len(e.Catalogue.Services), "hash", e.Catalogue.Hash)
}

// keepCatalogue stores a catalogue before it comes into force, with what it
// changes.
func (c *Collector) keepCatalogue(ctx context.Context, before *holdfast.Catalogue, e catalog.Event) error {
	now := c.now()
	summary := "first catalogue"
	if before.Hash != "" {
		summary = ""
		for _, ch := range catalog.Changes(before, e.Catalogue) {
			summary += ch.String() + "\n"
		}
	}
	changes := score.TermChanges(before, e.Catalogue, now) // the first introduces every declared fact
	terms, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	err = c.store.PutCatalogue(ctx, store.AcceptedCatalogue{At: now, Hash: e.Catalogue.Hash, Files: e.Files, Summary: summary, Terms: terms})
	if err != nil {
		return err
	}
	c.estate.mu.Lock()
	defer c.estate.mu.Unlock()
	for _, ch := range changes {
		c.estate.facts.Change(ch)
	}
	return nil
}

// putInForce judges by a catalogue from now on and tells agents their checks.
func (c *Collector) putInForce(k *holdfast.Catalogue, s holdfast.CatalogueStatus) {
	s.Services = len(k.Services)
	c.mu.Lock()
	c.catalogue = s
	c.mu.Unlock()
	c.estate.adopt(k)
	c.alerts.SetCatalogue(k)
	if changed := c.agents.assign(k); len(changed) > 0 {
		c.ingest.Reassign(changed...)
	}
}

// recallObservations reads what was observed.
func (c *Collector) recallObservations(ctx context.Context) error {
	type history struct {
		check string
		list  []holdfast.Observation
		past  []score.PastPoint
	}
	err := decodeAll(c.store.Histories(ctx), func(h store.History) (history, error) {
		list, past, err := decodeHistory(h.Check, h.Value)
		if err != nil {
			return history{}, fmt.Errorf("check %s: %w", h.Check, err)
		}
		return history{h.Check, list, past}, nil
	}, func(h history) {
		c.estate.facts.Remember(h.check, h.past)
		for _, o := range h.list {
			c.estate.facts.Observe(o)
		}
	})
	if err != nil {
		return fmt.Errorf("read histories: %w", err)
	}
	if err := decodeAll(c.store.AgentReports(ctx), decodeReport, c.intake.recall); err != nil {
		return fmt.Errorf("read agents' reports: %w", err)
	}
	return nil
}

// recalled is an agent's stored report, decoded.
type recalled struct {
	agent  string
	roster *roster
	latest []holdfast.Observation
}

func decodeReport(a store.AgentReport) (recalled, error) {
	ro, err := readRoster(a.Hot, a.Texts)
	if err != nil {
		return recalled{}, fmt.Errorf("agent %s: %w", a.Agent, err)
	}
	ro.epoch, ro.seq, ro.settled, ro.received = a.Epoch, a.Seq, a.Settled, a.Received.UnixNano()
	got := recalled{a.Agent, ro, make([]holdfast.Observation, 0, len(ro.slots))}
	for i := range ro.slots {
		s := &ro.slots[i]
		if s.order == 0 {
			continue
		}
		o, err := s.observation(a.Agent)
		if err != nil {
			return recalled{}, fmt.Errorf("agent %s: check %s: %w", a.Agent, s.check, err)
		}
		s.outcome = o.Outcome
		got.latest = append(got.latest, o)
	}
	return got, nil
}

// recall puts an agent's stored report back.
func (in *intake) recall(a recalled) {
	for _, o := range a.latest {
		in.estate.facts.Observe(o)
	}
	in.rosters[a.agent] = a.roster
	in.mu.Lock()
	defer in.mu.Unlock()
	in.durable[a.agent] = a.roster.durable()
}
