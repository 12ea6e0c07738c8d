package barman_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/barman"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

func TestContract(t *testing.T) {
	k := theKept(t)
	c := k.copy(t, "arch")
	probetest.Run(t, barman.Probes()[0], probe.Request{Settings: holdfast.Settings(fmt.Sprintf(`{"server":"main","config":%q}`, c.config))})
}

func TestGood(t *testing.T) {
	t.Parallel()
	k := theKept(t)
	c := k.copy(t, "")
	before := c.listing(t)
	o, err := observe(t, c.config, "main")
	expect(t, o, err, holdfast.OK, "")
	p := o.RecoveryPoints
	if len(p) < 3 || p[0].Time.Before(k.lastWrite.Add(-20*time.Millisecond)) || p[0].Time.After(time.Now()) || !strings.HasSuffix(p[0].ID, ".partial") ||
		p[0].Bytes < 20_000_000 || p[0].Files < 500 {
		t.Fatalf("got points %+v, want the newest after the last write at %v, in the file being received", p, k.lastWrite)
	}
	oldest := p[len(p)-1]
	for i := 1; i < len(p)-1; i++ { // fewer than four where the first backup is that young
		if gap := p[i-1].Time.Sub(p[i].Time); gap != time.Second || p[i].Time.Before(oldest.Time) {
			t.Errorf("got points %+v, want a second apart, as the log is received as it is written", p)
		}
	}
	if first := filepath.Base(c.find(t, "barman-main/base/*")[0]); oldest.ID != first || oldest.Time.After(k.firstEnded) {
		t.Errorf("got %+v, want the first backup, %s, until %v", oldest, first, k.firstEnded)
	}
	if measure(t, o, "backups") != 2 || measure(t, o, "failed_backups") != 0 || measure(t, o, "log_files") < 4 ||
		o.Facts["minimum_redundancy"] != "1" || o.Facts["retention_policy"] != "RECOVERY WINDOW OF 4 WEEKS" {
		t.Errorf("got %v, %v", o.Measures, o.Facts)
	}
	if o.Fingerprint["timeline"] != "1" || !strings.HasPrefix(o.Fingerprint["engine"], "PostgreSQL ") || o.Fingerprint["system"] == "" {
		t.Errorf("got fingerprint %v", o.Fingerprint)
	}

	o, err = observe(t, c.config, "arch")
	expect(t, o, err, holdfast.OK, "")
	if p := o.RecoveryPoints; len(p) < 3 || p[0].ID != filepath.Base(last(c.find(t, "arch/wals/*/*"))) || !p[1].Time.Before(p[0].Time) || p[1].ID >= p[0].ID {
		t.Errorf("got points %+v, want the ends of the last files of the log", p)
	}
	if diff := cmp.Diff(before, c.listing(t)); diff != "" {
		t.Errorf("looking changed what Barman keeps (-before +after):\n%s", diff)
	}
}

func last(names []string) string { return names[len(names)-1] }

// listing tells every file's name, size, mode and times.
func (c copyOf) listing(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(c.home, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			s := info.Sys().(*syscall.Stat_t)
			all[path] = fmt.Sprint(info.Size(), info.Mode(), s.Uid, s.Gid, s.Mtim)
		}
		return err
	}))
	return all
}

