package holdfast

import "slices"

// Progress is which reports of an agent are settled: of Epoch every one up to
// Through, and those of Beyond. It lets an agent send its newest report before
// the older ones that wait behind it, and have each counted once. A Progress is a
// value: no method changes the slice of another copy.
type Progress struct {
	Epoch   uint64     `json:"epoch"`
	Through uint64     `json:"through"`
	Beyond  []SeqRange `json:"beyond,omitempty"` // ascending, apart from each other and from Through
}

// SeqRange is a run of sequence numbers, both ends included.
type SeqRange struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// MaxRanges is how many runs Beyond may hold.
const MaxRanges = 1024

// Has reports whether the report is settled: it is counted, or of an epoch that is over.
func (p Progress) Has(epoch, seq uint64) bool {
	if epoch != p.Epoch {
		return epoch < p.Epoch
	}
	if seq <= p.Through {
		return true
	}
	i, found := p.find(seq)
	return found || i > 0 && seq <= p.Beyond[i-1].Last
}

// find returns the index of the first run that begins at or after seq.
func (p Progress) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(p.Beyond, seq, func(r SeqRange, s uint64) int {
		switch {
		case r.First < s:
			return -1
		case r.First > s:
			return 1
		}
		return 0
	})
}

// With returns p with one more report settled. A larger epoch starts afresh; ok
// is false, and p comes back as it is, where Beyond would grow over MaxRanges.
func (p Progress) With(epoch, seq uint64) (next Progress, ok bool) {
	if p.Has(epoch, seq) {
		return p, true
	}
	if epoch != p.Epoch {
		p = Progress{Epoch: epoch}
	}
	if len(p.Beyond) == 0 && seq == p.Through+1 { // the usual case, without memory
		p.Through = seq
		return p, true
	}
	i, _ := p.find(seq)
	runs := make([]SeqRange, 0, len(p.Beyond)+1)
	runs = append(runs, p.Beyond[:i]...)
	runs = append(runs, SeqRange{seq, seq})
	runs = append(runs, p.Beyond[i:]...)
	next = Progress{Epoch: p.Epoch, Through: p.Through, Beyond: runs}.joined()
	if len(next.Beyond) > MaxRanges {
		return p, false
	}
	return next, true
}

// Above returns p with every report of the epoch below oldest settled: the agent
// no longer holds them.
func (p Progress) Above(epoch, oldest uint64) Progress {
	if epoch < p.Epoch || oldest == 0 || epoch == p.Epoch && oldest-1 <= p.Through {
		return p
	}
	if epoch > p.Epoch {
		return Progress{Epoch: epoch, Through: oldest - 1}
	}
	return Progress{Epoch: epoch, Through: oldest - 1, Beyond: slices.Clone(p.Beyond)}.joined()
}

// joined melts runs that touch each other or Through. It works in place.
func (p Progress) joined() Progress {
	runs := p.Beyond[:0]
	for _, r := range p.Beyond {
		switch n := len(runs); {
		case n == 0 && r.First <= p.Through+1:
			p.Through = max(p.Through, r.Last)
		case n > 0 && r.First <= runs[n-1].Last+1:
			runs[n-1].Last = max(runs[n-1].Last, r.Last)
		default:
			runs = append(runs, r)
		}
	}
	p.Beyond = runs
	if len(runs) == 0 {
		p.Beyond = nil
	}
	return p
}
