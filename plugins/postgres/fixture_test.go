package postgres_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// source is the one cluster that all tests look at: a database ledger with 1,000
// entries, a role app, and what was dumped of it.
type source struct {
	farm    *pgtest.Farm
	primary *pgtest.Server
	dumps   string // a folder with one dump of every kind
	before  time.Time
	err     error
}

var shared = struct {
	once sync.Once
	source
}{}

func TestMain(m *testing.M) {
	probetest.RestoreVictim(postgres.Probes()...)
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
	if s.farm, err = pgtest.NewFarm(); err != nil {
		return err
	}
	archive := filepath.Join(s.farm.Dir, "archive")
	if err := s.farm.Folder(archive); err != nil {
		return err
	}
	if s.primary, err = s.farm.Primary(map[string]string{"archive_mode": "on", "archive_command": "cp %p " + archive + "/%f", "max_slot_wal_keep_size": "4MB", "min_wal_size": "2MB", "max_wal_size": "8MB"}); err != nil {
		return err
	}
	err = s.primary.Exec("postgres", "create database ledger", "create role app nologin",
		"create role watcher login password '"+pgtest.Password+"' in role pg_monitor", "create role reader login password '"+pgtest.Password+"' in role pg_read_all_data",
		"create role stranger login password '"+pgtest.Password+"'")
	if err != nil {
		return err
	}
	err = s.primary.Exec("ledger",
		"create table entry (id int primary key, amount numeric not null, note text)",
		"insert into entry select g, g * 1.5, md5(g::text) from generate_series(1, 1000) g",
		`create table "odd ""name"" (x)" (t text)`, `insert into "odd ""name"" (x)" values (E'-- PostgreSQL database dump complete\nCREATE TABLE no'), ('\.')`,
		"create view total as select sum(amount) from entry", "create table nobody ()",
		"alter table entry owner to app", "select lo_from_bytea(4711, convert_to(repeat('large', 100000), 'UTF8'))")
	if err != nil {
		return err
	}
	s.before = time.Now().UTC().Truncate(time.Second)
	s.dumps = filepath.Join(s.farm.Dir, "dumps")
	if err := s.farm.Folder(s.dumps); err != nil {
		return err
	}
	dsn := s.primary.DSN("postgres", "ledger")
	for name, args := range map[string][]string{
		"a.custom": {"--format=custom"}, "a.raw": {"--format=custom", "--compress=0"}, "a.dir": {"--format=directory"}, "raw.dir": {"--format=directory", "--compress=0"}, "a.tar": {"--format=tar"},
		"a.sql": {"--format=plain", "--verbose"}, "quiet.sql": {"--format=plain"}, "inserts.sql": {"--inserts"},
		"short.custom": {"--format=custom", "--exclude-table=entry", "--exclude-table=total"}, "schema.custom": {"--format=custom", "--schema-only"},
	} {
		if _, err := s.farm.Run("pg_dump", append(args, "--file="+filepath.Join(s.dumps, name), "--dbname="+dsn)...); err != nil {
			return err
		}
	}
	if _, err := s.farm.Run("pg_dumpall", "--no-role-passwords", "--file="+filepath.Join(s.dumps, "all.sql"), "--dbname="+s.primary.DSN("postgres", "")); err != nil {
		return err
	}
	dsn = s.primary.DSN("postgres", "")
	for name, args := range map[string][]string{"base.plain": {"--format=plain"}, "base.tar": {"--format=tar"}, "base.gz": {"--format=tar", "--gzip", "--manifest-checksums=SHA256"}} {
		if _, err := s.farm.Run("pg_basebackup", append(args, "--pgdata="+filepath.Join(s.dumps, name), "--dbname="+dsn, "--checkpoint=fast", "--label=nightly", "--no-sync")...); err != nil {
			return err
		}
	}
	return errors.Join(s.pack("a.sql", "a.sql.gz", "gzip"), s.pack("a.sql", "a.sql.zst", "zstd"), s.pack("a.raw", "a.raw.gz", "gzip"))
}

// pack compresses a dump.
func (s *source) pack(from, to, how string) error {
	b, err := os.ReadFile(filepath.Join(s.dumps, from))
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	switch how {
	case "gzip":
		z := gzip.NewWriter(&packed)
		_, err = z.Write(b)
		err = errors.Join(err, z.Close())
	default:
		z, e := zstd.NewWriter(&packed)
		if e != nil {
			return e
		}
		_, err = z.Write(b)
		err = errors.Join(err, z.Close())
	}
	return errors.Join(err, os.WriteFile(filepath.Join(s.dumps, to), packed.Bytes(), 0o600))
}

// dump copies dumps into a folder of the test's own, an hour old for all that can
// be seen of the files; it returns the folder.
func (s *source) dump(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		from, to := filepath.Join(s.dumps, name), filepath.Join(dir, name)
		if info, err := os.Stat(from); err == nil && info.IsDir() {
			must(t, os.CopyFS(to, os.DirFS(from)))
			continue
		}
		b, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(to, b, 0o600))
	}
	return dir
}

// observe runs a probe; settings are Go values for JSON.
func observe(t testing.TB, name string, settings map[string]any, tools map[string]string) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	return observeIn(ctx, t, name, settings, tools)
}

func observeIn(ctx context.Context, t testing.TB, name string, settings map[string]any, tools map[string]string) (probe.Observation, error) {
	t.Helper()
	b, err := json.Marshal(settings)
	must(t, err)
	p := find(t, name)
	q := probe.Request{Check: "s/d/c", Settings: holdfast.Settings(b), Tools: tools}
	if p.Describe().Privileges.Writes {
		q.Scratch = t.TempDir()
		defer isEmpty(t, q.Scratch)
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
	for _, p := range postgres.Probes() {
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
	if strings.Contains(fmt.Sprintf("%+v", o), pgtest.Password) {
		t.Errorf("the observation shows the password: %+v", o)
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

func isEmpty(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("scratch: got %v left in it, want nothing", left)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeTool writes a program that stands where one of PostgreSQL's would.
func fakeTool(t testing.TB, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tool")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	return path
}

// tool is fakeTool where the clusters' owner can run it.
func (s *source) tool(t testing.TB, script string) string {
	t.Helper()
	dir, err := os.MkdirTemp(s.farm.Dir, "tool-")
	must(t, err)
	path := filepath.Join(dir, "tool")
	must(t, errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755)))
	return path
}
