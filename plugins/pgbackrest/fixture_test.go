package pgbackrest_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/pgbackrest"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

const (
	tool       = "/usr/bin/pgbackrest"
	passphrase = "correct horse battery"
)

// source is the one cluster that all tests look at, and its two repositories: the
// first plain, a file of the backup for each of the cluster's; the second encrypted
// and bundled. Every compression is used for some file of the log.
type source struct {
	farm    *pgtest.Farm
	primary *pgtest.Server
	config  string // of pgBackRest
	plain   string
	secret  string
	late    string               // the plain one, and a file of the log more that makes a tablespace
	pass    string               // a file with the passphrase
	commits map[string]time.Time // the newest in each file of the log
	wal     []string             // the files of the log behind the newest backup's, oldest first
	err     error
}

var shared = struct {
	once sync.Once
	source
}{}

func TestMain(m *testing.M) {
	probetest.RestoreVictim(pgbackrest.Probes()...)
	code := m.Run()
	if shared.farm != nil {
		if err := shared.farm.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close the farm:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// theSource starts the source when the first test asks for it.
func theSource(t testing.TB) *source {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.start() })
	if shared.err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(shared.err)
		}
		t.Skip(shared.err)
	}
	return &shared.source
}

func (s *source) start() (err error) {
	if _, err := os.Stat(tool); err != nil {
		return fmt.Errorf("install the package pgbackrest: %w", err)
	}
	if s.farm, err = pgtest.NewFarm(); err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(s.farm.Dir, name) }
	s.config, s.plain, s.secret, s.pass = in("pgbackrest.conf"), in("plain"), in("secret"), in("pass")
	for _, name := range []string{"plain", "secret", "lock", "spool", "log", "space"} {
		if err := s.farm.Folder(in(name)); err != nil {
			return err
		}
	}
	if err := errors.Join(os.WriteFile(s.pass, []byte(passphrase+"\n"), 0o600), s.configure(0), s.archiveTo(s.config, "gz")); err != nil {
		return err
	}
	s.primary, err = s.farm.Primary(map[string]string{"unix_socket_directories": s.farm.Dir, "archive_mode": "on", "archive_command": s.archive(),
		"max_connections": "137", "max_prepared_transactions": "7", "max_wal_size": "8MB", "min_wal_size": "2MB",
		"autovacuum": "off", "track_commit_timestamp": "on"}) // commits are ours, and known
	if err != nil {
		return err
	}
	if err := s.configure(s.primary.Port); err != nil {
		return err
	}
	if _, err := s.backrest("stanza-create"); err != nil {
		return err
	}
	if err := errors.Join(s.fill(), s.archiveOn()); err != nil {
		return err
	}
	return s.makeLate()
}

// makeLate copies the plain repository and archives one file of the log more to the
// copy alone, in which a tablespace is made.
func (s *source) makeLate() error {
	s.late = filepath.Join(s.farm.Dir, "late")
	if err := s.link(s.plain, s.late); err != nil {
		return err
	}
	config, err := s.configFor("late", s.late, s.primary)
	if err != nil {
		return err
	}
	if err := s.archiveTo(config, "gz"); err != nil {
		return err
	}
	space := filepath.Join(s.farm.Dir, "late-space")
	if err := s.farm.Folder(space); err != nil {
		return err
	}
	if err := s.primary.Exec("postgres", "create tablespace late location '"+space+"'"); err != nil {
		return err
	}
	_, err = s.primary.Switch()
	return err
}

// configFor writes a configuration of one plain repository and one cluster.
func (s *source) configFor(name, repo string, of *pgtest.Server) (string, error) {
	dir := s.farm.Dir
	file := filepath.Join(dir, name+".conf")
	if err := s.farm.Folder(filepath.Join(dir, name+"-lock")); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, fmt.Appendf(nil, "[global]\nrepo1-path=%s\nlog-level-file=off\nlock-path=%s/%s-lock\n[main]\npg1-path=%s\npg1-socket-path=%s\npg1-port=%d\n",
		repo, dir, name, of.Dir, dir, of.Port), 0o644)
}

