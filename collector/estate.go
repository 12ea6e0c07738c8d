package collector

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/agenda"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// estate is the living state: everything known, and every service's posture as
// last judged. Facts and postures change under mu; a published posture is never
// changed, only replaced.
type estate struct {
	log   *slog.Logger
	now   func() time.Time
	saved func(context.Context, []transition) error  // makes transitions durable
	rests func()                                     // waits until the facts applied by now are durable
	told  func(judged []holdfast.Posture, more bool) // hears of judgements once they are saved; more are coming
	busy  func() bool                                // reports wait to be taken in

	mu        sync.RWMutex
	catalogue *holdfast.Catalogue         // guarded by mu
	model     *score.Model                // guarded by mu
	facts     *score.Facts                // guarded by mu
	enrolled  map[string]bool             // guarded by mu; shared with facts
	postures  map[string]holdfast.Posture // guarded by mu
	standing  map[string]standing         // guarded by mu: as the history has it; outlives a restart
	queue     []string                    // guarded by mu: services to judge anew, the one that waits longest first
	queued    map[string]bool             // guarded by mu: those in queue
	concerned map[string][]string         // guarded by mu: check → services, as the model was asked
	due       agenda.Agenda               // guarded by mu
	revision  uint64                      // guarded by mu: grows with every change a reader can see
	judged    uint64                      // guarded by mu: services judged since the start
	rounds    time.Time                   // guarded by mu: when the judge last went round

	moved  []transition // the judge's own: not saved yet
	untold []string     // the judge's own: services judged and not told yet

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
		queued:    map[string]bool{},
		concerned: map[string][]string{},
		busy:      func() bool { return false },
		rests:     func() {},
		told:      func([]holdfast.Posture, bool) {},
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
			e.due.Set(name, time.Time{})
		}
	}
	clear(e.concerned)
	e.markAll()
}

// mark queues a service to be judged anew. The caller holds mu and calls rouse.
func (e *estate) mark(service string) {
	if !e.queued[service] {
		e.queued[service] = true
		e.queue = append(e.queue, service)
	}
}

// markAll queues every service. The caller holds mu.
func (e *estate) markAll() {
	for i := range e.catalogue.Services {
		e.mark(e.catalogue.Services[i].Name)
	}
	e.rouse()
}

// touch queues the services that a check concerns. The caller holds mu and calls
// rouse.
func (e *estate) touch(check string) {
	names, known := e.concerned[check]
	if !known {
		names = e.model.Concerned(check)
		e.concerned[check] = names
	}
	for _, name := range names {
		e.mark(name)
	}
}

// rouse wakes the judge.
func (e *estate) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

const (
	// pause between two rounds of judging: a burst of reports costs each service one
	// judgement, and a lone report waits no longer than this.
	pause = 50 * time.Millisecond
	// turn is how many services are judged before their transitions are saved.
	turn = 256
	// While reports wait to be taken in, judging rests so many times as long as it
	// works: who floods the collector delays judgements, not acknowledgements.
	restWhileBusy = 3
	// calm is how long the judge rests at most: its heartbeat tells that it lives.
	calm = time.Minute
	// saveAgain is when transitions that the store did not take are offered again; of
	// more than maxMoved the oldest are given up.
	saveAgain = time.Second
	maxMoved  = 100_000
)

// judge keeps postures true until ctx ends: it judges what is queued and what is
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
		for more := true; more; {
			began := time.Now()
			more = e.round(ctx)
			rest := pause
			switch took := time.Since(began); {
			case e.busy():
				rest = max(pause, restWhileBusy*took)
			case more:
				rest = 0
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(rest):
			}
		}
		next := e.untilNext()
		if len(e.moved) > 0 {
			next = min(next, saveAgain)
		}
		timer.Reset(next)
	}
}

// round judges what is due or queued, at most a turn of it, saves the transitions
// and says whether more is queued.
func (e *estate) round(ctx context.Context) (more bool) {
	names, more := e.take()
	e.untold = append(e.untold, names...)
	for _, name := range names {
		if m, ok := e.judgeOne(name); ok {
			e.moved = append(e.moved, m)
		}
	}
	if len(names) > 0 {
		e.rests() // a crash must not take back what a judgement that was told rests on
	}
	if err := e.saved(ctx, e.moved); err != nil {
		e.log.Error("transitions not saved, trying again", "count", len(e.moved), "err", err)
		e.moved = e.moved[max(0, len(e.moved)-maxMoved):]
		slices.Sort(e.untold)
		e.untold = slices.Compact(e.untold)
		e.changes.publish()
		return more
	}
	for _, m := range e.moved {
		e.log.Info("service changed", "service", m.to.Name, "from", m.from, "to", m.to.State,
			"score", scoreOf(m.to), "cause", causeOf(m.to))
	}
	e.moved = nil
	if len(e.untold) > 0 {
		e.told(e.some(e.untold), more)
		e.untold = e.untold[:0]
	}
	if len(names) > 0 {
		e.changes.publish()
	}
	return more
}

// take takes a turn of services out of the queue.
func (e *estate) take() (names []string, more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rounds = e.now()
	for _, name := range e.due.Due(e.rounds) {
		e.mark(name)
	}
	names = e.queue[:min(turn, len(e.queue))]
	e.queue = e.queue[len(names):]
	for _, name := range names {
		delete(e.queued, name)
	}
	return names, len(e.queue) > 0
}

// judgeOne replaces one service's posture; ok reports a change of standing. Facts
// that change meanwhile queue the service again.
func (e *estate) judgeOne(name string) (m transition, ok bool) {
	e.mu.RLock()
	model, now := e.model, e.now()
	known := e.catalogue.Service(name) != nil
	var is holdfast.Posture
	if known {
		is = model.JudgeService(e.facts, name, now)
	}
	e.mu.RUnlock()
	if !known {
		return transition{}, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.model != model {
		return transition{}, false // another catalogue is in force, which queued every service
	}
	was := e.standing[name]
	e.postures[name], e.standing[name] = is, standingOf(is)
	e.judged++
	e.revision++
	e.due.Set(name, earliest(is.NextChange, is.SilentAt))
	return transition{was.state, is, now}, was != e.standing[name]
}

// announce tells readers of a change that is none of a posture.
func (e *estate) announce() {
	e.mu.Lock()
	e.revision++
	e.mu.Unlock()
	e.changes.publish()
}

// rejudge marks every service.
func (e *estate) rejudge() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.markAll()
}

// judgedAll reports whether every service has been judged.
func (e *estate) judgedAll() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.postures) == len(e.catalogue.Services)
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
	at := e.due.Next()
	if at.IsZero() {
		return calm
	}
	return min(max(at.Sub(e.now()), 0), calm)
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

// some returns the postures of services, those that have one.
func (e *estate) some(names []string) []holdfast.Posture {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := make([]holdfast.Posture, 0, len(names))
	for _, name := range names {
		if p, ok := e.postures[name]; ok {
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
