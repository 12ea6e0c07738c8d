package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// TestNewestFirst spools while nobody listens: the newest of every check arrives
// first, the rest in order behind it and marked so.
func TestNewestFirst(t *testing.T) {
	j := newJudge("a", "b")
	c := serve(t, j)
	p := join(t, c, "db1")
	for i := range 40 {
		p.observe(fmt.Sprint("a", i), "a", "gone")
	}
	p.observe("b40", "b")
	for i := range 5 {
		p.observe(fmt.Sprint("a", 41+i), "a")
	}
	r, _ := p.run()
	j.wait(t, "46 reports", func() bool { return len(j.applied) == 46 })
	if j.applied[0].summary != "a45" || j.applied[0].backlog || j.applied[1].summary != "b40" || j.applied[1].backlog {
		t.Errorf("first came %+v, want a45 and b40 as news", j.applied[:2])
	}
	for i, a := range j.applied[2:] {
		if !a.backlog || i > 0 && a.order <= j.applied[i+1].order {
			t.Errorf("place %d: %+v, want the backlog in order", i+2, a)
		}
	}
	if a := <-p.given; a.Version != "v1" || len(a.Checks) != 2 || a.Checks[0].On != "db1" {
		t.Errorf("given %+v, want v1", a)
	}
	if s := r.State(); s.Unassigned != 40 || !s.Connected {
		t.Errorf("state %+v, want 40 results left out", s)
	}
	p.observe("same", "a", "b")
	j.wait(t, "news", func() bool { return len(j.applied) == 48 })
	p.waitEmpty()
	p.observe("same", "a", "b")
	j.wait(t, "news", func() bool { return len(j.applied) == 50 })
	if last := j.applied[48:]; last[0].body || last[1].body || last[0].summary != "same" {
		t.Errorf("what did not change came as %+v, want it without bodies", last)
	}
	j.once(t, 50)
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

// TestRunsAreTold: what becomes of a run goes up as it changes, and once more where
// a session begins; a check that is not this agent's is answered too.
func TestRunsAreTold(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	news := make(chan struct{}, 1)
	said := []holdfast.Running{{Check: "old", State: holdfast.RunRunning, Started: time.Now().Add(-time.Minute)}} // of before the session
	var mu sync.Mutex
	p.config.RunNews = news
	p.config.Runs = func(bool) []holdfast.Running {
		mu.Lock()
		defer mu.Unlock()
		list := said
		said = nil
		return list
	}
	p.run()
	j.wait(t, "the run of before", func() bool { return len(j.runs) == 1 && j.runs[0].Check == "old" })
	if err := c.Run("db1", "a"); err != nil {
		t.Fatal(err)
	}
	if got := <-p.asked; got != "a" {
		t.Fatalf("asked for %q, want a", got)
	}
	mu.Lock()
	said = []holdfast.Running{
		{Check: "a", State: holdfast.RunRunning, Started: time.Now(), Phase: &holdfast.Phase{Name: "restore", Done: 1, Total: 2}},
		{Check: "a", State: holdfast.RunDone, Outcome: holdfast.OK, Summary: "all of it"},
	}
	mu.Unlock()
	news <- struct{}{}
	j.wait(t, "its end", func() bool { return len(j.runs) == 3 })
	if r := j.runs[1]; r.State != holdfast.RunRunning || r.Phase == nil || *r.Phase != (holdfast.Phase{Name: "restore", Done: 1, Total: 2}) || time.Since(r.Started) > time.Minute {
		t.Errorf("while it ran: got %+v", r)
	}
	if r := j.runs[2]; r.State != holdfast.RunDone || r.Outcome != holdfast.OK || r.Summary != "all of it" {
		t.Errorf("its end: got %+v", r)
	}
}

// TestExactlyOnce cuts connections with a reset at random places, mid-report and
// mid-acknowledgement, while reports are made (N4).
func TestExactlyOnce(t *testing.T) {
	j := newJudge("a", "b", "c")
	c := serve(t, j)
	p := join(t, c, "db1")
	proxy := newProxy(t, c.address)
	p.config.Address = proxy.address
	_, _ = p.run()
	const reports = 210
	for i := range reports {
		p.observe(fmt.Sprint("state ", i/7), "a", "b", "c")
		if i%30 == 29 {
			n := i
			j.wait(t, "a third of what was sent", func() bool { return len(j.applied) > n })
			proxy.cutSoon()
		}
	}
	proxy.calm()
	j.wait(t, "everything", func() bool { return len(j.applied) >= 3*reports })
	p.waitEmpty()
	j.once(t, 3*reports)
	if proxy.cuts() < 4 {
		t.Errorf("only %d connections were cut", proxy.cuts())
	}
}

// TestSilenceIsNoticed takes the power from an agent's host: no connection is
// closed, nothing is heard (N4, half-open).
func TestSilenceIsNoticed(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j, func(c *ingest.Config) { c.SilentAfter = time.Second })
	p := join(t, c, "db1")
	proxy := newProxy(t, c.address)
	p.config.Address = proxy.address
	p.run()
	p.observe("before", "a")
	j.wait(t, "a report", func() bool { return len(j.applied) == 1 })
	proxy.freeze()
	j.wait(t, "silence", func() bool { return !j.states[len(j.states)-1].Connected })
	p.observe("meanwhile", "a")
	proxy.thaw()
	j.wait(t, "what was spooled", func() bool { return len(j.applied) == 2 && j.states[len(j.states)-1].Connected })
	j.once(t, 2)
}

