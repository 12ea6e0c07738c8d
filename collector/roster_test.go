package collector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A stored roster reads back as it was, whatever is in it.
func TestRosterRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRoster()
		for i := range rapid.IntRange(0, 20).Draw(t, "checks") {
			s := &r.slots[r.slot(rapid.StringN(1, 40, 200).Draw(t, "check")+string(rune('a'+i)))]
			s.order = rapid.Uint64().Draw(t, "order")
			s.at, s.received = rapid.Int64().Draw(t, "at"), rapid.Int64().Draw(t, "received")
			s.offset = rapid.Int64().Draw(t, "offset")
			s.digest = rapid.Uint64().Draw(t, "digest")
			s.counts = rapid.SliceOfN(rapid.Int64(), 0, 4).Draw(t, "counts")
			s.measures = rapid.SliceOfN(rapid.Float64(), 0, 5).Draw(t, "measures")
			s.body = rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "body")
		}
		hot, texts := r.appendHot(nil), r.appendTexts(nil)
		got, err := readRoster(hot, texts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.slots { // nil and empty are the same here
			a, b := &r.slots[i], &got.slots[i]
			a.body, b.body = append([]byte{}, a.body...), append([]byte{}, b.body...)
		}
		if diff := cmp.Diff(r.slots, got.slots, cmp.AllowUnexported(slot{})); diff != "" {
			t.Fatalf("slots after a round trip (-want +got):\n%s", diff)
		}
		// A cut value is an error, never a shorter roster.
		if len(r.slots) > 0 {
			n := rapid.IntRange(0, len(hot)-1).Draw(t, "cut")
			if _, err := readRoster(hot[:n], texts); err == nil {
				t.Fatalf("state cut at %d of %d bytes was read", n, len(hot))
			}
		}
	})
}

func FuzzReadRoster(f *testing.F) {
	r := newRoster()
	r.slot("payments/ledger/offsite")
	f.Add(r.appendHot(nil), r.appendTexts(nil))
	f.Fuzz(func(t *testing.T, hot, texts []byte) {
		if r, err := readRoster(hot, texts); err == nil && len(r.slots) > len(texts) {
			t.Errorf("%d slots out of %d bytes", len(r.slots), len(texts))
		}
	})
}
