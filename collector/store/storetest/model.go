package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// model is the store in plain maps and slices: what a backend must look like after
// the same calls.
type model struct {
	reports     map[string]store.AgentReport
	histories   map[string][]byte
	transitions []store.Transition // in the order of commits
	observed    []store.Observed
	records     []holdfast.Record
	agents      map[string]holdfast.AgentIdentity
	secrets     map[string]holdfast.Secret
	catalogues  []store.AcceptedCatalogue
}

// testModel plays random calls on the backend and on a model of it, with closings
// between, and compares everything both hold.
func testModel(t *testing.T, place func(testing.TB) Place) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &bench{place: place(t)}
		b.open(rt)
		defer func() { b.Close() }()
		m := &model{reports: map[string]store.AgentReport{}, histories: map[string][]byte{},
			agents: map[string]holdfast.AgentIdentity{}, secrets: map[string]holdfast.Secret{}}
		rt.Repeat(map[string]func(*rapid.T){
			"compare":   func(rt *rapid.T) { m.compare(rt, b) },
			"commit":    func(rt *rapid.T) { m.commit(rt, b) },
			"record":    func(rt *rapid.T) { m.record(rt, b) },
			"agent":     func(rt *rapid.T) { m.agent(rt, b) },
			"secret":    func(rt *rapid.T) { m.secret(rt, b) },
			"catalogue": func(rt *rapid.T) { m.catalogue(rt, b) },
			"prune":     func(rt *rapid.T) { m.prune(rt, b) },
			"reopen":    func(rt *rapid.T) { b.reopen(rt) },
		})
		m.compare(rt, b)
	})
}

var (
	names   = rapid.SampledFrom([]string{"a", "ab", "a\x00", "b", "ü"})
	values  = rapid.SliceOfN(rapid.Byte(), 0, 40)
	moments = rapid.Custom(func(rt *rapid.T) time.Time {
		return after(time.Duration(rapid.IntRange(-3, 3).Draw(rt, "seconds")) * time.Second)
	})
)

// maybe is a value, or nil in a third of all cases.
func maybe(rt *rapid.T, label string) []byte {
	if rapid.IntRange(0, 2).Draw(rt, label+" is nil") == 0 {
		return nil
	}
	return values.Draw(rt, label)
}

func (m *model) commit(rt *rapid.T, b *bench) {
	var batch store.Batch
	for range rapid.IntRange(0, 4).Draw(rt, "reports") {
		r := store.AgentReport{Agent: names.Draw(rt, "agent"), Epoch: rapid.Uint64Range(0, 2).Draw(rt, "epoch"), Seq: rapid.Uint64Range(0, 5).Draw(rt, "seq"),
			Received: moments.Draw(rt, "received"), Hot: values.Draw(rt, "hot"), Texts: maybe(rt, "texts")}
		batch.Reports = append(batch.Reports, r)
		before, found := m.reports[r.Agent]
		if found && cmp.Or(cmp.Compare(r.Epoch, before.Epoch), cmp.Compare(r.Seq, before.Seq)) < 0 {
			continue
		}
		if r.Texts == nil {
			r.Texts = before.Texts
		}
		m.reports[r.Agent] = r
	}
	for range rapid.IntRange(0, 3).Draw(rt, "histories") {
		h := store.History{Check: names.Draw(rt, "check"), Value: maybe(rt, "history")}
		batch.Histories = append(batch.Histories, h)
		if m.histories[h.Check] = h.Value; h.Value == nil {
			delete(m.histories, h.Check)
		}
	}
	for range rapid.IntRange(0, 3).Draw(rt, "transitions") {
		batch.Transitions = append(batch.Transitions, store.Transition{At: moments.Draw(rt, "at"), Service: names.Draw(rt, "service"), To: holdfast.Stale, Value: values.Draw(rt, "posture")})
	}
	for range rapid.IntRange(0, 3).Draw(rt, "observed") {
		batch.Observed = append(batch.Observed, store.Observed{At: moments.Draw(rt, "at"), Check: names.Draw(rt, "check"), Value: values.Draw(rt, "change")})
	}
	m.transitions = append(m.transitions, batch.Transitions...)
	m.observed = append(m.observed, batch.Observed...)
	commit(rt, b, batch)
}

func (m *model) record(rt *rapid.T, b *bench) {
	r, err := b.AppendRecord(rt.Context(), holdfast.Record{At: moments.Draw(rt, "at"), By: names.Draw(rt, "by")})
	if err != nil {
		rt.Fatal(err)
	}
	m.records = append(m.records, r)
}

func (m *model) agent(rt *rapid.T, b *bench) {
	name := names.Draw(rt, "name")
	if rapid.Bool().Draw(rt, "remove") {
		_, found := m.agents[name]
		if err := b.RemoveAgent(rt.Context(), name); (err == nil) != found || err != nil && !errors.Is(err, store.ErrNotFound) {
			rt.Fatalf("remove %q: got %v, found is %t", name, err, found)
		}
		delete(m.agents, name)
		return
	}
	id, err := b.UpdateAgent(rt.Context(), name, func(id *holdfast.AgentIdentity) error { id.Recoveries++; return nil })
	if err != nil {
		rt.Fatal(err)
	}
	equal(rt, "recoveries", id.Recoveries, m.agents[name].Recoveries+1)
	m.agents[name] = id
}

