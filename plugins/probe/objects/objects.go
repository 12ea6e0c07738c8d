// Package objects counts the objects of a store and keeps the newest of them as
// recovery points, however many there are.
package objects

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Object is one object of a store.
type Object struct {
	Name    string
	Size    int64 // below 0: the store does not say
	Changed time.Time
}

// Tally is what a store was found to hold. Make one with New.
type Tally struct {
	Newest string // the name of the newest object that counts

	pattern                   string
	now                       time.Time
	all                       int64 // objects, whether they match or not
	matched                   int64 // those that count
	bytes                     int64 // of those
	hollow, timeless, unknown int64 // match and have no byte; no time, or one in the future; count and have no known size
	points                    []holdfast.RecoveryPoint
	oldest                    holdfast.RecoveryPoint
}

// New makes a tally of the objects that match pattern, as a shell matches names: the
// last part of a name, or the whole where the pattern has a slash; "" is every
// object. The pattern must be one that path.Match takes.
func New(pattern string, now time.Time) *Tally { return &Tally{pattern: pattern, now: now} }

// newest is how many recovery points are kept besides the oldest.
const newest = 4

// skew is how far another host's clock may be ahead.
const skew = 5 * time.Minute

// Add reports whether an object counts: it matches, is not being written by rclone
// (.partial), has a byte, and a time that is not in the future.
func (t *Tally) Add(o Object) bool {
	t.all++
	switch {
	case !t.matches(o.Name), strings.HasSuffix(o.Name, ".partial"):
		return false
	case o.Size == 0:
		t.hollow++
		return false
	case o.Changed.IsZero(), o.Changed.After(t.now.Add(skew)):
		t.timeless++
		return false
	}
	t.matched++
	if o.Size < 0 {
		t.unknown++
	}
	size := max(0, o.Size)
	t.bytes += size
	p := holdfast.RecoveryPoint{Time: o.Changed.UTC(), ID: probe.Clip(probe.OneLine(o.Name), holdfast.MaxName), Bytes: holdfast.Bytes(size), Files: 1}
	if t.oldest.Time.IsZero() || p.Time.Before(t.oldest.Time) {
		t.oldest = p
	}
	at, _ := slices.BinarySearchFunc(t.points, p, func(a, b holdfast.RecoveryPoint) int { return b.Time.Compare(a.Time) })
	if at == 0 {
		t.Newest = o.Name
	}
	t.points = slices.Insert(t.points, at, p)
	t.points = t.points[:min(newest, len(t.points))]
	return true
}

func (t *Tally) matches(name string) bool {
	if t.pattern == "" {
		return true
	}
	if !strings.Contains(t.pattern, "/") {
		name = path.Base(name)
	}
	ok, _ := path.Match(t.pattern, name)
	return ok
}

// Report adds to o what was found: the newest four and the oldest as recovery
// points, numbers, a summary.
func (t *Tally) Report(o *probe.Observation) {
	o.Measures = append(o.Measures,
		holdfast.Measure{Name: "objects", Value: float64(t.all)},
		holdfast.Measure{Name: "matching_objects", Value: float64(t.matched)},
		holdfast.Measure{Name: "matching_bytes", Value: float64(t.bytes), Unit: "bytes"})
	for name, n := range map[string]int64{"without_time_or_in_the_future": t.timeless, "without_a_byte": t.hollow, "of_unknown_length": t.unknown} {
		if n > 0 {
			o.Facts[name] = fmt.Sprintf("%d objects", n)
		}
	}
	o.RecoveryPoints = t.points
	if t.matched > newest {
		o.RecoveryPoints = append(o.RecoveryPoints, t.oldest)
	}
	if t.matched > 0 {
		o.Summary = probe.OneLine(fmt.Sprintf("%d objects, %v, the newest %s of %s", t.matched, holdfast.Bytes(t.bytes), t.points[0].ID, t.points[0].Time.Format(time.RFC3339)))
	}
}

// Fault says why the store, by the name people know it by, has no recovery point;
// nil where it has one.
func (t *Tally) Fault(store string) error {
	switch {
	case t.matched > 0:
		return nil
	case t.all == 0:
		return probe.Faulty(holdfast.Empty, "%s holds no object", store)
	case t.timeless > 0:
		return probe.Unable("", "%s: all %d objects that match have no time or one in the future", store, t.timeless)
	case t.hollow > 0:
		return probe.Faulty(holdfast.Empty, "%s: all %d objects that match have no byte", store, t.hollow)
	}
	return probe.Faulty(holdfast.NoMatch, "%s: none of %d objects matches %s", store, t.all, t.pattern)
}
