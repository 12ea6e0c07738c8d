package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/prometheus/client_golang/prometheus"
)

// brittle is a real store that refuses batches when told to.
type brittle struct {
	store.Store
	refuse  error
	commits int
	before  func() // called before each commit
}

func (b *brittle) Commit(ctx context.Context, batch store.Batch) error {
	b.commits++
	if b.before != nil {
		b.before()
	}
	if b.refuse != nil {
		return b.refuse
	}
	return b.Store.Commit(ctx, batch)
}

// intakeWorld is an intake on a real store, without sessions.
type intakeWorld struct {
	t     testing.TB
	dir   string
	store *brittle
	in    *intake
	now   time.Time
	order map[string]uint64 // agent → the last result's
}

func newIntakeWorld(t testing.TB, dir string) *intakeWorld {
	w := &intakeWorld{t: t, dir: dir, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), order: map[string]uint64{}}
	w.open()
	return w
}

// open opens the store and remembers what is in it, as a collector that starts.
func (w *intakeWorld) open() {
	w.t.Helper()
	st, err := bolt.Open(w.dir, bolt.Options{Program: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = &brittle{Store: st}
	log := slog.New(slog.DiscardHandler)
	w.in = newIntake(log, w.store, newEstate(log, func() time.Time { return w.now }), newCounters(prometheus.NewRegistry()))
	c := &Collector{store: w.store, estate: w.in.estate, intake: w.in}
	if err := c.recallObservations(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *intakeWorld) close() {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// restart closes the store and opens it again.
func (w *intakeWorld) restart() {
	w.t.Helper()
	w.close()
	w.open()
}

// said is one result, by the check's place in the assignment.
type said struct {
	check   int
	outcome holdfast.Outcome
	free    holdfast.Bytes // above 0: with a capacity
}

// report makes a report of the agent. The same answer gets what becomes of it.
func (w *intakeWorld) report(agent string, epoch, seq uint64, assigned *holdfast.Assignment, results []said, answer func(error)) *ingest.Report {
	w.t.Helper()
	r := wire.Report{Seq: seq, Sent: w.now.UnixNano()}
	for _, s := range results {
		w.order[agent]++
		r.Results = append(r.Results, w.result(s, w.order[agent]))
	}
	return ingest.NewReport(r, agent, epoch, w.now, assigned, answer)
}

func (w *intakeWorld) result(s said, order uint64) wire.Result {
	o := holdfast.Observation{Outcome: s.outcome, Summary: string(s.outcome), At: w.now}
	if s.outcome != holdfast.OK {
		o.Reason = holdfast.Timeout
	}
	if s.free > 0 {
		o.Capacity = &holdfast.Capacity{Needed: 1, Free: s.free}
	}
	m, err := wire.FromResult(&o)
	if err != nil {
		w.t.Fatal(err)
	}
	return wire.Result{Check: s.check, Order: order, At: w.now.UnixNano(), Digest: m.GetDigest(), Counts: m.GetCounts(), Body: m.GetBody()}
}

// take has reports taken as one group, and returns what they were answered.
func (w *intakeWorld) take(agent string, epoch uint64, assigned *holdfast.Assignment, seqs []uint64, results ...said) []error {
	w.t.Helper()
	w.now = w.now.Add(time.Minute)
	var group []*ingest.Report
	var answers []error
	for _, seq := range seqs {
		group = append(group, w.report(agent, epoch, seq, assigned, results, func(err error) { answers = append(answers, err) }))
	}
	w.in.take(w.t.Context(), group)
	if len(answers) != len(seqs) {
		w.t.Fatalf("%d of %d reports were answered", len(answers), len(seqs))
	}
	return answers
}

// observed returns the outcomes of a check's history for people, oldest first.
func (w *intakeWorld) observed(check string) (list []holdfast.Outcome) {
	w.t.Helper()
	for o, err := range w.store.Observed(w.t.Context(), check, store.Window{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		var seen holdfast.Observation
		if err := json.Unmarshal(o.Value, &seen); err != nil {
			w.t.Fatal(err)
		}
		list = append([]holdfast.Outcome{seen.Outcome}, list...)
	}
	return list
}

func (w *intakeWorld) wantObserved(check string, want ...holdfast.Outcome) {
	w.t.Helper()
	if got := w.observed(check); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("history of %s: got %v, want %v", check, got, want)
	}
}

func assignment(version string, checks ...string) *holdfast.Assignment {
	a := &holdfast.Assignment{Version: version}
	for _, c := range checks {
		a.Checks = append(a.Checks, holdfast.Check{ID: c})
	}
	return a
}

var (
	ok     = said{outcome: holdfast.OK}
	failed = said{outcome: holdfast.Failed}
	unsure = said{outcome: holdfast.OutcomeUnknown}
)

// A report that the store does not take is not acknowledged, and is neither lost
// nor counted twice when it comes again.
func TestStoreRefuses(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	a := assignment("v1", "s/p/a")
	w.take("db1", 1, a, []uint64{1}, ok)
	for _, refusal := range []error{store.ErrFull, store.ErrUncertain} {
		w.store.refuse = fmt.Errorf("commit: %w", refusal)
		order := w.order["db1"]
		for range 2 {
			w.order["db1"] = order // the same report
			if got := w.take("db1", 1, a, []uint64{2}, failed); !errors.Is(got[0], refusal) {
				t.Fatalf("refused with %v, want %v", got[0], refusal)
			}
			if p := w.in.progress("db1"); p.Through != 1 {
				t.Fatalf("progress %+v, though the second report is not durable", p)
			}
		}
		w.order["db1"] = order
	}
	w.store.refuse = nil
	if got := w.take("db1", 1, a, []uint64{2}, failed); got[0] != nil {
		t.Fatalf("got %v, want no error", got[0])
	}
	w.wantObserved("s/p/a", holdfast.OK, holdfast.Failed)
	w.restart()
	if p := w.in.progress("db1"); p.Through != 2 || p.Epoch != 1 {
		t.Errorf("progress after a restart %+v, want epoch 1 through 2", p)
	}
	if o, known := w.in.latest("s/p/a", "db1"); !known || o.Outcome != holdfast.Failed {
		t.Errorf("latest after a restart: %v %v, want failed", o.Outcome, known)
	}
	if n := len(w.in.estate.facts.History("s/p/a")); n != 2 {
		t.Errorf("%d observations known after a restart, want 2", n)
	}
	w.wantObserved("s/p/a", holdfast.OK, holdfast.Failed)
}

// What the store refused goes to it with the next group, whoever's that is: whole,
// so that it counts once when its agent sends it again.
func TestRefusedThenAnother(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	w.store.refuse = store.ErrFull
	w.take("db1", 1, assignment("v1", "s/p/a"), []uint64{1}, failed)
	w.store.refuse = nil
	w.take("db2", 1, assignment("v1", "s/p/b"), []uint64{1}, ok)
	w.restart()
	for _, agent := range []string{"db1", "db2"} {
		if p := w.in.progress(agent); p.Through != 1 {
			t.Errorf("progress of %s %+v, want through 1", agent, p)
		}
	}
	w.order["db1"] = 0
	if got := w.take("db1", 1, assignment("v1", "s/p/a"), []uint64{1}, failed); got[0] != nil {
		t.Errorf("sent again, it was answered %v", got[0])
	}
	w.wantObserved("s/p/a", holdfast.Failed)
}

// Nobody is answered before the commit, and a report that came twice is answered
// like its twin.
func TestTwiceInOneGroup(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	a := assignment("v1", "s/p/a")
	answered := 0
	w.store.before = func() {
		if answered > 0 {
			t.Errorf("%d reports answered before the commit", answered)
		}
	}
	one := func(results ...said) *ingest.Report {
		w.order["db1"] = 0
		return w.report("db1", 1, 1, a, results, func(err error) {
			answered++
			if !errors.Is(err, w.store.refuse) {
				t.Errorf("answered %v, want %v", err, w.store.refuse)
			}
		})
	}
	w.store.refuse = store.ErrFull
	w.in.take(t.Context(), []*ingest.Report{one(failed), one(failed)})
	if answered != 2 {
		t.Fatalf("%d answers, want 2", answered)
	}
	w.store.refuse, answered = nil, 0
	w.in.take(t.Context(), []*ingest.Report{one(failed), one(failed)})
	if answered != 2 {
		t.Fatalf("%d answers, want 2", answered)
	}
	w.wantObserved("s/p/a", holdfast.Failed)
	w.store.before, answered = nil, 0
	before := w.store.commits
	w.in.take(t.Context(), []*ingest.Report{one(failed)})
	if answered != 1 || w.store.commits != before {
		t.Errorf("a durable report again: %d answers, %d commits; want 1 and none", answered, w.store.commits-before)
	}
	w.wantObserved("s/p/a", holdfast.Failed)
}

// A new epoch begins its numbers anew; what comes of the old one is passed over.
func TestNewEpoch(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	a := assignment("v1", "s/p/a")
	for seq := uint64(1); seq <= 5; seq++ {
		w.take("db1", 7, a, []uint64{seq}, ok)
	}
	w.take("db1", 9, a, []uint64{1}, failed)
	if got := w.take("db1", 7, a, []uint64{6}, ok); got[0] != nil {
		t.Errorf("a report of an old epoch was answered %v, want none: it is of no interest any more", got[0])
	}
	w.restart()
	if p := w.in.progress("db1"); p.Epoch != 9 || p.Through != 1 {
		t.Errorf("progress %+v, want epoch 9 through 1", p)
	}
	w.wantObserved("s/p/a", holdfast.OK, holdfast.Failed)
	if o, _ := w.in.latest("s/p/a", "db1"); o.Outcome != holdfast.Failed {
		t.Errorf("latest %v, want failed", o.Outcome)
	}
}

// A check that moves is known as its old agent saw it until the new one has.
func TestCheckMoves(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	w.take("db1", 1, assignment("v1", "s/p/a", "s/p/b"), []uint64{1}, ok, said{check: 1, outcome: holdfast.Failed})
	if o, _ := w.in.latest("s/p/b", "db2"); o.Agent != "db1" || o.Outcome != holdfast.Failed {
		t.Errorf("before db2 reports: %v of %q, want failed of db1", o.Outcome, o.Agent)
	}
	w.take("db2", 1, assignment("w1", "s/p/b"), []uint64{1}, ok)
	for range 2 {
		if o, _ := w.in.latest("s/p/b", "db2"); o.Agent != "db2" || o.Outcome != holdfast.OK {
			t.Errorf("after db2 reports: %v of %q, want ok of db2", o.Outcome, o.Agent)
		}
		if o, known := w.in.estate.facts.Latest("s/p/b"); !known || o.Agent != "db2" {
			t.Errorf("facts know %q as the last to see it, want db2", o.Agent)
		}
		w.restart()
	}
	// And back: the old agent's body is the one it had, and still is news.
	w.order["db1"] = 10
	w.take("db1", 1, assignment("v1", "s/p/a", "s/p/b"), []uint64{2}, ok, said{check: 1, outcome: holdfast.Failed})
	if o, _ := w.in.estate.facts.Latest("s/p/b"); o.Agent != "db1" || o.Outcome != holdfast.Failed {
		t.Errorf("moved back: %v of %q, want failed of db1", o.Outcome, o.Agent)
	}
}

// Numbers of a new assignment lead to the right checks, and what was known of
// those that stayed stays.
func TestAssignmentChanges(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	w.take("db1", 1, assignment("v1", "s/p/a", "s/p/b"), []uint64{1}, ok, said{check: 1, outcome: holdfast.Failed})
	w.take("db1", 1, assignment("v2", "s/p/b", "s/p/c"), []uint64{2}, failed, said{check: 1, outcome: holdfast.OutcomeDegraded})
	for range 2 {
		for check, want := range map[string]holdfast.Outcome{"s/p/a": holdfast.OK, "s/p/b": holdfast.Failed, "s/p/c": holdfast.OutcomeDegraded} {
			if o, _ := w.in.latest(check, "db1"); o.Outcome != want || o.Check != check {
				t.Errorf("%s is %q %v, want %v", check, o.Check, o.Outcome, want)
			}
		}
		w.restart()
	}
	w.wantObserved("s/p/b", holdfast.Failed)
}

// A result without a body that is not known is asked for, and nothing of its
// report is applied.
func TestUnknownBody(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	var got error
	r := w.report("db1", 1, 1, assignment("v1", "s/p/a", "s/p/b"), []said{ok, {check: 1, outcome: holdfast.OK}}, func(err error) { got = err })
	r.Results[1].Body = nil
	w.in.take(t.Context(), []*ingest.Report{r})
	if !errors.Is(got, ingest.ErrResend) {
		t.Errorf("answered %v, want %v", got, ingest.ErrResend)
	}
	if _, known := w.in.latest("s/p/a", "db1"); known || w.store.commits > 0 {
		t.Error("part of a report was applied")
	}
}

// Whoever cannot tell again and again does not renew what was seen before.
func TestUnsureRenewsNothing(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	a := assignment("v1", "s/p/a")
	w.take("db1", 1, a, []uint64{1}, ok)
	seen := w.now
	for seq := uint64(2); seq < 6; seq++ {
		w.take("db1", 1, a, []uint64{seq}, unsure)
	}
	if got := w.in.estate.facts.Heard("s/p/a"); !got.Equal(seen) {
		t.Errorf("last seen at %v, want %v: since then the check could not tell", got, seen)
	}
	w.restart()
	if got := w.in.estate.facts.Heard("s/p/a"); !got.Equal(seen) {
		t.Errorf("last seen at %v after a restart, want %v", got, seen)
	}
}

// An unchanged result allocates nothing.
func TestUnchangedAllocatesNothing(t *testing.T) {
	w := newIntakeWorld(t, t.TempDir())
	defer func() { w.close() }()
	var checks []string
	var results []said
	for i := range 50 {
		checks, results = append(checks, fmt.Sprintf("s/p/c%02d", i)), append(results, said{check: i, outcome: holdfast.OK})
	}
	a := assignment("v1", checks...)
	w.take("db1", 1, a, []uint64{1}, results...)
	r := w.report("db1", 1, 2, a, results, nil)
	ro := w.in.rosters["db1"]
	got := testing.AllocsPerRun(100, func() {
		w.now = w.now.Add(time.Minute)
		w.in.estate.facts.Advance(w.now)
		r.Received = w.now
		for i := range r.Results {
			r.Results[i].Order += 50
			r.Results[i].At = w.now.UnixNano()
		}
		news, err := w.in.read(ro, r)
		if err != nil || len(news) > 0 {
			t.Fatalf("%d results are news (%v), want none", len(news), err)
		}
		w.in.apply(ro, r, news)
	})
	if got > 0 {
		t.Errorf("%v allocations for 50 unchanged results, want none", got)
	}
	if got := w.in.estate.facts.Heard("s/p/c49"); !got.Equal(w.now) {
		t.Errorf("last seen at %v, want %v", got, w.now)
	}
}

// sent is a report of the model.
type sent struct {
	seq     uint64
	order   uint64
	at      time.Time
	results []said
	acked   bool
}

func (s *sent) String() string { return fmt.Sprintf("%d %v", s.seq, s.results) }

// Whatever reports come, in whatever order, refused, twice, across restarts: what
// was acknowledged is settled, what is known of a check is its newest result, and
// no result is counted twice.
func TestIntakeAgainstModel(t *testing.T) {
	checks := []string{"s/p/a", "s/p/b", "s/p/c"}
	a := assignment("v1", checks...)
	rapid.Check(t, func(rt *rapid.T) {
		w := newIntakeWorld(t, t.TempDir())
		defer func() { w.close() }()
		var all []*sent
		send := func(refuse error, which ...*sent) {
			w.now = w.now.Add(time.Second)
			w.store.refuse = refuse
			rt.Logf("sent %v, refused: %v", which, refuse)
			var group []*ingest.Report
			for _, s := range which {
				r := wire.Report{Seq: s.seq, Sent: s.at.UnixNano()}
				for i, one := range s.results {
					res := w.result(one, s.order+uint64(i)+1)
					res.At = s.at.UnixNano()
					r.Results = append(r.Results, res)
				}
				group = append(group, ingest.NewReport(r, "db1", 1, w.now, a, func(err error) { s.acked = s.acked || err == nil }))
			}
			w.in.take(t.Context(), group)
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				rt.Logf("restarted")
				w.restart()
			case 1, 2, 3, 4:
				w.now = w.now.Add(time.Minute)
				s := &sent{seq: uint64(len(all)) + 1, order: w.order["db1"], at: w.now}
				for i := range checks {
					one := said{check: i, outcome: rapid.SampledFrom(holdfast.Outcomes).Draw(rt, "outcome")}
					if i == 0 && one.outcome != holdfast.OutcomeUnknown {
						one.free = holdfast.Bytes(rapid.IntRange(1, 3).Draw(rt, "free"))
					}
					s.results = append(s.results, one)
				}
				w.order["db1"] += uint64(len(checks))
				all = append(all, s)
			default:
				if len(all) > 0 {
					which := rapid.SliceOfN(rapid.SampledFrom(all), 1, 4).Draw(rt, "reports")
					send(rapid.SampledFrom([]error{nil, nil, store.ErrFull}).Draw(rt, "refuse"), which...)
				}
			}
			p := w.in.progress("db1")
			for _, s := range all {
				if s.acked && !p.Has(1, s.seq) {
					rt.Fatalf("report %d was acknowledged and is not settled: %+v", s.seq, p)
				}
			}
		}
		for len(all) > 0 && slices.ContainsFunc(all, func(s *sent) bool { return !s.acked }) {
			send(nil, all...)
		}
		for range 2 {
			w.compare(rt, checks, all)
			w.restart()
		}
	})
}

// compare compares what is known with all that was sent, when all of it was
// acknowledged.
func (w *intakeWorld) compare(rt *rapid.T, checks []string, all []*sent) {
	for i, check := range checks {
		var newest *said // conclusive
		for _, s := range all {
			if s.results[i].outcome != holdfast.OutcomeUnknown {
				newest = &s.results[i]
			}
		}
		got, known := w.in.estate.facts.Latest(check)
		if known != (newest != nil) {
			rt.Fatalf("%s: known %t, want %t", check, known, newest != nil)
		}
		if known && (got.Outcome != newest.outcome || newest.free > 0 && got.Capacity.Free != newest.free) {
			rt.Fatalf("%s: facts say %v %+v, want %+v", check, got.Outcome, got.Capacity, *newest)
		}
		if o, _ := w.in.latest(check, "db1"); len(all) > 0 && (o.Outcome != all[len(all)-1].results[i].outcome || !o.At.Equal(all[len(all)-1].at)) {
			rt.Fatalf("%s: the latest is %v of %v, want %+v of %v", check, o.Outcome, o.At, all[len(all)-1].results[i], all[len(all)-1].at)
		}
		counted := map[uint64]bool{}
		for o, err := range w.store.Observed(w.t.Context(), check, store.Window{}) {
			var seen holdfast.Observation
			if err := errors.Join(err, json.Unmarshal(o.Value, &seen)); err != nil {
				rt.Fatal(err)
			}
			if counted[seen.Seq] {
				rt.Fatalf("%s: result %d was counted twice", check, seen.Seq)
			}
			counted[seen.Seq] = true
		}
	}
}
