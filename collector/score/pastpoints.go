package score

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// PastPoint is a recovery point that a check once listed, whether or not the copy
// still has it: the collector's own record, which no tool can rewrite. It is small,
// because every copy has a few dozen.
type PastPoint struct {
	At      int64  // of the point itself, ns since 1970
	ID      uint32 // hash of the tool's name for it; 0: it has none
	Of      uint32 // hash of the repository that held it, else of the agent that saw it
	Bytes   int64  // 0: never stated
	Files   int64  // 0: never stated
	Changed int64  // -1: never stated
	First   uint32 // when it was first listed, seconds since 1970
	Last    uint32 // when it was last listed
	Gone    uint32 // when it was first missed after that; 0: it was not, or nobody can tell
	Old     bool   // it was listed beside a newer one, so the check does list what is kept
}

// How many points are remembered of a copy: the newest, and of older ones the last
// of each of the newest days, weeks and months that have any, so that the record
// reaches back further than an observation's five points do. What belongs to a
// record follows from the points alone: in whatever order they come, and wherever
// older observations are forgotten between, the same ones stay.
const (
	recentPoints = 12
	dailyPoints  = 8
	weeklyPoints = 6
	monthPoints  = 13
)

// pastPoints is what is remembered of a copy's points, newest first.
type pastPoints []PastPoint

// comparePast orders points, newest first.
func comparePast(a, b PastPoint) int {
	return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Of, b.Of), cmp.Compare(a.ID, b.ID))
}

// note takes in what an entry lists. A failed look lists what it could read, which
// says nothing of what is missing; a point that claims to lie after its receipt is
// left to a later listing.
func (p pastPoints) note(e *entry) pastPoints {
	if e.Outcome == holdfast.Failed || len(e.RecoveryPoints) == 0 {
		return p
	}
	of := originOf(&e.Observation)
	first, last := seconds(e.At), seconds(e.last.at)
	newest, _ := span(&e.Observation)
	for i := range p {
		x := &p[i]
		if x.Of == of && x.missing(&e.Observation) && first > x.Last && (x.Gone == 0 || first < x.Gone) {
			x.Gone = first
		}
	}
	for i := range e.RecoveryPoints {
		r := &e.RecoveryPoints[i]
		if r.Time.After(e.Received) || r.Time.Unix() <= 0 {
			continue
		}
		x := PastPoint{At: r.Time.UnixNano(), ID: hashed(r.ID), Of: of, Bytes: int64(r.Bytes), Files: r.Files, Changed: -1, First: first, Last: last, Old: r.Time.Before(newest)}
		if r.Changed != nil {
			x.Changed = int64(*r.Changed)
		}
		p = p.add(x)
	}
	return p.thin()
}

// add takes in one point; of one that is known the most that was ever said of it
// stays.
func (p pastPoints) add(x PastPoint) pastPoints {
	i, known := slices.BinarySearchFunc(p, x, comparePast)
	if !known {
		return slices.Insert(p, i, x)
	}
	old := &p[i]
	old.Bytes, old.Files, old.Changed = max(old.Bytes, x.Bytes), max(old.Files, x.Files), max(old.Changed, x.Changed)
	old.First, old.Last, old.Old = min(old.First, x.First), max(old.Last, x.Last), old.Old || x.Old
	if old.Gone == 0 || x.Gone != 0 && x.Gone < old.Gone {
		old.Gone = x.Gone
	}
	if old.Last >= old.Gone {
		old.Gone = 0 // it is back
	}
	return p
}

// thin drops the points that do not belong to the record.
func (p pastPoints) thin() pastPoints {
	if len(p) <= recentPoints {
		return p
	}
	buckets := [...]struct {
		length int64
		most   int
		last   int64
		seen   int
	}{{24 * 3600, dailyPoints, math.MinInt64, 0}, {7 * 24 * 3600, weeklyPoints, math.MinInt64, 0}, {30 * 24 * 3600, monthPoints, math.MinInt64, 0}}
	kept := p[:0]
	for i, x := range p {
		keep := i < recentPoints
		for k := range buckets {
			b := &buckets[k]
			if n := x.At / 1e9 / b.length; n != b.last {
				b.last = n
				b.seen++
				keep = keep || b.seen <= b.most
			}
		}
		if keep {
			kept = append(kept, x)
		}
	}
	return kept
}

// missing reports whether a listing shows that a point is not kept any more: it lies
// before the oldest kept or after the newest, and nobody can tell of what lies
// between. A point that was only ever the newest counts where the check lists others
// beside it and its name stands for nothing else now: it may be a moment that moves
// along, like the end of an archive.
func (p *PastPoint) missing(o *holdfast.Observation) bool {
	newest, oldest := span(o)
	switch {
	case p.At < oldest.UnixNano():
		return p.Old
	case p.At > newest.UnixNano():
		return p.Old || p.ID != 0 && len(o.RecoveryPoints) > 1 &&
			!slices.ContainsFunc(o.RecoveryPoints, func(r holdfast.RecoveryPoint) bool { return hashed(r.ID) == p.ID })
	}
	return false
}

// span returns the newest and the oldest point that an observation lists.
func span(o *holdfast.Observation) (newest, oldest time.Time) {
	for i := range o.RecoveryPoints {
		at := o.RecoveryPoints[i].Time
		if newest.IsZero() || at.After(newest) {
			newest = at
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return newest, oldest
}

// originOf tells the points of one repository from another's: by the repository's
// own identity where its tool names one, else by who looked, as another agent may
// look at something else under the same name.
func originOf(o *holdfast.Observation) uint32 {
	if id, ok := o.Fingerprint[holdfast.PartRepository]; ok {
		return hashed("repository " + id)
	}
	return hashed("agent " + o.Agent)
}

// hashed shortens a name; "" is 0.
func hashed(s string) uint32 {
	if s == "" {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(s))
	return max(h.Sum32(), 1)
}

// seconds writes an instant in the record's form.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) }

func instant(s uint32) time.Time { return time.Unix(int64(s), 0).UTC() }

// joinPast joins two records of one copy.
func joinPast(a, b pastPoints) pastPoints {
	for _, x := range b {
		a = a.add(x)
	}
	return a.thin()
}

// Points returns what is remembered of a check's recovery points, newest first,
// beyond what History still tells.
func (f *Facts) Points(check string) []PastPoint {
	if h := f.checks[check]; h != nil {
		return slices.Clone(h.past)
	}
	return nil
}

// Remember puts back what Points returned.
func (f *Facts) Remember(check string, points []PastPoint) {
	if len(points) == 0 {
		return
	}
	h := f.checks[check]
	if h == nil {
		h = &history{}
		f.checks[check] = h
	}
	h.past = joinPast(h.past, points)
}
