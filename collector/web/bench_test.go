package web_test

import (
	"fmt"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// many makes an estate of n services out of the judged ones of the example.
func many(t testing.TB, n int) *estate {
	e := newEstate(t, at(noon), troubled(noon))
	some := e.postures
	list := make([]holdfast.Posture, n)
	for i := range list {
		list[i] = some[i%len(some)]
		list[i].Name = fmt.Sprintf("%s-%05d", list[i].Name, i)
	}
	e.postures = list
	return e
}

// TestManyServices: 10,000 services are a page of at most 200, quickly, and the
// rest is one link away.
func TestManyServices(t *testing.T) {
	h := handler(t, many(t, 10100))
	if rows := find(one(t, page(t, h, "/"), "rows", id("rows")), tag("tr")); len(rows) != 200 {
		t.Errorf("got %d rows, want 200", len(rows))
	}
	if rows := find(one(t, page(t, h, "/?from=10000"), "rows", id("rows")), tag("tr")); len(rows) != 100 {
		t.Errorf("the last page: got %d rows, want 100", len(rows))
	}
}

// BenchmarkOverview renders the overview of 10,000 services.
func BenchmarkOverview(b *testing.B) {
	h := handler(b, many(b, 10000))
	b.ReportAllocs()
	began := time.Now()
	for b.Loop() {
		ask(b, h, "viewer", "GET", "/", "")
	}
	if each := time.Since(began) / time.Duration(b.N); each > 100*time.Millisecond {
		b.Errorf("%v a page, want less than 100ms", each)
	}
}

// BenchmarkService renders one service's page.
func BenchmarkService(b *testing.B) {
	h := handler(b, newEstate(b, at(noon), troubled(noon)))
	b.ReportAllocs()
	for b.Loop() {
		ask(b, h, "viewer", "GET", "/services/payments", "")
	}
}
