package alert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// world is a small estate: a catalogue, facts, agents; judged by the real rules,
// its alerts kept in a real store.
type world struct {
	t       *testing.T
	dir     string
	model   *score.Model
	facts   *score.Facts
	mu      sync.Mutex
	latest  map[string]holdfast.Observation // guarded by mu: by check, whatever they say
	agents  map[string]holdfast.AgentState
	routes  alert.Routes
	now     func() time.Time
	seq     uint64
	breaks  func() error // asked before every write; an error is the store's
	manager *alert.Manager
	stop    func()
}

// newWorld reads a catalogue. At is what time it is now; it goes on from there.
func newWorld(t *testing.T, catalogue string, at time.Time) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), facts: score.NewFacts(), latest: map[string]holdfast.Observation{}, agents: map[string]holdfast.AgentState{}}
	began := time.Now()
	w.now = func() time.Time { return at.Add(time.Since(began)) }
	w.setCatalogue(catalogue)
	return w
}

func (w *world) setCatalogue(text string) {
	w.t.Helper()
	c, err := catalog.Parse(map[string][]byte{"catalog.yaml": []byte(text)}, catalog.Options{Costs: score.Codes()})
	if err != nil {
		w.t.Fatalf("catalog.yaml: %v", err)
	}
	w.model = score.NewModel(c)
	for k := range c.Checks {
		if _, known := w.agents[k.On]; !known {
			w.agents[k.On] = holdfast.AgentState{Name: k.On, Host: k.On, Connected: true, Enrolled: w.now().Add(-time.Hour), LastHeard: w.now()}
		}
	}
	if w.manager != nil {
		w.manager.SetCatalogue(c)
	}
}

// see takes an observation in.
func (w *world) see(o holdfast.Observation) {
	if o.At.IsZero() {
		o.At = w.now()
	}
	if o.Received.IsZero() {
		o.Received = o.At
	}
	if w.seq++; o.Agent != "" && o.Seq == 0 {
		o.Seq = w.seq // of two results at one instant the later counts
	}
	w.facts.Observe(o)
	w.mu.Lock()
	defer w.mu.Unlock()
	if was, ok := w.latest[o.Check]; !ok || !o.Received.Before(was.Received) {
		w.latest[o.Check] = o
	}
}

// read takes facts in, as `holdfast judge` reads them.
func (w *world) read(facts string) {
	w.t.Helper()
	for line := range strings.Lines(facts) {
		var err error
		if strings.Contains(line, `"record":`) {
			var r holdfast.Record
			err = json.Unmarshal([]byte(line), &r)
			w.facts.Record(r)
		} else if strings.TrimSpace(line) != "" {
			var o holdfast.Observation
			err = json.Unmarshal([]byte(line), &o)
			w.see(o)
		}
		if err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
	}
}

// Read, Validity and Target make the world an alert.Source.
func (w *world) Read(f func(alert.Latest)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(func(check string) (holdfast.Observation, bool) {
		o, ok := w.latest[check]
		return o, ok
	})
}

func (w *world) Validity(check string) holdfast.Duration { return w.model.Validity(check) }

func (w *world) Target(k *holdfast.Check) string {
	d := holdfast.Description{Name: k.Probe, Target: []string{"repository"}}
	return d.TargetOf(k.With)
}

// documents is the world's store, which may refuse writes.
type documents struct {
	*bolt.Store
	w *world
}

func (d documents) PutDocuments(ctx context.Context, put []store.Document, remove ...store.DocumentKey) error {
	if d.w.breaks != nil {
		if err := d.w.breaks(); err != nil {
			return err
		}
	}
	return d.Store.PutDocuments(ctx, put, remove...)
}

// start opens the store and runs a manager on it, as a collector's start does.
func (w *world) start() {
	w.t.Helper()
	st, err := bolt.Open(w.dir, bolt.Options{Program: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	m, err := alert.New(ctx, alert.Config{
		Documents: documents{st, w}, Source: w, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
		Now: w.now, URL: func() string { return "http://127.0.0.1:8480" }, CertificateLife: 24 * time.Hour,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.manager = m
	m.SetRoutes(w.routes)
	for _, a := range w.agents {
		m.Agents(a)
	}
	m.SetCatalogue(w.model.Catalogue())
	var done sync.WaitGroup
	done.Go(func() {
		if err := m.Run(ctx); err != nil && w.breaks == nil {
			w.t.Errorf("run: %v", err)
		}
	})
	w.stop = func() {
		cancel()
		done.Wait()
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
		w.manager = nil
	}
}

// judge judges every service now and tells the manager.
func (w *world) judge() {
	w.manager.Judged(w.model.Judge(w.facts, w.now()), false)
}

// hush makes an agent silent since an instant; wakes makes it report again.
func (w *world) hush(agent string, since time.Time) {
	a := w.agents[agent]
	a.Connected, a.SilentSince = false, since
	w.agents[agent] = a
	if w.manager != nil {
		w.manager.Agents(a)
	}
}

func (w *world) wakes(agent string) {
	a := w.agents[agent]
	a.Connected, a.SilentSince, a.LastHeard = true, time.Time{}, w.now()
	w.agents[agent] = a
	w.manager.Agents(a)
}

// open returns the alerts that have not ended.
func (w *world) open() []holdfast.Alert {
	return slices.DeleteFunc(w.manager.Alerts(), func(a holdfast.Alert) bool { return a.Status == holdfast.AlertResolved })
}

// render writes alerts as the golden cases have them.
func render(list []holdfast.Alert) string {
	var b bytes.Buffer
	list = slices.Clone(list)
	slices.SortFunc(list, func(x, y holdfast.Alert) int {
		return strings.Compare(string(x.Kind)+x.Cause, string(y.Kind)+y.Cause)
	})
	for _, a := range list {
		fmt.Fprintf(&b, "%s %s: %s\n", a.Severity, a.Kind, a.Cause)
		for _, l := range [][2]string{
			{"what", a.What}, {"effect", a.Effect}, {"next", a.Next}, {"since", a.Since.Format(time.RFC3339)},
			{"link", a.Link}, {"owners", strings.Join(a.Owners, ", ")}, {"quiet", a.Quiet},
		} {
			if l[1] != "" {
				fmt.Fprintf(&b, "  %s: %s\n", l[0], l[1])
			}
		}
		for _, p := range a.Paths {
			fmt.Fprintf(&b, "  path: %s/%s %s\n", p.Service, p.Path, p.State)
		}
	}
	return b.String()
}
