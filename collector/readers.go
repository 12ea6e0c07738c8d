package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// What pages and API read. Postures and the catalogue they get are never changed
// afterwards and may be kept.

// Postures returns every service's posture as last judged, by name.
func (c *Collector) Postures() []holdfast.Posture { return c.estate.all() }

// Posture returns one service's.
func (c *Collector) Posture(service string) (holdfast.Posture, bool) { return c.estate.one(service) }

// Standing counts the services by state, those not judged included.
func (c *Collector) Standing() map[holdfast.State]int {
	c.estate.mu.RLock()
	defer c.estate.mu.RUnlock()
	counts := map[holdfast.State]int{}
	for name := range c.estate.postures {
		counts[c.estate.postures[name].State]++
	}
	return counts
}

// Sentence is the estate in one sentence.
func (c *Collector) Sentence() string { return score.CountEstate(c.Postures()).String() }

// Revision grows with everything a reader can see.
func (c *Collector) Revision() uint64 {
	c.estate.mu.RLock()
	defer c.estate.mu.RUnlock()
	return c.estate.revision
}

// Listen returns a channel that gets a value after every change, and a function
// that ends it.
func (c *Collector) Listen() (changed <-chan struct{}, stop func()) { return c.estate.changes.listen() }

// Catalogue returns the catalogue in force.
func (c *Collector) Catalogue() (k *holdfast.Catalogue) {
	c.estate.read(func(in *holdfast.Catalogue, _ *score.Model, _ *score.Facts) { k = in })
	return k
}

// CatalogueStatus tells how the catalogue stands.
func (c *Collector) CatalogueStatus() holdfast.CatalogueStatus {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.catalogue
}

// Agents returns every agent that is enrolled or named in the catalogue, by name.
func (c *Collector) Agents() []holdfast.AgentState {
	var enrolled []holdfast.AgentIdentity
	for id, err := range c.store.Agents(context.Background()) {
		if err != nil {
			c.log.Error("agents cannot be read", "err", err)
			break
		}
		enrolled = append(enrolled, id)
	}
	return c.agents.list(enrolled, c.intake.heard)
}

// Observation returns a check's latest observation, texts and measures included.
func (c *Collector) Observation(check string) (holdfast.Observation, bool) {
	k := c.Catalogue().Check(check)
	if k == nil {
		return holdfast.Observation{}, false
	}
	return c.intake.latest(check, k.On)
}

// Changes returns the newest changes of a service's standing, at most limit,
// newest first; "" stands for every service.
func (c *Collector) Changes(ctx context.Context, service string, limit int) ([]holdfast.StandingChange, error) {
	list := []holdfast.StandingChange{}
	for t, err := range c.store.Transitions(ctx, service, store.Window{}) {
		if err != nil {
			return nil, fmt.Errorf("read history: %w", err)
		}
		list = append(list, holdfast.StandingChange{At: t.At, Service: t.Service, From: t.From, To: t.To, Score: t.Score, Cause: t.Cause})
		if len(list) == limit {
			break
		}
	}
	return list, nil
}

// Notices says what is wrong with the collector itself.
func (c *Collector) Notices() []holdfast.Notice {
	list := []holdfast.Notice{}
	if s := c.CatalogueStatus(); s.Problem != "" {
		list = append(list, holdfast.Notice{Text: "The catalogue on disk is refused; the last good one is in force.\n" + s.Problem, Since: s.Since})
	}
	return append(append(list, c.alerts.troubles()...), c.drills.Trouble()...)
}

// Record takes a record in: validated, made durable, judged. By and the time of
// receipt are set here.
func (c *Collector) Record(ctx context.Context, r holdfast.Record) (holdfast.Record, error) {
	if r.Drill != "" {
		return r, fmt.Errorf("%w record: drill: only a drill enters what it ends in (holdfast drill start)", holdfast.ErrInvalid)
	}
	return c.record(ctx, r)
}

func (c *Collector) record(ctx context.Context, r holdfast.Record) (holdfast.Record, error) {
	r.ID, r.Received = "", c.now().UTC()
	if r.At.IsZero() {
		r.At = r.Received
	}
	if err := r.Validate(); err != nil {
		return r, fmt.Errorf("%w record: %w", holdfast.ErrInvalid, err)
	}
	if err := c.names(&r); err != nil {
		return r, fmt.Errorf("%w record: %w", holdfast.ErrInvalid, err)
	}
	r, err := c.book.enter(func() (holdfast.Record, error) { return c.store.AppendRecord(ctx, r) })
	if err != nil {
		return r, fmt.Errorf("store record: %w", err)
	}
	c.alerts.recorded(r)
	e := c.estate
	e.mu.Lock()
	defer e.mu.Unlock()
	e.facts.Record(r)
	for _, name := range e.model.Touched(r) {
		e.mark(name)
	}
	e.rouse()
	return r, nil
}

// names checks that what a record speaks of exists: a typing mistake would
// otherwise attest nothing, in silence.
func (c *Collector) names(r *holdfast.Record) error {
	k := c.Catalogue()
	var faults []error
	if r.Service != "" {
		s := k.Service(r.Service)
		if s == nil {
			return fmt.Errorf("service: there is no %q in the catalogue", r.Service)
		}
		if r.Path != "" && s.Path(r.Path) == nil {
			faults = append(faults, fmt.Errorf("path: service %s has no %q", r.Service, r.Path))
		}
	}
	if r.Plan != "" && !has(k.Plans, func(p *holdfast.Plan) bool { return p.Name == r.Plan }) {
		faults = append(faults, fmt.Errorf("plan: there is no %q in the catalogue", r.Plan))
	}
	if r.Team != "" && !has(k.Teams, func(t *holdfast.Team) bool { return t.Name == r.Team }) {
		faults = append(faults, fmt.Errorf("team: there is no %q in the catalogue", r.Team))
	}
	if r.Site != "" && !has(k.Sites, func(s *holdfast.Site) bool { return s.Name == r.Site }) {
		faults = append(faults, fmt.Errorf("site: there is no %q in the catalogue", r.Site))
	}
	return errors.Join(faults...)
}

func has[T any](list []T, is func(*T) bool) bool {
	for i := range list {
		if is(&list[i]) {
			return true
		}
	}
	return false
}

// Ready reports whether reports are taken and services judged.
func (c *Collector) Ready() bool { return c.estate.judgedAll() }

// Now is the collector's clock.
func (c *Collector) Now() time.Time { return c.now().UTC() }

func encodePosture(p holdfast.Posture) ([]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("posture of %s: %w", p.Name, err)
	}
	return b, nil
}
