// Package storetest is the contract every backend of the store must hold: each
// promise in package store is tried here, on the real backend, through its public
// methods. What only a backend knows (files, crashes, full disks, reading a backup
// back) it tries itself.
package storetest

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// Place is an empty place for one store. Opening it once more after a Close finds
// what was there.
type Place func() (store.Store, error)

// Run tries the contract. Every call of place makes a place of its own.
func Run(t *testing.T, place func(testing.TB) Place) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"reports", testReports},
		{"report order", testReportOrder},
		{"texts", testTexts},
		{"histories", testHistories},
		{"batch is all or nothing", testAtomic},
		{"transitions", testTransitions},
		{"observed", testObserved},
		{"long timeline", testLongTimeline},
		{"prune", testPrune},
		{"records", testRecords},
		{"agents", testAgents},
		{"agents at once", testAgentsAtOnce},
		{"secrets", testSecrets},
		{"secret used once", testSecretUsedOnce},
		{"catalogues", testCatalogues},
		{"documents", testDocuments},
		{"writing while reading", testWritingWhileReading},
		{"appending at once", testAppendingAtOnce},
		{"memory", testMemory},
		{"context", testContext},
		{"closed", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newBench(t, place(t)))
		})
	}
	t.Run("model", func(t *testing.T) {
		t.Parallel()
		testModel(t, place)
	})
}

// tester is the part of *testing.T and *rapid.T that helpers need.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// bench is an open store that can be closed and opened again.
type bench struct {
	store.Store
	place Place
}

func newBench(t *testing.T, place Place) *bench {
	t.Helper()
	b := &bench{place: place}
	b.open(t)
	t.Cleanup(func() { b.Close() }) // closed before in some tests
	return b
}

func (b *bench) open(t tester) {
	t.Helper()
	s, err := b.place()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	b.Store = s
}

func (b *bench) reopen(t tester) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	b.open(t)
}

// both runs a check now and after a reopening.
func (b *bench) both(t *testing.T, check func(t tester)) {
	t.Helper()
	check(t)
	b.reopen(t)
	check(t)
}

// start is an instant to count from: in the past, with nanoseconds.
var start = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

// collect reads a sequence to its end.
func collect[T any](t tester, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		if err != nil {
			t.Fatalf("after %d records: %v", len(all), err)
		}
		all = append(all, v)
	}
	return all
}

func equal[T any](t tester, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func commit(t tester, s store.Live, b store.Batch) {
	t.Helper()
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func report(agent string, epoch, seq uint64, hot string, texts []byte) store.AgentReport {
	return store.AgentReport{
		Agent: agent, Epoch: epoch, Seq: seq, Settled: holdfast.Progress{Epoch: epoch, Through: seq},
		Received: after(time.Duration(seq) * time.Second), Hot: []byte(hot), Texts: texts,
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
