package agent_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
)

// clock is a wall clock and a time since boot that a test sets.
type clock struct {
	wall    time.Time
	elapsed time.Duration
}

func newClock() *clock { return &clock{wall: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) pass(d time.Duration) { c.wall = c.wall.Add(d); c.elapsed += d }

func (c *clock) options() agent.OutboxOptions {
	return agent.OutboxOptions{Bytes: 1 << 20, Age: 7 * holdfast.Day,
		Now: func() time.Time { return c.wall }, Elapsed: func() time.Duration { return c.elapsed }}
}

// logged is a log whose text a test reads.
type logged struct{ strings.Builder }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func openOutbox(t *testing.T, path string, options agent.OutboxOptions, log *logged) *agent.Outbox {
	t.Helper()
	o, err := agent.OpenOutbox(path, options, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func result(id string, at time.Time, outcome holdfast.Outcome) agent.Result {
	return agent.Result{
		Check: holdfast.Check{ID: id, Probe: "host.disk", Every: holdfast.Duration(time.Minute)},
		Observation: holdfast.Observation{At: at, Check: id, Outcome: outcome, Summary: strings.Repeat("x", 4000),
			Measures: []holdfast.Measure{{Name: "free", Value: float64(at.Unix()), Unit: "bytes"}}},
	}
}

// all returns every waiting report, oldest first.
func all(t *testing.T, s agent.Spool) []holdfast.Report {
	t.Helper()
	var reports []holdfast.Report
	for after := uint64(0); ; {
		r, ok, err := s.Next(after)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return reports
		}
		reports = append(reports, r)
		after = r.Seq
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func seqs(reports []holdfast.Report) (s []uint64) {
	for _, r := range reports {
		s = append(s, r.Seq)
	}
	return s
}

func appendAll(t *testing.T, o *agent.Outbox, results ...agent.Result) {
	t.Helper()
	if err := o.Append(results); err != nil {
		t.Fatal(err)
	}
}

func TestOutboxKeepsReportsOverARestart(t *testing.T) {
	c, log, path := newClock(), &logged{}, filepath.Join(t.TempDir(), "spool.db")
	o := openOutbox(t, path, c.options(), log)
	appendAll(t, o, result("a", c.wall, holdfast.OK), result("b", c.wall, holdfast.Failed))
	c.pass(time.Minute)
	appendAll(t, o, result("a", c.wall, holdfast.OK))
	c.pass(time.Minute)
	appendAll(t, o, result("a", c.wall, holdfast.Failed))
	epoch := uint64(c.wall.Add(-2 * time.Minute).Unix())
	if diff := cmp.Diff(o.State(), agent.SpoolState{Epoch: epoch, First: 1, Last: 3, Waiting: 3}); diff != "" {
		t.Errorf("state (-got +want):\n%s", diff)
	}
	before := all(t, o)
	if got, want := before[0].Observations[0].Seq, epoch<<32; got != want {
		t.Errorf("the first observation has Seq %d, want %d", got, want)
	}
	if err := o.Drop(2, 77); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}

	o = openOutbox(t, path, c.options(), log)
	if diff := cmp.Diff(all(t, o), []holdfast.Report{before[0], before[2]}); diff != "" {
		t.Errorf("after a restart (-got +want):\n%s", diff)
	}
	select {
	case <-o.Appended():
	default:
		t.Error("nothing says that reports wait from before the restart")
	}
	appendAll(t, o, result("a", c.wall, holdfast.Failed))
	last, ok, err := o.Previous(1 << 40)
	if err != nil || !ok || last.Seq != 4 || last.Epoch != epoch || last.Observations[0].Seq != epoch<<32+4 {
		t.Errorf("newest report is %+v (%v, %v), want seq 4 of the same epoch, observation %d", last, ok, err, epoch<<32+4)
	}
	if got, ok, err := o.Previous(3); err != nil || !ok || got.Seq != 1 {
		t.Errorf("before 3: report %d (%v, %v), want 1", got.Seq, ok, err)
	}
	if log.String() != "" {
		t.Errorf("log has %s, want nothing", log)
	}
}

func TestOutboxTellsNewsFromNone(t *testing.T) {
	c, log := newClock(), &logged{}
	o := openOutbox(t, filepath.Join(t.TempDir(), "spool.db"), c.options(), log)
	first := result("a", c.wall, holdfast.OK)
	if !o.Says(first) {
		t.Error("the first result of a check says nothing, want something")
	}
	appendAll(t, o, first)
	c.pass(time.Minute)
	if o.Says(result("a", c.wall, holdfast.OK)) {
		t.Error("other times and numbers say something, want nothing")
	}
	point := result("a", c.wall, holdfast.OK)
	point.Observation.RecoveryPoints = []holdfast.RecoveryPoint{{Time: c.wall}}
	restored := result("a", c.wall, holdfast.OK)
	restored.Observation.Restoration = &holdfast.Restoration{Started: c.wall, Coverage: 1}
	for _, r := range []agent.Result{result("a", c.wall, holdfast.Failed), result("b", c.wall, holdfast.OK), point, restored} {
		if !o.Says(r) {
			t.Errorf("%+v says nothing new, want something", r.Observation)
		}
	}
}

func TestOutboxGivesUpUnchangedResultsFirst(t *testing.T) {
	t.Parallel()
	c, log := newClock(), &logged{}
	o := openOutbox(t, filepath.Join(t.TempDir(), "spool.db"), c.options(), log)
	outcome := map[bool]holdfast.Outcome{true: holdfast.Failed, false: holdfast.OK}
	var changes []time.Time
	const n = 500 // far more than 1 MiB holds
	for i := range n {
		c.pass(time.Minute)
		appendAll(t, o, result("a", c.wall, outcome[i/25%2 == 1]), result("b", c.wall, holdfast.OK))
		if i%25 == 0 {
			changes = append(changes, c.wall)
		}
	}
	held := map[string][]time.Time{}
	for _, r := range all(t, o) {
		for _, obs := range r.Observations {
			held[obs.Check] = append(held[obs.Check], obs.At)
		}
	}
	for _, at := range changes {
		if !slices.Contains(held["a"], at) {
			t.Errorf("the change at %s was given up, want every change kept", at)
		}
	}
	if got := held["b"][len(held["b"])-1]; got != c.wall {
		t.Errorf("newest result of b is of %s, want %s", got, c.wall)
	}
	total := len(held["a"]) + len(held["b"])
	if total < 180 || total > 260 {
		t.Errorf("%d results kept, want what 1 MiB holds", total)
	}
	if got, want := o.State().Dropped, uint64(2*n-total); got != want {
		t.Errorf("%d results counted as given up, want %d", got, want)
	}
	if !strings.Contains(log.String(), "results given up that the collector never had") {
		t.Errorf("log says %q, want that results were given up", log)
	}
}

func TestOutboxGivesUpOldestChangesWhenItMust(t *testing.T) {
	t.Parallel()
	c, log := newClock(), &logged{}
	o := openOutbox(t, filepath.Join(t.TempDir(), "spool.db"), c.options(), log)
	outcome := map[bool]holdfast.Outcome{true: holdfast.Failed, false: holdfast.OK}
	for i := range 500 {
		c.pass(time.Minute)
		appendAll(t, o, result("a", c.wall, outcome[i%2 == 1]))
	}
	reports := all(t, o)
	if n := len(reports); n < 180 || n > 260 {
		t.Errorf("%d reports kept, want what 1 MiB holds", n)
	}
	for i, r := range reports {
		if got, want := r.Seq, uint64(500-len(reports)+i+1); got != want {
			t.Fatalf("report %d has seq %d, want %d: the oldest go", i, got, want)
		}
	}
}

func TestOutboxGivesUpOldUnchangedResults(t *testing.T) {
	c, log, path := newClock(), &logged{}, filepath.Join(t.TempDir(), "spool.db")
	o := openOutbox(t, path, c.options(), log)
	appendAll(t, o, result("a", c.wall, holdfast.OK)) // a change: stays
	for range 24 * 10 {
		c.pass(time.Hour)
		appendAll(t, o, result("a", c.wall, holdfast.OK))
	}
	if n := len(all(t, o)); n < 24*7 || n > 24*8 {
		t.Errorf("%d hourly results kept, want those of a week", n)
	}
	// A clock that is set years ahead ages nothing.
	c.wall = c.wall.AddDate(10, 0, 0)
	before := len(all(t, o))
	appendAll(t, o, result("a", c.wall, holdfast.OK))
	if got, want := len(all(t, o)), before+1; got != want {
		t.Errorf("%d results kept after the clock was set, want %d", got, want)
	}
}

func TestOutboxRenewsItsEpoch(t *testing.T) {
	c, log, path := newClock(), &logged{}, filepath.Join(t.TempDir(), "spool.db")
	o := openOutbox(t, path, c.options(), log)
	appendAll(t, o, result("a", c.wall, holdfast.OK))
	floor := uint64(c.wall.AddDate(3, 0, 0).Unix()) // the clock was ahead once
	if err := o.Renew(floor); err != nil {
		t.Fatal(err)
	}
	appendAll(t, o, result("a", c.wall, holdfast.OK))
	o.Close()
	o = openOutbox(t, path, c.options(), log)
	for _, r := range all(t, o) {
		if r.Epoch != floor+1 {
			t.Errorf("report %d has epoch %d, want %d", r.Seq, r.Epoch, floor+1)
		}
	}
	if got, want := all(t, o)[1].Observations[0].Seq, (floor+1)<<32; got != want {
		t.Errorf("first observation of the epoch has Seq %d, want %d", got, want)
	}
}

func TestOutboxSaysWhenAChecksRan(t *testing.T) {
	c, log, path := newClock(), &logged{}, filepath.Join(t.TempDir(), "spool.db")
	o := openOutbox(t, path, c.options(), log)
	a, b := result("a", c.wall, holdfast.OK), result("b", c.wall, holdfast.OK)
	appendAll(t, o, a, b)
	o.Close()
	c.pass(time.Hour)
	o = openOutbox(t, path, c.options(), log)
	changed := b.Check
	changed.With = `{"path":"/"}`
	got := o.Ages([]holdfast.Check{a.Check, changed, {ID: "never"}})
	if diff := cmp.Diff(got, map[string]time.Duration{"a": time.Hour}); diff != "" {
		t.Errorf("ages (-got +want):\n%s", diff)
	}
}

// TestOutboxDamaged damages the file in many ways. What is read afterwards is
// what was written, and anything missing is said so.
func TestOutboxDamaged(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	o := openOutbox(t, whole, c.options(), &logged{})
	for range 30 {
		c.pass(time.Minute)
		appendAll(t, o, result("a", c.wall, holdfast.OK), result("b", c.wall, holdfast.Failed))
	}
	want := map[uint64]string{}
	for _, r := range all(t, o) {
		want[r.Seq] = text(t, r.Observations)
	}
	o.Close()
	file, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	var named, aside, rolledBack int
	for i := range 60 {
		damaged := slices.Clone(file)
		at := random.IntN(len(damaged))
		switch i % 4 {
		case 0, 1:
			damaged[at] ^= 1 << random.IntN(8)
		case 2:
			page := at / 4096 * 4096
			if i < 8 {
				page = i / 4 * 4096 // bbolt's two first pages
			}
			clear(damaged[page : page+4096])
		case 3:
			damaged = damaged[:at]
		}
		path := filepath.Join(dir, fmt.Sprint(i), "spool.db")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{path: damaged, path + ".sound": nil} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		log := &logged{}
		o := openOutbox(t, path, c.options(), log)
		got := map[uint64]bool{}
		for _, r := range all(t, o) {
			if text(t, r.Observations) != want[r.Seq] {
				t.Fatalf("damage %d: report %d has %+v, want %s", i, r.Seq, r, want[r.Seq])
			}
			got[r.Seq] = true
		}
		appendAll(t, o, result("c", c.wall, holdfast.OK))
		if len(all(t, o)) != len(got)+1 {
			t.Fatalf("damage %d: %d reports after one more, want %d", i, len(all(t, o)), len(got)+1)
		}
		isAside := strings.Contains(log.String(), "set aside")
		isNamed := strings.Contains(log.String(), "damaged report in the spool passed over")
		switch {
		case isAside:
			aside++
			if files, _ := filepath.Glob(path + ".damaged-*"); len(files) != 1 {
				t.Errorf("damage %d: set aside as %v, want one file", i, files)
			}
		case isNamed:
			named++
		case strings.Contains(log.String(), "may lack what was written last"):
			rolledBack++
		case len(got) != len(want):
			t.Errorf("damage %d: %d reports of %d are missing without a word", i, len(want)-len(got), len(want))
		}
		o.Close()
	}
	if named == 0 || aside == 0 || rolledBack == 0 {
		t.Errorf("%d files had a damaged report, %d were set aside, %d lacked the newest write; want some of each", named, aside, rolledBack)
	}
}

func TestOutboxRefusesANewerFormat(t *testing.T) {
	c, log, path := newClock(), &logged{}, filepath.Join(t.TempDir(), "spool.db")
	o := openOutbox(t, path, c.options(), log)
	agent.SetFormat(o, 2)
	o.Close()
	_, err := agent.OpenOutbox(path, c.options(), log.logger())
	if err == nil || !strings.Contains(err.Error(), "written by a newer holdfast: it has format 2") {
		t.Errorf("error %v, want that the format is newer", err)
	}
}

func TestOutboxBeginsAnewBesideAnUnfinishedFile(t *testing.T) {
	c, log, path := newClock(), &logged{}, filepath.Join(t.TempDir(), "spool.db")
	if err := os.WriteFile(path+".new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := openOutbox(t, path, c.options(), log)
	appendAll(t, o, result("a", c.wall, holdfast.OK))
	if diff := cmp.Diff(seqs(all(t, o)), []uint64{1}); diff != "" {
		t.Errorf("reports (-got +want):\n%s", diff)
	}
}
