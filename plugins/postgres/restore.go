package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/scratchpg"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

type restoreProbe struct{ held probe.Held[struct{}] }

// restoreSettings are the settings of postgres.restore.
type restoreSettings struct {
	Source
	scratch.Options
	Assertions []string           `json:"assertions,omitempty" jsonschema:"queries on what was restored that must each give one row with the one value true, like select count(*) > 0 from ledger"`
	Patience   *holdfast.Duration `json:"assertion_timeout,omitempty" jsonschema:"how long one assertion may take; 1m by default"`
	Database   string             `json:"database,omitempty" jsonschema:"the database to put assertions to, where the dump holds several"`
	Roles      []string           `json:"roles,omitempty" jsonschema:"roles the dump needs and does not hold, made before it is restored; without any, an archive is restored without owners and grants"`
	BytesMax   holdfast.Bytes     `json:"bytes_max,omitempty" jsonschema:"how much the restored cluster may take on disk; default: reckoned from the dump"`

	patience time.Duration
}

// memory is what a scratch cluster takes: shared buffers of 128 MiB, a maintenance_work_mem
// of 64 MiB for the index being built and each of its two helpers, and its processes.
const memory = 512 << 20

func (*restoreProbe) Describe() probe.Description {
	return probe.Description{
		Name: "postgres.restore",
		Observes: "Whether a dump really restores, and how long it takes: loads it into a scratch cluster of its own, counts every table's rows " +
			"against the dump, puts the catalogue's assertions to it and removes it.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Tools: []string{"initdb", "postgres", "pg_restore", "psql"},
			Note: "reads the dumps; runs a cluster in scratch, as user postgres where the agent is root, and so runs the SQL that the dump holds"},
		Target:  []string{"directory", "pattern"},
		Paths:   []string{"directory"},
		Reasons: append([]holdfast.Reason{holdfast.Assertion, holdfast.TooSmall}, dumpReasons...),
	}
}

func (s *restoreSettings) prepare() error {
	if err := errors.Join(s.Source.prepare(), s.Validate()); err != nil {
		return err
	}
	s.patience = time.Minute
	if s.Patience != nil {
		s.patience = s.Patience.Std()
	}
	switch {
	case s.patience <= 0:
		return errors.New(`setting "assertion_timeout": must be above 0`)
	case s.BytesMax < 0:
		return errors.New(`setting "bytes_max": it is negative`)
	case len(s.Assertions) > assertionsMax:
		return fmt.Errorf("setting \"assertions\": %d of them, at most %d", len(s.Assertions), assertionsMax)
	}
	return nil
}

func (p *restoreProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[restoreSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := s.prepare(); err != nil {
		return probe.Observation{}, err
	}
	if err := s.knock(ctx, &p.held); err != nil {
		return probe.Verdict(probe.Observation{}, err)
	}
	place, err := s.Open(ctx, r, memory, s.Directory)
	if err != nil {
		return probe.Observation{}, err
	}
	t := test{restoreSettings: s, tools: r.Tools, place: place}
	return probe.Verdict(t.run(ctx))
}

// test is one restore test.
type test struct {
	restoreSettings
	tools map[string]string
	place *scratch.Place
}

// run picks a dump, reads it through to know what must come back, and restores it.
func (t test) run(ctx context.Context) (o probe.Observation, err error) {
	dumps, err := t.list(ctx, time.Now())
	if err != nil {
		return o, err
	}
	o.Facts, o.Fingerprint = map[string]string{}, map[string]string{}
	d := t.choose(dumps, o.Facts)
	o.Facts["dump"], o.Facts["format"], o.Facts["time_from"] = probe.OneLine(d.name), d.format, d.timeFrom
	d.fingerprint(&o)
	if d.fault != nil {
		return o, d.fault
	}
	probe.Progress(ctx, "read", 0, 0)
	holds, err := d.read(ctx, t.tools)
	if d.unfinished() {
		return probe.Observation{}, probe.Unable("", "%s changed while it was read", d.name)
	}
	if err != nil {
		return o, err
	}
	expect := scratch.Tally{Bytes: int64(cmp.Or(t.BytesMax, needed(holds)))}
	err = t.place.Restore(ctx, expect, func(ctx context.Context, dir string) error {
		if err := scratchpg.KillOrphans(); err != nil {
			return probe.Unable("", "look for what a dead owner left: %w", err)
		}
		return t.restore(ctx, &o, d, holds, dir)
	})
	if probe.ReasonOf(err) == holdfast.TooSmall {
		err = probe.Unable(holdfast.TooSmall, "%w: see also the setting bytes_max", err)
	}
	return o, err
}

// choose picks the newest dump, or one by chance of those whose headers are read.
func (t test) choose(dumps []dump, facts map[string]string) dump {
	if t.Point == "random" {
		usable := slices.DeleteFunc(slices.Clone(dumps), func(d dump) bool { return d.fault != nil })
		if len(usable) > 0 {
			dumps = usable
		}
	}
	return dumps[t.Pick(scratch.NewSeed(), len(dumps), facts)]
}

// needed reckons the room a restored dump takes from its text: rows and their
// indexes, as large as the text each; a row's header of 23 bytes, its place in the
// page and an entry in one index; and 128 MiB for an empty cluster and its log.
func needed(c content) holdfast.Bytes { return holdfast.Bytes(2*c.bytes + 64*c.rows + 128<<20) }

// restore starts a cluster, loads the dump into it and looks at what came back.
func (t test) restore(ctx context.Context, o *probe.Observation, d dump, holds content, dir string) (err error) {
	probe.Progress(ctx, "start", 0, 0)
	owner, err := scratchpg.FindOwner()
	if err != nil {
		return err
	}
	if err := scratchpg.Init(ctx, program(t.tools, "initdb"), owner, dir); err != nil {
		return err
	}
	// Nothing is lost that another run would not bring back, so the log may be the
	// shortest there is.
	cluster, err := scratchpg.Start(ctx, program(t.tools, "postgres"), owner, dir, map[string]string{
		"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "64MB", "min_wal_size": "32MB"})
	if err != nil {
		return err
	}
	defer func() {
		if e := cluster.Stop(); e != nil {
			err = probe.Unable("", "stop the scratch cluster: %w", e)
		}
	}()
	l := loading{test: t, dump: d, holds: holds, cluster: cluster, dir: dir, tolerated: t.Tolerated()}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	o.Facts["restored_with"] = "PostgreSQL " + l.version + ", fsync and autovacuum off, low priority"

	probe.Progress(ctx, "restore", 0, holds.bytes)
	started := time.Now()
	if err := l.load(ctx); err != nil {
		return err
	}
	took := time.Since(started)
	probe.Progress(ctx, "assert", 0, int64(len(t.Assertions)))
	checks, err := l.check(ctx, o)
	if err != nil {
		return err
	}
	o.Outcome = holdfast.OK
	o.Restoration = &holdfast.Restoration{
		Started: started.UTC(), Duration: holdfast.Duration(took), Bytes: holdfast.Bytes(holds.bytes), Coverage: 1, Checks: checks, Point: d.began,
	}
	o.Summary = probe.OneLine(fmt.Sprintf("restored %s in %v: %d tables, %d rows, %v; assertions that hold: %d of %d", d.name, took.Round(time.Millisecond),
		holds.tables, holds.rows, holdfast.Bytes(holds.bytes), len(t.Assertions), len(t.Assertions)))
	l.tolerated.Tell(o)
	return nil
}
