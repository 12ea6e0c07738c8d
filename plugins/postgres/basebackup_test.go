package postgres_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

func TestBasebackupGood(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	dir := s.dump(t, "base.plain", "base.tar", "base.gz")
	for name, format := range map[string]string{"base.plain": "plain", "base.tar": "tar", "base.gz": "tar"} {
		o, err := observe(t, "postgres.basebackup", map[string]any{"directory": filepath.Join(dir, name)}, nil)
		expect(t, o, err, holdfast.OK, "")
		if o.Verification == nil || o.Verification.Scope != 1 || o.Verification.Errors != 0 || o.Facts["format"] != format || o.Facts["label"] != "nightly" {
			t.Errorf("%s: got %+v, %v", name, o.Verification, o.Facts)
		}
		if len(o.RecoveryPoints) != 1 {
			t.Fatalf("%s: got %v", name, o.RecoveryPoints)
		}
		p := o.RecoveryPoints[0]
		if p.Time.Before(s.before) || p.Time.After(time.Now()) || p.Bytes < 10<<20 || p.Files < 500 {
			t.Errorf("%s: got %+v, want a time after %v and all its files", name, p, s.before)
		}
	}
	o, err := observe(t, "postgres.basebackup", map[string]any{"directory": dir, "pattern": "base.*", "list_only": true}, nil)
	expect(t, o, err, holdfast.OK, "")
	if len(o.RecoveryPoints) != 3 || o.Verification != nil {
		t.Errorf("got %v, %+v, want three and no verification", o.RecoveryPoints, o.Verification)
	}
	// Nothing that is done to the files makes it younger or older.
	before := o.RecoveryPoints[0].Time
	old := time.Now().Add(-48 * time.Hour)
	for _, name := range []string{"base.plain", "base.tar", "base.gz"} {
		must(t, os.Chtimes(filepath.Join(dir, name, "backup_manifest"), old, old))
	}
	if o, err = observe(t, "postgres.basebackup", map[string]any{"directory": dir, "pattern": "base.*", "list_only": true}, nil); err != nil || !o.RecoveryPoints[0].Time.Equal(before) {
		t.Errorf("got %v, %v, want %v", o.RecoveryPoints, err, before)
	}
}

