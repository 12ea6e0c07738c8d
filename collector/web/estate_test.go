package web_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// estate is what the pages read in tests: the example catalogue, facts made here,
// judged by the real rules. Only agents, logins and history are kept by hand.
type estate struct {
	mu        sync.Mutex
	catalogue *holdfast.Catalogue
	model     *score.Model
	facts     *score.Facts
	latest    map[string]holdfast.Observation
	agents    []holdfast.AgentState
	sights    map[string][]holdfast.Sight // by agent; nil: as judged
	notices   []holdfast.Notice
	records   []holdfast.Record
	changes   []holdfast.StandingChange
	postures  []holdfast.Posture
	revision  uint64
	now       func() time.Time
	ears      map[chan struct{}]bool
	runs      []holdfast.Run                     // latest first
	past      map[string][]holdfast.Observation  // by check, newest first
	standings map[string][]holdfast.PastStanding // by service, newest first
	doors     doors
	desk      desk
	drills    []holdfast.Drill
	bookings  []holdfast.DrillBooking
	walks     walks
	found     holdfast.Discovery
	broken    error // of everything that reads or stores
}

// noon is when the judged estate of most tests stands.
var noon = time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)

// newEstate judges the example catalogue and a service without a BIA at now, with
// every check good, and then what the mutations say.
func newEstate(t testing.TB, now func() time.Time, mutate ...func(*holdfast.Observation)) *estate {
	t.Helper()
	files := map[string][]byte{"legacy.yaml": []byte("service: legacy\ntitle: Old phone book\nowner: nobody\ntier: 3\nsite: fra\n")}
	paths, err := filepath.Glob("../../deploy/catalog/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("example catalogue: %v, %d files", err, len(paths))
	}
	for _, p := range paths {
		if files[filepath.Base(p)], err = os.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	c, err := catalog.Parse(files, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := &estate{
		catalogue: c, model: score.NewModel(c), facts: score.NewFacts(), latest: map[string]holdfast.Observation{},
		now: now, ears: map[chan struct{}]bool{}, revision: 1, doors: newDoors(), desk: newDesk(now()), notices: []holdfast.Notice{}, records: []holdfast.Record{},
		bookings: []holdfast.DrillBooking{{ID: "0badcafe", DrillOrder: holdfast.DrillOrder{Service: "identity", Path: "failover"}, By: "dana", Made: now().Add(-time.Hour), At: now().AddDate(0, 0, 12), Every: 90 * holdfast.Day}},
	}
	e.drills, e.found = drillsOf(now()), foundAt(now())
	checks := map[string]int{}
	for k := range c.Checks {
		o := seen(k, now())
		for _, m := range mutate {
			m(&o)
		}
		checks[k.On]++
		if o.Outcome != "" {
			e.facts.Observe(o)
			e.latest[k.ID] = o
		}
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range checks {
			if !yield(n) {
				return
			}
		}
	}) {
		e.agents = append(e.agents, holdfast.AgentState{
			Name: name, Host: name, Site: "fra", Version: "0.1.0", Connected: true, LastHeard: now().Add(-3 * time.Second),
			Enrolled: now().AddDate(0, -2, 0), Certificate: now().Add(18 * time.Hour), Checks: checks[name],
		})
	}
	for _, x := range []struct{ service, path, plan, version string }{
		{"payments", "promote-standby", "site-loss-plan", "7"}, {"payments", "restore-in-ams", "site-loss-plan", "7"},
		{"identity", "failover", "site-loss-plan", "7"}, {"identity", "rebuild", "restore-plan", "2.10"},
		{"dns", "second-server", "site-loss-plan", "7"}, {"shop", "restore-in-ams", "restore-plan", "2.10"}, {"shop", "restore-from-nas", "restore-plan", "2.10"},
	} {
		site := c.Service(x.service).Path(x.path).At
		started := now().AddDate(0, 0, -10)
		e.facts.Record(holdfast.Record{
			Kind: holdfast.Exercise, At: started, Received: started.Add(time.Hour), Service: x.service, Path: x.path, Plan: x.plan, Version: x.version,
			Site: site, Outcome: holdfast.OK, Started: started, Duration: holdfast.Duration(9 * time.Minute), Point: started.Add(-2 * time.Minute), By: "dana", People: []string{"ada", "dana"},
		})
	}
	e.facts.Record(holdfast.Record{Kind: holdfast.Attestation, At: now().AddDate(0, -1, 0), Received: now().AddDate(0, -1, 0), Need: "payments/restore-in-ams/acquirer-contract", By: "head of payments"})
	e.judge()
	for i := range e.postures {
		p := &e.postures[i]
		e.changes = append(e.changes, holdfast.StandingChange{At: now().Add(-time.Duration(i+1) * 7 * time.Minute), Service: p.Name, To: p.State, Score: p.Score})
		if p.Cause != nil {
			e.changes[i].From, e.changes[i].Cause = holdfast.Proven, p.Cause.Reason
		}
	}
	return e
}

// seen is what a check of the example catalogue sees where all is well.
func seen(k *holdfast.Check, now time.Time) holdfast.Observation {
	yes := true
	at := now.Add(-20 * time.Second)
	o := holdfast.Observation{Check: k.ID, At: at, Received: at, Agent: k.On, Seq: 1, Outcome: holdfast.OK, Summary: "all is well", Raw: "ok\n"}
	switch k.Probe {
	case "restic.repository", "files.archive":
		for i := range 4 {
			o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: now.Add(-time.Duration(2+4*i) * time.Minute), ID: fmt.Sprintf("%08x", 0xbeef00+i), Bytes: 12 << 30, Files: 4211})
		}
		o.Fingerprint = map[string]string{"tool": "restic 0.16"}
		if strings.HasSuffix(k.ID, "/vault") || strings.HasSuffix(k.ID, "/offsite") {
			o.Immutable = &yes
		}
		if strings.HasSuffix(k.ID, "/offsite") {
			o.Encrypted = &yes
		}
	case "restic.check":
		o.Verification = &holdfast.Verification{Time: at, Scope: 1}
		o.Fingerprint = map[string]string{"tool": "restic 0.16"}
	case "restic.restore":
		o.Restoration = &holdfast.Restoration{Started: at.Add(-6 * time.Minute), Duration: holdfast.Duration(6 * time.Minute), Bytes: 12 << 30, Files: 4211, Coverage: 1, Checks: 3, Point: now.Add(-10 * time.Minute)}
		o.Fingerprint = map[string]string{"tool": "restic 0.16"}
	case "host.capacity":
		o.Capacity = &holdfast.Capacity{Free: 400 << 30}
	case "net.tls":
		o.Expiry = now.AddDate(0, 4, 0)
	case "postgres.replica", "ldap.replica":
		o.Replication = &holdfast.Replication{Lag: holdfast.Duration(4 * time.Second), PrimarySeen: true}
	}
	o.Measures = []holdfast.Measure{{Name: "duration", Value: 1.25, Unit: "seconds"}}
	return o
}

