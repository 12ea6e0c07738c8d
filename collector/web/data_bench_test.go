package web_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// manyDescribed makes an estate of n services out of the judged ones of the
// example, each with a description of its own in the catalogue.
func manyDescribed(t testing.TB, n int) *estate {
	e := newEstate(t, at(noon), troubled(noon))
	some := slices.Clone(e.postures)
	catalogue := *e.catalogue
	e.postures, catalogue.Services = nil, nil
	for i := range n {
		p := some[i%len(some)]
		s := *e.catalogue.Service(p.Name)
		p.Name = fmt.Sprintf("%s-%05d", p.Name, i)
		p.Findings = slices.Clone(p.Findings)
		for k := range p.Findings {
			p.Findings[k].Need = strings.Replace(p.Findings[k].Need, s.Name+"/", p.Name+"/", 1)
		}
		s.Name = p.Name
		e.postures, catalogue.Services = append(e.postures, p), append(catalogue.Services, s)
	}
	slices.SortFunc(e.postures, func(a, b holdfast.Posture) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(catalogue.Services, func(a, b holdfast.Service) int { return strings.Compare(a.Name, b.Name) })
	e.catalogue = &catalogue
	return e
}

// TestManyDatasets: 10,000 services are pages of so many rows, and the rest is
// one link away.
func TestManyDatasets(t *testing.T) {
	h := handler(t, manyDescribed(t, 10000))
	if rows := rowsOf(t, h, "/data"); len(rows) != 50 {
		t.Errorf("datasets: got %d rows, want 50", len(rows))
	}
	if rows := rowsOf(t, h, "/data?from=9900&sort=size"); len(rows) != 50 {
		t.Errorf("datasets from 9900: got %d rows, want 50", len(rows))
	}
	for _, target := range []string{"/paths", "/paths?view=list", "/data"} {
		if size := len(text(t, ask(t, h, "viewer", "GET", target, ""))); size > 1<<20 {
			t.Errorf("%s: a page of %d bytes, want at most 1 MiB", target, size)
		}
	}
}

// benchmarkPage asks for a page again and again, each time after a change: what is
// worked out once a revision is worked out every time.
func benchmarkPage(b *testing.B, target string) {
	e := manyDescribed(b, 10000)
	h := handler(b, e)
	b.ReportAllocs()
	began := time.Now()
	for b.Loop() {
		e.mu.Lock()
		e.tell()
		e.mu.Unlock()
		ask(b, h, "viewer", "GET", target, "")
	}
	if each := time.Since(began) / time.Duration(b.N); each > 100*time.Millisecond {
		b.Errorf("%v a page, want less than 100ms", each)
	}
}

// The pages of 10,000 services.
func BenchmarkData(b *testing.B)       { benchmarkPage(b, "/data") }
func BenchmarkDataSearch(b *testing.B) { benchmarkPage(b, "/data?q=vault&sort=loss&only=problems") }
func BenchmarkPaths(b *testing.B)      { benchmarkPage(b, "/paths") }
func BenchmarkPathsList(b *testing.B)  { benchmarkPage(b, "/paths?view=list") }