func TestBasebackupDamage(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	for _, c := range []struct {
		name, backup, file string
		damage             func(t testing.TB, path string)
		reason             holdfast.Reason
	}{
		{"data flipped", "base.plain", "global/1262", func(t testing.TB, p string) { flip(t, p, 0.5) }, holdfast.Damaged},
		{"data cut", "base.plain", "global/1262", func(t testing.TB, p string) { truncate(t, p, 0.5) }, holdfast.Damaged},
		{"data deleted", "base.plain", "global/1262", remove, holdfast.Damaged},
		{"data emptied", "base.plain", "global/1262", func(t testing.TB, p string) { truncate(t, p, 0) }, holdfast.Damaged},
		{"control flipped", "base.plain", "global/pg_control", func(t testing.TB, p string) { flip(t, p, 0.01) }, holdfast.Damaged},
		{"label deleted", "base.plain", "backup_label", remove, holdfast.Damaged},
		{"label flipped", "base.plain", "backup_label", func(t testing.TB, p string) { flip(t, p, 0.1) }, holdfast.Damaged},
		{"label emptied", "base.plain", "backup_label", func(t testing.TB, p string) { truncate(t, p, 0) }, holdfast.Damaged},
		{"log deleted", "base.plain", "pg_wal/*", remove, holdfast.Damaged},
		{"log emptied", "base.plain", "pg_wal/*", func(t testing.TB, p string) { truncate(t, p, 0) }, holdfast.Damaged},
		{"log zeroed", "base.plain", "pg_wal/*", func(t testing.TB, p string) { zero(t, p, 1<<20) }, holdfast.Damaged},
		{"manifest flipped", "base.plain", "backup_manifest", func(t testing.TB, p string) { flip(t, p, 0.5) }, holdfast.Damaged},
		{"manifest cut", "base.plain", "backup_manifest", func(t testing.TB, p string) { truncate(t, p, 0.5) }, holdfast.Damaged},
		{"manifest emptied", "base.plain", "backup_manifest", func(t testing.TB, p string) { truncate(t, p, 0) }, holdfast.Damaged},
		{"manifest deleted", "base.plain", "backup_manifest", remove, holdfast.Missing},
		{"tar flipped", "base.tar", "base.tar", func(t testing.TB, p string) { flip(t, p, 0.5) }, holdfast.Damaged},
		{"tar cut", "base.tar", "base.tar", func(t testing.TB, p string) { truncate(t, p, 0.5) }, holdfast.Damaged},
		{"tar head zeroed", "base.tar", "base.tar", func(t testing.TB, p string) { zero(t, p, 600) }, holdfast.Damaged},
		{"tar emptied", "base.tar", "base.tar", func(t testing.TB, p string) { truncate(t, p, 0) }, holdfast.Damaged},
		{"tar deleted", "base.tar", "base.tar", remove, holdfast.Damaged},
		{"tar's log cut", "base.tar", "pg_wal.tar", func(t testing.TB, p string) { truncate(t, p, 0.5) }, holdfast.Damaged},
		{"tar's log emptied", "base.tar", "pg_wal.tar", func(t testing.TB, p string) { truncate(t, p, 0) }, holdfast.Damaged},
		{"gzip flipped", "base.gz", "base.tar.gz", func(t testing.TB, p string) { flip(t, p, 0.5) }, holdfast.Damaged},
		{"gzip cut", "base.gz", "base.tar.gz", func(t testing.TB, p string) { truncate(t, p, 0.95) }, holdfast.Damaged},
		{"gzip emptied", "base.gz", "base.tar.gz", func(t testing.TB, p string) { truncate(t, p, 0) }, holdfast.Damaged},
		{"gzip deleted", "base.gz", "base.tar.gz", remove, holdfast.Damaged},
		{"gzip's log deleted", "base.gz", "pg_wal.tar.gz", remove, holdfast.Damaged},
		{"tar's manifest flipped", "base.gz", "backup_manifest", func(t testing.TB, p string) { flip(t, p, 0.5) }, holdfast.Damaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := s.linked(t, c.backup)
			paths, err := filepath.Glob(filepath.Join(dir, c.backup, c.file))
			must(t, err)
			for _, path := range paths {
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
					b, err := os.ReadFile(path)
					must(t, errors.Join(err, os.Remove(path), os.WriteFile(path, b, 0o600))) // no link any more
					c.damage(t, path)
				}
			}
			o, err := observe(t, "postgres.basebackup", map[string]any{"directory": dir, "pattern": "*", "settle": "0s"}, nil)
			outcome := holdfast.Failed
			if c.reason == holdfast.Missing {
				outcome = holdfast.OutcomeDegraded // it may be whole
			}
			expect(t, o, err, outcome, c.reason)
			if c.reason == holdfast.Damaged && (len(o.RecoveryPoints) > 0 || o.Verification == nil || o.Verification.Errors == 0) {
				t.Errorf("a damaged backup is attested: %v, %+v", o.RecoveryPoints, o.Verification)
			}
			if o.Verification != nil && o.Verification.Errors == 0 {
				t.Errorf("got %+v", o.Verification)
			}
		})
	}
}

// linked is dump, of hard links: a base backup has many files, and one of them is
// damaged.
func (s *source) linked(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(s.farm.Dir, "linked-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	from, to := filepath.Join(s.dumps, name), filepath.Join(dir, name)
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		at := to + strings.TrimPrefix(path, from)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(at, 0o700))
		}
		return os.Link(path, at)
	}))
	return dir
}

func remove(t testing.TB, path string) { must(t, os.Remove(path)) }

// TestBasebackupWithoutLog looks at backups that were taken without their log, or
// with it among their files.
func TestBasebackupWithoutLog(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	dir := t.TempDir()
	from := filepath.Join(s.farm.Dir, "logs")
	must(t, s.farm.Folder(from))
	for name, args := range map[string][]string{"none.plain": {"--wal-method=none"}, "none.tar": {"--wal-method=none", "--format=tar"}, "fetch.tar": {"--wal-method=fetch", "--format=tar"}} {
		_, err := s.farm.Run("pg_basebackup", append(args, "--pgdata="+filepath.Join(from, name), "--dbname="+s.primary.DSN("postgres", ""), "--checkpoint=fast", "--no-sync")...)
		must(t, err)
		must(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(from, name))))
		settings := map[string]any{"directory": filepath.Join(dir, name)}
		o, err := observe(t, "postgres.basebackup", settings, nil)
		if name == "fetch.tar" {
			expect(t, o, err, holdfast.OK, "")
			continue
		}
		expect(t, o, err, holdfast.Failed, holdfast.Damaged)
		if !strings.Contains(o.Summary, "holds no log") || len(o.RecoveryPoints) > 0 {
			t.Errorf("%s: got %s, %v", name, o.Summary, o.RecoveryPoints)
		}
		settings["log_elsewhere"] = true
		o, err = observe(t, "postgres.basebackup", settings, nil)
		expect(t, o, err, holdfast.OK, "")
		if !strings.Contains(o.Facts["log"], "needs the archive") {
			t.Errorf("%s: got %v, want it to say where the log is", name, o.Facts)
		}
	}
}