// configure writes pgBackRest's configuration; the port is known once the cluster runs.
func (s *source) configure(port int) error {
	dir := s.farm.Dir
	text := fmt.Sprintf(`[global]
repo1-path=%s
repo1-retention-full=9
repo2-path=%s
repo2-retention-full=9
repo2-cipher-type=aes-256-cbc
repo2-cipher-pass=%s
repo2-bundle=y
log-level-file=off
lock-path=%s/lock
log-path=%s/log
spool-path=%s/spool
start-fast=y
compress-level=1
[main]
pg1-path=%s/cluster-0
pg1-socket-path=%s
pg1-port=%d
`, s.plain, s.secret, passphrase, dir, dir, dir, dir, dir, port)
	return os.WriteFile(s.config, []byte(text), 0o644)
}

// archive is the cluster's archive_command: a script, since a server heeds a command
// that was changed only some time later.
func (s *source) archive() string { return filepath.Join(s.farm.Dir, "pgbackrest-archive") + " %p" }

// archiveTo says where the log goes to from now on, and how it is packed.
func (s *source) archiveTo(config, compression string) error {
	script := fmt.Sprintf("#!/bin/sh\nexec %s --config=%s --stanza=main --compress-type=%s archive-push \"$1\"\n", tool, config, compression)
	file := filepath.Join(s.farm.Dir, "pgbackrest-archive")
	return errors.Join(os.WriteFile(file+".new", []byte(script), 0o755), os.Rename(file+".new", file))
}

func (s *source) backrest(command string, args ...string) ([]byte, error) {
	return s.farm.Run(tool, append([]string{"--config=" + s.config, "--stanza=main", command}, args...)...)
}

// fill makes two backups in each repository, with something new before each.
func (s *source) fill() error {
	err := s.primary.Exec("postgres", "alter system set archive_mode = 'on'", "alter system set archive_command = '"+s.archive()+"'", // a backup holds them
		"create tablespace fast location '"+filepath.Join(s.farm.Dir, "space")+"'", "create table entry (id int primary key, amount numeric not null)", "create table quick (id int) tablespace fast",
		"insert into quick values (1), (2)", "insert into entry values (-1, 0)", "begin; insert into entry values (0, 0); prepare transaction 'held'")
	if err != nil {
		return err
	}
	for i, args := range [][]string{{"--repo=1", "--type=full"}, {"--repo=2", "--type=full"}, {"--repo=2", "--type=diff"}, {"--repo=1", "--type=incr"}} {
		if err := s.insert(i); err != nil {
			return err
		}
		if _, err := s.backrest("backup", args...); err != nil {
			return err
		}
	}
	return nil
}

// insert adds a hundred entries.
func (s *source) insert(round int) error {
	return s.primary.Exec("postgres", fmt.Sprintf("insert into entry select g, g from generate_series(%d, %d) g", round*100+1, round*100+100))
}

// archiveOn archives a file of the log for every way to pack, each with a commit.
func (s *source) archiveOn() error {
	s.commits = map[string]time.Time{}
	for i, compression := range []string{"zst", "lz4", "bz2", "none", "gz"} {
		if err := s.archiveTo(s.config, compression); err != nil {
			return err
		}
		if err := s.insert(i + 4); err != nil {
			return err
		}
		at, err := s.lastCommit()
		if err != nil {
			return err
		}
		name, err := s.primary.Switch()
		if err != nil {
			return err
		}
		s.commits[name] = at
		s.wal = append(s.wal, name)
	}
	return nil
}

// lastCommit is when the cluster made its last commit.
func (s *source) lastCommit() (at time.Time, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.primary.DSN("postgres", "postgres"))
	if err != nil {
		return at, err
	}
	defer conn.Close(ctx)
	return at, conn.QueryRow(ctx, "select timestamp from pg_last_committed_xact()").Scan(&at)
}

// copy gives a test its own copy of a repository, whose files are links to those of
// the source: what changes one must put another in its place.
func (s *source) copy(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(s.farm.Dir, "repo-"+rand.Text())
	t.Cleanup(func() { must(t, os.RemoveAll(to)) })
	must(t, s.link(from, to))
	return to
}

