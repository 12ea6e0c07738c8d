package score

import (
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// points is what is known of a copy's recovery points (JUDGEMENT.md 5).
type points struct {
	newest  time.Time // zero: none known, or current
	current bool      // the primary: its point is now
	moving  bool      // a replica that goes on following: its point renews with every report
	oldest  time.Time // still kept
	four    []time.Time
	all     []time.Time // newest first
	bytes   holdfast.Bytes
	largest holdfast.Bytes
}

// known reports whether there is a point at all.
func (p *points) known() bool { return p.current || !p.newest.IsZero() }

// gap returns the largest gap between the newest four points.
func (p *points) gap() (widest time.Duration) {
	for i := 1; i < len(p.four); i++ {
		widest = max(widest, p.four[i-1].Sub(p.four[i]))
	}
	return widest
}

// pointsOf returns the recovery points of a copy.
func (j *judge) pointsOf(c *holdfast.Copy, k *check) points {
	if k == nil {
		return points{}
	}
	s := j.sight(k)
	if s.obs == nil && len(s.seen) == 0 {
		return points{}
	}
	if c.Kind == holdfast.Primary {
		return primaryPoints(s)
	}
	if s.obs != nil && nothingUsable(&s.obs.Observation) {
		return points{}
	}
	p := listedPoints(s)
	followed(s, &p)
	return p
}

// primaryPoints: the data itself is as of now while its check is met; once nobody
// sees it, as of when it was last seen good.
func primaryPoints(s *sight) points {
	p := points{}
	if s.live && s.obs.Outcome != holdfast.Failed {
		p.current = true
	} else if e := s.latest(func(o *holdfast.Observation) bool { return o.Outcome != holdfast.Failed }); e != nil {
		p.newest = e.last.at
	}
	if e := s.latest(func(o *holdfast.Observation) bool { return len(o.RecoveryPoints) > 0 }); e != nil {
		p.bytes, p.largest = sizes(e.RecoveryPoints)
	}
	return p
}

// nothingUsable reports whether an observation says that no point of the copy can
// be used any more.
func nothingUsable(o *holdfast.Observation) bool {
	switch o.Outcome {
	case holdfast.Failed:
		return slices.Contains([]holdfast.Reason{holdfast.Damaged, holdfast.Empty, holdfast.Missing, holdfast.NoMatch}, o.Reason) &&
			len(o.RecoveryPoints) == 0
	}
	return len(o.RecoveryPoints) == 0 && o.Replication == nil
}

// listedPoints reads the points that the newest observation with any of them
// lists. A point that claims to lie after its first receipt is dated by that.
func listedPoints(s *sight) points {
	var p points
	for i := len(s.seen) - 1; i >= 0; i-- {
		e := &s.seen[i]
		if len(e.RecoveryPoints) == 0 {
			continue
		}
		for _, r := range e.RecoveryPoints {
			at := r.Time.UTC()
			if at.After(e.Received) {
				first, _ := firstNaming(s.seen, i, r)
				at = s.seen[first].Received
			}
			p.all = append(p.all, at)
		}
		slices.SortFunc(p.all, func(a, b time.Time) int { return b.Compare(a) })
		p.newest, p.oldest = p.all[0], p.all[len(p.all)-1]
		p.four = p.all[:min(4, len(p.all))]
		p.bytes, p.largest = sizes(e.RecoveryPoints)
		break
	}
	return p
}

// sizes returns the restored size of the newest point that states one, and the
// largest.
func sizes(list []holdfast.RecoveryPoint) (newest, largest holdfast.Bytes) {
	var at time.Time
	for _, r := range list {
		if r.Bytes > 0 && (newest == 0 || r.Time.After(at)) {
			newest, at = r.Bytes, r.Time
		}
		largest = max(largest, r.Bytes)
	}
	return newest, largest
}

// followed adds what a replica attests: the time it was looked at less its lag. One
// that cannot see its primary attests none, and the last point stands.
func followed(s *sight, p *points) {
	e := s.latest(func(o *holdfast.Observation) bool { return o.Replication != nil && o.Replication.PrimarySeen })
	if e != nil {
		at := e.last.at.Add(-e.Replication.Lag.Std())
		if at.After(p.newest) {
			p.newest = at
		}
		if p.oldest.IsZero() {
			p.oldest = at
		}
		p.moving = s.live && s.obs.Replication != nil && s.obs.Replication.PrimarySeen && s.obs.Outcome != holdfast.Failed
	}
	if e := s.latest(func(o *holdfast.Observation) bool { return o.Replication != nil && o.Replication.Bytes > 0 }); e != nil {
		p.bytes, p.largest = e.Replication.Bytes, max(p.largest, e.Replication.Bytes)
	}
}

// pathPoint is the recovery point of a path: the oldest of its copies'.
type pathPoint struct {
	at      time.Time // zero: unknown, or current
	current bool      // the primary alone: now
	moving  bool      // all that hold it back go on following
	known   bool      // every copy has one
	copy    string    // that holds it back
	gap     time.Duration
	gapCopy string
}

// pathPoint combines the points of a path's copies.
func (b *base) pathPoint(p *path) pathPoint {
	r := pathPoint{known: len(p.copies) > 0, current: len(p.copies) > 0}
	for i := range p.copies {
		c, pts := &p.copies[i], &b.points[i]
		if !pts.known() {
			return pathPoint{copy: c.id}
		}
		if gap := pts.gap(); gap > r.gap {
			r.gap, r.gapCopy = gap, c.id
		}
		if pts.current {
			continue
		}
		if r.current || pts.newest.Before(r.at) {
			r.current, r.at, r.moving, r.copy = false, pts.newest, pts.moving, c.id
		}
	}
	return r
}

// verifiedPoint returns the newest point on hand that a clean verification or a
// restore came after; zero: none. Points that the copy does not list may be gone.
func verifiedPoint(pts *points, t *trial) time.Time {
	for _, at := range pts.all {
		for _, passes := range t.passes {
			if slices.ContainsFunc(passes, func(p proof) bool { return !p.at.Before(at) }) {
				return at
			}
		}
	}
	return time.Time{}
}

// skewItems judges datasets listed as consistent: their points must lie within the
// stated skew.
func (j *judge) skewItems(b *base, s *service, p *path) {
	for n := range s.Consistent {
		group := &s.Consistent[n]
		id := s.Name + "/" + p.Name + "/consistent"
		var oldest, newest time.Time
		current, unknown, members := false, "", 0
		for i := range p.copies {
			if !slices.Contains(group.Datasets, p.copies[i].ref.Dataset) {
				continue
			}
			members++
			pts := &b.points[i]
			switch {
			case pts.current:
				current = true
			case pts.newest.IsZero():
				unknown = p.copies[i].id
			default:
				if oldest.IsZero() || pts.newest.Before(oldest) {
					oldest = pts.newest
				}
				newest = later(newest, pts.newest)
			}
		}
		switch {
		case members < 2:
		case unknown != "":
			b.add(j.finding(codeSkewUnknown, id, "no recovery point of "+unknown+" is known"))
		case current && !oldest.IsZero():
			end := oldest.Add(group.Within.Std())
			b.clock.due(end)
			if j.at.Before(end) {
				continue
			}
			it := j.finding(codeSkewWide, id, "the copy's point of "+moment(oldest)+" and the data itself lie further apart than "+group.Within.String())
			it.since = end
			b.add(it)
		case newest.Sub(oldest) > group.Within.Std():
			it := j.finding(codeSkewWide, id, "the points of "+moment(oldest)+" and "+moment(newest)+" lie further apart than "+group.Within.String())
			it.since = newest
			b.add(it)
		}
	}
}
