package drill_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/drill"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

const catalogue = `site: fra
---
site: ams
---
team: crew
members: [{name: ada}, {name: bob}]
---
plan: move
version: 3
kept: [{site: ams, host: dr1, probe: files.archive, on: dr1, every: 30m, with: {directory: /srv/plans}}]
---
service: shop
tier: 2
site: fra
host: web1
bia: {rto: 1h, rpo: 2h, mtpd: 1d, mbco: sells one thing, reviewed: 2026-01-01, scenarios: {ransomware: {rto: 8h, rpo: 1d}}}
depends_on: [{service: dns}, {service: names, kind: optional}]
data:
  files: {copies: {vault: {probe: restic.repository, on: dr1, every: 1h, site: ams, host: s3, medium: object, immutable: true}}}
paths:
  restore:
    covers: [site-loss, ransomware]
    at: ams
    from: [files/vault]
    needs:
      - {name: room, probe: host.disk, on: dr1, every: 5m, with: {path: /srv}}
      - {name: key, credential: files/vault, probe: restic.repository, on: dr1, every: 30m}
      - {plan: move}
      - {team: crew}
    tests:
      intact: {probe: restic.check, on: dr1, every: 7d}
      restored: {probe: restic.restore, on: dr1, every: 7d}
    steps:
      - {name: declare, who: crew, expect: 10m, before: true}
      - {name: switch, who: ada, expect: 5m}
    mbco: {probe: net.http, on: dr1, every: 1d}
  by-hand: {covers: [site-loss], at: ams, from: [files/vault], needs: [{plan: move}]}
  again: {covers: [site-loss], at: ams, from: [files/vault], needs: [{plan: move}], tests: {restored: {probe: restic.restore, on: dr1, every: 7d}}}
  no-plan: {covers: [site-loss], at: ams, from: [files/vault]}
---
service: dns
tier: 2
site: fra
host: ns1
bia: {rto: 1h, rpo: {none: rebuilt}, reviewed: 2026-01-01}
paths: {second: {covers: [site-loss], at: ams, needs: [{name: answers, probe: net.dns, on: ns2, every: 1m}]}}
---
service: names
tier: 4
site: fra
`

// world is a small estate whose agents do what a test tells. Drills are kept in a
// real store, and what they end in is judged by the real rules.
type world struct {
	t     *testing.T
	dir   string
	k     *holdfast.Catalogue
	model *score.Model
	now   func() time.Time
	stop  func()
	*drill.Manager

	mu      sync.Mutex
	facts   *score.Facts                    // guarded by mu
	latest  map[string]holdfast.Observation // guarded by mu
	agents  map[string]*holdfast.AgentState // guarded by mu
	runs    []*holdfast.Run                 // guarded by mu
	does    map[string]func(*holdfast.Run)  // guarded by mu: by check; nil: it passes after a second
	asked   []string                        // guarded by mu: checks, in order
	stopped []string                        // guarded by mu: checks
	records []holdfast.Record               // guarded by mu
	breaks  error                           // guarded by mu: of entering a record
	ears    map[chan struct{}]bool          // guarded by mu
	last    uint64                          // guarded by mu
	done    sync.WaitGroup                  // of runs
}

var start = time.Date(2026, 6, 20, 9, 0, 0, 0, time.UTC)

// try runs a test in a world of its own, in a bubble where waiting takes no time.
func try(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, err := catalog.Parse(map[string][]byte{"catalog.yaml": []byte(catalogue)}, catalog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w := &world{
			t: t, dir: t.TempDir(), k: k, model: score.NewModel(k), facts: score.NewFacts(), latest: map[string]holdfast.Observation{},
			agents: map[string]*holdfast.AgentState{}, does: map[string]func(*holdfast.Run){}, ears: map[chan struct{}]bool{},
			now: func() time.Time { return start.Add(time.Since(began)) },
		}
		enrolled := map[string]bool{}
		for c := range k.Checks {
			w.agents[c.On] = &holdfast.AgentState{Name: c.On, Connected: true}
			enrolled[c.On] = true
		}
		w.facts.Enrolled(enrolled)
		for c := range k.Checks {
			if !strings.HasSuffix(c.ID, "/mbco") {
				w.report(w.good(c.ID, start.Add(-time.Minute)))
			}
		}
		w.begin()
		defer func() {
			w.end()
			w.done.Wait()
		}()
		f(t, w)
	})
}

