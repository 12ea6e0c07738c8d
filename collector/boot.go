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
	for h, err := range c.store.Histories(ctx) {
		if err != nil {
			return fmt.Errorf("read histories: %w", err)
		}
		list, err := decodeHistory(h.Value)
		if err != nil {
			return fmt.Errorf("check %s: %w", h.Check, err)
		}
		for _, o := range list {
			c.estate.facts.Observe(o)
		}
	}
	for a, err := range c.store.AgentReports(ctx) {
		if err != nil {
			return fmt.Errorf("read agents' reports: %w", err)
		}
		if err := c.intake.recall(a); err != nil {
			return fmt.Errorf("agent %s: %w", a.Agent, err)
		}
	}
	for r, err := range c.store.Records(ctx) {
		if err != nil {
			return fmt.Errorf("read records: %w", err)
		}
		c.estate.facts.Record(r)
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
	last, err := c.store.Catalogue(ctx)
	known := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read the kept catalogue: %w", err)
	}
	if known {
		kept, err := catalog.Parse(last.Files, c.options())
		if err != nil {
			c.log.Warn("the kept catalogue does not read any more; the one on disk must", "err", err)
			known = false
		} else {
			c.putInForce(kept, CatalogueStatus{Hash: last.Hash, Accepted: last.At})
		}
	}
	event := catalog.Read(c.cfg.Catalog, c.options())
	if event.Err != nil && !known {
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
	c.putInForce(e.Catalogue, CatalogueStatus{Hash: e.Catalogue.Hash, Accepted: now})
	c.log.Info("catalogue in force", "services", len(e.Catalogue.Services), "hash", e.Catalogue.Hash)
}

// keepCatalogue stores a catalogue before it comes into force, with what it
// changes.
func (c *Collector) keepCatalogue(ctx context.Context, before *holdfast.Catalogue, e catalog.Event) error {
	now := c.now()
	summary := "first catalogue"
	changes := []holdfast.TermChange{}
	if before.Hash != "" {
		summary = ""
		for _, ch := range catalog.Changes(before, e.Catalogue) {
			summary += ch.String() + "\n"
		}
		changes = score.TermChanges(before, e.Catalogue, now)
	}
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
func (c *Collector) putInForce(k *holdfast.Catalogue, s CatalogueStatus) {
	s.Services = len(k.Services)
	c.mu.Lock()
	c.catalogue = s
	c.mu.Unlock()
	c.estate.adopt(k)
	if changed := c.agents.assign(k); len(changed) > 0 {
		c.ingest.Reassign(changed...)
	}
}

// recall puts an agent's stored report back.
func (in *intake) recall(a store.AgentReport) error {
	ro, err := readRoster(a.Hot, a.Texts)
	if err != nil {
		return err
	}
	ro.epoch, ro.seq, ro.settled, ro.received = a.Epoch, a.Seq, a.Settled, a.Received.UnixNano()
	for i := range ro.slots {
		if ro.slots[i].order == 0 {
			continue
		}
		o, err := ro.slots[i].observation(a.Agent)
		if err != nil {
			return fmt.Errorf("check %s: %w", ro.slots[i].check, err)
		}
		ro.slots[i].outcome = o.Outcome
		in.estate.facts.Observe(o)
	}
	in.rosters[a.Agent] = ro
	in.mu.Lock()
	defer in.mu.Unlock()
	in.durable[a.Agent] = ro.durable()
	return nil
}
