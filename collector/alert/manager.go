package alert

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/agenda"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// Documents is what the manager keeps its state in. What PutDocuments took is
// there after a crash, all of one call or none of it.
type Documents interface {
	PutDocuments(ctx context.Context, put []store.Document, remove ...store.DocumentKey) error
	Documents(ctx context.Context, kind string) iter.Seq2[store.Document, error]
}

// Config is what a manager is made of.
type Config struct {
	Documents Documents
	Source    Source
	Log       *slog.Logger
	Now       func() time.Time // the collector's clock; nil: time.Now
	URL       func() string    // absolute base of the pages, without a slash at its end
	// CertificateLife is that of agents' certificates: one that has less than a sixth
	// of it left was not renewed. 0: not watched.
	CertificateLife time.Duration
	// Alive reports whether services are being judged: heartbeats ask. nil: always.
	Alive func() bool
	// Changed is called after alerts changed in a way readers can see; Sent after a
	// receiver of a type took a notice. nil: nobody is told.
	Changed func()
	Sent    func(receiverType string)
}

// Manager keeps alerts. New makes it from what was stored, Run works until it is
// told to stop; every other method may be called from many goroutines at once,
// before, during and after Run.
type Manager struct {
	cfg     Config
	started time.Time
	wake    chan struct{} // holds one: there is something to do

	in inbox

	mu           sync.Mutex
	index        *index                       // guarded by mu
	routes       Routes                       // guarded by mu
	routed       bool                         // guarded by mu: routes were set since the start
	agents       map[string]stand             // guarded by mu
	met          map[string]bool              // guarded by mu: agents heard since the start
	assigned     map[string]time.Time         // guarded by mu: checks that came since the start, and when
	postures     map[string]*holdfast.Posture // guarded by mu: as last judged
	unjudged     map[string]bool              // guarded by mu: services not judged since the start
	ready        bool                         // guarded by mu: all were; alerts may begin and end
	board        *board                       // guarded by mu
	records      map[string]*record           // guarded by mu: alerts and their lives, by ID
	silences     map[string]*holdfast.Silence // guarded by mu; a silence is replaced, never changed
	maintenance  []holdfast.Silence           // guarded by mu: windows people recorded
	active       []*holdfast.Silence          // guarded by mu: of both, those that hold now
	silencesTurn time.Time                    // guarded by mu: when one begins or ends
	services     agenda.Agenda                // guarded by mu: when to derive again
	lives        agenda.Agenda                // guarded by mu: when to look at an alert again
	outbox       outbox                       // guarded by mu
	unsaved      map[store.DocumentKey][]byte // guarded by mu: to be stored; nil: to be removed
	beating      uint64                       // guarded by mu: grows when routes bring other heartbeats
	turned       time.Time                    // guarded by mu: when the last turn ended
	tidied       time.Time                    // guarded by mu: when what has ended was last swept
	problem      string                       // guarded by mu: why the store does not take what changed

	saving sync.Mutex // held while unsaved goes to the store: writes keep their order
}

// inbox is what the judge and the agents' sessions leave for the manager: they
// never wait for it.
type inbox struct {
	mu       sync.Mutex
	postures map[string]*holdfast.Posture // guarded by mu: the latest of each
	agents   map[string]holdfast.AgentState
	more     bool      // guarded by mu: the judge is not through
	since    time.Time // guarded by mu: what waits longest
}

// settle is how long alerts wait at most for a judge that is not through: one
// cause that concerns many services is told once, with all of them.
const settle = 600 * time.Millisecond

