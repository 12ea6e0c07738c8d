package score_test

import (
	"testing"
	"time"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// What Latest hands out may be changed without changing what is known.
func TestLatestIsTheCallers(t *testing.T) {
	f := score.NewFacts()
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	f.Observe(holdfast.Observation{
		At: at, Check: "s/d/c", Outcome: holdfast.OK, Agent: "a", Seq: 1,
		Replication: &holdfast.Replication{Lag: holdfast.Duration(5 * time.Second), PrimarySeen: true},
		Capacity:    &holdfast.Capacity{Free: 100},
	})
	o, ok := f.Latest("s/d/c")
	if !ok {
		t.Fatal("nothing is known")
	}
	o.Replication.Lag, o.Capacity.Free = 0, 0
	kept := f.History("s/d/c")
	if len(kept) != 1 || kept[0].Replication.Lag != holdfast.Duration(5*time.Second) || kept[0].Capacity.Free != 100 {
		t.Errorf("after changing what Latest gave: known is %+v", kept)
	}
}