// TestRenewsAndRecovers lets certificates live for seconds.
func TestRenewsAndRecovers(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j, func(c *ingest.Config) { c.CertificateLife = 3 * time.Second })
	p := join(t, c, "db1")
	first, _ := p.config.Identity.Validity()
	_, stop := p.run()
	j.wait(t, "a session with a new certificate", func() bool {
		n := len(j.states)
		return n > 0 && j.states[n-1].Connected && j.states[n-1].Certificate.After(first.Add(4*time.Second))
	})
	p.observe("after renewal", "a")
	j.wait(t, "a report", func() bool { return len(j.applied) == 1 })
	stop()
	id, err := c.store.Agent(t.Context(), "db1")
	if err != nil || id.Recoveries != 0 {
		t.Fatalf("%d recoveries (%v), want none", id.Recoveries, err)
	}

	// The host was off for longer than its certificate lived.
	_, until := p.config.Identity.Validity()
	<-time.After(time.Until(until) + 100*time.Millisecond)
	if p.config.Identity, err = agent.OpenIdentity(p.config.Data); err != nil {
		t.Fatal(err)
	}
	p.observe("after recovery", "a")
	p.run()
	j.wait(t, "a report", func() bool { return len(j.applied) == 2 })
	if id, err = c.store.Agent(t.Context(), "db1"); err != nil || id.Recoveries != 1 {
		t.Errorf("%d recoveries (%v), want 1", id.Recoveries, err)
	}
}

func TestAssignmentsAndRequests(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	r, _ := p.run()
	<-p.given
	j.assign("v2", "a", "b")
	c.Reassign()
	if a := <-p.given; a.Version != "v2" || len(a.Checks) != 2 {
		t.Errorf("given %+v, want v2", a)
	}
	p.observe("one", "b", "a")
	j.wait(t, "both", func() bool { return len(j.applied) == 2 })
	if j.applied[0].check != "b" || j.applied[1].check != "a" {
		t.Errorf("applied %+v, want b and a", j.applied)
	}
	if err := c.Run("db1", "b"); err != nil {
		t.Fatal(err)
	}
	if check := <-p.asked; check != "b" {
		t.Errorf("asked to run %q, want b", check)
	}
	p.observe("three", "a")
	r.HealthChanged()
	j.wait(t, "health and a report", func() bool { return len(j.states) >= 3 && len(j.applied) == 3 })
	j.once(t, 3)
}

