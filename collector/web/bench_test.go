package web_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// many makes an estate of n services out of the judged ones of the example.
func many(t testing.TB, n int) *estate {
	e := newEstate(t, at(noon), troubled(noon))
	some, services := e.postures, e.catalogue.Services
	e.postures, e.catalogue.Services = make([]holdfast.Posture, n), make([]holdfast.Service, n)
	for i := range n {
		p := some[i%len(some)]
		s := services[slices.IndexFunc(services, func(s holdfast.Service) bool { return s.Name == p.Name })]
		p.Name = fmt.Sprintf("%s-%05d", p.Name, i)
		s.Name = p.Name
		e.postures[i], e.catalogue.Services[i] = p, s
	}
	slices.SortFunc(e.postures, func(a, b holdfast.Posture) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(e.catalogue.Services, func(a, b holdfast.Service) int { return strings.Compare(a.Name, b.Name) })
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

// Benchmark10000 asks for what has 10,000 services to look through.
func Benchmark10000(b *testing.B) {
	h := handler(b, many(b, 10000))
	for name, target := range map[string]string{
		"overview": "/", "grouped": "/?group=owner", "wall": "/?view=wall", "search": "/api/v1/search?q=web+shop",
		"services": "/api/v1/services", "services-found": "/api/v1/services?q=shop&state=not-proven&group=owner", "services-by-name": "/api/v1/services?sort=name",
		"scenarios": "/api/v1/scenarios", "deadlines": "/api/v1/deadlines?within=30d", "service": "/api/v1/services/dns-00000",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := time.Now()
			for b.Loop() {
				if r := ask(b, h, "viewer", "GET", target, ""); r.StatusCode != 200 {
					b.Fatalf("got %d", r.StatusCode)
				}
			}
			if each := time.Since(began) / time.Duration(b.N); each > 100*time.Millisecond {
				b.Errorf("%v each, want less than 100ms", each)
			}
		})
	}
}

// BenchmarkStatus10000 answers every posture of 10,000 services at once: some tens
// of MiB, for whoever wants them all.
func BenchmarkStatus10000(b *testing.B) {
	h := handler(b, many(b, 10000))
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(text(b, ask(b, h, "viewer", "GET", "/api/v1/status", "")))))
	}
}

// BenchmarkService10000 renders the page of one of 10,000 services, and that of one
// of its checks, with 90 days behind them.
func BenchmarkService10000(b *testing.B) {
	e, own := many(b, 10000), newEstate(b, at(noon), troubled(noon))
	remember(own)
	e.postures, e.catalogue.Services = append(e.postures, own.postures...), append(e.catalogue.Services, own.catalogue.Services...)
	slices.SortFunc(e.postures, func(a, b holdfast.Posture) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(e.catalogue.Services, func(a, b holdfast.Service) int { return strings.Compare(a.Name, b.Name) })
	e.past, e.standings, e.records = own.past, own.standings, own.records
	h := handler(b, e)
	for name, target := range map[string]string{"page": "/services/payments", "check": "/checks/payments/ledger/offsite", "timeline": "/api/v1/services/payments/timeline"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := time.Now()
			for b.Loop() {
				if r := ask(b, h, "viewer", "GET", target, ""); r.StatusCode != 200 {
					b.Fatalf("got %d", r.StatusCode)
				}
			}
			if each := time.Since(began) / time.Duration(b.N); each > 100*time.Millisecond {
				b.Errorf("%v each, want less than 100ms", each)
			}
		})
	}
}
