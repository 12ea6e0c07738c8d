package pgbackrest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/scratchpg"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

type restoreProbe struct{}

// restoreSettings are the settings of pgbackrest.restore.
type restoreSettings struct {
	Source
	scratch.Options
	Assertions []string           `json:"assertions,omitempty" jsonschema:"queries on what was restored that must each give one row with the one value true, like select count(*) > 0 from ledger"`
	Patience   *holdfast.Duration `json:"assertion_timeout,omitempty" jsonschema:"how long one assertion may take; 1m by default"`
	Database   string             `json:"database,omitempty" jsonschema:"the database to put assertions to; postgres by default"`
	User       string             `json:"user,omitempty" jsonschema:"a superuser of the cluster, who may make a role in what was restored; postgres by default"`
	BytesMax   holdfast.Bytes     `json:"bytes_max,omitempty" jsonschema:"how much the restored cluster may take on disk; default: reckoned from the backup and the log"`

	patience time.Duration
}

// memory is what a scratch cluster takes: shared buffers of 128 MiB, and its processes.
const memory = 256 << 20

// oldestEngine is the first PostgreSQL with a role that may read all data and change
// none.
const oldestEngine = 14

func (restoreProbe) Describe() probe.Description {
	return probe.Description{
		Name: "pgbackrest.restore",
		Observes: "Whether a backup and the log behind it really bring the cluster back, and how long that takes: restores into a scratch cluster of its own, " +
			"recovers it to the newest point, opens every database, puts the catalogue's assertions to it and removes it.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Secrets: true, Tools: []string{"pgbackrest", "postgres"},
			Note: "reads the repository; runs a cluster in scratch, as user postgres where the agent is root"},
		Target:  target,
		Paths:   paths,
		Reasons: append([]holdfast.Reason{holdfast.Assertion}, reasons...),
	}
}

func (s *restoreSettings) prepare() error {
	if err := s.Validate(); err != nil {
		return err
	}
	s.patience = time.Minute
	if s.Patience != nil {
		s.patience = s.Patience.Std()
	}
	s.Database, s.User = cmp.Or(s.Database, "postgres"), cmp.Or(s.User, "postgres")
	switch {
	case s.patience <= 0:
		return errors.New(`setting "assertion_timeout": must be above 0`)
	case s.BytesMax < 0:
		return errors.New(`setting "bytes_max": it is negative`)
	case len(s.Assertions) > scratchpg.AssertionsMax:
		return fmt.Errorf("setting \"assertions\": %d of them, at most %d", len(s.Assertions), scratchpg.AssertionsMax)
	}
	return nil
}

func (restoreProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[restoreSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := s.prepare(); err != nil {
		return probe.Observation{}, err
	}
	repo, err := open(s.Source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	away, err := repo.folders()
	if err != nil {
		return probe.Observation{}, err
	}
	place, err := s.Open(ctx, r, memory, away...)
	if err != nil {
		return probe.Observation{}, err
	}
	t := test{restoreSettings: s, repository: repo, place: place, tolerated: s.Tolerated()}
	return probe.Verdict(t.run(ctx))
}

// test is one restore test.
type test struct {
	restoreSettings
	*repository
	place     *scratch.Place
	tolerated *scratch.Tolerated

	survey survey
	track  track         // what is restored: the backup, and the log up to the point
	files  []segmentFile // of the log that it is recovered with
}

// run picks a recovery point and restores it.
func (t *test) run(ctx context.Context) (o probe.Observation, err error) {
	probe.Progress(ctx, "list", 0, 0)
	t.survey, err = t.repository.survey(ctx, newest)
	o = t.survey.describe()
	if err != nil {
		return o, err
	}
	if err := t.choose(ctx, o.Facts); err != nil {
		return o, err
	}
	b := t.track.backup
	if b.Error {
		if text := "backup " + b.Label + " has pages whose checksum is wrong"; !t.tolerated.Passes(text) {
			return o, probe.Faulty(holdfast.Assertion, "%s", text)
		}
	}
	log := int64(len(t.files)) * int64(t.survey.archive.size)
	// Recovery adds at most what the log holds; a cluster that starts writes a log.
	expect := scratch.Tally{Bytes: int64(cmp.Or(t.BytesMax, holdfast.Bytes(b.Info.Size+2*log+128<<20)))}
	err = t.place.Restore(ctx, expect, func(ctx context.Context, dir string) error {
		if err := scratchpg.KillOrphans(); err != nil {
			return probe.Unable("", "look for what a dead owner left: %w", err)
		}
		return t.restore(ctx, &o, dir)
	})
	if probe.ReasonOf(err) == holdfast.TooSmall {
		err = probe.Unable(holdfast.TooSmall, "%w: see also the setting bytes_max", err)
	}
	return o, err
}

// choose picks what to restore: the newest backup with all the log behind it, or by
// chance any backup as it ended.
func (t *test) choose(ctx context.Context, facts map[string]string) (err error) {
	t.track, t.files = t.survey.track, t.survey.track.files
	if t.Point == "random" {
		all := t.survey.info.Backup
		b := all[t.Pick(scratch.NewSeed(), len(all), facts)]
		if t.track, err = t.usable(ctx, t.survey.archive, b, t.survey.folders, 0); err != nil {
			return err
		}
		t.files = t.track.files[:t.track.stop+1]
	} else if err := t.survey.archive.follow(ctx, t.files[t.track.stop].segment); err != nil {
		return err
	}
	facts["backup"] = t.track.backup.Label
	facts["up_to_wal"] = path.Base(t.files[len(t.files)-1].path)[:24]
	return nil
}

// restore restores, recovers and looks at what came back.
func (t *test) restore(ctx context.Context, o *probe.Observation, dir string) (err error) {
	owner, err := scratchpg.FindOwner()
	if err != nil {
		return err
	}
	postgres, err := engine(t.tools, t.survey.info.newestDB().Version)
	if err != nil {
		return err
	}
	r := recovery{test: t, owner: owner, dir: dir}
	probe.Progress(ctx, "restore", 0, 0)
	started := time.Now()
	if err := r.unpack(ctx); err != nil {
		return err
	}
	if err := r.fetchLog(ctx); err != nil {
		return err
	}
	cluster, err := r.start(ctx, postgres)
	if err != nil {
		return err
	}
	defer func() {
		if e := cluster.Stop(); e != nil {
			err = probe.Unable("", "stop the scratch cluster: %w", e)
		}
	}()
	took := time.Since(started)
	probe.Progress(ctx, "assert", 0, int64(len(t.Assertions)))
	checks, err := r.check(ctx, cluster, o)
	if err != nil {
		return err
	}
	b, point := t.track.backup, r.point()
	o.Outcome = holdfast.OK
	o.Restoration = &holdfast.Restoration{
		Started: started.UTC(), Duration: holdfast.Duration(took), Bytes: holdfast.Bytes(b.Info.Size), Coverage: 1, Checks: checks, Point: point,
	}
	o.Measures = append(o.Measures, holdfast.Measure{Name: "wal_files_replayed", Value: float64(len(t.files))})
	o.Facts["restored_with"] = "fsync and autovacuum off, low priority"
	o.Summary = probe.OneLine(fmt.Sprintf("restored backup %s, %v, and recovered it to %s in %v; assertions that hold: %d of %d", b.Label, holdfast.Bytes(b.Info.Size),
		point.Format(time.RFC3339), took.Round(time.Millisecond), len(t.Assertions), len(t.Assertions)))
	t.tolerated.Tell(o)
	return nil
}