// TestCopiedFolder runs a copy of a data folder beside the original.
func TestCopiedFolder(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	p.run()
	p.observe("original", "a")
	j.wait(t, "a report", func() bool { return len(j.applied) == 1 })
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(p.config.Data)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "identity.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := agent.OpenIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	clone := prepare(t, dir, c.address, id, time.Hour)
	before := clone.spool.State().Epoch
	r, stop := clone.run()
	j.wait(t, "the clash", func() bool {
		n := len(j.states)
		return n > 0 && strings.Contains(j.states[n-1].Clash, "copied data folder")
	})
	for !strings.Contains(r.State().Problem, "name and token of its own") {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("the copy says %q", r.State().Problem)
		}
	}
	stop()
	if after := clone.spool.State().Epoch; after <= before {
		t.Errorf("the copy counts on in epoch %d, want a new one", after)
	}
	p.observe("undisturbed", "a")
	j.wait(t, "the original's report", func() bool { return len(j.applied) == 2 })
}

// TestOldFolder brings back a spool that has forgotten what it sent.
func TestOldFolder(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	_, stop := p.run()
	for range 5 {
		p.observe("before", "a")
	}
	j.wait(t, "5 reports", func() bool { return len(j.applied) == 5 })
	p.waitEmpty()
	stop()
	p.spool.Close()
	dir := p.config.Data
	if err := os.RemoveAll(filepath.Join(dir, "spool")); err != nil {
		t.Fatal(err)
	}
	p = prepare(t, dir, c.address, p.config.Identity, time.Hour)
	p.observe("after", "a")
	p.observe("after", "a")
	p.run()
	j.wait(t, "the new ones", func() bool { return len(j.applied) == 7 })
	if j.applied[6].order <= j.applied[4].order {
		t.Error("a new folder's observations do not outrank the old one's")
	}
	j.once(t, 7)
}

func TestJoin(t *testing.T) {
	j := newJudge("a")
	c, other := serve(t, j), serve(t, newJudge())
	dir := t.TempDir()
	if _, err := agent.OpenIdentity(dir); !errors.Is(err, agent.ErrNotJoined) {
		t.Errorf("got %v, want ErrNotJoined", err)
	}
	wants := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	token := c.token(t, "db1")
	_, err := agent.Join(t.Context(), dir, other.address, token)
	wants(err, "not the collector that made the token")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	go func() {
		if conn, err := plain.Accept(); err == nil {
			fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	}()
	_, err = agent.Join(t.Context(), dir, plain.Addr().String(), token)
	wants(err, "does not look like a TLS handshake")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("a join that came to nothing left %v (%v)", left, err)
	}

	id, err := agent.Join(t.Context(), dir, c.address, token)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "identity.pem")); err != nil || info.Mode().Perm() != 0o600 || id.Name() != "db1" {
		t.Errorf("%s: mode %v (%v), want db1 and 0600", id.Name(), info.Mode(), err)
	}
	_, err = agent.Join(t.Context(), t.TempDir(), c.address, token)
	wants(err, "works once")
	if _, err := agent.OpenIdentity(dir); err != nil {
		t.Errorf("open again: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "identity.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = agent.OpenIdentity(dir)
	wants(err, "chmod 600")
}

// TestJoinWhoseAnswerWasLost cuts the connection after the collector has bound the
// key: the same token joins the same key.
func TestJoinWhoseAnswerWasLost(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	for bytes := 1000; ; bytes += 25 { // of the answers on the second connection, the first only shows the authority
		proxy := newProxy(t, c.address)
		name := fmt.Sprint("db", bytes)
		dir, token := t.TempDir(), c.token(t, name)
		proxy.dropAnswersAfter(2, bytes)
		if _, err := agent.Join(t.Context(), dir, proxy.address, token); err == nil {
			t.Fatal("joined before any answer was lost")
		}
		if _, err := c.store.Agent(t.Context(), name); err != nil {
			continue // the collector had not heard of it yet
		}
		proxy.calm()
		if _, err := agent.Join(t.Context(), dir, proxy.address, token); err != nil {
			t.Errorf("join again: %v", err)
		}
		if id, err := c.store.Agent(t.Context(), name); err != nil || id.Recoveries != 1 {
			t.Errorf("%d recoveries (%v), want 1", id.Recoveries, err)
		}
		return
	}
}
