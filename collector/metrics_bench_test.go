package collector_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector"
)

// estateOf makes n postures of the usual size: four scenarios, two paths, two
// datasets of three copies.
func estateOf(n int) []holdfast.Posture {
	now := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	soon := now.Add(time.Hour)
	five := 58
	limit := holdfast.Objective{Limit: holdfast.Duration(time.Hour)}
	list := make([]holdfast.Posture, n)
	for i := range list {
		p := holdfast.Posture{
			Name: fmt.Sprintf("service-%05d", i), Owner: "payments-team", Site: "fra", Tier: 1 + i%4, State: holdfast.Untested, Score: &five, NextChange: &soon,
			Cause:      &holdfast.Cause{Need: "x/y/z", State: holdfast.Untested},
			Objectives: &holdfast.Objectives{RTO: holdfast.ThreeFold{Requested: limit, Committed: 1, Proven: 1}, RPO: holdfast.ThreeFold{Requested: limit, Committed: 1, Proven: 1}},
		}
		for _, s := range []string{"host-loss", "site-loss", "data-corruption", "ransomware"} {
			p.Scenarios = append(p.Scenarios, holdfast.ScenarioPosture{Name: s, State: holdfast.Untested, RTO: limit, RPO: limit, Point: now, RecoveryTime: &holdfast.RecoveryTime{Total: limit.Limit}})
		}
		for _, path := range []string{"restore", "failover"} {
			rungs := map[holdfast.Rung]holdfast.RungPosture{}
			for _, r := range holdfast.Rungs {
				rungs[r] = holdfast.RungPosture{State: holdfast.Untested, Required: true, At: now}
			}
			p.Paths = append(p.Paths, holdfast.PathPosture{Name: path, Rungs: rungs, Needs: []holdfast.NeedPosture{{Verdict: holdfast.Met}, {Verdict: holdfast.Unmet}}})
		}
		for _, d := range []string{"ledger", "receipts"} {
			data := holdfast.DataPosture{Dataset: d}
			for _, c := range []string{"primary", "hourly", "offsite"} {
				data.Copies = append(data.Copies, holdfast.CopyPosture{Copy: c, Verdict: holdfast.Met, Point: now, Oldest: now, Bytes: 1 << 30, Verified: now, Scope: 1, Restored: now, Took: 1, Seen: now})
			}
			p.Data = append(p.Data, data)
		}
		for _, code := range []string{"rung-restored", "rung-exercised", "plan-review"} {
			p.Findings = append(p.Findings, holdfast.Finding{Need: "x/y/z", Code: code, Verdict: holdfast.Unmet, Points: 14})
		}
		list[i] = p
	}
	return list
}

// BenchmarkScrape is one scrape of 10,000 services, as text.
func BenchmarkScrape(b *testing.B) {
	h := promhttp.HandlerFor(collector.MetricsOf(estateOf(10000)), promhttp.HandlerOpts{})
	req := httptest.NewRequest("GET", "/metrics", nil)
	b.ReportAllocs()
	series := 0
	for b.Loop() {
		w := &counting{header: http.Header{}}
		h.ServeHTTP(w, req)
		series = w.lines
	}
	b.ReportMetric(float64(series), "series/scrape")
}

// counting is a client that counts lines and forgets them.
type counting struct {
	header http.Header
	lines  int
}

func (c *counting) Header() http.Header { return c.header }
func (c *counting) WriteHeader(int)     {}
func (c *counting) Write(b []byte) (int, error) {
	c.lines += bytes.Count(b, []byte("\n"))
	return len(b), nil
}
