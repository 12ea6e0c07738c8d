package barman_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/barman"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

const tool = "/usr/bin/barman"

// kept is what a real Barman keeps of two clusters, made once for all tests: of
// [main], whose log is received as it is written, two backups; of [arch], whose log
// arrives in whole files, is packed, and goes over to a second timeline, one.
type kept struct {
	farm    *pgtest.Farm
	primary *pgtest.Server // of main and, before the promotion, of arch
	dir     string         // with home, barman.conf, log
	user    *syscall.Credential
	receive *exec.Cmd         // barman receive-wal main
	archive map[string]string // settings of a cluster that archives to arch

	firstEnded time.Time // no earlier than the end of main's first backup
	lastWrite  time.Time // just before the last write to main
	err        error
}

var shared = struct {
	once sync.Once
	kept
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.receive != nil && shared.receive.Process != nil {
		_ = syscall.Kill(-shared.receive.Process.Pid, syscall.SIGKILL)
		_ = shared.receive.Wait()
	}
	if shared.farm != nil {
		if err := shared.farm.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close the farm:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// theKept makes what is kept when the first test asks for it.
func theKept(t testing.TB) *kept {
	t.Helper()
	_, err := os.Stat(tool)
	if err == nil && os.Geteuid() != 0 {
		err = errors.New("Barman runs as a user of its own: the test needs root")
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	must(t, err)
	shared.once.Do(func() { shared.err = shared.make() })
	must(t, shared.err)
	return &shared.kept
}

func (k *kept) make() (err error) {
	if k.farm, err = pgtest.NewFarm(); err != nil {
		return err
	}
	k.dir = filepath.Join(k.farm.Dir, "barman") // goes with the farm, whatever becomes of this process
	if err := errors.Join(os.Chmod(k.farm.Dir, 0o711), os.Mkdir(k.dir, 0o755)); err != nil {
		return err
	}
	u, err := user.Lookup("barman")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	k.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	incoming := filepath.Join(k.dir, "home", "arch", "incoming")
	err = os.MkdirAll(incoming, 0o755)
	for path := incoming; err == nil && path != k.dir; path = filepath.Dir(path) {
		err = os.Chown(path, uid, gid)
	}
	if err = errors.Join(err, os.Chmod(incoming, 0o777)); err != nil { // the cluster's user writes there
		return err
	}
	k.archive = map[string]string{"archive_mode": "on", "archive_command": "install -p -m 644 %p " + incoming + "/%f", "wal_keep_size": "64MB"}
	if k.primary, err = k.farm.Primary(k.archive); err != nil {
		return err
	}
	pass := filepath.Join(k.dir, "pgpass")
	if err := errors.Join(os.WriteFile(pass, []byte("*:*:*:*:"+pgtest.Password+"\n"), 0o600), os.Chown(pass, uid, gid)); err != nil {
		return err
	}
	if err := k.configure(filepath.Join(k.dir, "barman.conf"), filepath.Join(k.dir, "home"), ""); err != nil {
		return err
	}
	return inOrder(k.makeMain, k.freeze("barman-main"), k.makeArch, k.freeze("arch"))
}

// configure writes a configuration over a home.
func (k *kept) configure(path, home, more string) error {
	text := fmt.Sprintf(`; what a person would write
[barman]
barman_home = %[1]s
barman_user = barman
log_file = %[2]s
path_prefix = "%[3]s"
backup_method = postgres
immediate_checkpoint = true
retention_policy: RECOVERY WINDOW OF 4 WEEKS
%[6]s
[main]
conninfo = host=127.0.0.1 port=%[4]d user=postgres dbname=postgres passfile=%[5]s
description = main-%%%%
slot_name = barman
backup_directory = %[1]s/%%(slot_name)s-main
streaming_archiver = on
create_slot = auto
minimum_redundancy = 1

[arch]
conninfo = host=127.0.0.1 port=%[4]d user=postgres dbname=postgres passfile=%[5]s
archiver = on
compression = gzip
`, home, filepath.Join(home, "barman.log"), k.farm.Bin, k.primary.Port, filepath.Join(k.dir, "pgpass"), more)
	return os.WriteFile(path, []byte(text), 0o644)
}

func (k *kept) makeMain() error {
	k.receive = k.command(filepath.Join(k.dir, "barman.conf"), "receive-wal", "main")
	return inOrder(
		k.barman("receive-wal", "--create-slot", "main"),
		k.receive.Start,
		func() error {
			return k.await("select exists (select from pg_stat_replication where state = 'streaming')")
		},
		k.write,
		k.barman("archive-wal", "main"),
		k.barman("backup", "main", "--wait"),
		func() error { k.firstEnded = time.Now(); return nil },
		k.write,
		k.barman("backup", "main", "--wait"),
		k.write,
		k.barman("archive-wal", "main"),
		func() error { // it fills no file: it is in the one being received
			k.lastWrite = time.Now()
			return k.primary.Exec("postgres", "create table last as select 1")
		},
		func() error { return k.received(k.lastWrite) },
	)
}

// inOrder takes steps until one fails.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// write fills two files of the log and waits until they are received and archived.
func (k *kept) write() error {
	since := time.Now()
	if err := k.primary.Exec("postgres", "create table if not exists entry (t text)", "insert into entry select md5(g::text) from generate_series(1, 100) g", "select pg_switch_wal()",
		"select pg_sleep(0.05)", // so that the files have different times
		"insert into entry values ('more')", "select pg_switch_wal()", "insert into entry values ('even more')"); err != nil {
		return err
	}
	return k.received(since)
}

// received waits until the file of the log that the primary writes now is being
// received, and was changed since; the clock of files is a tick behind.
func (k *kept) received(since time.Time) error {
	now, err := k.ask("select pg_walfile_name(pg_current_wal_lsn())")
	if err != nil {
		return err
	}
	path := filepath.Join(k.dir, "home", "barman-main", "streaming", now+".partial")
	return until(path, func() (bool, error) {
		info, err := os.Stat(path)
		return err == nil && !info.ModTime().Before(since.Add(-20*time.Millisecond)), nil
	})
}

// ask returns the one value of a query.
func (k *kept) ask(query string) (string, error) {
	out, err := k.farm.Run("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command="+query, k.primary.DSN("postgres", "postgres"))
	return strings.TrimSpace(string(out)), err
}

// await asks the primary until it says yes.
func (k *kept) await(query string) error {
	return until(query, func() (bool, error) {
		yes, err := k.ask(query)
		return yes == "t", err
	})
}

// until polls what other processes do.
func until(what string, done func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(120 * time.Second); ; {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("not within 120 s: %s", what)
		}
	}
}

func (k *kept) makeArch() error {
	archived := "select (select coalesce(last_archived_wal, '') from pg_stat_archiver) >= pg_walfile_name(pg_current_wal_lsn() - 1024*1024)"
	return inOrder(
		k.barman("archive-wal", "arch"),
		k.barman("backup", "arch", "--wait"),
		k.write,
		func() error { return k.await(archived) },
		k.barman("archive-wal", "arch"),
	)
}

// freeze keeps a server's folder as it is now, for copies. The files of a backup are
// linked, as nobody writes to them any more.
func (k *kept) freeze(server string) func() error {
	return func() error {
		from := filepath.Join(k.dir, "home", server)
		return filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
			rel, _ := filepath.Rel(from, path)
			to := filepath.Join(k.dir, "frozen", server, rel)
			switch {
			case err != nil:
				return err
			case e.IsDir():
				return os.MkdirAll(to, 0o755)
			case strings.HasPrefix(rel, "base/"):
				return os.Link(path, to)
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			b, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(to, b, 0o644), os.Chtimes(to, info.ModTime(), info.ModTime()))
		})
	}
}

