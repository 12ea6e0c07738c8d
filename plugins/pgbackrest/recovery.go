package pgbackrest

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/scratchpg"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// recovery is a cluster on its way back, in a folder of its own:
//
//	dir/pg      the cluster
//	dir/ts      its tablespaces, which would else go where the source has them
//	dir/work    what pgBackRest writes for itself: locks, spool, log
//
// The log is fetched before the cluster starts, with archive-get as a cluster would,
// so that the cluster needs no access to the repository and is given none.
type recovery struct {
	*test
	owner scratchpg.Owner
	dir   string
	log   logReader
}

func (r *recovery) cluster() string { return filepath.Join(r.dir, "pg") }

// own are the options that keep pgBackRest to the folder, whatever its configuration
// says of the source.
func (r *recovery) own() []string {
	work := filepath.Join(r.dir, "work")
	return []string{"--pg1-path=" + r.cluster(), "--reset-pg1-host", "--lock-path=" + work, "--log-path=" + work}
}

// unpack restores the backup's files.
func (r *recovery) unpack(ctx context.Context) error {
	for _, folder := range []string{"", "pg", "ts", "work"} {
		if err := r.owner.Folder(filepath.Join(r.dir, folder)); err != nil {
			return probe.Unable("", "scratch: %w", err)
		}
	}
	args := append(r.own(), "--spool-path="+filepath.Join(r.dir, "work"), "--set="+r.track.backup.Label, "--type=default", noRetry, "--no-delta", "--no-link-all", "--reset-link-map",
		"--reset-tablespace-map", "--tablespace-map-all="+filepath.Join(r.dir, "ts"), "--reset-db-include", "--reset-db-exclude", "--reset-recovery-option")
	if _, err := r.call(ctx, "restore", args...); err != nil {
		return err
	}
	if err := r.turnLinks(); err != nil {
		return err
	}
	if err := r.owner.Tree(r.dir); err != nil {
		return probe.Unable("", "scratch: %w", err)
	}
	return nil
}

// turnLinks has the links to tablespaces lead there from within: the cluster's owner
// may not enter the folders above. A link to anywhere else ends the test.
func (r *recovery) turnLinks() error {
	links := filepath.Join(r.cluster(), "pg_tblspc")
	all, err := os.ReadDir(links)
	if err != nil {
		return probe.Unable("", "look at what was restored: %w", err)
	}
	for _, e := range all {
		link := filepath.Join(links, e.Name())
		to, err := os.Readlink(link)
		if err != nil {
			return probe.Unable("", "look at what was restored: %w", err)
		}
		name, ok := strings.CutPrefix(to, filepath.Join(r.dir, "ts")+"/")
		if !ok || strings.Contains(name, "/") {
			return probe.Unable(holdfast.Refused, "tablespace %s was restored to %.200s, which is not in scratch: the cluster is not started", e.Name(), to)
		}
		if err := errors.Join(os.Remove(link), os.Symlink("../../ts/"+name, link)); err != nil {
			return probe.Unable("", "scratch: %w", err)
		}
	}
	return nil
}

// fetchLog fetches every file of the log that recovery takes, and the history of the
// timeline it follows.
func (r *recovery) fetchLog(ctx context.Context) error {
	last := r.files[len(r.files)-1].timeline
	if last != r.files[0].timeline {
		if _, err := r.fetch(ctx, fmt.Sprintf("%08X.history", last)); err != nil {
			return err
		}
	}
	for _, f := range r.files {
		path, err := r.fetch(ctx, filepath.Base(f.path)[:24])
		if err != nil {
			return err
		}
		if err := r.inspect(path, f); err != nil {
			return err
		}
	}
	if r.log.tablespaces > 0 {
		return probe.Unable(holdfast.Refused, "a tablespace was made since backup %s began: recovery would write to its folder, which may be the live one: take a backup", r.track.backup.Label)
	}
	return nil
}

// fetch has archive-get bring one file to where recovery looks for it.
func (r *recovery) fetch(ctx context.Context, name string) (string, error) {
	path := filepath.Join(r.cluster(), "pg_wal", name)
	out, err := probe.Run(ctx, r.command("archive-get", append(r.own(), "--no-archive-async", name, path)...))
	switch {
	case err != nil:
		return "", err
	case out.ExitCode == 1:
		return "", probe.Faulty(holdfast.Damaged, "file %s of the log was listed and is not found", name)
	}
	if err := r.judge(out); err != nil {
		return "", err
	}
	if err := errors.Join(os.Chmod(path, 0o600), r.owner.Tree(path)); err != nil {
		return "", probe.Unable("", "scratch: %w", err)
	}
	return path, nil
}