// TestOld makes everything three days older: the point is as old, and that is no
// fault of it.
func TestOld(t *testing.T) {
	t.Parallel()
	c := theKept(t).copy(t, "arch")
	const days = 72 * time.Hour
	must(t, os.Remove(c.find(t, "barman-main/streaming/*.partial")[0]))
	var want time.Time
	change(t, c.find(t, "barman-main/wals/xlog.db")[0], func(b []byte) []byte {
		var lines []string
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			at, err := strconv.ParseFloat(f[2], 64)
			must(t, err)
			f[2] = strconv.FormatFloat(at-days.Seconds(), 'f', 6, 64)
			want = time.Unix(0, int64((at-days.Seconds())*1e9))
			lines = append(lines, strings.Join(f, "\t")+"\n")
		}
		return []byte(strings.Join(lines, ""))
	})
	for _, path := range c.find(t, "barman-main/base/*/backup.info") {
		change(t, path, func(b []byte) []byte {
			var lines []string
			for line := range strings.Lines(string(b)) {
				if v, ok := strings.CutPrefix(line, "end_time="); ok {
					at, err := time.Parse("2006-01-02 15:04:05.999999-07:00", strings.TrimSpace(v))
					must(t, err)
					line = "end_time=" + at.Add(-days).Format("2006-01-02 15:04:05.999999-07:00") + "\n"
				}
				lines = append(lines, line)
			}
			return []byte(strings.Join(lines, ""))
		})
	}
	o, err := observe(t, c.config, "main")
	expect(t, o, err, holdfast.OK, "")
	if got := o.RecoveryPoints[0].Time; got.Sub(want).Abs() > time.Second {
		t.Errorf("got a point of %v, want %v", got, want)
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	k := theKept(t)
	c := k.copy(t, "arch")
	must(t, k.configure(c.config, c.home, "[fresh]\nactive = true\n"))
	o, err := observe(t, c.config, "fresh")
	expect(t, o, err, holdfast.Failed, holdfast.Empty)
	o, err = observe(t, c.config, "ledger")
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Missing)
	o, err = observe(t, c.config, "barman")
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Missing)
	o, err = observe(t, "/no/such/barman.conf", "main")
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Missing)
	must(t, os.WriteFile(c.config+".bad", []byte("[barman]\nbarman_home = /\nroot:$6$secret\nsecret\n"), 0o600))
	o, err = observe(t, c.config+".bad", "main")
	expect(t, o, err, holdfast.OutcomeUnknown, "")
	if err == nil || !strings.Contains(err.Error(), "line 4") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want the line's number and not what it says", err)
	}
	must(t, os.RemoveAll(c.home))
	o, err = observe(t, c.config, "main")
	expect(t, o, err, holdfast.Failed, holdfast.Missing)
}

