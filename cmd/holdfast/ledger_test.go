package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/collector"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// TestKilledAgainAndAgain kills a collector and its agents, the real programs, at
// any instant, and compares what is left with a ledger outside of both: the server
// that the agents' checks ask counts every run, and names it in its answer; what an
// agent has spooled, and what it was told is durable, is read from its disk while
// everything lies dead.
//
// Nothing acknowledged may be missing in the store, everything spooled has to
// arrive, and no run may be counted twice.
func TestKilledAgainAndAgain(t *testing.T) {
	const kills = 50
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newKillWorld(t, rand.New(rand.NewPCG(seed, 0)))
	for round := 0; w.kills < kills; round++ {
		w.collector.start(t) // and kill it while it starts
		<-time.After(w.within(5*time.Millisecond, 60*time.Millisecond))
		w.kill(t, w.collector)

		w.collector.start(t)
		w.collector.ready(t)
		for _, a := range w.agents {
			if a.cmd == nil {
				a.start(t)
			}
		}
		for _, a := range w.agents {
			w.awaitAck(t, a)
		}
		w.awaitRun(t, w.agents[round%len(w.agents)]) // its report is on its way
		<-time.After(w.within(0, 25*time.Millisecond))
		if round%3 > 0 {
			w.kill(t, w.collector) // what it had acknowledged by then must be there
			w.killAgents(t, round)
		} else {
			w.killAgents(t, round) // what they were not told is sent again, and counts once
			w.kill(t, w.collector)
		}
		w.compare(t)
	}
	w.drain(t)
	w.compare(t)
	w.countRuns(t)
}

// killWorld is a collector, agents, and the ledger.
type killWorld struct {
	random    *rand.Rand
	dir       string
	collector *victim
	agents    []*killAgent
	kills     int

	asked   chan string // gets the agent whose check was run; full: nobody waits
	mu      sync.Mutex
	runs    map[string]int     // guarded by mu: check → runs begun
	spooled map[spooled]string // everything that ever lay in a spool → what it said
}

type killAgent struct {
	*victim
	name, dir string
}

// spooled names a report.
type spooled struct {
	agent      string
	epoch, seq uint64
}

const killChecks = 25 // of an agent, each every second: a commit is under way much of the time

func newKillWorld(t *testing.T, random *rand.Rand) *killWorld {
	w := &killWorld{random: random, dir: t.TempDir(), asked: make(chan string, 1), runs: map[string]int{}, spooled: map[spooled]string{}}
	server := httptest.NewServer(http.HandlerFunc(w.answer))
	t.Cleanup(server.Close)
	var catalogue strings.Builder
	fmt.Fprintf(&catalogue, "site: here\n")
	names := []string{"ada", "bob"}
	for _, name := range names {
		fmt.Fprintf(&catalogue, "---\nservice: of-%s\ntier: 2\nsite: here\nbia: {rto: 1h, rpo: {none: nothing is kept}, mtpd: 1d, reviewed: 2026-01-01}\npaths:\n  again:\n    covers: [host-loss]\n    needs:\n", name)
		for i := range killChecks {
			fmt.Fprintf(&catalogue, "      - {name: c%d, probe: net.http, on: %s, every: 1s, timeout: 900ms, with: {url: %q}}\n", i, name, fmt.Sprintf("%s/%s/c%d", server.URL, name, i))
		}
	}
	folder := filepath.Join(w.dir, "catalog")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(filepath.Join(folder, "all.yaml"), []byte(catalogue.String()), 0o600)); err != nil {
		t.Fatal(err)
	}
	pages, agents := freePort(t), freePort(t)
	w.collector = newVictim(t, "collector", "--data", w.data(), "--catalog", folder, "--listen", pages, "--agents", agents)
	w.collector.address = agents
	w.collector.start(t)
	w.collector.ready(t)
	for _, name := range names {
		a := &killAgent{name: name, dir: filepath.Join(w.dir, name)}
		var token string
		eventuallyTrue(t, "a join token", func() bool {
			var err error
			token, err = collector.Ask(t.Context(), w.data(), "/join", collector.AdminRequest{Name: name})
			return err == nil
		})
		if err := os.Mkdir(a.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := agent.Join(t.Context(), a.dir, agents, token); err != nil {
			t.Fatal(err)
		}
		a.victim = newVictim(t, "agent", "--data", a.dir, "--join", agents)
		w.agents = append(w.agents, a)
	}
	w.kill(t, w.collector)
	return w
}

