package collector

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// estate is the living state: everything known, and every service's posture as
// last judged. Facts and postures change under mu; a published posture is never
// changed, only replaced.
type estate struct {
	log   *slog.Logger
	now   func() time.Time
	saved func(context.Context, []transition) error // makes transitions durable

	mu        sync.RWMutex
	catalogue *holdfast.Catalogue         // guarded by mu
	model     *score.Model                // guarded by mu
	facts     *score.Facts                // guarded by mu
	enrolled  map[string]bool             // guarded by mu; shared with facts
	postures  map[string]holdfast.Posture // guarded by mu
	standing  map[string]standing         // guarded by mu: as the history has it; outlives a restart
	dirty     map[string]bool             // guarded by mu: services to judge anew
	due       deadlines                   // guarded by mu
	revision  uint64                      // guarded by mu: grows with every change a reader can see
	judged    uint64                      // guarded by mu: services judged since the start
	rounds    time.Time                   // guarded by mu: when the judge last went round

	wake    chan struct{} // holds one: something is dirty, or deadlines moved
	changes *topic
}

// standing is what a history tells of a service.
type standing struct {
	state holdfast.State
	score int // -1: not judged
	cause string
}

func standingOf(p holdfast.Posture) standing { return standing{p.State, scoreOf(p), causeOf(p)} }

// transition is a change of a service's standing.
type transition struct {
	from holdfast.State // empty: judged for the first time
	to   holdfast.Posture
	at   time.Time
}

func newEstate(log *slog.Logger, now func() time.Time) *estate {
	return &estate{
		log: log, now: now,
		catalogue: &holdfast.Catalogue{Policy: holdfast.DefaultPolicy()},
		model:     score.NewModel(&holdfast.Catalogue{Policy: holdfast.DefaultPolicy()}),
		facts:     score.NewFacts(),
		enrolled:  map[string]bool{},
		postures:  map[string]holdfast.Posture{},
		standing:  map[string]standing{},
		dirty:     map[string]bool{},
		wake:      make(chan struct{}, 1),
		changes:   newTopic(),
	}
}

// adopt puts a catalogue in force: every service is judged anew, those that are
// gone lose their posture.
func (e *estate) adopt(c *holdfast.Catalogue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.catalogue, e.model = c, score.NewModel(c)
	for name := range e.postures {
		if c.Service(name) == nil {
			delete(e.postures, name)
			e.due.set(name, time.Time{})
		}
	}
	for i := range c.Services {
		e.dirty[c.Services[i].Name] = true
	}
	e.rouse()
}

// touch marks the services that a check concerns. The caller holds mu.
func (e *estate) touch(check string) {
	for _, name := range e.model.Concerned(check) {
		e.dirty[name] = true
	}
}

// rouse wakes the judge.
func (e *estate) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// pause between two rounds of judging: a burst of reports costs each service one
// judgement, and a lone report waits no longer than this.
const pause = 50 * time.Millisecond

// judge keeps postures true until ctx ends: it judges what is dirty and what is
// due. It saves every transition before anyone is told.
func (e *estate) judge(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-timer.C:
		}
		moved := e.round()
		if err := e.saved(ctx, moved); err != nil {
			e.log.Error("transitions not saved", "count", len(moved), "err", err)
		}
		for _, m := range moved {
			e.log.Info("service changed", "service", m.to.Name, "from", m.from, "to", m.to.State,
				"score", scoreOf(m.to), "cause", causeOf(m.to))
		}
		timer.Reset(e.untilNext())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// round judges what is dirty and due once, a few services at a time so that
// reports are not held up, and returns what changed its standing.
func (e *estate) round() []transition {
	e.mu.Lock()
	now := e.now()
	for _, name := range e.due.due(now) {
		e.dirty[name] = true
	}
	names := slices.Sorted(maps.Keys(e.dirty))
	clear(e.dirty)
	e.rounds = now
	e.mu.Unlock()

	var moved []transition
	for chunk := range slices.Chunk(names, 16) {
		e.mu.Lock()
		for _, name := range chunk {
			if m, ok := e.judgeOne(name); ok {
				moved = append(moved, m)
			}
		}
		e.revision++
		e.mu.Unlock()
	}
	if len(names) > 0 {
		e.changes.publish()
	}
	return moved
}

// judgeOne replaces one service's posture; ok reports a change of standing. The
// caller holds mu.
func (e *estate) judgeOne(name string) (m transition, ok bool) {
	if e.catalogue.Service(name) == nil {
		return transition{}, false
	}
	now := e.now()
	was := e.standing[name]
	is := e.model.JudgeService(e.facts, name, now)
	e.postures[name] = is
	e.judged++
	e.due.set(name, earliest(is.NextChange, is.SilentAt))
	e.standing[name] = standingOf(is)
	return transition{was.state, is, now}, was != e.standing[name]
}

// rejudge marks every service.
func (e *estate) rejudge() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.catalogue.Services {
		e.dirty[e.catalogue.Services[i].Name] = true
	}
	e.rouse()
}

// progress returns when the judge last went round, and how many services it has
// judged since the start.
func (e *estate) progress() (time.Time, uint64) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.rounds, e.judged
}

// untilNext returns how long nothing needs judging unless something is heard.
func (e *estate) untilNext() time.Duration {
	e.mu.RLock()
	defer e.mu.RUnlock()
	at, ok := e.due.next()
	if !ok {
		return time.Hour
	}
	return min(max(at.Sub(e.now()), 0), time.Hour)
}

// read calls f with the state locked for reading. What f is given must not be
// kept, but for postures and the catalogue, which never change.
func (e *estate) read(f func(*holdfast.Catalogue, *score.Model, *score.Facts)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	f(e.catalogue, e.model, e.facts)
}

// all returns every posture, by name.
func (e *estate) all() []holdfast.Posture {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := make([]holdfast.Posture, 0, len(e.postures))
	for i := range e.catalogue.Services {
		if p, ok := e.postures[e.catalogue.Services[i].Name]; ok {
			list = append(list, p)
		}
	}
	return list
}

// one returns a service's posture.
func (e *estate) one(name string) (holdfast.Posture, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	p, ok := e.postures[name]
	return p, ok
}

func scoreOf(p holdfast.Posture) int {
	if p.Score == nil {
		return -1
	}
	return *p.Score
}

func causeOf(p holdfast.Posture) string {
	if p.Cause == nil {
		return ""
	}
	return p.Cause.Need
}

// earliest returns the earlier of two instants; nil and zero are never.
func earliest(a *time.Time, b time.Time) time.Time {
	if a == nil || a.IsZero() {
		return b
	}
	if b.IsZero() || a.Before(b) {
		return *a
	}
	return b
}
