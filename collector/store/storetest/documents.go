package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

func document(kind, name, value string) store.Document {
	return store.Document{DocumentKey: store.DocumentKey{Kind: kind, Name: name}, Value: []byte(value)}
}

// testDocuments puts, replaces and removes documents of two kinds, one of which is
// the beginning of the other.
func testDocuments(t *testing.T, b *bench) {
	ctx := t.Context()
	ada, bob, other := document("user", "ada", "1"), document("user", "bob", "2"), document("use", "rada", "3")
	if err := b.PutDocuments(ctx, []store.Document{bob, other, ada}); err != nil {
		t.Fatal(err)
	}
	b.both(t, func(t tester) {
		equal(t, "users", collect(t, b.Documents(t.Context(), "user")), []store.Document{ada, bob})
		equal(t, "other kind", collect(t, b.Documents(t.Context(), "use")), []store.Document{other})
		equal(t, "no kind", collect(t, b.Documents(t.Context(), "us")), nil)
		got, err := b.Document(t.Context(), bob.DocumentKey)
		equal(t, "bob", got, bob)
		equal(t, "bob's error", err, error(nil))
	})

	bob.Value = []byte{}
	if err := b.PutDocuments(ctx, []store.Document{bob}, ada.DocumentKey, document("user", "nobody", "").DocumentKey); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string][]store.Document{
		"twice":    {document("user", "eve", "1"), document("user", "eve", "2")},
		"no kind":  {document("user", "eve", "1"), document("", "eve", "")},
		"no name":  {document("user", "eve", "1"), document("user", "", "")},
		"too long": {document("user", "eve", "1"), document("user", "x", strings.Repeat("x", 1<<20+1))},
	} {
		if err := b.PutDocuments(ctx, bad); err == nil {
			t.Errorf("%s: got no error", what)
		}
	}
	if err := b.PutDocuments(ctx, []store.Document{document("user", "eve", "1")}, document("user", "eve", "").DocumentKey); err == nil {
		t.Error("put and removed at once: got no error")
	}
	b.both(t, func(t tester) {
		equal(t, "users", collect(t, b.Documents(t.Context(), "user")), []store.Document{bob})
		if _, err := b.Document(t.Context(), ada.DocumentKey); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("removed: got %v, want ErrNotFound", err)
		}
	})
}
