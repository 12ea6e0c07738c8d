package score_test

import (
	"testing"
	"time"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// An observation that comes behind newer ones that all say the same lies between
// them: it never becomes the latest.
func TestBehindARun(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	observation := func(seq int, received time.Duration, outcome holdfast.Outcome) holdfast.Observation {
		return holdfast.Observation{Check: "s/p/c", Agent: "a", Seq: uint64(seq), At: start.Add(time.Duration(seq) * time.Minute), Received: start.Add(received), Outcome: outcome}
	}
	for _, restarted := range []bool{false, true} {
		f := score.NewFacts()
		f.Advance(start.Add(time.Hour))
		f.Observe(observation(1, 1*time.Minute, holdfast.OK))
		f.Observe(observation(4, 10*time.Minute, holdfast.OK))
		if !f.Observe(observation(2, 11*time.Minute, holdfast.Failed)) {
			t.Error("a failure inside a run of good ones changes nothing")
		}
		if f.Observe(observation(4, 12*time.Minute, holdfast.OK)) {
			t.Error("the same once more changes something")
		}
		if restarted {
			kept := f.History("s/p/c")
			f = score.NewFacts()
			for _, o := range kept {
				f.Observe(o)
			}
		}
		o, _ := f.Latest("s/p/c")
		if o.Seq != 4 || o.Outcome != holdfast.OK {
			t.Errorf("restarted %t: the latest is %s with number %d, want ok with 4", restarted, o.Outcome, o.Seq)
		}
	}
}
