package bolt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

// BenchmarkCommit commits batches of 1,000 agents' reports of 4 KiB, out of
// 50,000 agents, with and without 500 changed outcomes and their histories.
func BenchmarkCommit(b *testing.B) {
	for _, changes := range []int{0, 500} {
		b.Run(fmt.Sprintf("changes=%d", changes), func(b *testing.B) {
			s := open(b, b.TempDir())
			hot, small := make([]byte, 4096), make([]byte, 200)
			n := 0
			for b.Loop() {
				var batch store.Batch
				for range 1000 {
					n++
					batch.Reports = append(batch.Reports, store.AgentReport{
						Agent: fmt.Sprintf("agent-%06d", n*7919%50_000), Epoch: 1, Seq: uint64(n), Received: day, Hot: hot,
					})
				}
				for i := range changes {
					check := fmt.Sprintf("service-%05d/path/restored", (n+i*31)%100_000)
					batch.Observed = append(batch.Observed, store.Observed{At: day.Add(time.Duration(n)), Check: check, Value: small})
					batch.Histories = append(batch.Histories, store.History{Check: check, Value: small})
				}
				if err := s.Commit(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "reports/s")
		})
	}
}

// BenchmarkOpen opens a store of 100,000 histories and reads them.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir)
	const checks, each = 100_000, 10_000
	for i := 0; i < checks; i += each {
		var batch store.Batch
		for j := range each {
			batch.Histories = append(batch.Histories, store.History{Check: fmt.Sprintf("check-%06d", i+j), Value: make([]byte, 500)})
		}
		if err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for _, read := range []bool{false, true} {
		b.Run(fmt.Sprintf("read=%t", read), func(b *testing.B) {
			for b.Loop() {
				s := open(b, dir)
				n := 0
				if read {
					for _, err := range s.Histories(b.Context()) {
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
					if n != checks {
						b.Fatalf("got %d histories, want %d", n, checks)
					}
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