func (m *model) secret(rt *rapid.T, b *bench) {
	kind, hash, now := rapid.SampledFrom([]string{"join", "api"}).Draw(rt, "kind"), names.Draw(rt, "hash"), moments.Draw(rt, "now")
	key := kind + "/" + hash
	s, found := m.secrets[key]
	var got, want error
	switch rapid.SampledFrom([]string{"put", "use", "delete"}).Draw(rt, "do") {
	case "put":
		fresh := holdfast.Secret{Kind: kind, Hash: hash, Created: start, Expires: now}
		if got = b.PutSecret(rt.Context(), fresh); found {
			want = store.ErrExists
		} else {
			m.secrets[key] = fresh
		}
	case "use":
		_, got = b.UseSecret(rt.Context(), kind, hash, now)
		switch {
		case !found:
			want = store.ErrNotFound
		case !s.Used.IsZero():
			want = store.ErrUsed
		case !now.Before(s.Expires):
			want = store.ErrExpired
		default:
			s.Used = now
			m.secrets[key] = s
		}
	case "delete":
		if got = b.DeleteSecret(rt.Context(), kind, hash); !found {
			want = store.ErrNotFound
		}
		delete(m.secrets, key)
	}
	if !errors.Is(got, want) {
		rt.Fatalf("secret %s: got %v, want %v", key, got, want)
	}
}

func (m *model) catalogue(rt *rapid.T, b *bench) {
	c := store.AcceptedCatalogue{At: moments.Draw(rt, "at"), Hash: names.Draw(rt, "hash"), Files: rapid.MapOfN(names, values, 0, 3).Draw(rt, "files")}
	if err := b.PutCatalogue(rt.Context(), c); err != nil {
		rt.Fatal(err)
	}
	m.catalogues = append(m.catalogues, c)
}

func (m *model) prune(rt *rapid.T, b *bench) {
	before := moments.Draw(rt, "before")
	if err := b.Prune(rt.Context(), before); err != nil {
		rt.Fatal(err)
	}
	m.transitions = slices.DeleteFunc(m.transitions, func(t store.Transition) bool { return t.At.Before(before) })
	m.observed = slices.DeleteFunc(m.observed, func(o store.Observed) bool { return o.At.Before(before) })
	maps.DeleteFunc(m.secrets, func(_ string, s holdfast.Secret) bool { return s.Expires.Before(before) })
}

// newest returns those within the window that are asked for, newest first; of one
// instant, the one committed last first.
func newest[T any](all []T, at func(T) time.Time, wanted func(T) bool, w store.Window) []T {
	var some []T
	for _, v := range slices.Backward(all) {
		if wanted(v) && !at(v).Before(w.From) && (w.To.IsZero() || at(v).Before(w.To)) {
			some = append(some, v)
		}
	}
	slices.SortStableFunc(some, func(a, b T) int { return at(b).Compare(at(a)) })
	return some
}

func (m *model) compare(rt *rapid.T, b *bench) {
	ctx := rt.Context()
	var reports []store.AgentReport
	for _, name := range slices.Sorted(maps.Keys(m.reports)) {
		reports = append(reports, m.reports[name])
	}
	equal(rt, "reports", collect(rt, b.AgentReports(ctx)), reports)
	var histories []store.History
	for _, name := range slices.Sorted(maps.Keys(m.histories)) {
		histories = append(histories, store.History{Check: name, Value: m.histories[name]})
	}
	equal(rt, "histories", collect(rt, b.Histories(ctx)), histories)
	var agents []holdfast.AgentIdentity
	for _, name := range slices.Sorted(maps.Keys(m.agents)) {
		agents = append(agents, m.agents[name])
	}
	equal(rt, "agents", collect(rt, b.Agents(ctx)), agents)
	for _, kind := range []string{"api", "join"} {
		var secrets []holdfast.Secret
		for _, key := range slices.Sorted(maps.Keys(m.secrets)) {
			if s := m.secrets[key]; s.Kind == kind {
				secrets = append(secrets, s)
			}
		}
		equal(rt, "secrets", collect(rt, b.Secrets(ctx, kind)), secrets)
	}
	equal(rt, "records", collect(rt, b.Records(ctx)), slices.SortedFunc(slices.Values(m.records), func(a, b holdfast.Record) int { return cmp.Compare(a.ID, b.ID) }))
	catalogues := slices.Clone(m.catalogues)
	slices.Reverse(catalogues)
	equal(rt, "catalogues", collect(rt, b.Catalogues(ctx)), catalogues)

	w := store.Window{From: moments.Draw(rt, "from")}
	if rapid.Bool().Draw(rt, "ends") {
		w.To = moments.Draw(rt, "to")
	}
	name := rapid.OneOf(names, rapid.Just("")).Draw(rt, "of")
	equal(rt, fmt.Sprintf("transitions of %q", name), collect(rt, b.Transitions(ctx, name, w)),
		newest(m.transitions, func(t store.Transition) time.Time { return t.At }, func(t store.Transition) bool { return name == "" || t.Service == name }, w))
	equal(rt, fmt.Sprintf("changes of %q", name), collect(rt, b.Observed(ctx, name, w)),
		newest(m.observed, func(o store.Observed) time.Time { return o.At }, func(o store.Observed) bool { return name == "" || o.Check == name }, w))
}
