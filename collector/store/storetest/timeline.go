package storetest

import (
	"fmt"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

func testTransitions(t *testing.T, b *bench) {
	score := func(n int) *int { return &n }
	first := store.Transition{At: start, Service: "payments", From: holdfast.Unknown, To: holdfast.Proven, Score: score(100), Value: []byte(`{"name":"payments"}`)}
	second := store.Transition{At: after(time.Minute), Service: "payments", From: holdfast.Proven, To: holdfast.Broken, Score: score(0), Cause: "payments/restore/ledger", Value: []byte{}}
	same := store.Transition{At: after(time.Minute), Service: "payments", From: holdfast.Broken, To: holdfast.NotJudged, Value: []byte{0, 1}}
	other := store.Transition{At: after(30 * time.Second), Service: "payment", To: holdfast.Stale, Score: score(-1), Value: []byte{}}
	odd := store.Transition{At: after(-time.Hour), Service: "payments\x00", To: holdfast.Stale, Value: []byte{}}
	// In two batches, and not in the order of time.
	commit(t, b, store.Batch{Transitions: []store.Transition{second, same}})
	commit(t, b, store.Batch{Transitions: []store.Transition{first, other, odd}})
	at := func(service string, w store.Window) []store.Transition {
		return collect(t, b.Transitions(t.Context(), service, w))
	}
	b.both(t, func(t tester) {
		all := []store.Transition{same, second, other, first, odd}
		equal(t, "every service", at("", store.Window{}), all)
		equal(t, "one service", at("payments", store.Window{}), []store.Transition{same, second, first})
		equal(t, "name that begins like another", at("payment", store.Window{}), []store.Transition{other})
		equal(t, "name that goes on like another", at("payments\x00", store.Window{}), []store.Transition{odd})
		equal(t, "unknown name", at("nobody", store.Window{}), nil)
		equal(t, "from is included", at("payments", store.Window{From: second.At}), []store.Transition{same, second})
		equal(t, "to is not", at("payments", store.Window{To: second.At}), []store.Transition{first})
		equal(t, "both ends", at("", store.Window{From: start, To: after(time.Minute)}), []store.Transition{other, first})
		equal(t, "empty window", at("", store.Window{From: start, To: start}), nil)
		equal(t, "window of nothing", at("", store.Window{From: after(time.Hour), To: start}), nil)
	})
}

func testObserved(t *testing.T, b *bench) {
	early := store.Observed{At: time.Unix(-1, 0).UTC(), Check: "c", Value: []byte("before 1970")}
	late := store.Observed{At: start, Check: "c", Value: []byte("late")}
	other := store.Observed{At: after(1), Check: "c2", Value: []byte("other")}
	commit(t, b, store.Batch{Observed: []store.Observed{other, late, early}})
	b.both(t, func(t tester) {
		equal(t, "one check", collect(t, b.Observed(t.Context(), "c", store.Window{})), []store.Observed{late, early})
		equal(t, "every check", collect(t, b.Observed(t.Context(), "", store.Window{})), []store.Observed{other, late, early})
		equal(t, "window", collect(t, b.Observed(t.Context(), "", store.Window{From: start, To: after(1)})), []store.Observed{late})
	})
}

// testLongTimeline reads more than any backend takes at once, and stops early.
func testLongTimeline(t *testing.T, b *bench) {
	const n = 5000
	var batch store.Batch
	for i := range n {
		batch.Observed = append(batch.Observed, store.Observed{
			At: after(time.Duration(i) * time.Second), Check: fmt.Sprintf("c%d", i%2), Value: fmt.Append(nil, i),
		})
	}
	commit(t, b, batch)
	all := collect(t, b.Observed(t.Context(), "", store.Window{}))
	equal(t, "number of changes", len(all), n)
	for i, o := range all {
		equal(t, "change", string(o.Value), fmt.Sprint(n-1-i))
	}
	i := n - 1
	for o, err := range b.Observed(t.Context(), "c1", store.Window{}) {
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "change of one check", string(o.Value), fmt.Sprint(i))
		if i -= 2; i < n/2 {
			break
		}
	}
}

func testPrune(t *testing.T, b *bench) {
	const n = 3000
	var batch store.Batch
	for i := range n {
		at := after(time.Duration(i) * time.Second)
		batch.Observed = append(batch.Observed, store.Observed{At: at, Check: "c", Value: []byte{}})
		batch.Transitions = append(batch.Transitions, store.Transition{At: at, Service: "s", Value: []byte{}})
	}
	batch.Reports = []store.AgentReport{report("db1", 1, 1, "hot", nil)}
	batch.Histories = []store.History{{Check: "c", Value: []byte("h")}}
	commit(t, b, batch)
	if _, err := b.AppendRecord(t.Context(), holdfast.Record{At: start, By: "me"}); err != nil {
		t.Fatal(err)
	}
	secrets := []holdfast.Secret{
		{Kind: "join", Hash: "1", Expires: after(time.Second)}, {Kind: "join", Hash: "2", Expires: after(time.Hour)}, {Kind: "join", Hash: "3"},
	}
	for _, s := range secrets {
		if err := b.PutSecret(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	before := after(2500 * time.Second)
	for range 2 { // the second time there is nothing to do
		if err := b.Prune(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	b.both(t, func(t tester) {
		ctx := t.Context()
		for _, name := range []string{"", "c"} {
			left := collect(t, b.Observed(ctx, name, store.Window{}))
			equal(t, "changes left", len(left), 500)
			equal(t, "oldest change left", left[len(left)-1].At, before)
		}
		for _, name := range []string{"", "s"} {
			left := collect(t, b.Transitions(ctx, name, store.Window{}))
			equal(t, "transitions left", len(left), 500)
			equal(t, "oldest transition left", left[len(left)-1].At, before)
		}
		equal(t, "secrets left", collect(t, b.Secrets(ctx, "join")), secrets[1:])
		kept := len(collect(t, b.AgentReports(ctx))) + len(collect(t, b.Histories(ctx))) + len(collect(t, b.Records(ctx)))
		equal(t, "report, history and record", kept, 3)
	})
}
