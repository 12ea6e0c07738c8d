package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

func testRecords(t *testing.T, b *bench) {
	full := holdfast.Record{
		At: start, Kind: holdfast.Exercise, Service: "payments", Path: "restore", Scenario: "site-loss", By: "anna", Until: after(time.Hour),
		Reason: "because", Note: "zwölf <Zeilen>\n", Plan: "p", Version: "7", Editorial: true, Team: "t", People: []string{"a", "b"},
		Site: "ams", Host: "dr1", Outcome: holdfast.OK, Started: after(-time.Hour), Duration: holdfast.Duration(time.Minute), Point: after(-2 * time.Hour),
		Bytes: 5, Substantive: true, Data: true, Need: "n", Approver: "c", Received: after(time.Minute),
	}
	give := []holdfast.Record{
		full,
		{At: start, Kind: holdfast.Review, By: "b", Received: after(-time.Hour)}, // received earlier: sorts before
		{At: after(-48 * time.Hour), Kind: holdfast.Change, By: "c"},             // no receipt: sorts by At
		full, // the same words again are another record
	}
	var want []holdfast.Record
	for _, r := range give {
		got, err := b.AppendRecord(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID == "" {
			t.Fatal("got no ID")
		}
		r.ID = got.ID
		equal(t, "appended", got, r)
		want = append(want, r)
	}
	if _, err := b.AppendRecord(t.Context(), want[0]); err == nil {
		t.Error("a record with an ID: got no error")
	}
	if _, err := b.AppendRecord(t.Context(), holdfast.Record{By: "nobody knows when", At: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("the year 20000: got no error")
	}
	want = []holdfast.Record{want[2], want[1], want[0], want[3]}
	b.both(t, func(t tester) {
		got := collect(t, b.Records(t.Context()))
		equal(t, "records", got, want)
		sorted := slices.IsSortedFunc(got, func(a, b holdfast.Record) int {
			if a.ID < b.ID {
				return -1
			}
			return 1
		})
		equal(t, "IDs are sorted and differ", sorted, true)
	})
	// Numbers go on where they were.
	again, err := b.AppendRecord(t.Context(), full)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID <= want[3].ID {
		t.Errorf("ID after reopening: got %s, want one after %s", again.ID, want[3].ID)
	}
}

func testCatalogues(t *testing.T, b *bench) {
	if _, err := b.Catalogue(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before the first: got %v, want ErrNotFound", err)
	}
	put := func(c store.AcceptedCatalogue) {
		t.Helper()
		if err := b.PutCatalogue(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	first := store.AcceptedCatalogue{At: start, Hash: "h1", Summary: "the first", Terms: []byte{0, 255},
		Files: map[string][]byte{"site.yaml": []byte("site: fra\n"), "empty.yaml": {}, "a/ü.yaml": []byte("site: fra\n")}}
	second := store.AcceptedCatalogue{At: after(time.Hour), Hash: "h2",
		Files: map[string][]byte{"site.yaml": []byte("site: fra\n"), "more.yaml": []byte("site: ams\n")}}
	back := first // the same content once more, and dated before the second
	put(first)
	put(second)
	put(back)
	if err := b.PutCatalogue(t.Context(), store.AcceptedCatalogue{Files: map[string][]byte{"\xff": nil}}); err == nil {
		t.Error("a path not in UTF-8: got no error")
	}
	b.both(t, func(t tester) {
		last, err := b.Catalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the last", last, back)
		equal(t, "all", collect(t, b.Catalogues(t.Context())), []store.AcceptedCatalogue{back, second, first})
	})
}
