package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// judge is the collector's core in these tests: it counts every observation.
type judge struct {
	mu       sync.Mutex
	assigned *holdfast.Assignment
	progress map[string]holdfast.Progress
	bodies   map[string]holdfast.Observation // check → as applied last
	applied  []applied
	news     chan struct{} // holds one
	states   []holdfast.AgentState
	runs     []holdfast.Running // as they were told
	found    []holdfast.Found   // likewise
}

type applied struct {
	report, order uint64
	check         string
	summary       string
	backlog       bool
	body          bool
}

func newJudge(checks ...string) *judge {
	j := &judge{progress: map[string]holdfast.Progress{}, bodies: map[string]holdfast.Observation{}, news: make(chan struct{}, 1)}
	j.assign("v1", checks...)
	return j
}

func (j *judge) assign(version string, checks ...string) {
	a := &holdfast.Assignment{Version: version}
	for _, id := range checks {
		a.Checks = append(a.Checks, holdfast.Check{ID: id, Probe: "host.disk", Every: holdfast.Duration(time.Minute)})
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.assigned = a
}

func (j *judge) Progress(name string) holdfast.Progress {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.progress[name]
}

func (j *judge) Assignment(string) *holdfast.Assignment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.assigned
}

func (j *judge) Running(_ string, r holdfast.Running) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.runs = append(j.runs, r)
	select {
	case j.news <- struct{}{}:
	default:
	}
}

func (j *judge) Found(_ string, f holdfast.Found) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.found = append(j.found, f)
	j.rouse()
}

func (j *judge) Agent(s holdfast.AgentState) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.states = append(j.states, s)
	j.rouse()
}

func (j *judge) rouse() {
	select {
	case j.news <- struct{}{}:
	default:
	}
}

func (j *judge) Accept(r *ingest.Report) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Done(j.apply(r))
	j.rouse()
}

func (j *judge) apply(r *ingest.Report) error {
	next, news, err := r.Settle(j.progress[r.Agent])
	if err != nil || !news {
		return err
	}
	var all []applied
	for i := range r.Results {
		check := r.Assigned.Checks[r.Results[i].Check].ID
		o, known := j.bodies[check]
		body := r.Results[i].Body != nil
		if body {
			o, err = r.Observation(i)
		} else if known {
			err = r.Update(i, &o)
		} else {
			err = ingest.ErrResend
		}
		if err != nil {
			return err
		}
		if !r.Backlog {
			j.bodies[check] = o
		}
		all = append(all, applied{r.Seq, o.Seq, o.Check, o.Summary, r.Backlog, body})
	}
	j.progress[r.Agent] = next
	j.applied = append(j.applied, all...)
	return nil
}

// wait waits until the judge has come so far.
func (j *judge) wait(t *testing.T, what string, until func() bool) {
	t.Helper()
	for timeout := time.After(120 * time.Second); ; {
		j.mu.Lock()
		done := until()
		j.mu.Unlock()
		if done {
			return
		}
		select {
		case <-j.news:
		case <-timeout:
			t.Fatalf("not within 30 s: %s; %d applied", what, len(j.applied))
		}
	}
}

// once fails unless n observations were applied, each once.
func (j *judge) once(t *testing.T, n int) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := map[uint64]bool{}
	for _, a := range j.applied {
		if seen[a.order] {
			t.Errorf("observation %d of report %d was applied twice", a.order, a.report)
		}
		seen[a.order] = true
	}
	if len(seen) != n {
		t.Errorf("%d observations applied, want %d", len(seen), n)
	}
}

type collector struct {
	*ingest.Server
	store   *bolt.Store
	address string
}

func serve(t *testing.T, j *judge, change ...func(*ingest.Config)) *collector {
	t.Helper()
	data := t.TempDir()
	store, err := bolt.Open(filepath.Join(data, "store"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config := ingest.Config{Data: data, Identities: store, Core: j, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&config)
	}
	s, err := ingest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := errors.Join(<-served, store.Close()); err != nil {
			t.Error(err)
		}
	})
	return &collector{s, store, l.Addr().String()}
}

func (c *collector) token(t *testing.T, name string) string {
	t.Helper()
	token, err := c.Token(t.Context(), name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// probing is an agent's folder with its spool and identity, and a reporter that
// can be run.
type probing struct {
	t      *testing.T
	spool  *agent.Outbox
	config agent.ReporterConfig
	asked  chan string
	given  chan holdfast.Assignment
}

func join(t *testing.T, c *collector, name string) *probing {
	t.Helper()
	dir := t.TempDir()
	id, err := agent.Join(t.Context(), dir, c.address, c.token(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return prepare(t, dir, c.address, id, 0)
}

// prepare opens the spool as if it were so much later.
func prepare(t *testing.T, dir, address string, id *agent.Identity, later time.Duration) *probing {
	t.Helper()
	clock := newClock()
	clock.pass(later)
	p := &probing{t: t, asked: make(chan string, 10), given: make(chan holdfast.Assignment, 10)}
	p.spool = openOutbox(t, filepath.Join(dir, "spool"), clock.options(), &logged{})
	p.config = agent.ReporterConfig{
		Data: dir, Address: address, Identity: id, Spool: p.spool, Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Assign: func(a holdfast.Assignment) { p.given <- a },
		Run:    func(check string) { p.asked <- check },
		Stop:   func(check string) { p.asked <- "stop " + check },
		Health: func() holdfast.AgentState { return holdfast.AgentState{Spooled: p.spool.State().Waiting} },
	}
	return p
}

// run starts a reporter; stop ends it and waits.
func (p *probing) run() (r *agent.Reporter, stop func()) {
	p.t.Helper()
	r = agent.NewReporter(p.config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				p.t.Errorf("Run: %v", err)
			}
		})
	}
	p.t.Cleanup(stop)
	return r, stop
}

// observe spools one report.
func (p *probing) observe(summary string, checks ...string) {
	p.t.Helper()
	var all []agent.Result
	for _, id := range checks {
		all = append(all, agent.Result{Check: holdfast.Check{ID: id}, Observation: holdfast.Observation{
			At: time.Now(), Check: id, Outcome: holdfast.OK, Summary: summary, Measures: []holdfast.Measure{{Name: "n", Value: rand.Float64()}}}})
	}
	if err := p.spool.Append(all); err != nil {
		p.t.Fatal(err)
	}
}

// waitEmpty waits until every report is acknowledged and dropped.
func (p *probing) waitEmpty() {
	p.t.Helper()
	for range 3000 {
		if p.spool.State().Waiting == 0 {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.t.Context().Done():
		}
	}
	p.t.Fatalf("reports still wait: %+v", p.spool.State())
}