// inspect reads a fetched file: it is the one that was archived, which archive-get does
// not look at, and its commits are what recovery must reach.
func (r *recovery) inspect(path string, f segmentFile) error {
	in, err := os.Open(path)
	if err != nil {
		return probe.Unable("", "scratch: %w", err)
	}
	defer in.Close()
	sum := sha1.New()
	if err := r.log.read(io.TeeReader(in, sum)); err != nil {
		return broken(f, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.sum {
		return probe.Faulty(holdfast.Damaged, "%s: its content is not the one that was archived", filepath.Base(path))
	}
	return nil
}

// point is as of when the recovered cluster is.
func (r *recovery) point() time.Time {
	at := r.track.ended()
	if len(r.files) > r.track.stop+1 && r.log.newest.After(at) {
		at = r.log.newest
	}
	return at
}

// start starts the cluster and waits until it has recovered all of the log and is a
// primary. Without hot_standby nobody is let in before, and it may have other limits
// than its source.
func (r *recovery) start(ctx context.Context, postgres string) (*scratchpg.Cluster, error) {
	timeline := "current"
	if last := r.files[len(r.files)-1].timeline; last != r.files[0].timeline {
		timeline = strconv.FormatUint(uint64(last), 10)
	}
	cluster, err := scratchpg.Start(ctx, postgres, r.owner, r.cluster(), map[string]string{
		"hot_standby": "off", "restore_command": "/bin/false", "recovery_target_timeline": timeline, "recovery_target_action": "promote",
		"max_prepared_transactions": "1000", "max_wal_size": "1GB"})
	if err != nil && ctx.Err() == nil && unrecoverable.MatchString(err.Error()) {
		return nil, &probe.Fault{Reason: holdfast.Damaged, Text: "it does not recover: " + lastWords(err.Error()), Raw: err.Error()}
	}
	return cluster, err
}

// unrecoverable is what PostgreSQL says of data that it cannot recover, in the words of
// access/transam.
var unrecoverable = regexp.MustCompile(`PANIC:|FATAL:  *(WAL ends before|could not locate|requested (timeline|recovery)|invalid |backup_label|could not find|` +
	`.*(corrupt|incorrect checksum|inconsistent))`)

// lastWords picks the message that ended a cluster.
func lastWords(log string) string {
	for _, mark := range []string{"PANIC:", "FATAL:"} {
		if _, after, ok := strings.Cut(log, mark); ok {
			line, _, _ := strings.Cut(after, "\n")
			return probe.Clip(probe.OneLine(strings.TrimSpace(line)), 200)
		}
	}
	return probe.Clip(probe.OneLine(log), 200)
}

// check looks at the recovered cluster: it has come as far as the log goes, every
// database opens, the assertions hold. It returns how many of these passed.
func (r *recovery) check(ctx context.Context, cluster *scratchpg.Cluster, o *probe.Observation) (passed int64, err error) {
	conn, err := cluster.Connect(ctx, r.User, "postgres")
	if err != nil {
		return 0, probe.Unable("", "scratch cluster: %w: see the setting user", err)
	}
	defer conn.Close(ctx)
	if passed, err = r.reached(ctx, conn); err != nil {
		return 0, err
	}
	if err := cluster.MakeReader(ctx, r.User, "postgres"); err != nil {
		return 0, err
	}
	opened, err := openAll(ctx, conn, cluster, r.patience, o)
	if err != nil {
		return 0, err
	}
	asking, err := cluster.Reader(ctx, r.Database, r.patience)
	if err != nil {
		return 0, err
	}
	defer asking.Close(ctx)
	held, err := scratchpg.AssertAll(ctx, asking, r.Assertions, r.patience, o)
	return passed + opened + held, err
}

// reached compares the last transaction that was recovered with the last in the log:
// recovery ends without a word at a record that it cannot read.
func (r *recovery) reached(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var standby bool
	var last *time.Time
	if err := conn.QueryRow(ctx, "select pg_is_in_recovery(), pg_last_xact_replay_timestamp()").Scan(&standby, &last); err != nil {
		return 0, probe.Unable("", "scratch cluster: %w", err)
	}
	switch {
	case standby:
		return 0, probe.Unable("", "the scratch cluster is still in recovery")
	case !r.log.newest.IsZero() && (last == nil || last.Before(r.log.newest)):
		return 0, probe.Faulty(holdfast.Damaged, "recovery ended before the log does, whose last transaction is of %s", r.log.newest.Format(time.RFC3339Nano))
	}
	return 1, nil
}

// openAll opens every database that takes connections and counts its tables.
func openAll(ctx context.Context, conn *pgx.Conn, cluster *scratchpg.Cluster, patience time.Duration, o *probe.Observation) (opened int64, err error) {
	rows, err := conn.Query(ctx, "select datname from pg_database where datallowconn order by 1")
	if err != nil {
		return 0, probe.Unable("", "scratch cluster: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, probe.Unable("", "scratch cluster: %w", err)
	}
	var tables int64
	for _, name := range names {
		n, err := countTables(ctx, cluster, name, patience)
		if err != nil {
			return 0, err
		}
		tables += n
	}
	o.Measures = append(o.Measures, holdfast.Measure{Name: "databases", Value: float64(len(names))}, holdfast.Measure{Name: "tables", Value: float64(tables)})
	return int64(len(names)), nil
}

func countTables(ctx context.Context, cluster *scratchpg.Cluster, database string, patience time.Duration) (n int64, err error) {
	conn, err := cluster.Reader(ctx, database, patience)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `select count(*) from pg_class c where relkind in ('r', 'p')
		and relnamespace not in (select oid from pg_namespace where nspname ~ '^pg_' or nspname = 'information_schema')`).Scan(&n)
	if err != nil {
		return 0, probe.Faulty(holdfast.Assertion, "database %.100q cannot be read: %s", database, probe.OneLine(err.Error()))
	}
	return n, nil
}

// engine finds the server of a version: the one the agent's policy named, else where
// Debian, then the PostgreSQL project's own packages for others, put it.
func engine(tools map[string]string, version string) (string, error) {
	major, err := strconv.Atoi(version)
	if err != nil || major < oldestEngine {
		return "", probe.Unable("", "the backup is of PostgreSQL %.20q: restore tests need %d or newer", version, oldestEngine)
	}
	if path := tools["postgres"]; path != "" {
		return path, nil
	}
	for _, path := range []string{"/usr/lib/postgresql/" + version + "/bin/postgres", "/usr/pgsql-" + version + "/bin/postgres"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", probe.Unable(holdfast.ToolMissing, "PostgreSQL %s is not installed: install its server package, or name its path under tools: in the agent's configuration", version)
}