func (w *killWorld) data() string { return filepath.Join(w.dir, "collector") }

func (w *killWorld) within(from, to time.Duration) time.Duration {
	return from + time.Duration(w.random.Int64N(int64(to-from)))
}

func (w *killWorld) kill(t *testing.T, p *victim) {
	t.Helper()
	p.kill()
	w.kills++
}

// killAgents kills the agents, but for one now and then that goes on without a
// collector. An agent whose collector is dead spools more first, and forgets with
// that what was acknowledged.
func (w *killWorld) killAgents(t *testing.T, round int) {
	t.Helper()
	for i, a := range w.agents {
		if round%4 == 1 && i == 0 {
			continue
		}
		for range 3 {
			if w.collector.cmd == nil {
				w.awaitRun(t, a)
			}
		}
		<-time.After(w.within(0, 40*time.Millisecond))
		w.kill(t, a.victim)
	}
}

// answer is what the checks ask: it notes the run and names it. Every other run
// fails.
func (w *killWorld) answer(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.runs[r.URL.Path]++
	n := w.runs[r.URL.Path]
	w.mu.Unlock()
	rw.Header().Set("Location", fmt.Sprintf("/run%s/%d", r.URL.Path, n))
	if n%2 == 0 {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	select {
	case w.asked <- strings.Split(r.URL.Path, "/")[1]:
	default:
	}
}

// awaitRun waits until a check of the agent runs.
func (w *killWorld) awaitRun(t *testing.T, a *killAgent) {
	t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case name := <-w.asked:
			if name == a.name {
				return
			}
		case <-limit:
			t.Fatalf("agent %s runs no check; it says:\n%s", a.name, a.said())
		}
	}
}

// awaitAck waits until the collector acknowledges another report of the agent.
func (w *killWorld) awaitAck(t *testing.T, a *killAgent) {
	t.Helper()
	before := uint64(0)
	known := false
	eventuallyTrue(t, "an acknowledgement for "+a.name, func() bool {
		s, err := agent.ReadStatus(t.Context(), a.dir)
		if err != nil || !s.Connected {
			return false
		}
		if !known {
			before, known = s.Acknowledged, true
		}
		return s.Acknowledged > before
	})
}

