package holdfast_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	holdfast "github.com/holdfast-monitor/holdfast"
	"pgregory.net/rapid"
)

// TestProgress plays random deliveries, new epochs and given-up reports against a
// plain set.
func TestProgress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p holdfast.Progress
		epoch, settled := uint64(0), map[uint64]bool{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			before := p
			kept := append([]holdfast.SeqRange(nil), p.Beyond...)
			seq := rapid.Uint64Range(1, 40).Draw(t, "seq")
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0: // a new data folder
				epoch++
				settled = map[uint64]bool{seq: true}
				p, _ = p.With(epoch, seq)
			case 1: // everything below seq is given up
				for i := range seq {
					settled[i] = true
				}
				p = p.Above(epoch, seq)
			case 2: // an old epoch says nothing new
				if epoch > 0 {
					p, _ = p.With(epoch-1, seq)
				}
			default:
				settled[seq] = true
				p, _ = p.With(epoch, seq)
			}
			for i := uint64(1); i <= 42; i++ {
				if got, want := p.Has(epoch, i), settled[i]; got != want {
					t.Fatalf("Has(%d, %d) = %v, want %v in %+v", epoch, i, got, want, p)
				}
			}
			if epoch > 0 && !p.Has(epoch-1, seq) || p.Has(epoch+1, 1) {
				t.Fatalf("%+v: an older epoch is over, a newer one has not begun", p)
			}
			if d := cmp.Diff(kept, before.Beyond); d != "" && len(kept) > 0 {
				t.Fatalf("an older value changed: %s", d)
			}
			for i, r := range p.Beyond {
				if low := p.Through; r.First > r.Last || i == 0 && r.First <= low+1 || i > 0 && r.First <= p.Beyond[i-1].Last+1 {
					t.Fatalf("runs not in shape: %+v", p)
				}
			}
		}
	})
}

func TestProgressIsBounded(t *testing.T) {
	var p holdfast.Progress
	ok := true
	n := 0
	for seq := uint64(2); ok; seq += 2 {
		p, ok = p.With(1, seq)
		n++
	}
	if n != holdfast.MaxRanges+1 || len(p.Beyond) != holdfast.MaxRanges {
		t.Errorf("took %d lone reports and kept %d runs, want %d", n-1, len(p.Beyond), holdfast.MaxRanges)
	}
	if p, ok = p.With(1, 1); !ok || p.Through != 2 {
		t.Errorf("With(1, 1) = through %d, %v; want 2, true: a gap may always be closed", p.Through, ok)
	}
}

func TestProgressUsualCaseNeedsNoMemory(t *testing.T) {
	p, seq := holdfast.Progress{Epoch: 1}, uint64(0)
	if n := testing.AllocsPerRun(100, func() { seq++; p, _ = p.With(1, seq) }); n != 0 {
		t.Errorf("%v allocations a report, want none", n)
	}
}
