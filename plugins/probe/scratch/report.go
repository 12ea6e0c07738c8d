package scratch

import (
	"fmt"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Report is what a restore of files brought back. Every byte of it was compared.
type Report struct {
	Started  time.Time
	Took     time.Duration // of the restore alone
	Files    int64
	Bytes    int64
	Checks   int64     // beside the files
	Coverage float64   // share of the backup's bytes; below 1 it is a sample
	Point    time.Time // of the backup
	From     string    // the backup's name, where it has one
}

// Tell fills in an observation of a restore that passed.
func (r Report) Tell(o *probe.Observation, tolerated *Tolerated) {
	o.Restoration = &holdfast.Restoration{
		Started:  r.Started.UTC(),
		Duration: holdfast.Duration(r.Took),
		Bytes:    holdfast.Bytes(r.Bytes),
		Files:    r.Files,
		Coverage: r.Coverage,
		Checks:   r.Files + r.Checks,
		Point:    r.Point.UTC(),
	}
	of := r.Point.UTC().Format(time.RFC3339)
	if r.From != "" {
		of += " from " + r.From
	}
	o.Summary = fmt.Sprintf("restored %d files, %v, of %s in %v; every byte compared", r.Files, holdfast.Bytes(r.Bytes), of, r.Took.Round(time.Millisecond))
	if r.Coverage < 1 {
		o.Summary = fmt.Sprintf("sample, %.3g %% of the bytes: %s", 100*r.Coverage, o.Summary)
	}
	o.Summary = probe.OneLine(o.Summary)
	tolerated.Tell(o)
}