// compare reads the disks of the collector, which is dead, and of every agent that
// is: what an agent holds no more, the store has.
func (w *killWorld) compare(t *testing.T) {
	t.Helper()
	st := w.store(t)
	defer st.Close()
	settled := map[string]holdfast.Progress{}
	for r, err := range st.AgentReports(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		settled[r.Agent] = r.Settled
	}
	for _, a := range w.agents {
		if a.cmd != nil {
			continue
		}
		epoch, last, waiting := w.look(t, a)
		for seq := uint64(1); seq <= last; seq++ {
			if !waiting[seq] && !settled[a.name].Has(epoch, seq) {
				t.Errorf("after %d kills: report %d of agent %s was acknowledged and is not in the store, which has %+v", w.kills, seq, a.name, settled[a.name])
			}
		}
		for r := range w.spooled {
			if r.agent == a.name && r.epoch == epoch && !waiting[r.seq] && !settled[a.name].Has(r.epoch, r.seq) {
				t.Errorf("after %d kills: report %d of agent %s was spooled and is nowhere", w.kills, r.seq, a.name)
			}
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// look reads an agent's spool and enters everything in it into the ledger.
func (w *killWorld) look(t *testing.T, a *killAgent) (epoch, last uint64, waiting map[uint64]bool) {
	t.Helper()
	began := time.Now()
	o, err := agent.OpenOutbox(filepath.Join(a.dir, "spool.db"), agent.OutboxOptions{
		Bytes: 64 << 20, Age: holdfast.Day, Elapsed: func() time.Duration { return time.Since(began) }, Now: time.Now,
	}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	s := o.State()
	if s.Dropped > 0 {
		t.Errorf("agent %s gave %d results up", a.name, s.Dropped)
	}
	waiting = map[uint64]bool{}
	for after := uint64(0); ; {
		r, ok, err := o.Next(after)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return s.Epoch, s.Last, waiting
		}
		after = r.Seq
		waiting[r.Seq] = true
		says, err := json.Marshal(r.Observations)
		if err != nil {
			t.Fatal(err)
		}
		name := spooled{a.name, s.Epoch, r.Seq}
		if before, known := w.spooled[name]; known && before != string(says) {
			t.Errorf("report %d of agent %s said\n%s\nand says now\n%s", r.Seq, a.name, before, says)
		}
		w.spooled[name] = string(says)
	}
}

// drain lets everything arrive, in peace, and stops all in order.
func (w *killWorld) drain(t *testing.T) {
	t.Helper()
	w.collector.start(t)
	w.collector.ready(t)
	for _, a := range w.agents {
		if a.cmd == nil {
			a.start(t)
		}
	}
	for _, a := range w.agents {
		eventuallyTrue(t, "an empty spool of "+a.name, func() bool {
			s, err := agent.ReadStatus(t.Context(), a.dir)
			return err == nil && s.Connected && s.Acknowledged > 0 && s.Spool.Waiting == 0
		})
	}
	for _, a := range w.agents {
		a.stop(t)
	}
	w.collector.stop(t)
}

// countRuns reads what became of the runs: each is counted once at most, those
// that began last are the newest of what is known, and all the ledger saw spooled
// is settled.
func (w *killWorld) countRuns(t *testing.T) {
	t.Helper()
	st := w.store(t)
	defer st.Close()
	counted, newest := map[string]int{}, map[string]time.Time{}
	for o, err := range st.Observed(t.Context(), "", store.Window{}) {
		if err != nil {
			t.Fatal(err)
		}
		var seen holdfast.Observation
		if err := json.Unmarshal(o.Value, &seen); err != nil {
			t.Fatal(err)
		}
		if run := seen.Facts["location"]; run != "" {
			counted[run]++
		}
		if seen.At.After(newest[o.Check]) {
			newest[o.Check] = seen.At
		}
	}
	for _, run := range slices.Sorted(maps.Keys(counted)) {
		if counted[run] > 1 {
			t.Errorf("%s was counted %d times, want once", run, counted[run])
		}
	}
	began := 0
	for _, n := range w.runs {
		began += n
	}
	t.Logf("%d kills, %d runs, %d reports seen in spools, %d changes of outcome counted", w.kills, began, len(w.spooled), len(counted))
	if len(counted) < began/4 {
		t.Errorf("%d of %d runs were counted, though every other one changed its outcome", len(counted), began)
	}
	if len(newest) != killChecks*len(w.agents) {
		t.Errorf("%d checks were ever seen to change, want %d", len(newest), killChecks*len(w.agents))
	}
}

func (w *killWorld) store(t *testing.T) *bolt.Store {
	t.Helper()
	st, err := bolt.Open(w.data(), bolt.Options{Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// victim is holdfast as a process of its own.
type victim struct {
	program string // default: these tests, as holdfast
	args    []string
	address string // where it can be reached once it is ready
	cmd     *exec.Cmd
	log     *bytes.Buffer // of the run under way, or the last
}

func newVictim(t *testing.T, args ...string) *victim {
	p := &victim{args: args}
	t.Cleanup(func() {
		if t.Failed() && p.log != nil {
			t.Logf("holdfast %s said last:\n%s", p.args[0], p.said())
		}
		p.kill()
	})
	return p
}

func (p *victim) start(t *testing.T) {
	t.Helper()
	p.cmd, p.log = exec.Command(cmp.Or(p.program, "holdfast"), p.args...), &bytes.Buffer{}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill ends the program as kill -9 does.
func (p *victim) kill() {
	if p.cmd != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.cmd = nil
	}
}

// stop ends the program in order.
func (p *victim) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("holdfast %s ended: %v", p.args[0], err)
	}
	p.cmd = nil
}

// said returns the end of what the program said, once it has ended.
func (p *victim) said() string {
	p.kill() // its output is written by another goroutine until then
	text := p.log.String()
	return text[max(0, len(text)-4000):]
}

// ready waits until the program takes connections.
func (p *victim) ready(t *testing.T) {
	t.Helper()
	eventuallyTrue(t, p.address+" to answer", func() bool {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// freePort returns a loopback address that nobody listens on and that no outgoing
// connection is given.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// eventuallyTrue asks again and again until the answer is yes.
func eventuallyTrue(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