// New makes a manager from what was stored. It says nothing before SetCatalogue,
// and before every service of it was judged.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Alive == nil {
		cfg.Alive = func() bool { return true }
	}
	if cfg.URL == nil {
		cfg.URL = func() string { return "" }
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Sent == nil {
		cfg.Sent = func(string) {}
	}
	m := &Manager{
		cfg: cfg, started: cfg.Now(), wake: make(chan struct{}, 1),
		in:     inbox{postures: map[string]*holdfast.Posture{}, agents: map[string]holdfast.AgentState{}},
		index:  newIndex(&holdfast.Catalogue{}, cfg.Source),
		agents: map[string]stand{}, met: map[string]bool{}, postures: map[string]*holdfast.Posture{}, board: newBoard(),
		records: map[string]*record{}, silences: map[string]*holdfast.Silence{}, outbox: newOutbox(), unsaved: map[store.DocumentKey][]byte{},
	}
	if err := m.recall(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// SetCatalogue says which catalogue is in force. Its services are judged anew and
// come by Judged, before or after.
func (m *Manager) SetCatalogue(c *holdfast.Catalogue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, now := m.index, m.cfg.Now()
	m.index = newIndex(c, m.cfg.Source)
	assigned := map[string]time.Time{}
	for id := range m.index.checks {
		if at, since := m.assigned[id]; since {
			assigned[id] = at
		} else if before.checks[id] == nil && len(before.checks) > 0 {
			assigned[id] = now
		}
	}
	m.assigned = assigned
	for name := range m.postures {
		if c.Service(name) == nil {
			delete(m.postures, name)
			m.services.Set(name, time.Time{})
			m.board.set(name, nil, nil)
			continue
		}
		m.services.Set(name, now)
	}
	if !m.ready {
		m.unjudged = make(map[string]bool, len(c.Services))
		for i := range c.Services {
			if name := c.Services[i].Name; m.postures[name] == nil {
				m.unjudged[name] = true
			}
		}
	}
	m.rouse()
}

// SetRoutes puts routes in force. An alert that fires is told to receivers that
// have not heard of it.
func (m *Manager) SetRoutes(r Routes) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routes, m.routed = r, true
	m.beating++
	m.outbox.know(r, m.cfg.Now())
	for id, rec := range m.records {
		if rec.Alert.Status != holdfast.AlertResolved {
			m.board.dirty[id] = true
		}
	}
	m.rouse()
}

// Judged takes in what was judged, after it is durable: postures are never
// changed afterwards. More says that the judge has others waiting. It does not
// wait.
func (m *Manager) Judged(postures []holdfast.Posture, more bool) {
	m.in.mu.Lock()
	for _, p := range postures { // each by itself: one that is kept must not keep its whole round
		m.in.postures[p.Name] = &p
	}
	if len(m.in.postures) > 0 && m.in.since.IsZero() {
		m.in.since = m.cfg.Now()
	}
	m.in.more = more
	m.in.mu.Unlock()
	m.rouse()
}

// Agents takes in how agents stand: at the start all of them, then those that
// changed. It does not wait.
func (m *Manager) Agents(states ...holdfast.AgentState) {
	m.in.mu.Lock()
	for _, s := range states {
		m.in.agents[s.Name] = s
	}
	m.in.mu.Unlock()
	m.rouse()
}

// rouse wakes Run.
func (m *Manager) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run keeps alerts and sends notices until ctx ends. It waits for all it started;
// what was not sent by then is sent after the next start.
func (m *Manager) Run(ctx context.Context) error {
	var senders, beats sync.WaitGroup
	stopBeats := func() {}
	var beating uint64
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			stopBeats()
			beats.Wait()
			senders.Wait()
			last, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer stop()
			return m.commit(last)
		case <-m.wake:
		case <-timer.C:
		}
		m.turn()
		if err := m.commit(ctx); err != nil && ctx.Err() == nil {
			m.cfg.Log.Error("alerts not saved, trying again; nothing is sent before they are", "err", err)
		}
		m.dispatch(ctx, &senders)
		if list, version := m.heartbeats(); version != beating {
			beating = version
			stopBeats()
			stopBeats = m.beat(ctx, &beats, list)
		}
		timer.Reset(m.untilNext())
	}
}

// turn takes the inbox in and looks at every alert that it or the clock touches.
func (m *Manager) turn() {
	m.in.mu.Lock()
	postures, agents := m.in.postures, m.in.agents
	m.in.postures, m.in.agents = map[string]*holdfast.Posture{}, map[string]holdfast.AgentState{}
	wait := m.in.more && !m.in.since.IsZero() && m.cfg.Now().Before(m.in.since.Add(settle))
	if !wait {
		m.in.since = time.Time{}
	}
	m.in.mu.Unlock()

	m.mu.Lock()
	now := m.cfg.Now()
	for _, s := range agents {
		m.stands(s, postures)
	}
	for _, name := range m.services.Due(now) {
		if p := m.postures[name]; p != nil && postures[name] == nil {
			postures[name] = p
		}
	}
	m.deriveAll(postures, now)
	if !m.ready && m.unjudged != nil && len(m.unjudged) == 0 {
		m.begin()
	}
	if !m.silencesTurn.IsZero() && !now.Before(m.silencesTurn) || now.After(m.tidied.Add(time.Hour)) {
		m.lookAtSilences()
		m.tidy(now)
		m.tidied = now
	}
	changed := false
	if m.ready && !wait {
		for _, id := range m.lives.Due(now) {
			m.board.dirty[id] = true
		}
		for id := range m.board.dirty {
			changed = m.evaluate(id, now) || changed
		}
		clear(m.board.dirty)
	}
	m.turned = now
	m.mu.Unlock()
	if changed {
		m.cfg.Changed()
	}
}