// begin starts a manager on the store, as a start of the collector does.
func (w *world) begin() {
	w.t.Helper()
	st, err := bolt.Open(w.dir, bolt.Options{Program: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.Manager, err = drill.New(ctx, drill.Config{Documents: st, Source: w, Runner: w, Enter: w.enter, Changed: w.publish, Log: slog.New(slog.DiscardHandler), Now: w.now})
	if err != nil {
		w.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run2(ctx) })
	w.stop = func() {
		cancel()
		running.Wait()
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// end stops the manager; the collector forgets its runs.
func (w *world) end() {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs = nil
}

// Run2 is the manager's Run: the world's own Run returns a run.
func (w *world) Run2(ctx context.Context) error { return w.Manager.Run(ctx) }

func (w *world) publish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ear := range w.ears {
		select {
		case ear <- struct{}{}:
		default:
		}
	}
}

func (w *world) Listen() (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ear := make(chan struct{}, 1)
	w.ears[ear] = true
	return ear, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.ears, ear)
	}
}

func (w *world) Catalogue() *holdfast.Catalogue { return w.k }

func (w *world) Posture(service string) (holdfast.Posture, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts.Advance(w.now())
	for _, p := range w.model.Judge(w.facts, w.now()) {
		if p.Name == service {
			return p, true
		}
	}
	return holdfast.Posture{}, false
}

func (w *world) Observation(check string) (holdfast.Observation, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.latest[check]
	return o, ok
}

func (w *world) Agents() (list []holdfast.AgentState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.agents)) {
		list = append(list, *w.agents[name])
	}
	return list
}

func (w *world) enter(_ context.Context, r holdfast.Record) (holdfast.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.breaks != nil {
		return r, w.breaks
	}
	for _, known := range w.records {
		if known.Drill == r.Drill {
			return known, nil
		}
	}
	r.Received = w.now()
	if err := r.Validate(); err != nil {
		return r, fmt.Errorf("%w record: %w", holdfast.ErrInvalid, err)
	}
	r.ID = strconv.Itoa(len(w.records) + 1)
	w.records = append(w.records, r)
	w.facts.Record(r)
	return r, nil
}

// good is what a check of the estate sees where all is well.
func (w *world) good(check string, at time.Time) holdfast.Observation {
	w.last++
	o := holdfast.Observation{At: at, Received: at, Check: check, Agent: w.k.Check(check).On, Seq: w.last, Outcome: holdfast.OK, Summary: "all is well"}
	switch {
	case check == "shop/files/vault" || check == "shop/restore/key":
		o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: start.Add(-time.Hour), Bytes: 1 << 30}}
	case strings.Contains(check, "/restored"):
		o.Restoration = &holdfast.Restoration{Started: at, Duration: holdfast.Duration(20 * time.Minute), Bytes: 1 << 30, Files: 9, Coverage: 1, Checks: 2, Point: start.Add(-time.Hour)}
	case strings.Contains(check, "/intact"):
		o.Verification = &holdfast.Verification{Time: at, Scope: 1}
	case check == "shop/restore/room":
		o.Capacity = &holdfast.Capacity{Free: 1 << 40}
	}
	return o
}

// report takes in what an agent saw.
func (w *world) report(o holdfast.Observation) {
	w.mu.Lock()
	w.facts.Observe(o)
	w.latest[o.Check] = o
	w.mu.Unlock()
	w.publish()
}

