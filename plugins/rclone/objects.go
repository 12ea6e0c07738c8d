package rclone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// object is what lsjson says of one.
type object struct {
	Path    string            `json:"Path"`
	Size    int64             `json:"Size"` // -1: the store does not say
	ModTime time.Time         `json:"ModTime"`
	IsDir   bool              `json:"IsDir"`
	Hashes  map[string]string `json:"Hashes"`
}

// objectsMax bounds how many objects are looked at.
const objectsMax = 5_000_000

var errTooMany = fmt.Errorf("more than %d objects", objectsMax)

// readObjects reads the list that lsjson prints and calls each for every object.
func readObjects(r io.Reader, each func(object)) error {
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.New("it printed no list")
	}
	for n := 0; d.More(); n++ {
		var o object
		if err := d.Decode(&o); err != nil {
			return err
		}
		if o.Path == "" {
			return errors.New("an object has no path")
		}
		if n == objectsMax {
			return errTooMany
		}
		if !o.IsDir {
			each(o)
		}
	}
	_, err := d.Token()
	return err
}

// tally is what a store was found to hold.
type tally struct {
	pattern       string
	now           time.Time
	all           int64 // objects, whether they match or not
	matched       int64 // finished, with a time
	bytes         int64 // of those
	hollow        int64 // match and have no byte
	future        int64
	hashed        int64
	kinds         map[string]bool          // of hashes
	points        []holdfast.RecoveryPoint // the newest four
	oldest        holdfast.RecoveryPoint
	unknownLength int64
}

func newTally(pattern string, now time.Time) *tally {
	return &tally{pattern: pattern, now: now, kinds: map[string]bool{}}
}

// newest is how many recovery points are kept besides the oldest.
const newest = 4

// skew is how far another host's clock may be ahead.
const skew = 5 * time.Minute

// add counts an object where it belongs.
func (t *tally) add(o object) {
	t.all++
	switch {
	case !matches(t.pattern, o.Path), strings.HasSuffix(o.Path, ".partial"):
		return
	case o.Size == 0:
		t.hollow++
		return
	case o.ModTime.IsZero(), o.ModTime.After(t.now.Add(skew)):
		t.future++
		return
	}
	t.matched++
	if o.Size < 0 {
		t.unknownLength++
	}
	size := max(0, o.Size)
	t.bytes += size
	if len(o.Hashes) > 0 {
		t.hashed++
		for kind := range o.Hashes {
			t.kinds[kind] = true
		}
	}
	p := holdfast.RecoveryPoint{Time: o.ModTime.UTC(), ID: probe.Clip(probe.OneLine(o.Path), holdfast.MaxName), Bytes: holdfast.Bytes(size), Files: 1}
	if t.oldest.Time.IsZero() || p.Time.Before(t.oldest.Time) {
		t.oldest = p
	}
	at, _ := slices.BinarySearchFunc(t.points, p, func(a, b holdfast.RecoveryPoint) int { return b.Time.Compare(a.Time) })
	t.points = slices.Insert(t.points, at, p)
	t.points = t.points[:min(newest, len(t.points))]
}

// matches reports whether an object counts: by its name, or by its whole path
// where the pattern has a slash.
func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	if !strings.Contains(pattern, "/") {
		name = path.Base(name)
	}
	ok, _ := path.Match(pattern, name) // the pattern was tried when it was decoded
	return ok
}

// report adds what was found.
func (t *tally) report(o *probe.Observation, hashes bool) {
	o.Measures = []holdfast.Measure{
		{Name: "objects", Value: float64(t.all)},
		{Name: "matching_objects", Value: float64(t.matched)},
		{Name: "matching_bytes", Value: float64(t.bytes), Unit: "bytes"},
	}
	if hashes {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "hashed_objects", Value: float64(t.hashed)})
		o.Facts["hashes"] = probe.OneLine(strings.Join(slices.Sorted(maps.Keys(t.kinds)), ", "))
	}
	for name, n := range map[string]int64{"dated_in_the_future": t.future, "without_a_byte": t.hollow, "of_unknown_length": t.unknownLength} {
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

// fault says why there is no recovery point, or nil.
func (t *tally) fault(s settings) error {
	switch {
	case t.matched > 0:
		return nil
	case t.all == 0:
		return probe.Faulty(holdfast.Empty, "%s holds no object", s.Remote)
	case t.future > 0:
		return probe.Unable("", "%s: all %d objects that match have no time or one in the future", s.Remote, t.future)
	case t.hollow > 0:
		return probe.Faulty(holdfast.Empty, "%s: all %d objects that match have no byte", s.Remote, t.hollow)
	}
	return probe.Faulty(holdfast.NoMatch, "%s: none of %d objects matches %s", s.Remote, t.all, s.Pattern)
}
