package files

import (
	"errors"
	"fmt"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// facts says what was seen of the directory and its newest archive.
func (s settings) facts(l folder.Listing, c content, start time.Time) probe.Observation {
	newest, before := l.Files[0], l.Files[1:]
	o := probe.Observation{RecoveryPoints: points(l.Files)}
	o.Measures = []holdfast.Measure{
		{Name: "archives", Value: float64(len(l.Files))},
		{Name: "newest_age_seconds", Value: max(0, start.Sub(newest.Time).Seconds()), Unit: "seconds"},
		{Name: "newest_bytes", Value: float64(newest.Size), Unit: "bytes"},
	}
	if len(before) > 0 {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "median_bytes", Value: median(before), Unit: "bytes"})
	}
	o.Facts = map[string]string{"newest": probe.OneLine(newest.Name)}
	if s.ListOnly {
		return o
	}
	o.Facts["format"] = c.format.String()
	if c.opaque != "" {
		o.Facts["not_judged"] = probe.OneLine(c.opaque)
	}
	o.Measures = append(o.Measures,
		holdfast.Measure{Name: "content_bytes", Value: float64(c.bytes), Unit: "bytes"},
		holdfast.Measure{Name: "content_files", Value: float64(c.files)},
		holdfast.Measure{Name: "read_seconds", Value: time.Since(start).Seconds(), Unit: "seconds"})
	return o
}

// judge gives o its outcome, and takes from its recovery points an archive that
// cannot be restored. summed says that the manifest has a sum; fault is nil,
// errUnlisted or errDamaged.
func (s settings) judge(o *probe.Observation, l folder.Listing, c content, summed bool, fault error, start time.Time) {
	newest, before := l.Files[0], l.Files[1:]
	verified := !s.ListOnly && (summed || c.checked)
	small := len(before) > 0 && float64(newest.Size) < s.sizeRatio*median(before)
	lost := func(reason holdfast.Reason, format string, args ...any) {
		o.Outcome, o.Reason, o.Summary = holdfast.Failed, reason, probe.OneLine(newest.Name+fmt.Sprintf(format, args...))
		o.RecoveryPoints = points(before)
	}
	switch {
	case errors.Is(fault, errUnlisted):
		lost(holdfast.Assertion, " is not in the manifest %s", s.Manifest)
		return
	case fault != nil:
		lost(holdfast.Damaged, " is %v", fault)
		o.Verification = &holdfast.Verification{Time: start.UTC(), Scope: 1, Errors: 1}
		return
	case newest.Size == 0, c.opaque == "" && c.files == 0:
		lost(holdfast.Empty, " holds nothing")
		return
	case small:
		o.Outcome, o.Reason = holdfast.OutcomeDegraded, holdfast.TooSmall
		o.Summary = probe.OneLine(fmt.Sprintf("%s has %v, where the median of the %d before it is %v",
			newest.Name, holdfast.Bytes(newest.Size), len(before), holdfast.Bytes(median(before))))
	default:
		o.Outcome, o.Summary = holdfast.OK, probe.OneLine(newest.Name+": "+s.told(newest, c, summed))
	}
	if verified {
		o.Verification = &holdfast.Verification{Time: start.UTC(), Scope: 1}
	}
	if c.opaque == "" {
		o.RecoveryPoints[0].Bytes, o.RecoveryPoints[0].Files = holdfast.Bytes(c.bytes), c.files
	}
}

// told says in words how well the newest archive is known.
func (s settings) told(a folder.File, c content, summed bool) string {
	size := holdfast.Bytes(a.Size)
	switch {
	case s.ListOnly:
		return fmt.Sprintf("%v, not read", size)
	case summed && c.opaque != "":
		return fmt.Sprintf("%v, as in the manifest; content not judged: %s", size, c.opaque)
	case summed:
		return fmt.Sprintf("%v, as in the manifest, %d files read to the end", size, c.files)
	case c.opaque != "":
		return fmt.Sprintf("%v; content not judged: %s", size, c.opaque)
	case c.checked:
		return fmt.Sprintf("%v, %d files read to the end, checksums agree", size, c.files)
	}
	return fmt.Sprintf("%v, %d files read to the end, nothing to compare with", size, c.files)
}
