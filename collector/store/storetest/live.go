package storetest

import (
	"strings"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

func testReports(t *testing.T, b *bench) {
	db := report("db1", 7, 3, "hot of db1", []byte("texts"))
	db.Settled = holdfast.Progress{Epoch: 7, Through: 1, Beyond: []holdfast.SeqRange{{First: 3, Last: 3}, {First: 9, Last: 1 << 60}}}
	none := report("dr1", 1<<63, 1<<64-1, "", []byte{})
	bare := store.AgentReport{Agent: "a\x00b\xc3\xa9", Received: start, Hot: []byte{0, 255}}
	commit(t, b, store.Batch{Reports: []store.AgentReport{db, none, bare}})
	b.both(t, func(t tester) {
		equal(t, "reports", collect(t, b.AgentReports(t.Context())), []store.AgentReport{bare, db, none})
	})
}

func testReportOrder(t *testing.T, b *bench) {
	for _, step := range []struct {
		name       string
		epoch, seq uint64
		replaces   bool
	}{
		{"first", 5, 10, true},
		{"older", 5, 9, false},
		{"newer", 5, 11, true},
		{"again", 5, 11, true},
		{"new epoch, small number", 6, 1, true},
		{"old epoch, large number", 5, 1000, false},
		{"next", 6, 2, true},
	} {
		before := collect(t, b.AgentReports(t.Context()))
		r := report("db1", step.epoch, step.seq, step.name, []byte("texts of "+step.name))
		want := []store.AgentReport{r}
		if !step.replaces {
			want = before
		}
		// What else is in the batch stands either way.
		commit(t, b, store.Batch{Reports: []store.AgentReport{r}, Histories: []store.History{{Check: "c", Value: []byte(step.name)}}})
		equal(t, step.name, collect(t, b.AgentReports(t.Context())), want)
		equal(t, step.name+": history", collect(t, b.Histories(t.Context())), []store.History{{Check: "c", Value: []byte(step.name)}})
	}
	// Within one batch the order given counts.
	third, fourth := report("db1", 6, 3, "third", nil), report("db1", 6, 4, "fourth", nil)
	commit(t, b, store.Batch{Reports: []store.AgentReport{fourth, third}})
	fourth.Texts = []byte("texts of next")
	b.both(t, func(t tester) {
		equal(t, "newest of a batch", collect(t, b.AgentReports(t.Context())), []store.AgentReport{fourth})
	})
}

func testTexts(t *testing.T, b *bench) {
	for i, step := range []struct{ texts, want []byte }{
		{nil, nil},
		{[]byte("long words"), []byte("long words")},
		{nil, []byte("long words")},
		{[]byte{}, []byte{}},
		{nil, []byte{}},
	} {
		commit(t, b, store.Batch{Reports: []store.AgentReport{report("db1", 1, uint64(i), "hot", step.texts)}})
		got := collect(t, b.AgentReports(t.Context()))[0].Texts
		equal(t, "texts", got, step.want)
	}
	// A batch holds several reports of an agent: texts of the first, none of the rest.
	commit(t, b, store.Batch{Reports: []store.AgentReport{
		report("dr1", 1, 1, "a", []byte("new words")), report("dr1", 1, 2, "b", nil), report("dr1", 1, 3, "c", nil),
	}})
	b.both(t, func(t tester) {
		equal(t, "texts of an earlier report in the batch", collect(t, b.AgentReports(t.Context()))[1], report("dr1", 1, 3, "c", []byte("new words")))
	})
}

func testHistories(t *testing.T, b *bench) {
	h := func(check, value string) store.History { return store.History{Check: check, Value: []byte(value)} }
	commit(t, b, store.Batch{Histories: []store.History{h("b", "1"), h("a/b", "2"), h("a", ""), h("c", "3")}})
	commit(t, b, store.Batch{Histories: []store.History{h("b", "4"), {Check: "c"}, {Check: "never there"}}})
	b.both(t, func(t tester) {
		equal(t, "histories", collect(t, b.Histories(t.Context())), []store.History{h("a", ""), h("a/b", "2"), h("b", "4")})
	})
}

func testAtomic(t *testing.T, b *bench) {
	good := func() store.Batch {
		return store.Batch{
			Reports:     []store.AgentReport{report("db1", 1, 1, "hot", nil)},
			Histories:   []store.History{{Check: "c", Value: []byte("h")}},
			Transitions: []store.Transition{{At: start, Service: "payments"}},
			Observed:    []store.Observed{{At: start, Check: "c"}},
		}
	}
	long := strings.Repeat("x", store.MaxName+1)
	for name, spoil := range map[string]func(*store.Batch){
		"agent without a name":      func(b *store.Batch) { b.Reports[0].Agent = "" },
		"agent with a long name":    func(b *store.Batch) { b.Reports[0].Agent = long },
		"agent not in UTF-8":        func(b *store.Batch) { b.Reports[0].Agent = "\xff" },
		"report without a time":     func(b *store.Batch) { b.Reports[0].Received = start.AddDate(-2026, 0, 0) },
		"report too large":          func(b *store.Batch) { b.Reports[0].Hot = make([]byte, store.MaxValue+1) },
		"texts too large":           func(b *store.Batch) { b.Reports[0].Texts = make([]byte, store.MaxValue+1) },
		"check without a name":      func(b *store.Batch) { b.Histories[0].Check = "" },
		"check with a long name":    func(b *store.Batch) { b.Observed[0].Check = long },
		"service without a name":    func(b *store.Batch) { b.Transitions[0].Service = "" },
		"transition in the year 1":  func(b *store.Batch) { b.Transitions[0].At = start.AddDate(-2025, 0, 0) },
		"transition in a far year":  func(b *store.Batch) { b.Transitions[0].At = start.AddDate(1000, 0, 0) },
		"change without a time":     func(b *store.Batch) { b.Observed[0].At = start.AddDate(-2026, 0, 0) },
		"last of many is the fault": func(b *store.Batch) { b.Observed = append(b.Observed, store.Observed{At: start}) },
	} {
		batch := good()
		spoil(&batch)
		if err := b.Commit(t.Context(), batch); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	b.both(t, func(t tester) {
		n := len(collect(t, b.AgentReports(t.Context()))) + len(collect(t, b.Histories(t.Context()))) +
			len(collect(t, b.Transitions(t.Context(), "", store.Window{}))) + len(collect(t, b.Observed(t.Context(), "", store.Window{})))
		equal(t, "records of refused batches", n, 0)
	})
	commit(t, b, good())
	commit(t, b, store.Batch{})
	longest := strings.Repeat("x", store.MaxName)
	commit(t, b, store.Batch{Reports: []store.AgentReport{report(longest, 1, 1, "", nil)}, Observed: []store.Observed{{At: start, Check: longest}}})
	equal(t, "longest name", len(collect(t, b.Observed(t.Context(), longest, store.Window{}))), 1)
}