// command is a command of Barman's, as its user, in a group of its own.
func (k *kept) command(config string, args ...string) *exec.Cmd {
	cmd := exec.Command(tool, append([]string{"-c", config}, args...)...)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin", "HOME=" + k.dir}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: k.user, Setpgid: true}
	return cmd
}

// barman is a step that runs a command.
func (k *kept) barman(args ...string) func() error {
	return func() error {
		if out, err := k.command(filepath.Join(k.dir, "barman.conf"), args...).CombinedOutput(); err != nil {
			log, _ := os.ReadFile(filepath.Join(k.dir, "home", "barman.log"))
			return fmt.Errorf("barman %v: %w\n%s\n%s", args, err, out, log)
		}
		return nil
	}
}

// copyOf is a home of a test's own. Its files are links: damage replaces them.
type copyOf struct{ home, config string }

// copy copies what is kept; without is the folder of a server that the test does not
// need.
func (k *kept) copy(t testing.TB, without string) copyOf {
	t.Helper()
	c := copyOf{filepath.Join(t.TempDir(), "home"), ""}
	from := filepath.Join(k.dir, "frozen")
	must(t, filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case rel == without:
			return filepath.SkipDir
		case e.IsDir():
			return os.Mkdir(filepath.Join(c.home, rel), 0o755)
		}
		return os.Link(path, filepath.Join(c.home, rel))
	}))
	c.config = filepath.Join(filepath.Dir(c.home), "barman.conf")
	must(t, k.configure(c.config, c.home, ""))
	return c
}

// find returns the files below the home that match a pattern, sorted; one at least.
func (c copyOf) find(t testing.TB, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.home, pattern))
	must(t, err)
	if len(found) == 0 {
		t.Fatalf("there is no %s", pattern)
	}
	slices.Sort(found)
	return found
}

// change replaces a file's content, and keeps its time.
func change(t testing.TB, path string, edit func([]byte) []byte) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Remove(path)) // other copies hold the file too
	must(t, os.WriteFile(path, edit(bytes.Clone(b)), 0o644))
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

func observe(t testing.TB, config, server string) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	return observeIn(ctx, t, map[string]any{"server": server, "config": config})
}

func observeIn(ctx context.Context, t testing.TB, settings map[string]any) (probe.Observation, error) {
	t.Helper()
	b, err := json.Marshal(settings)
	must(t, err)
	o, err := barman.Probes()[0].Observe(ctx, probe.Request{Check: "ledger/barman", Settings: holdfast.Settings(b)})
	if err == nil {
		must(t, o.Validate())
	}
	return o, err
}

func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason {
		t.Fatalf("got %s %q: %s, want %s %q", o.Outcome, o.Reason, o.Summary, outcome, reason)
	}
}

func measure(t testing.TB, o probe.Observation, name string) float64 {
	t.Helper()
	for _, m := range o.Measures {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("no measure %s in %v", name, o.Measures)
	return 0
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
