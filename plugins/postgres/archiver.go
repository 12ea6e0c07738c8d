package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type archiverProbe struct{}

// archiverSettings are the settings of postgres.archiver.
type archiverSettings struct {
	DSNFile string `json:"dsn_file" jsonschema:"absolute path of the file with the connection string of the server that archives, like host=db1 user=holdfast password=… sslmode=verify-full"`
}

func (archiverProbe) Describe() probe.Description {
	return probe.Description{
		Name:       "postgres.archiver",
		Observes:   "Up to when a PostgreSQL server has archived its write-ahead log, and whether it still does, as pg_stat_archiver has it.",
		Settings:   probe.Schema[archiverSettings](),
		Cost:       holdfast.Cheap,
		Privileges: holdfast.Privileges{Secrets: true, Note: "connects as a role with pg_monitor; its session can change nothing"},
		Target:     []string{"dsn_file"},
		Reasons: []holdfast.Reason{holdfast.Empty, holdfast.Missing, holdfast.Assertion, holdfast.Credential, holdfast.CredentialUnreadable,
			holdfast.Unreachable, holdfast.Timeout, holdfast.Refused},
	}
}

// archiver is what the server says of its archiving.
type archiver struct {
	mode, command, library string
	standby                bool
	version                string
	archived, failed       int64
	lastWAL, failedWAL     string
	lastTime, failedTime   *time.Time
	now                    time.Time
}

const archiverQuery = `select current_setting('archive_mode'), current_setting('archive_command'), coalesce(current_setting('archive_library', true), ''),
	pg_is_in_recovery(), current_setting('server_version'), archived_count, failed_count, coalesce(last_archived_wal, ''), coalesce(last_failed_wal, ''),
	last_archived_time, last_failed_time, clock_timestamp() from pg_stat_archiver`

func (archiverProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[archiverSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	config, err := readDSN("dsn_file", s.DSNFile)
	if err != nil {
		return probe.Observation{}, err
	}
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	conn, err := connect(patience, config, "server")
	if err != nil {
		return probe.Observation{}, unseen(err)
	}
	defer conn.end()
	var a archiver
	err = conn.one(patience, archiverQuery, nil, &a.mode, &a.command, &a.library, &a.standby, &a.version, &a.archived, &a.failed, &a.lastWAL, &a.failedWAL,
		&a.lastTime, &a.failedTime, &a.now)
	if err != nil {
		return probe.Observation{}, unseen(err)
	}
	o := a.describe()
	waiting, finished, err := conn.segments(patience, a.lastWAL)
	switch {
	case probe.ReasonOf(err) == holdfast.Refused:
		o.Facts["backlog"] = "not to be seen: grant the role pg_monitor"
	case err != nil:
		return probe.Observation{}, unseen(err)
	default:
		o.Measures = append(o.Measures, holdfast.Measure{Name: "wal_files_waiting", Value: float64(waiting)})
	}
	return probe.Verdict(a.judge(o, finished, waiting))
}

// unseen turns a fault of the server into "could not tell": the archive is
// somewhere else, and is not lost with the server it came from.
func unseen(err error) error {
	var f *probe.Fault
	if errors.As(err, &f) {
		return probe.Unable(f.Reason, "%s: what it archived is not known", f.Text)
	}
	return err
}

// segments counts the finished files that wait to be archived, and says when the
// one archived last was finished: later than that, nothing of it was written.
func (s *session) segments(ctx context.Context, last string) (waiting int64, finished *time.Time, err error) {
	err = s.one(ctx, `select count(*) filter (where name like '%.ready'), max(modification) filter (where name = $1) from pg_ls_archive_statusdir()`,
		[]any{last + ".done"}, &waiting, &finished)
	return waiting, finished, err
}

func (a archiver) describe() probe.Observation {
	o := probe.Observation{
		Outcome:     holdfast.OK,
		Facts:       map[string]string{"archive_mode": a.mode, "server_version": a.version},
		Fingerprint: map[string]string{"engine": "PostgreSQL " + major(a.version)},
		Measures:    []holdfast.Measure{{Name: "archived_count", Value: float64(a.archived)}, {Name: "failed_count", Value: float64(a.failed)}},
	}
	if a.lastWAL != "" {
		o.Facts["last_archived_wal"] = a.lastWAL
	}
	if a.failedTime != nil {
		o.Facts["last_failed_wal"] = a.failedWAL + " at " + a.failedTime.UTC().Format(time.RFC3339)
	}
	return o
}

// judge says what the numbers mean. The recovery point stands with every verdict:
// what was archived stays archived.
func (a archiver) judge(o probe.Observation, finished *time.Time, waiting int64) (probe.Observation, error) {
	if a.lastTime != nil {
		at, from := *a.lastTime, "pg_stat_archiver"
		if finished != nil && finished.Before(at) {
			at, from = *finished, "when the file archived last was finished"
		}
		o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: at.UTC(), ID: a.lastWAL}}
		o.Facts["time_from"] = from
	}
	off := strings.TrimSpace(a.command) == "" || a.command == "(disabled)"
	switch {
	case a.mode == "off":
		return o, probe.Faulty(holdfast.Assertion, "archive_mode is off: nothing is archived")
	case a.standby && a.mode != "always":
		return o, probe.Faulty(holdfast.Assertion, "the server is a standby, which archives nothing with archive_mode %s", a.mode)
	case off && a.library == "":
		return o, probe.Faulty(holdfast.Assertion, "archive_command is empty: nothing is archived")
	case a.failedTime != nil && (a.lastTime == nil || a.failedTime.After(*a.lastTime)):
		return o, probe.Faulty(holdfast.Missing, "archiving fails: %s at %s, %d failures so far", a.failedWAL, a.failedTime.UTC().Format(time.RFC3339), a.failed)
	case a.lastTime == nil:
		return o, probe.Faulty(holdfast.Empty, "nothing was archived yet")
	}
	o.Summary = fmt.Sprintf("archived up to %s; last %s, %d waiting", o.RecoveryPoints[0].Time.Format(time.RFC3339), a.lastWAL, waiting)
	return o, nil
}
