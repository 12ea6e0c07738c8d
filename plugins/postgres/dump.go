package postgres

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type dumpProbe struct{ held probe.Held[struct{}] }

// dumpSettings are the settings of postgres.dump.
type dumpSettings struct {
	Source
	ListOnly bool `json:"list_only,omitempty" jsonschema:"read the headers of the dumps and nothing more, for a check that runs more often than a dump can be read"`
}

func (*dumpProbe) Describe() probe.Description {
	return probe.Description{
		Name: "postgres.dump",
		Observes: "The dumps of pg_dump or pg_dumpall in a directory, in custom, directory, tar or plain format: when each began, " +
			"and that the newest can be read to its end, table by table.",
		Settings:   probe.Schema[dumpSettings](),
		Cost:       holdfast.IO,
		Privileges: holdfast.Privileges{Tools: []string{"pg_restore"}, Note: "reads the dumps"},
		Target:     []string{"directory", "pattern"},
		Paths:      []string{"directory"},
		Reasons:    dumpReasons,
	}
}

// dumpReasons are those a probe of dumps can give.
var dumpReasons = []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Damaged, holdfast.Missing, holdfast.Unreachable,
	holdfast.Timeout, holdfast.ToolMissing, holdfast.Refused}

func (p *dumpProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[dumpSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := s.prepare(); err != nil {
		return probe.Observation{}, err
	}
	if err := s.knock(ctx, &p.held); err != nil {
		return probe.Verdict(probe.Observation{}, err)
	}
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) { return s.look(ctx, r.Tools) })
}

// look lists the dumps and reads the newest finished one.
func (s dumpSettings) look(ctx context.Context, tools map[string]string) (probe.Observation, error) {
	started := time.Now().UTC()
	dumps, err := s.list(ctx, started)
	if err != nil {
		return probe.Observation{}, err
	}
	for ; len(dumps) > 0; dumps = dumps[1:] {
		d := dumps[0]
		o := d.describe(dumps)
		if d.fault != nil {
			o.RecoveryPoints = points(dumps[1:])
			return o, d.fault
		}
		if s.ListOnly {
			o.Summary = fmt.Sprintf("%s: %v, %s, not read", d.name, holdfast.Bytes(d.size), d.format)
			return o, nil
		}
		content, err := d.read(ctx, tools)
		if d.unfinished() {
			continue
		}
		if err != nil {
			if probe.IsFault(err, holdfast.Damaged) {
				o.Verification = &holdfast.Verification{Time: started, Errors: 1}
			}
			o.RecoveryPoints = points(dumps[1:])
			return o, err
		}
		content.tell(&o, d)
		if content.checked {
			o.Verification = &holdfast.Verification{Time: started, Scope: 1}
		}
		return o, nil
	}
	return probe.Observation{}, probe.Faulty(holdfast.Empty, "%s: no dump is finished", s.Directory)
}

// describe starts an observation with what the headers say.
func (d dump) describe(dumps []dump) probe.Observation {
	o := probe.Observation{
		Outcome:        holdfast.OK,
		RecoveryPoints: points(dumps),
		Facts:          map[string]string{"newest": probe.OneLine(d.name), "format": d.format, "time_from": d.timeFrom},
		Fingerprint:    map[string]string{},
		Measures: []holdfast.Measure{
			{Name: "dumps", Value: float64(len(dumps))},
			{Name: "newest_bytes", Value: float64(d.size), Unit: "bytes"},
		},
	}
	broken := 0
	for _, other := range dumps[1:] {
		if other.fault != nil {
			broken++
		}
	}
	if broken > 0 {
		o.Facts["unusable"] = strconv.Itoa(broken)
	}
	d.fingerprint(&o)
	return o
}

// fingerprint names what made the dump, where its header says so.
func (d dump) fingerprint(o *probe.Observation) {
	if d.from != "" {
		o.Fingerprint["engine"] = "PostgreSQL " + major(d.from)
		o.Facts["server_version"] = d.from
	}
	if d.by != "" {
		o.Fingerprint["tool"] = "pg_dump " + major(d.by)
		o.Facts["pg_dump_version"] = d.by
	}
}

// points returns the recovery points of the dumps that can be used as far as their
// header says: the newest four and the oldest.
func points(dumps []dump) []holdfast.RecoveryPoint {
	var all []holdfast.RecoveryPoint
	for _, d := range dumps {
		if d.fault == nil {
			all = append(all, holdfast.RecoveryPoint{Time: d.began, ID: probe.OneLine(d.name)})
		}
	}
	return ends(all)
}

// ends returns the newest four and the oldest of points, newest first.
func ends(all []holdfast.RecoveryPoint) []holdfast.RecoveryPoint {
	if len(all) < holdfast.MaxRecoveryPoints {
		return all
	}
	return append(all[:holdfast.MaxRecoveryPoints-1:holdfast.MaxRecoveryPoints-1], all[len(all)-1])
}

// content is what a dump was found to hold.
type content struct {
	*script
	checked bool  // every byte of the data agreed with a checksum
	entries int64 // of the table of contents; 0 for plain SQL
}

// tell adds what was read to an observation.
func (c content) tell(o *probe.Observation, d dump) {
	o.RecoveryPoints[0].Bytes = holdfast.Bytes(c.bytes)
	o.Measures = append(o.Measures,
		holdfast.Measure{Name: "tables", Value: float64(c.tables)},
		holdfast.Measure{Name: "rows", Value: float64(c.rows)},
		holdfast.Measure{Name: "large_objects", Value: float64(c.objects)},
		holdfast.Measure{Name: "content_bytes", Value: float64(c.bytes), Unit: "bytes"})
	how := "read to the end, nothing to compare with"
	if c.checked {
		how = "read to the end, checksums agree"
	}
	if c.entries > 0 {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "toc_entries", Value: float64(c.entries)})
	}
	o.Summary = probe.OneLine(fmt.Sprintf("%s: %d tables, %d rows, %v; %s", d.name, c.tables, c.rows, holdfast.Bytes(c.bytes), how))
}

// unfinished reports whether the dump is no longer as it was listed.
func (d dump) unfinished() bool {
	size, changed, err := extent(d.path)
	return os.IsNotExist(err) || err == nil && (size != d.size || !changed.Equal(d.changed))
}
