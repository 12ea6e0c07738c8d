package drill

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// Documents is what drills are kept in. What PutDocuments took is there after a
// crash, all of one call or none of it.
type Documents interface {
	PutDocuments(ctx context.Context, put []store.Document, remove ...store.DocumentKey) error
	Documents(ctx context.Context, kind string) iter.Seq2[store.Document, error]
}

// Source is what a drill reads. What it returns is never changed afterwards.
type Source interface {
	Catalogue() *holdfast.Catalogue
	Posture(service string) (holdfast.Posture, bool)
	// Observation returns a check's latest.
	Observation(check string) (holdfast.Observation, bool)
	Agents() []holdfast.AgentState
	// Listen returns a channel that gets a value after every change, and a function
	// that ends it.
	Listen() (changed <-chan struct{}, stop func())
}

// Runner runs checks at once.
type Runner interface {
	// RunCheck asks the agent of a check; a run that is under way answers for it. An
	// error that matches holdfast.ErrInvalid says that there is no such check, any
	// other that the agent could not be asked.
	RunCheck(ctx context.Context, check, by string) (holdfast.Run, error)
	// Run returns a run; false: it is not remembered.
	Run(id string) (holdfast.Run, bool)
	// StopRun asks the agent of a run to end it.
	StopRun(id, by string) error
}

// Config is what a manager is made of.
type Config struct {
	Documents Documents
	Source    Source
	Runner    Runner
	// Enter takes the record of a drill in, once: asked again for a drill that has
	// one, it returns that.
	Enter   func(ctx context.Context, r holdfast.Record) (holdfast.Record, error)
	Changed func() // called after drills changed in a way readers can see
	Log     *slog.Logger
	Now     func() time.Time // the collector's clock
}

// Manager walks drills. New makes it from what was stored, Run works until it is
// told to stop; every other method may be called from many goroutines at once.
type Manager struct {
	cfg     Config
	started time.Time
	wake    chan struct{} // holds one: there is something to do

	walking sync.Mutex       // held while drills and bookings change, until that is stored
	asks    map[askKey]*asks // guarded by walking

	mu       sync.Mutex
	drills   map[string]*holdfast.Drill        // guarded by mu; a drill is replaced, never changed
	bookings map[string]*holdfast.DrillBooking // guarded by mu; likewise
}

// askKey names a step of a drill.
type askKey struct {
	drill string
	step  int
}

// asks is what is known of a step under way besides what is stored.
type asks struct {
	before time.Time // of the newest observation when its agent was asked
	over   time.Time // when the run was first seen to be over, or its agent not there
}

// New makes a manager from what was stored. Drills that were under way go on when
// Run does.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	m := &Manager{
		cfg: cfg, started: cfg.Now(), wake: make(chan struct{}, 1), asks: map[askKey]*asks{},
		drills: map[string]*holdfast.Drill{}, bookings: map[string]*holdfast.DrillBooking{},
	}
	if err := m.recall(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// How often drills are looked at although nothing is told to have changed. A report
// that changes no posture comes in silence.
const (
	whileReports = 250 * time.Millisecond
	whileWalking = 5 * time.Second
	maxRest      = 30 * time.Second
)

// Run walks drills and starts those that are due until ctx ends. What was under way
// then goes on after the next start.
func (m *Manager) Run(ctx context.Context) error {
	changed, stop := m.cfg.Source.Listen()
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-m.wake:
		case <-timer.C:
		}
		m.turn(ctx)
		timer.Reset(m.rest())
	}
}

// turn takes every drill under way as far as it goes, and starts what is due.
func (m *Manager) turn(ctx context.Context) {
	m.walking.Lock()
	defer m.walking.Unlock()
	for _, d := range m.underWay() {
		if err := m.walk(ctx, d); err != nil && ctx.Err() == nil {
			m.cfg.Log.Error("drill waits: it cannot be stored", "drill", d.ID, "err", err)
		}
	}
	m.startDue(ctx)
}

// rest is how long there is nothing to do unless something changes.
func (m *Manager) rest() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := maxRest
	for _, d := range m.drills {
		switch {
		case !d.Running():
		case slices.ContainsFunc(d.Steps, unreported):
			rest = min(rest, whileReports)
		default:
			rest = min(rest, whileWalking)
		}
	}
	now := m.cfg.Now()
	for _, b := range m.bookings {
		if !b.At.IsZero() && b.At.After(now) {
			rest = min(rest, b.At.Sub(now))
		}
	}
	return rest
}

// rouse wakes Run.
func (m *Manager) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
