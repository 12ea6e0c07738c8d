package score

import (
	"fmt"
	"math"

	"github.com/holdfast-monitor/holdfast"
)

// room is what a path needs at its recovery site, and what is seen of it.
type room struct {
	known    bool           // the sizes of all copies are known
	needed   holdfast.Bytes // restored size × headroom, raised by a typed amount
	occupied holdfast.Bytes // by replicas that stand there: counts as free
	there    bool           // all data stands there already
	size     holdfast.Bytes
}

// roomFor works out what a path needs.
func (j *judge) roomFor(p *path, pts []points) room {
	r := room{known: true, there: true}
	for i := range p.copies {
		c := &p.copies[i]
		largest := pts[i].largest
		if c.Site == p.At && c.Kind == holdfast.Primary {
			continue
		}
		if c.Site == p.At && c.Kind == holdfast.Replica {
			r.occupied += pts[i].bytes
		} else {
			r.there = false
		}
		r.known = r.known && largest > 0
		r.size += largest
	}
	r.needed = scale(r.size, max(j.m.policy.Headroom, 1))
	return r
}

func scale(b holdfast.Bytes, by float64) holdfast.Bytes {
	return holdfast.Bytes(math.Ceil(min(float64(b)*by, math.MaxInt64/2)))
}

// capacityItem judges whether the data fits at the recovery site: S/P/capacity; nil:
// it does.
func (j *judge) capacityItem(b *base, s *service, p *path, l *loss, c *clock) *item {
	if len(p.copies) == 0 || !restoresData(p) {
		return nil
	}
	id := s.Name + "/" + p.Name + "/capacity"
	look, typed := j.lookAtRoom(p)
	r := b.room
	r.needed = max(r.needed, typed)
	if look == nil {
		if r.there || b.roomShown {
			return nil
		}
		return j.finding(codeCapacityUnknown, id, "no check sees the room at "+p.At)
	}
	if !r.known && typed == 0 {
		if r.there || b.roomShown {
			return nil
		}
		return j.finding(codeCapacityUnknown, id, "nobody knows how much data "+p.Name+" restores")
	}
	free := look.obs.Capacity.Free + r.occupied
	others := j.others(s, p, l, look.check)
	if r.needed+others <= free {
		if !look.live {
			it := j.finding(codeCapacityUnknown, id, look.check.ID+": "+look.why)
			it.since, it.check, it.at = look.since, look.check.ID, look.began()
			return it
		}
		c.silent(look.until)
		return nil
	}
	reason := fmt.Sprintf("%s needs %s at %s, %s free by %s", p.Name, r.needed, p.At, free, look.check.ID)
	if others > 0 {
		reason = fmt.Sprintf("%s needs %s at %s beside %s for services of its tier and above, %s free by %s", p.Name, r.needed, p.At, others, free, look.check.ID)
	}
	it := j.finding(codeCapacityShort, id, reason)
	it.since, it.at, it.check = look.began(), look.began(), look.check.ID
	if !look.live {
		it.reason += "; " + look.why
	}
	return it
}

// lookAtRoom returns the check of the path's needs that sees most room at the
// recovery site, and the largest amount typed; nil: none sees it.
func (j *judge) lookAtRoom(p *path) (look *sight, typed holdfast.Bytes) {
	for i := range p.needs {
		n := &p.needs[i]
		if !n.stands(p.At) {
			continue
		}
		s := j.sight(n.check)
		if s.obs == nil || s.obs.Capacity == nil {
			continue
		}
		typed = max(typed, s.obs.Capacity.Needed)
		if look == nil || s.live && !look.live || s.live == look.live && s.obs.Capacity.Free > look.obs.Capacity.Free {
			look = s
		}
	}
	return look, typed
}

// others adds up what other services of the same or a higher tier need of the same
// check's room, when the same loss sends them there.
func (j *judge) others(s *service, p *path, l *loss, through *check) holdfast.Bytes {
	var sum holdfast.Bytes
	for i := range p.shares {
		if p.shares[i].check != through {
			continue
		}
		most := map[int]holdfast.Bytes{} // a service takes one of its paths
		for _, m := range p.shares[i].members {
			other := &j.m.services[m.service]
			q := &other.paths[m.path]
			if m.service == s.index || other.Tier > s.Tier || q.At != p.At || !covers(q, l.scenario) || !l.takesService(other) || other.BIA == nil {
				continue
			}
			r := j.roomFor(q, j.allPoints(q))
			most[m.service] = max(most[m.service], r.needed-r.occupied)
		}
		for _, needed := range most {
			sum += max(needed, 0)
		}
	}
	return sum
}

func (j *judge) allPoints(p *path) []points {
	list := make([]points, len(p.copies))
	for i := range p.copies {
		list[i] = j.pointsOf(p.copies[i].Copy, p.copies[i].check)
	}
	return list
}

// showRoom notes whether complete restores at the recovery site, within their
// cadence, held as much as the copies hold now.
func (j *judge) showRoom(b *base, p *path) {
	cadence := j.m.policy.Tier(b.tier).Restored
	held := map[proofKey]holdfast.Bytes{} // what each restore would have to hold now
	for i := range p.copies {
		c := &p.copies[i]
		if c.Kind == holdfast.Primary || c.Site == p.At && c.Kind == holdfast.Replica {
			continue
		}
		pr := b.trials[i].restored()
		if pr == nil || j.lapsed(&b.clock, pr.at, cadence).state != holdfast.Proven {
			return
		}
		held[pr.key()] += b.points[i].largest
		if size := held[pr.key()]; size > 0 && pr.bytes < size {
			return
		}
	}
	b.roomShown = len(p.copies) > 0
}