// link copies a folder, with links in place of its files. The clusters' owner can
// write to the copy.
func (s *source) link(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.Join(to, strings.TrimPrefix(p, from))
		switch {
		case d.IsDir():
			return s.farm.Folder(name)
		case d.Type().IsRegular():
			return os.Link(p, name)
		}
		return nil // "latest", a link for people
	})
}

// one is the one file that a pattern below a repository means.
func one(t testing.TB, repo, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(repo, pattern))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%s: got %v, want one file", pattern, found)
	}
	return found[0]
}

// put puts content in a file's place, with the file's own time.
func put(t testing.TB, file string, content []byte) {
	t.Helper()
	info, err := os.Stat(file)
	must(t, err)
	must(t, os.Remove(file))
	must(t, os.WriteFile(file, content, 0o644))
	must(t, os.Chtimes(file, info.ModTime(), info.ModTime()))
}

// damage does one kind of damage to a file.
func damage(t testing.TB, kind, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	b = slices.Clone(b)
	switch kind {
	case "gone":
		must(t, os.Remove(file))
		return
	case "empty":
		b = nil
	case "cut":
		b = b[:len(b)/2]
	case "flip":
		b[len(b)*2/10] ^= 0x10 // one alone may say the same as before, within a run of zeros
		b[len(b)*6/10] ^= 0x10
	default:
		t.Fatal("no such damage:", kind)
	}
	put(t, file, b)
}

var kinds = []string{"flip", "cut", "empty", "gone"}

// request asks a probe about a plain repository.
func request(t testing.TB, repo string, more map[string]any) probe.Request {
	t.Helper()
	settings := map[string]any{"stanza": "main"}
	if repo != "" {
		settings["repository"] = repo
	}
	for name, value := range more {
		settings[name] = value
	}
	b, err := json.Marshal(settings)
	must(t, err)
	return probe.Request{Check: "s/d/c", Settings: holdfast.Settings(b), Tools: map[string]string{"pgbackrest": tool}}
}

// observe runs a fresh probe once.
func observe(t testing.TB, name, repo string, more map[string]any) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	return observeIn(ctx, t, name, request(t, repo, more))
}

func observeIn(ctx context.Context, t testing.TB, name string, q probe.Request) (probe.Observation, error) {
	t.Helper()
	p := find(t, name)
	if p.Describe().Privileges.Writes {
		if q.Scratch == "" {
			q.Scratch = t.TempDir()
		}
		defer probetest.WantEmpty(t, q.Scratch)
	}
	o, err := p.Observe(ctx, q)
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	return o, err
}

// find returns a fresh probe by name.
func find(t testing.TB, name string) probe.Probe {
	t.Helper()
	for _, p := range pgbackrest.Probes() {
		if p.Describe().Name == name {
			return p
		}
	}
	t.Fatalf("no probe %s", name)
	return nil
}

// expect tests an observation's outcome and reason.
func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason {
		t.Errorf("got %s %q: %s %v\nwant %s %q\nraw %s", o.Outcome, o.Reason, o.Summary, o.Facts, outcome, reason, o.Raw)
	}
	if strings.Contains(fmt.Sprintf("%+v", o), passphrase) {
		t.Errorf("the observation shows the passphrase: %+v", o)
	}
}

// measure returns a measure by name.
func measure(t testing.TB, o probe.Observation, name string) float64 {
	t.Helper()
	for _, m := range o.Measures {
		if m.Name == name {
			return m.Value
		}
	}
	t.Errorf("no measure %s in %v", name, o.Measures)
	return 0
}

// ids are the names of the recovery points.
func ids(o probe.Observation) []string {
	var all []string
	for _, p := range o.RecoveryPoints {
		all = append(all, p.ID)
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeTool writes a program that stands where pgBackRest would.
func fakeTool(t testing.TB, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pgbackrest")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	return path
}

// tree lists every file below a folder with its size and times.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, fmt.Sprintf("%s %d %v %v", p, info.Size(), info.Mode(), info.ModTime()))
		}
		return err
	}))
	return all
}