// begin lets alerts begin and end: everything was judged since the start, so what
// is gone is gone.
func (m *Manager) begin() {
	m.ready = true
	for id := range m.records {
		m.board.dirty[id] = true
	}
	m.lookAtSilences()
}

// derivedAtOnce is how many postures are worked on before others may write what they read.
const derivedAtOnce = 64

// deriveAll works out what postures give rise to.
func (m *Manager) deriveAll(postures map[string]*holdfast.Posture, now time.Time) {
	for part := range slices.Chunk(slices.Collect(maps.Values(postures)), derivedAtOnce) {
		m.cfg.Source.Read(func(latest Latest) {
			for _, p := range part {
				m.judged(p.Name, p, latest, now)
			}
		})
	}
}

// judged works out what a posture gives rise to.
func (m *Manager) judged(name string, p *holdfast.Posture, latest Latest, now time.Time) {
	m.postures[name] = p
	delete(m.unjudged, name)
	if m.index.catalogue.Service(name) == nil {
		return // of a catalogue that comes into force, or was
	}
	d := derive(m.index, latest, m.agents, p, now)
	m.board.set(name, d.signals, d.waits)
	m.services.Set(name, d.next)
}

// stands takes in how an agent stands; what rests on its checks is derived anew
// where it makes a difference. The caller holds mu.
func (m *Manager) stands(s holdfast.AgentState, postures map[string]*holdfast.Posture) {
	was := m.agents[s.Name]
	is := stand{
		name: s.Name, known: !s.Enrolled.IsZero() || s.Connected || !s.LastHeard.IsZero(), connected: s.Connected, revoked: s.Revoked,
		since: s.SilentSince, host: s.Host, site: s.Site, certificate: s.Certificate,
	}
	if s.Connected {
		m.met[s.Name] = true
	}
	if is.back = was.back; is.connected && !was.connected && (was.name != "" || m.ready) {
		is.back = m.cfg.Now()
	}
	if life := m.cfg.CertificateLife; life > 0 && !is.certificate.IsZero() {
		is.warn = is.certificate.Add(-life / 6)
	}
	if is == was {
		return
	}
	m.agents[s.Name] = is
	for _, name := range m.index.agents[s.Name] {
		if p := m.postures[name]; p != nil && postures[name] == nil {
			postures[name] = p
		}
	}
}

// untilNext returns how long there is nothing to do unless something is heard.
func (m *Manager) untilNext() time.Duration {
	m.in.mu.Lock()
	waiting := m.in.since
	m.in.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	next := sooner(m.services.Next(), m.outbox.next())
	if m.ready {
		next = sooner(sooner(next, m.lives.Next()), m.silencesTurn)
	}
	if !waiting.IsZero() {
		next = sooner(next, waiting.Add(settle))
	}
	now := m.cfg.Now()
	if m.problem != "" {
		next = sooner(next, now.Add(saveAgain))
	}
	if next.IsZero() {
		return maxRest
	}
	return min(max(next.Sub(now), 0), maxRest)
}

const (
	maxRest   = 30 * time.Second // also how long a heartbeat believes the last turn
	saveAgain = time.Second
)

// alive reports whether alerting works: turns are made and can be stored, services
// are judged.
func (m *Manager) alive() bool {
	m.mu.Lock()
	well := m.problem == "" && m.cfg.Now().Sub(m.turned) < 2*maxRest
	m.mu.Unlock()
	return well && m.cfg.Alive()
}

func (m *Manager) heartbeats() ([]Heartbeat, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.routes.Heartbeats, m.beating
}

// beat runs heartbeats until the answered function is called.
func (m *Manager) beat(ctx context.Context, beats *sync.WaitGroup, list []Heartbeat) (stop func()) {
	inner, cancel := context.WithCancel(ctx)
	for _, h := range list {
		beats.Go(func() { h.Run(inner, m.alive) })
	}
	return cancel
}