// troubled makes one of every state: a damaged copy, a stopped backup, a silent
// agent, proof that ran out.
func troubled(now time.Time) func(*holdfast.Observation) {
	return func(o *holdfast.Observation) {
		switch {
		case o.Check == "identity/directory/follower":
			o.Replication.Lag = holdfast.Duration(8 * time.Minute)
		case strings.HasPrefix(o.Check, "shop/catalogue/vault"):
			o.Outcome, o.Reason, o.Summary = holdfast.Failed, holdfast.Damaged, "3 of 1204 packs fail their checksum"
			o.Raw = "pack 5f1c… : checksum mismatch\npack 91aa… : checksum mismatch\nerror: repository contains errors\n"
		case strings.HasPrefix(o.Check, "wiki/pages"):
			*o = holdfast.Observation{Check: o.Check} // nobody looked
		case strings.HasPrefix(o.Check, "warehouse/restore/restored"):
			o.Restoration.Started = now.AddDate(0, 0, -200)
			o.At, o.Received = o.Restoration.Started, o.Restoration.Started
		}
	}
}

// judge judges everything at now and tells who listens.
func (e *estate) judge() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.facts.Advance(e.now())
	e.postures = e.model.Judge(e.facts, e.now())
	e.tell()
}

// tell is called with mu held.
func (e *estate) tell() {
	e.revision++
	for ear := range e.ears {
		select {
		case ear <- struct{}{}:
		default:
		}
	}
}

// observe takes in what a check sees now.
func (e *estate) observe(o holdfast.Observation) {
	e.mu.Lock()
	e.facts.Observe(o)
	e.latest[o.Check] = o
	e.mu.Unlock()
	e.judge()
}

func (e *estate) Sentence() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return score.CountEstate(e.postures).String()
}

func (e *estate) Standing() map[holdfast.State]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	counts := map[holdfast.State]int{}
	for i := range e.postures {
		counts[e.postures[i].State]++
	}
	return counts
}

func (e *estate) Postures() []holdfast.Posture {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.postures)
}

func (e *estate) Posture(name string) (holdfast.Posture, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.postures {
		if p.Name == name {
			return p, true
		}
	}
	return holdfast.Posture{}, false
}

func (e *estate) Catalogue() *holdfast.Catalogue { return e.catalogue }
func (e *estate) Notices() []holdfast.Notice     { return e.notices }
func (e *estate) Agents() []holdfast.AgentState  { return slices.Clone(e.agents) }
func (e *estate) Ready() bool                    { return true }
func (e *estate) Now() time.Time                 { return e.now() }

func (e *estate) Observation(check string) (holdfast.Observation, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, ok := e.latest[check]
	return o, ok
}

func (e *estate) Changes(_ context.Context, service string, limit int) ([]holdfast.StandingChange, error) {
	list := []holdfast.StandingChange{}
	for _, c := range e.changes {
		if (service == "" || c.Service == service) && len(list) < limit {
			list = append(list, c)
		}
	}
	return list, e.broken
}

func (e *estate) Records(_ context.Context, service string) ([]holdfast.Record, error) {
	list := []holdfast.Record{}
	for _, r := range e.records {
		if service == "" || r.Service == service {
			list = append(list, r)
		}
	}
	return list, e.broken
}

func (e *estate) Record(_ context.Context, r holdfast.Record) (holdfast.Record, error) {
	r.Received = e.now()
	if r.At.IsZero() {
		r.At = r.Received
	}
	if err := r.Validate(); err != nil {
		return r, fmt.Errorf("%w record: %w", holdfast.ErrInvalid, err)
	}
	r.ID = fmt.Sprintf("%06d", len(e.records)+1)
	e.records = append(e.records, r)
	return r, e.broken
}

func (e *estate) Revision() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.revision
}

func (e *estate) Listen() (<-chan struct{}, func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ear := make(chan struct{}, 1)
	e.ears[ear] = true
	return ear, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.ears, ear)
	}
}

func (e *estate) Metrics() prometheus.Gatherer { return prometheus.NewRegistry() }

// testLog writes what the server logs to the test's own log.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, nil))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Helper()
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}