// TestIncluded finds the server in a file of configuration_files_directory, and
// the server's folders where it says.
func TestIncluded(t *testing.T) {
	t.Parallel()
	c := theKept(t).copy(t, "arch")
	dir := filepath.Join(t.TempDir(), "barman.d")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Rename(filepath.Join(c.home, "barman-main", "wals"), filepath.Join(c.home, "log")))
	must(t, os.WriteFile(filepath.Join(dir, "other.conf"), []byte("[other]\ndescription = one\n  two = 2\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "main.conf"), []byte("[main]\nDescription = 'x'\nbackup_directory: "+c.home+"/barman-main\nroot = "+c.home+"\nwals_directory = %(root)s/log\n"), 0o644))
	config := filepath.Join(dir, "barman.conf.top")
	must(t, os.WriteFile(config, []byte("# top\n[barman]\nbarman_home = "+c.home+"\nconfiguration_files_directory = "+dir+"\n"), 0o644))
	o, err := observe(t, config, "main")
	expect(t, o, err, holdfast.OK, "")
	if measure(t, o, "backups") != 2 || measure(t, o, "log_files") < 4 {
		t.Errorf("got %v", o.Measures)
	}
}

// TestRefused looks as a user who may not read the backups.
func TestRefused(t *testing.T) {
	t.Parallel()
	c := theKept(t).copy(t, "arch")
	for _, path := range []string{filepath.Dir(filepath.Dir(c.home)), filepath.Dir(c.home)} {
		must(t, os.Chmod(path, 0o755))
	}
	for _, closed := range []string{c.find(t, "barman-main/base/*/data")[0], c.find(t, "barman-main/base")[0], c.home, c.config} {
		info, err := os.Stat(closed)
		must(t, err)
		must(t, os.Chmod(closed, 0o700))
		got := make(chan error)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			_ = unix.Setfsuid(65534)
			_, err := observe(t, c.config, "main")
			got <- err
		}()
		if err := <-got; probe.ReasonOf(err) != holdfast.Refused {
			t.Errorf("%s closed: got %v, want refused", closed, err)
		}
		must(t, os.Chmod(closed, info.Mode().Perm()))
	}
}

// TestHung looks at a home on a network mount whose server is gone.
func TestHung(t *testing.T) {
	t.Parallel()
	k := theKept(t)
	dir, _ := probetest.DeafMount(t)
	config := filepath.Join(t.TempDir(), "barman.conf")
	must(t, k.configure(config, dir, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	o, err := observeIn(ctx, t, map[string]any{"server": "main", "config": config})
	expect(t, o, err, holdfast.Failed, holdfast.Timeout)
}

// TestUnfinished takes a backup of the real server that runs, fails, and is killed:
// what was there before stays a recovery point all the while.
func TestUnfinished(t *testing.T) {
	k := theKept(t) // not parallel: it looks at the home Barman works in
	home := copyOf{filepath.Join(k.dir, "home"), filepath.Join(k.dir, "barman.conf")}
	slow := filepath.Join(k.dir, "slow.conf")
	must(t, k.configure(slow, home.home, "bandwidth_limit = 50"))
	whole := len(home.find(t, "barman-main/base/*"))
	for _, how := range []string{"failed", "killed"} {
		cmd := k.command(slow, "backup", "main")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		must(t, cmd.Start())
		t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
		must(t, k.await("select exists (select from pg_stat_replication where state = 'backup')"))
		dir := last(home.find(t, "barman-main/base/*"))
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		o, err := observe(t, home.config, "main")
		expect(t, o, err, holdfast.OK, "")
		if len(o.RecoveryPoints) == 0 || !strings.Contains(o.Facts["running"], filepath.Base(dir)) || measure(t, o, "backups") != float64(whole) {
			t.Errorf("running: got %+v, %v, want the points there were", o.RecoveryPoints, o.Facts)
		}
		if how == "failed" {
			must(t, k.primary.Exec("postgres", "select pg_terminate_backend(pid) from pg_stat_replication where state = 'backup'"))
		} else {
			must(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
		}
		if err := cmd.Wait(); err == nil {
			t.Fatalf("%s: the backup ended well: %s", how, &said)
		}
		o, err = observe(t, home.config, "main")
		expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Damaged)
		if want := map[string]string{"failed": "failed: ", "killed": "was left unfinished"}[how]; !strings.Contains(o.Summary, want) || len(o.RecoveryPoints) == 0 {
			t.Errorf("%s: got %s, %v, want %q and the points there were", how, o.Summary, o.RecoveryPoints, want)
		}
		must(t, os.RemoveAll(dir))
	}
}

// TestPromoted promotes a standby of the cluster, which goes on archiving on a
// timeline of its own.
func TestPromoted(t *testing.T) {
	k := theKept(t) // not parallel: the primary ends here
	standby, err := k.primary.Standby("dr", k.archive)
	must(t, err)
	must(t, k.primary.Stop())
	must(t, standby.Exec("postgres", "select pg_promote()"))
	home := copyOf{filepath.Join(k.dir, "home"), filepath.Join(k.dir, "barman.conf")}
	good, err := observe(t, home.config, "arch")
	expect(t, good, err, holdfast.OK, "")
	since := time.Now()
	must(t, standby.Exec("postgres", "create table afterwards as select 1", "select pg_switch_wal()"))
	standby.Await(t, "select exists (select from pg_stat_archiver where last_archived_wal >= '00000002' and last_archived_wal not like '%.history')")
	must(t, k.barman("archive-wal", "arch")())
	o, err := observe(t, home.config, "arch")
	expect(t, o, err, holdfast.OK, "")
	if o.Fingerprint["timeline"] != "2" || o.RecoveryPoints[0].Time.Before(since.Add(-20*time.Millisecond)) || !strings.HasPrefix(o.RecoveryPoints[0].ID, "00000002") {
		t.Errorf("got %v, %+v, want the end of timeline 2", o.Fingerprint, o.RecoveryPoints)
	}
	history := home.find(t, "arch/wals/00000002.history")[0]
	for name, edit := range map[string]func([]byte) []byte{"flipped": flip(0), "emptied": none, "deleted": nil} {
		content, err := os.ReadFile(history)
		must(t, err)
		if edit == nil {
			must(t, os.Remove(history))
		} else {
			change(t, history, edit)
		}
		o, err := observe(t, home.config, "arch")
		expect(t, o, err, holdfast.Failed, holdfast.Damaged)
		if p := o.RecoveryPoints; len(p) == 0 || p[0].Time.After(since) || !strings.Contains(o.Summary, "00000002.history") {
			t.Errorf("history %s: got %s, %+v, want the end of timeline 1", name, o.Summary, p)
		}
		must(t, os.WriteFile(history, content, 0o644))
	}
}
