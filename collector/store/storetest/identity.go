package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

func testAgents(t *testing.T, b *bench) {
	ctx := t.Context()
	if _, err := b.Agent(ctx, "db1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown agent: got %v, want ErrNotFound", err)
	}
	if err := b.RemoveAgent(ctx, "db1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("remove unknown agent: got %v, want ErrNotFound", err)
	}
	want := holdfast.AgentIdentity{Name: "db1", Key: []byte{1, 2}, Enrolled: start, Serial: "ab", NotAfter: after(time.Hour), Recoveries: 2, Clash: "db9"}
	got, err := b.UpdateAgent(ctx, "db1", func(id *holdfast.AgentIdentity) error {
		equal(t, "identity before the first", *id, holdfast.AgentIdentity{Name: "db1"})
		*id = want
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "created", got, want)

	no := errors.New("no")
	_, err = b.UpdateAgent(ctx, "db1", func(id *holdfast.AgentIdentity) error { id.Recoveries = 99; return no })
	if !errors.Is(err, no) {
		t.Errorf("change refuses: got %v, want its error", err)
	}
	_, err = b.UpdateAgent(ctx, "dr1", func(id *holdfast.AgentIdentity) error { return no })
	if !errors.Is(err, no) {
		t.Errorf("change refuses a new one: got %v, want its error", err)
	}
	if _, err := b.UpdateAgent(ctx, "db1", func(id *holdfast.AgentIdentity) error { id.Name = "x"; return nil }); err == nil {
		t.Error("renamed: got no error")
	}
	if _, err := b.UpdateAgent(ctx, "", func(*holdfast.AgentIdentity) error { return nil }); err == nil {
		t.Error("no name: got no error")
	}
	b.both(t, func(t tester) {
		equal(t, "agents", collect(t, b.Agents(t.Context())), []holdfast.AgentIdentity{want})
		got, err := b.Agent(t.Context(), "db1")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "agent", got, want)
	})

	commit(t, b, store.Batch{Reports: []store.AgentReport{report("db1", 1, 1, "hot", nil)}})
	if err := b.RemoveAgent(ctx, "db1"); err != nil {
		t.Fatal(err)
	}
	b.both(t, func(t tester) {
		equal(t, "agents after removal", collect(t, b.Agents(t.Context())), nil)
		equal(t, "reports after removal", len(collect(t, b.AgentReports(t.Context()))), 1)
	})
}

// testAgentsAtOnce counts in one identity from many goroutines: a lost update shows.
func testAgentsAtOnce(t *testing.T, b *bench) {
	const workers, each = 16, 8
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				if _, err := b.UpdateAgent(t.Context(), "db1", func(id *holdfast.AgentIdentity) error { id.Recoveries++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	id, err := b.Agent(t.Context(), "db1")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "updates counted", id.Recoveries, workers*each)
}

func testSecrets(t *testing.T, b *bench) {
	ctx := t.Context()
	join := holdfast.Secret{Kind: "join", Hash: "aa", Subject: "db1", Created: start, Expires: after(time.Hour)}
	api := holdfast.Secret{Kind: "api", Hash: "aa", Subject: "ci", Role: holdfast.Viewer, Created: start}
	late := holdfast.Secret{Kind: "join", Hash: "bb", Subject: "dr1", Created: start, Expires: after(time.Minute)}
	for _, s := range []holdfast.Secret{late, join, api} {
		if err := b.PutSecret(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.PutSecret(ctx, holdfast.Secret{Kind: "join", Hash: "aa", Subject: "other"}); !errors.Is(err, store.ErrExists) {
		t.Errorf("put again: got %v, want ErrExists", err)
	}
	for _, s := range []holdfast.Secret{{Kind: "join"}, {Hash: "aa"}} {
		if err := b.PutSecret(ctx, s); err == nil {
			t.Errorf("put %+v: got no error", s)
		}
	}
	b.both(t, func(t tester) {
		equal(t, "join secrets", collect(t, b.Secrets(t.Context(), "join")), []holdfast.Secret{join, late})
		equal(t, "api secrets", collect(t, b.Secrets(t.Context(), "api")), []holdfast.Secret{api})
		equal(t, "other kind", collect(t, b.Secrets(t.Context(), "joi")), nil)
	})

	use := func(kind, hash string, now time.Time, want error) {
		t.Helper()
		before, beforeErr := b.Secret(ctx, kind, hash)
		got, err := b.UseSecret(ctx, kind, hash, now)
		if !errors.Is(err, want) {
			t.Errorf("use %s/%s: got %v, want %v", kind, hash, err, want)
		}
		stored, storedErr := b.Secret(ctx, kind, hash)
		if want != nil {
			equal(t, "refused use returns", got, holdfast.Secret{})
			equal(t, "refused use stores", stored, before)
			equal(t, "refused use stores", errors.Is(storedErr, store.ErrNotFound), errors.Is(beforeErr, store.ErrNotFound))
			return
		}
		before.Used = now
		equal(t, "use returns", got, before)
		equal(t, "use stores", stored, before)
	}
	use("join", "cc", start, store.ErrNotFound)
	use("login", "aa", start, store.ErrNotFound)
	use("join", "bb", late.Expires, store.ErrExpired)
	use("join", "bb", late.Expires.Add(-1), nil)
	use("join", "bb", start, store.ErrUsed)
	use("join", "bb", after(24*time.Hour), store.ErrUsed)
	use("api", "aa", after(1e6*time.Hour), nil)
	b.reopen(t)
	use("join", "bb", start, store.ErrUsed)

	if err := b.DeleteSecret(ctx, "join", "aa"); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteSecret(ctx, "join", "aa"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("delete again: got %v, want ErrNotFound", err)
	}
	b.reopen(t)
	if _, err := b.Secret(ctx, "join", "aa"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted secret: got %v, want ErrNotFound", err)
	}
	if _, err := b.Secret(ctx, "api", "aa"); err != nil {
		t.Errorf("same hash of another kind: %v", err)
	}
}

func testSecretUsedOnce(t *testing.T, b *bench) {
	for round := range 5 {
		hash := fmt.Sprint(round)
		if err := b.PutSecret(t.Context(), holdfast.Secret{Kind: "join", Hash: hash, Created: start}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		results := make([]error, 100)
		for i := range results {
			all.Go(func() { _, results[i] = b.UseSecret(t.Context(), "join", hash, start) })
		}
		all.Wait()
		succeeded := 0
		for _, err := range results {
			switch {
			case err == nil:
				succeeded++
			case !errors.Is(err, store.ErrUsed):
				t.Errorf("got %v, want ErrUsed", err)
			}
		}
		equal(t, "uses that succeeded", succeeded, 1)
	}
}
