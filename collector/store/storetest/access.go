package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// testWritingWhileReading calls writing methods from inside loops, and checks that
// what stands throughout is seen once.
func testWritingWhileReading(t *testing.T, b *bench) {
	const n = 300
	for i := range n {
		name := fmt.Sprintf("agent-%03d", i)
		if _, err := b.UpdateAgent(t.Context(), name, func(*holdfast.AgentIdentity) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for id, err := range b.Agents(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[id.Name]++
		if id.Recoveries > 0 {
			continue
		}
		// Changed, one added before and one after it; the latter may be seen.
		for _, name := range []string{id.Name, "a" + id.Name, id.Name + "x"} {
			if _, err := b.UpdateAgent(t.Context(), name, func(id *holdfast.AgentIdentity) error { id.Recoveries = 1; return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range n {
		if name := fmt.Sprintf("agent-%03d", i); seen[name] != 1 {
			t.Errorf("%s: seen %d times, want once", name, seen[name])
		}
	}
}

// testAppendingAtOnce appends from many goroutines while others read: nothing is
// lost, doubled or half there.
func testAppendingAtOnce(t *testing.T, b *bench) {
	const workers, each = 8, 25
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				for r, err := range b.AgentReports(ctx) {
					if err != nil {
						if ctx.Err() == nil {
							t.Error(err)
						}
						return
					}
					if string(r.Hot) != string(r.Texts) {
						t.Errorf("%s: hot %q beside texts %q", r.Agent, r.Hot, r.Texts)
					}
				}
			}
		})
	}
	for w := range workers {
		writers.Go(func() {
			name := fmt.Sprintf("a%d", w)
			for i := range each {
				text := fmt.Sprintf("%d", i)
				err := b.Commit(t.Context(), store.Batch{
					Reports:     []store.AgentReport{report(name, 1, uint64(i), text, []byte(text))},
					Observed:    []store.Observed{{At: after(time.Duration(i)), Check: name, Value: []byte(text)}},
					Transitions: []store.Transition{{At: start, Service: name, Cause: text}},
				})
				if err != nil {
					t.Error(err)
				}
				if _, err := b.AppendRecord(t.Context(), holdfast.Record{At: start, By: name, Note: text}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
	b.both(t, func(t tester) {
		ctx := t.Context()
		ids := map[string]bool{}
		for _, r := range collect(t, b.Records(ctx)) {
			ids[r.ID] = true
		}
		equal(t, "records with IDs of their own", len(ids), workers*each)
		for w := range workers {
			name := fmt.Sprintf("a%d", w)
			changes, moves := collect(t, b.Observed(ctx, name, store.Window{})), collect(t, b.Transitions(ctx, name, store.Window{}))
			equal(t, "changes", len(changes), each)
			equal(t, "transitions", len(moves), each)
			for i := range each {
				want := fmt.Sprint(each - 1 - i)
				equal(t, "change", string(changes[i].Value), want)
				equal(t, "transition", moves[i].Cause, want)
			}
		}
	})
}

// testMemory scribbles over what was handed in and out.
func testMemory(t *testing.T, b *bench) {
	value := func() []byte { return bytes.Repeat([]byte("v"), 100) }
	scribble := func(all ...[]byte) {
		for _, v := range all {
			clear(v)
		}
	}
	in := store.Batch{
		Reports:     []store.AgentReport{{Agent: "a", Received: start, Hot: value(), Texts: value()}},
		Histories:   []store.History{{Check: "c", Value: value()}},
		Transitions: []store.Transition{{At: start, Service: "s", Value: value()}},
		Observed:    []store.Observed{{At: start, Check: "c", Value: value()}},
	}
	commit(t, b, in)
	scribble(in.Reports[0].Hot, in.Reports[0].Texts, in.Histories[0].Value, in.Transitions[0].Value, in.Observed[0].Value)
	c := store.AcceptedCatalogue{At: start, Files: map[string][]byte{"f": value()}, Terms: value()}
	if err := b.PutCatalogue(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	scribble(c.Files["f"], c.Terms)
	for range 2 {
		ctx := t.Context()
		r := collect(t, b.AgentReports(ctx))[0]
		h := collect(t, b.Histories(ctx))[0]
		m := collect(t, b.Transitions(ctx, "s", store.Window{}))[0]
		o := collect(t, b.Observed(ctx, "c", store.Window{}))[0]
		c, err := b.Catalogue(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out := [][]byte{r.Hot, r.Texts, h.Value, m.Value, o.Value, c.Files["f"], c.Terms}
		for i, v := range out {
			equal(t, fmt.Sprintf("value %d", i), string(v), string(value()))
		}
		scribble(out...)
	}
}

// calls is every method, with the error it ends in.
func calls(ctx context.Context, s store.Store) map[string]error {
	_, record := s.AppendRecord(ctx, holdfast.Record{At: start, By: "me"})
	_, agent := s.Agent(ctx, "a")
	_, update := s.UpdateAgent(ctx, "a", func(*holdfast.AgentIdentity) error { return nil })
	_, use := s.UseSecret(ctx, "k", "h", start)
	_, secret := s.Secret(ctx, "k", "h")
	_, catalogue := s.Catalogue(ctx)
	return map[string]error{
		"Commit":       s.Commit(ctx, store.Batch{Histories: []store.History{{Check: "c", Value: []byte("v")}}}),
		"AgentReports": last(s.AgentReports(ctx)),
		"Histories":    last(s.Histories(ctx)),
		"Transitions":  last(s.Transitions(ctx, "s", store.Window{})),
		"Observed":     last(s.Observed(ctx, "", store.Window{})),
		"AppendRecord": record,
		"Records":      last(s.Records(ctx)),
		"UpdateAgent":  update,
		"Agent":        agent,
		"Agents":       last(s.Agents(ctx)),
		"RemoveAgent":  s.RemoveAgent(ctx, "a"),
		"PutSecret":    s.PutSecret(ctx, holdfast.Secret{Kind: "k", Hash: "new"}),
		"UseSecret":    use,
		"Secret":       secret,
		"Secrets":      last(s.Secrets(ctx, "k")),
		"DeleteSecret": s.DeleteSecret(ctx, "k", "h"),
		"PutCatalogue": s.PutCatalogue(ctx, store.AcceptedCatalogue{At: start}),
		"Catalogue":    catalogue,
		"Catalogues":   last(s.Catalogues(ctx)),
		"Prune":        s.Prune(ctx, after(time.Hour)),
		"Backup":       s.Backup(ctx, io.Discard),
	}
}

// last is the error a sequence ends in.
func last[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

func testContext(t *testing.T, b *bench) {
	commit(t, b, store.Batch{Observed: []store.Observed{{At: start, Check: "c"}}})
	if err := b.PutSecret(t.Context(), holdfast.Secret{Kind: "k", Hash: "h"}); err != nil {
		t.Fatal(err)
	}
	for name, err := range calls(cancelled(), b.Store) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
	b.both(t, func(t tester) {
		ctx := t.Context()
		left := len(collect(t, b.Histories(ctx))) + len(collect(t, b.Records(ctx))) + len(collect(t, b.Agents(ctx))) + len(collect(t, b.Catalogues(ctx)))
		equal(t, "written although cancelled", left, 0)
		equal(t, "changes, not pruned", len(collect(t, b.Observed(ctx, "", store.Window{}))), 1)
		equal(t, "secrets, neither used nor deleted", collect(t, b.Secrets(ctx, "k")), []holdfast.Secret{{Kind: "k", Hash: "h"}})
	})
}

func testClosed(t *testing.T, b *bench) {
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("close again: got %v, want ErrClosed", err)
	}
	for name, err := range calls(t.Context(), b.Store) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
}