// RunCheck has an agent run a check, as the collector does.
func (w *world) RunCheck(_ context.Context, check, by string) (holdfast.Run, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.k.Check(check)
	if c == nil {
		return holdfast.Run{}, holdfast.ErrInvalid
	}
	for _, r := range w.runs {
		if r.Check == check && r.State.Live() {
			return *r, nil
		}
	}
	if !w.agents[c.On].Connected {
		return holdfast.Run{}, errors.New("agent " + c.On + " is not connected")
	}
	r := &holdfast.Run{ID: strconv.Itoa(len(w.runs) + 1), Check: check, Agent: c.On, By: by, State: holdfast.RunSent, Asked: w.now()}
	w.runs, w.asked = append(w.runs, r), append(w.asked, check)
	do := w.does[check]
	w.done.Go(func() {
		if do == nil {
			do = w.passes(time.Second)
		}
		do(r)
	})
	return *r, nil
}

func (w *world) Run(id string) (holdfast.Run, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		if r.ID == id {
			return *r, true
		}
	}
	return holdfast.Run{}, false
}

func (w *world) StopRun(id, by string) error {
	r, ok := w.Run(id)
	if !ok || !r.State.Live() {
		return holdfast.ErrInvalid
	}
	w.mu.Lock()
	w.stopped = append(w.stopped, r.Check)
	w.mu.Unlock()
	return nil
}

// tell changes a run, as word of its agent does.
func (w *world) tell(r *holdfast.Run, change func(*holdfast.Run)) {
	w.mu.Lock()
	change(r)
	w.mu.Unlock()
	w.publish()
}

// passes is an agent that sees all well after a while.
func (w *world) passes(after time.Duration) func(*holdfast.Run) {
	return w.sees(after, func(*holdfast.Observation) {})
}

// sees is an agent whose look takes a while and then says what change makes of it.
func (w *world) sees(after time.Duration, change func(*holdfast.Observation)) func(*holdfast.Run) {
	return func(r *holdfast.Run) {
		began := w.now()
		w.tell(r, func(r *holdfast.Run) { r.State, r.Started = holdfast.RunRunning, began })
		time.Sleep(after)
		w.mu.Lock()
		o := w.good(r.Check, began)
		w.mu.Unlock()
		if o.Received = w.now(); o.Restoration != nil {
			o.Restoration.Duration = holdfast.Duration(after)
		}
		change(&o)
		w.tell(r, func(r *holdfast.Run) {
			r.State, r.Ended, r.Outcome, r.Reason, r.Summary = holdfast.RunDone, w.now(), o.Outcome, o.Reason, o.Summary
			if o.Reason == holdfast.Refused {
				r.State = holdfast.RunRefused
			}
		})
		time.Sleep(50 * time.Millisecond) // the report follows the word
		w.report(o)
	}
}

var ops = holdfast.Who{Name: "ops", Role: holdfast.Operator}

// goes starts a drill of shop/restore.
func (w *world) goes() holdfast.Drill {
	w.t.Helper()
	d, err := w.Start(w.t.Context(), holdfast.DrillOrder{Service: "shop", Path: "restore"}, ops)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// says answers a step.
func (w *world) says(id, step string, a holdfast.DrillAnswer) {
	w.t.Helper()
	if _, err := w.Answer(w.t.Context(), id, step, a, ops); err != nil {
		w.t.Fatal(err)
	}
}

// after lets time pass until everything that can happen has.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// words is a drill as its steps stand: "1 declare asked".
func words(d holdfast.Drill) (list []string) {
	for _, x := range d.Steps {
		list = append(list, fmt.Sprintf("%d %s %s %s", x.Number, x.Kind, x.Name, x.State))
	}
	return list
}

func (w *world) is(id string) holdfast.Drill {
	w.t.Helper()
	d, ok := w.Drill(id)
	if !ok {
		w.t.Fatalf("no drill %s", id)
	}
	return d
}

func gaps(d holdfast.Drill) (list []string) {
	for _, g := range d.Gaps {
		list = append(list, fmt.Sprintf("%s %d %s", g.Kind, g.Step, g.Text))
	}
	return list
}

// pause is how long an agent takes.
func pause(d time.Duration) { time.Sleep(d) }
