package collector

import (
	"context"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// core is the collector as ingest sees it. It implements ingest.Core.
type core struct{ c *Collector }

// Progress returns which reports of an agent are durable.
func (k core) Progress(agent string) holdfast.Progress { return k.c.intake.progress(agent) }

// Assignment returns what an agent has to run.
func (k core) Assignment(agent string) *holdfast.Assignment { return k.c.agents.assignment(agent) }

// Accept queues a report. It blocks while more is queued than can be taken in.
func (k core) Accept(r *ingest.Report) { k.c.intake.queue <- r }

// Agent takes in how an agent stands. Silence is said at once; what its checks
// last saw stays in force until its validity ends.
func (k core) Agent(s holdfast.AgentState) {
	was, is := k.c.agents.stands(s, k.c.now())
	switch {
	case is.Connected && !was.Connected:
		k.c.log.Info("agent connected", "agent", is.Name, "host", is.Host, "version", is.Version)
	case was.Connected && !is.Connected:
		k.c.log.Warn("agent silent", "agent", is.Name, "checks", len(k.c.agents.assignment(is.Name).Checks))
		k.c.runs.gone(is.Name)
	}
	k.c.agentStands(was, is)
	k.c.estate.changes.publish()
}

// Running takes what an agent says of a run it was asked for.
func (k core) Running(agent string, r holdfast.Running) { k.c.runs.told(agent, r) }

// Found takes the databases that an agent found on its host.
func (k core) Found(agent string, f holdfast.Found) {
	if err := k.c.found.put(context.Background(), agent, f); err != nil {
		k.c.log.Error("found databases not kept", "agent", agent, "err", err)
	}
}

// watchedIdentities is the store's identities; the collector hears of changes.
type watchedIdentities struct {
	store.Store
	c *Collector
}

// UpdateAgent changes an identity, then judges anew what hangs on it.
func (w watchedIdentities) UpdateAgent(ctx context.Context, name string, change func(*holdfast.AgentIdentity) error) (holdfast.AgentIdentity, error) {
	id, err := w.Store.UpdateAgent(ctx, name, change)
	if err == nil {
		w.c.enrolled(id)
		w.c.alerts.Agents(w.c.agents.one(id, w.c.intake.heard))
	}
	return id, err
}

// enrolled takes in an agent's identity. An agent that exists no more, or exists
// again, changes what its checks are worth.
func (c *Collector) enrolled(id holdfast.AgentIdentity) {
	exists := len(id.Key) > 0 && id.Revoked.IsZero()
	e := c.estate
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.enrolled[id.Name] == exists {
		return
	}
	if exists {
		e.enrolled[id.Name] = true
	} else {
		delete(e.enrolled, id.Name)
	}
	checks := c.agents.assignment(id.Name).Checks
	ids := make([]string, len(checks))
	for i := range checks {
		ids[i] = checks[i].ID
	}
	for _, name := range e.model.Concerned(ids...) { // at once: they concern much the same
		e.mark(name)
	}
	e.rouse()
}