func TestBasebackupOutcomes(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	good := s.dump(t, "base.plain")
	unfinished := s.dump(t, "base.plain")
	must(t, os.Remove(filepath.Join(unfinished, "base.plain", "backup_manifest")))
	within := map[string]any{"directory": filepath.Join(good, "base.plain")}
	for name, c := range map[string]struct {
		settings map[string]any
		tools    map[string]string
		outcome  holdfast.Outcome
		reason   holdfast.Reason
	}{
		"missing":       {map[string]any{"directory": good + "/none"}, nil, holdfast.Failed, holdfast.Missing},
		"empty":         {map[string]any{"directory": t.TempDir()}, nil, holdfast.Failed, holdfast.Empty},
		"none in it":    {map[string]any{"directory": good}, nil, holdfast.Failed, holdfast.Empty},
		"no match":      {map[string]any{"directory": good, "pattern": "x*"}, nil, holdfast.Failed, holdfast.NoMatch},
		"being written": {map[string]any{"directory": unfinished, "pattern": "*", "settle": "24h"}, nil, holdfast.Failed, holdfast.Empty},
		"tool missing":  {within, map[string]string{"pg_verifybackup": "/no/such/tool"}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"tool hangs":    {within, map[string]string{"pg_verifybackup": fakeTool(t, "exec sleep 600")}, holdfast.OutcomeUnknown, holdfast.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			if c.reason == holdfast.Timeout {
				ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
			}
			defer cancel()
			o, err := observeIn(ctx, t, "postgres.basebackup", c.settings, c.tools)
			expect(t, o, err, c.outcome, c.reason)
		})
	}
}

// TestLeavesNoTrace lists what was read before and after every probe of files.
func TestLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	dir := s.dump(t, "a.custom", "a.dir", "base.plain")
	before := listing(t, dir)
	for name, settings := range map[string]map[string]any{
		"postgres.dump":       dumpOf(dir, map[string]any{"pattern": "a.*"}),
		"postgres.restore":    dumpOf(dir, map[string]any{"pattern": "a.*", "point": "random"}),
		"postgres.basebackup": {"directory": dir, "pattern": "base.*"},
	} {
		o, err := observe(t, name, settings, nil)
		expect(t, o, err, holdfast.OK, "")
	}
	if after := listing(t, dir); after != before {
		t.Errorf("what was read has changed: got\n%s\nwant\n%s", after, before)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-printf", "%P %s %T@ %C@ %m\n").Output()
	must(t, err)
	return string(out)
}

func TestContract(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	dir := s.dump(t, "a.custom", "base.plain")
	dsn := `{"dsn_file":"` + dsnFile(t, s.primary.DSN("watcher", "postgres")) + `"}`
	for name, settings := range map[string]string{
		"postgres.dump":       `{"directory":"` + dir + `","pattern":"a.*","settle":"0s"}`,
		"postgres.restore":    `{"directory":"` + dir + `","pattern":"a.*","settle":"0s","assertions":["select true"]}`,
		"postgres.basebackup": `{"directory":"` + dir + `/base.plain"}`,
		"postgres.archiver":   dsn,
		"postgres.replica":    dsn,
	} {
		t.Run(name, func(t *testing.T) {
			r := probe.Request{Settings: holdfast.Settings(settings)}
			if name == "postgres.restore" { // whose whole way the other tests go
				r.Tools = map[string]string{"initdb": fakeTool(t, "exit 1")}
			}
			probetest.Run(t, find(t, name), r)
		})
	}
}

// Debian's own pg_restore guesses a version, so the program itself is looked for;
// what an agent's policy names is taken as it is.
func TestPrograms(t *testing.T) {
	wrapper := "/usr/bin/pg_restore"
	if real, err := filepath.EvalSymlinks(wrapper); err == nil && filepath.Base(real) == "pg_wrapper" {
		if got := postgres.Program(map[string]string{"pg_restore": wrapper}, "pg_restore"); !strings.HasPrefix(got, "/usr/lib/postgresql/") {
			t.Errorf("got %q, want the program behind Debian's script", got)
		}
	}
	if got := postgres.Program(map[string]string{"psql": "/opt/pg/psql"}, "psql"); got != "/opt/pg/psql" {
		t.Errorf("got %q, want the one that is named", got)
	}
	dir := t.TempDir()
	for _, version := range []string{"9.6", "15", "9", "16"} {
		must(t, os.MkdirAll(filepath.Join(dir, version, "bin"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, version, "bin", "psql"), nil, 0o755))
	}
	if got := postgres.ProgramIn(dir+"/*/bin", "psql"); got != filepath.Join(dir, "16", "bin", "psql") {
		t.Errorf("got %q, want the newest", got)
	}
	if got := postgres.ProgramIn(dir+"/*/bin", "initdb"); got != "" {
		t.Errorf("got %q, want none", got)
	}
}
