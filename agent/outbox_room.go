package agent

import (
	"encoding/json"
	"math"
	"time"
)

// cut is what is to be given up of one report on disk.
type cut struct {
	seq   uint64
	left  *letter // nil: the whole report goes
	bytes int     // of left
}

// makeRoom decides what goes so that the reports in memory fit on disk: results
// that changed nothing and are too old; then, where room is short, the oldest
// that changed nothing; then the oldest reports. Room is made for a while, a
// tenth of the whole, so that a full spool does not cut with every write.
func (o *Outbox) makeRoom() ([]cut, error) {
	limit := int64(o.options.Bytes)
	room, bytes := limit, o.bytes
	for _, l := range o.memory {
		room -= int64(l.size())
	}
	full := bytes > room
	if full {
		room -= limit / 10
	}
	oldest := o.tooOld()
	var cuts []cut
	var unchanged, changed int
	for _, e := range o.waiting {
		if e.born >= oldest && !(full && bytes > room) {
			break
		}
		if !e.same {
			continue
		}
		l, err := o.load(e.seq)
		if err != nil {
			continue // report names it when its turn comes
		}
		unchanged += len(l.Same)
		bytes -= int64(e.bytes)
		c := cut{seq: e.seq}
		if l.Same = nil; len(l.Changed) > 0 {
			c.left, c.bytes = &l, l.size()
			bytes += int64(c.bytes)
		}
		cuts = append(cuts, c)
	}
	if full && bytes > room {
		cuts, changed = o.cutOldest(cuts, bytes-room)
	}
	if len(cuts) > 0 {
		o.lost += uint64(unchanged + changed)
		o.log.Warn("results given up that the collector never had", "full", full, "unchanged", unchanged, "changed", changed)
	}
	return cuts, nil
}

// tooOld returns when results that changed nothing must have been born to be kept.
// It lets them grow a little too old first, so that they go by the hundred.
func (o *Outbox) tooOld() time.Duration {
	oldest := o.options.Elapsed() - o.options.Age.Std()
	for _, e := range o.waiting {
		if e.same {
			if e.born > oldest-o.options.Age.Std()/50 {
				break
			}
			return oldest
		}
	}
	return math.MinInt64
}

// cutOldest gives up whole reports, oldest first, until that many bytes more are
// free, and says how many results went that had something to say.
func (o *Outbox) cutOldest(cuts []cut, need int64) (all []cut, changed int) {
	next := 0 // of cuts, which are in the order of waiting
	for _, e := range o.waiting {
		if need <= 0 {
			break
		}
		at := -1
		if next < len(cuts) && cuts[next].seq == e.seq {
			at = next
			next++
			if cuts[at].left == nil {
				continue
			}
		}
		if at < 0 {
			l, _ := o.load(e.seq)
			changed += len(l.Changed)
			need -= int64(e.bytes)
			all = append(all, cut{seq: e.seq})
			continue
		}
		changed += len(cuts[at].left.Changed)
		need -= int64(cuts[at].bytes)
		cuts[at].left = nil
	}
	return append(all, cuts...), changed
}

// size is how many bytes a report takes on disk.
func (l *letter) size() int {
	text, _ := json.Marshal(l)
	return len(text) + 4
}
