package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	Dump       string             `json:"dump,omitempty" jsonschema:"which dump to restore: latest (the default), or random of those whose headers are read"`
	Assertions []string           `json:"assertions,omitempty" jsonschema:"queries on what was restored that must each give one row with the one value true, like select count(*) > 0 from ledger"`
	Patience   *holdfast.Duration `json:"assertion_timeout,omitempty" jsonschema:"how long one assertion may take; 1m by default"`
	Database   string             `json:"database,omitempty" jsonschema:"the database to put assertions to, where the dump holds several"`
	Roles      []string           `json:"roles,omitempty" jsonschema:"roles the dump needs and does not hold, made before it is restored; without any, an archive is restored without owners and grants"`
	Tolerate   []string           `json:"tolerate,omitempty" jsonschema:"errors that do not count: a text their message contains"`
	BytesMax   holdfast.Bytes     `json:"bytes_max,omitempty" jsonschema:"how much the restored cluster may take on disk; default: reckoned from the dump"`
	Scratch    string             `json:"scratch,omitempty" jsonschema:"absolute folder to restore into, which takes a folder of this test's own; default: the agent's scratch"`

	patience time.Duration
}

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
		Reasons: append([]holdfast.Reason{holdfast.Assertion, holdfast.TooSmall}, dumpReasons...),
	}
}

func (s *restoreSettings) prepare() error {
	if err := s.Source.prepare(); err != nil {
		return err
	}
	s.Dump = cmp.Or(s.Dump, "latest")
	s.patience = time.Minute
	if s.Patience != nil {
		s.patience = s.Patience.Std()
	}
	switch {
	case s.Dump != "latest" && s.Dump != "random":
		return fmt.Errorf("setting \"dump\": %q is neither latest nor random", s.Dump)
	case s.patience <= 0:
		return errors.New(`setting "assertion_timeout": must be above 0`)
	case s.BytesMax < 0:
		return errors.New(`setting "bytes_max": it is negative`)
	case len(s.Assertions) > assertionsMax:
		return fmt.Errorf("setting \"assertions\": %d of them, at most %d", len(s.Assertions), assertionsMax)
	case slices.Contains(s.Tolerate, ""):
		return errors.New(`setting "tolerate": an empty text would tolerate every error`)
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
	root, err := scratch.Root(cmp.Or(s.Scratch, r.Scratch), s.Directory)
	if err != nil {
		return probe.Observation{}, err
	}
	t := test{restoreSettings: s, tools: r.Tools, root: root, checkID: r.Check}
	return probe.Verdict(t.run(ctx))
}

// test is one restore test.
type test struct {
	restoreSettings
	tools         map[string]string
	root, checkID string
}

// run picks a dump, reads it through to know what must come back, and restores it
// into a workspace that is gone when it returns.
func (t test) run(ctx context.Context) (o probe.Observation, err error) {
	dumps, err := t.list(ctx, time.Now())
	if err != nil {
		return o, err
	}
	d := dumps[0]
	if t.Dump == "random" {
		usable := slices.DeleteFunc(slices.Clone(dumps), func(d dump) bool { return d.fault != nil })
		if len(usable) > 0 {
			d = usable[rand.IntN(len(usable))]
		}
	}
	o.Facts, o.Fingerprint = map[string]string{"dump": probe.OneLine(d.name), "format": d.format, "time_from": d.timeFrom}, map[string]string{}
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
	ws, err := scratch.New(t.root, t.checkID)
	if err != nil {
		return o, probe.Unable("", "scratch: %w", err)
	}
	defer func() {
		if e := ws.Remove(); e != nil { // restored data lying about is worth an alarm of its own
			o, err = probe.Observation{}, probe.Unable("", "empty scratch: %w", e)
		}
	}()
	if err := scratchpg.KillOrphans(); err != nil {
		return o, probe.Unable("", "look for what a dead owner left: %w", err)
	}
	expect := scratch.Tally{Bytes: int64(cmp.Or(t.BytesMax, needed(holds)))}
	guarded, stop := scratch.Watch(ctx, filepath.Dir(ws.Data()), expect)
	defer stop()
	if err := context.Cause(guarded); err == nil || ctx.Err() != nil {
		o, err = t.restore(guarded, o, d, holds, ws.Data())
		if err == nil {
			return o, nil
		}
		if full := context.Cause(guarded); probe.ReasonOf(full) != holdfast.TooSmall {
			return o, err
		}
	}
	return o, probe.Unable(holdfast.TooSmall, "%w: see the setting bytes_max", context.Cause(guarded))
}

// needed reckons the room a restored dump takes from its text: rows and their
// indexes, as large as the text each; a row's header of 23 bytes, its place in the
// page and an entry in one index; and 128 MiB for an empty cluster and its log.
func needed(c content) holdfast.Bytes { return holdfast.Bytes(2*c.bytes + 64*c.rows + 128<<20) }

// restore starts a cluster, loads the dump into it and looks at what came back.
func (t test) restore(ctx context.Context, o probe.Observation, d dump, holds content, dir string) (_ probe.Observation, err error) {
	probe.Progress(ctx, "start", 0, 0)
	owner, err := scratchpg.FindOwner()
	if err != nil {
		return o, err
	}
	if err := scratchpg.Init(ctx, program(t.tools, "initdb"), owner, dir); err != nil {
		return o, err
	}
	// Nothing is lost that another run would not bring back, so the log may be the
	// shortest there is.
	cluster, err := scratchpg.Start(ctx, program(t.tools, "postgres"), owner, dir, map[string]string{
		"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "64MB", "min_wal_size": "32MB"})
	if err != nil {
		return o, err
	}
	defer func() {
		if e := cluster.Stop(); e != nil {
			err = probe.Unable("", "stop the scratch cluster: %w", e)
		}
	}()
	l := loading{test: t, dump: d, holds: holds, cluster: cluster, dir: dir}
	if err := l.prepare(ctx); err != nil {
		return o, err
	}
	o.Facts["restored_with"] = "PostgreSQL " + l.version + ", fsync and autovacuum off, low priority"
	probe.Progress(ctx, "restore", 0, holds.bytes)
	started := time.Now()
	err = l.load(ctx)
	took := time.Since(started)
	l.tell(&o)
	if err != nil {
		return o, err
	}
	probe.Progress(ctx, "assert", 0, int64(len(t.Assertions)))
	checks, err := l.check(ctx, &o)
	if err != nil {
		return o, err
	}
	o.Outcome = holdfast.OK
	o.Restoration = &holdfast.Restoration{
		Started: started.UTC(), Duration: holdfast.Duration(took), Bytes: holdfast.Bytes(holds.bytes), Coverage: 1, Checks: checks, Point: d.began,
	}
	o.Summary = probe.OneLine(fmt.Sprintf("restored %s in %v: %d tables, %d rows, %v; assertions that hold: %d of %d", d.name, took.Round(time.Millisecond),
		holds.tables, holds.rows, holdfast.Bytes(holds.bytes), len(t.Assertions), len(t.Assertions)))
	return o, nil
}

// tell says what was tolerated.
func (l *loading) tell(o *probe.Observation) {
	if len(l.tolerated) == 0 {
		return
	}
	o.Facts["tolerated"] = strconv.Itoa(len(l.tolerated)) + " errors: " + probe.Clip(probe.OneLine(strings.Join(l.tolerated, "; ")), 900)
}
