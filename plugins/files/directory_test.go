package files_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/files"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

func TestContract(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.tar.gz", gzipped(t, tarred(t)), 1)
	put(t, dir, "SHA256SUMS", sums(t, dir, "a.tar.gz"), 2)
	p := files.Probes()[0]
	probetest.Run(t, p,
		request(t, dir),
		request(t, dir, "pattern", "*.gz", "manifest", "SHA256SUMS", "size_ratio", 0.9, "settle", "1m", "name_time", "%Y%m%d", "name_zone", "Europe/Berlin", "list_only", true),
		request(t, dir+"/none"),
	)
	if !p.Describe().Privileges.Safe() {
		t.Error("not safe, want a probe that only reads")
	}
}

func TestBadSettings(t *testing.T) {
	for settings, want := range map[holdfast.Settings]string{
		`{}`:                                                           `setting "directory" is required`,
		`{"directory":"backup"}`:                                       `"backup" is not an absolute path`,
		`{"directory":"/","pat":1}`:                                    `unknown setting "pat"`,
		`{"directory":"/","pattern":"["}`:                              `"[" is not a pattern`,
		`{"directory":"/","pattern":"*/x"}`:                            `"*/x" is not a pattern for a name`,
		`{"directory":"/","manifest":"../SHA256SUMS"}`:                 `is not in the directory`,
		`{"directory":"/","manifest":"/etc/passwd"}`:                   `is not in the directory`,
		`{"directory":"/","size_ratio":1.5}`:                           `1.5 is not between 0 and 1`,
		`{"directory":"/","settle":"-1s"}`:                             `setting "settle": cannot be below 0`,
		`{"directory":"/","name_time":"%Y-%m"}`:                        `want %Y, %m and %d at least`,
		`{"directory":"/","name_time":"%s-%Y%m%d"}`:                    `or %s alone`,
		`{"directory":"/","name_time":"%Y%m%d%Y"}`:                     `at most once`,
		`{"directory":"/","name_time":"%Y%m%d%"}`:                      `at most once`,
		`{"directory":"/","name_time":"%x"}`:                           `want each of`,
		`{"directory":"/","name_time":"%s","name_zone":"Mars/Crater"}`: `setting "name_zone"`,
	} {
		_, err := files.Probes()[0].Observe(t.Context(), probe.Request{Settings: settings})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", settings, err, want)
		}
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	wantOutcome(t, observe(t, dir), holdfast.Failed, holdfast.Empty, "is empty")
	wantOutcome(t, observe(t, dir+"/none"), holdfast.Failed, holdfast.Missing, "there is no directory")
	put(t, dir, "notes.txt", []byte("x"), 1)
	wantOutcome(t, observe(t, dir, "pattern", "*.tar.gz"), holdfast.Failed, holdfast.NoMatch, "none of 1 names matches *.tar.gz")
	wantOutcome(t, observe(t, dir+"/notes.txt"), holdfast.Failed, holdfast.Missing)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	wantOutcome(t, observe(t, link), holdfast.OK, "")
}

// TestOnlyFiles: what is no regular file is no archive, wherever it points.
func TestOnlyFiles(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	put(t, outside, "secret.gz", gzipped(t, []byte("x")), 9)
	put(t, dir, "good.gz", gzipped(t, []byte("x")), 1)
	put(t, dir, ".hidden.gz", []byte("damaged"), 9)
	must(t, os.Symlink(filepath.Join(outside, "secret.gz"), filepath.Join(dir, "outside.gz")))
	must(t, os.Symlink("good.gz", filepath.Join(dir, "latest.gz")))
	must(t, os.Mkdir(filepath.Join(dir, "folder.gz"), 0o755))
	must(t, unix.Mkfifo(filepath.Join(dir, "pipe.gz"), 0o600))
	o := observe(t, dir, "pattern", "*.gz")
	wantOutcome(t, o, holdfast.OK, "", "good.gz")
	if got := measure(t, o, "archives"); got != 1 {
		t.Errorf("archives: got %v, want 1", got)
	}
	wantOutcome(t, observe(t, dir, "pattern", ".*.gz"), holdfast.Failed, holdfast.Damaged, ".hidden.gz")
	// A manifest that is a link out of the directory is not followed.
	put(t, outside, "sums", []byte("x"), 1)
	must(t, os.Symlink(filepath.Join(outside, "sums"), filepath.Join(dir, "SHA256SUMS")))
	_, err := files.Probes()[0].Observe(t.Context(), request(t, dir, "manifest", "SHA256SUMS"))
	if err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("got %v, want an error that says the link escapes", err)
	}
}

// TestWriting: the newest is not judged before it is finished.
func TestWriting(t *testing.T) {
	dir := t.TempDir()
	half := gzipped(t, tarred(t))[:5000]
	must(t, os.WriteFile(filepath.Join(dir, "new.tar.gz"), half, 0o600))
	wantOutcome(t, observe(t, dir), holdfast.Failed, holdfast.Empty, "no archive is finished, 1 being written")
	put(t, dir, "old.tar.gz", gzipped(t, tarred(t)), 1)
	o := observe(t, dir)
	wantOutcome(t, o, holdfast.OK, "", "old.tar.gz")
	if got := o.Facts["unfinished"]; got != "1" || len(o.RecoveryPoints) != 1 {
		t.Errorf("unfinished is %q with %v, want 1 beside one recovery point", got, o.RecoveryPoints)
	}
	put(t, dir, "new.tar.gz", half, 2)
	wantOutcome(t, observe(t, dir), holdfast.Failed, holdfast.Damaged, "new.tar.gz")
	long := time.Since(began) + time.Hour
	wantOutcome(t, observe(t, dir, "settle", holdfast.Duration(long).String()), holdfast.Failed, holdfast.Empty)
	// Changed in the future, by a clock that was wrong: not for ever unfinished.
	put(t, dir, "ahead.tar.gz", gzipped(t, tarred(t)), 1000)
	wantOutcome(t, observe(t, dir), holdfast.OK, "", "ahead.tar.gz")
}

// TestChanging has a file that somebody writes while it is read: its content does
// not count, whatever it is.
func TestChanging(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "old.gz", gzipped(t, []byte("x")), 1)
	path := filepath.Join(dir, "new.zst")
	put(t, dir, "new.zst", bytes.Repeat(zstded(t, bytes.Repeat([]byte("x"), 1<<20), true), 100), 2)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			at := began.Add(2*time.Hour + time.Duration(i)*time.Microsecond)
			if err := os.Chtimes(path, at, at); err != nil {
				stopped <- err
				return
			}
		}
	}()
	o := observe(t, dir)
	close(stop)
	must(t, <-stopped)
	wantOutcome(t, o, holdfast.OK, "", "old.gz")
	if got := o.Facts["unfinished"]; got != "1" || len(o.RecoveryPoints) != 1 {
		t.Errorf("unfinished is %q with %v, want 1 beside one recovery point", got, o.RecoveryPoints)
	}
}

func TestRecoveryPoints(t *testing.T) {
	dir := t.TempDir()
	for i := range 7 {
		put(t, dir, fmt.Sprintf("a%d.sql", i), bytes.Repeat([]byte("x"), 100+i), i)
	}
	o := observe(t, dir)
	wantOutcome(t, o, holdfast.OK, "")
	var got []string
	for _, p := range o.RecoveryPoints {
		got = append(got, fmt.Sprintf("%s %v %d", p.ID, p.Time.Sub(began).Hours(), p.Bytes))
	}
	if want := "[a6.sql 6 106 a5.sql 5 105 a4.sql 4 104 a3.sql 3 103 a0.sql 0 100]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := measure(t, o, "newest_age_seconds"), time.Since(began.Add(6*time.Hour)).Seconds(); got > want || got < want-60 {
		t.Errorf("newest_age_seconds: got %v, want about %v", got, want)
	}
}

func TestSizeRatio(t *testing.T) {
	dir := t.TempDir()
	for i, size := range []int{100, 10, 1000} { // median 100
		put(t, dir, fmt.Sprintf("%d.sql", i), bytes.Repeat([]byte("x"), size), i)
	}
	for _, c := range []struct {
		size    int
		ratio   []any
		outcome holdfast.Outcome
	}{
		{50, nil, holdfast.OK}, {49, nil, holdfast.OutcomeDegraded}, {5000, nil, holdfast.OK},
		{89, []any{"size_ratio", 0.9}, holdfast.OutcomeDegraded}, {1, []any{"size_ratio", 0}, holdfast.OK},
	} {
		put(t, dir, "new.sql", bytes.Repeat([]byte("x"), c.size), 9)
		o := observe(t, dir, c.ratio...)
		var reason holdfast.Reason
		if c.outcome != holdfast.OK {
			reason = holdfast.TooSmall
		}
		wantOutcome(t, o, c.outcome, reason)
		if got := measure(t, o, "median_bytes"); got != 100 {
			t.Errorf("median_bytes: got %v, want 100", got)
		}
		if len(o.RecoveryPoints) != 4 || o.RecoveryPoints[0].ID != "new.sql" {
			t.Errorf("recovery points: got %v, want the suspicious one too", o.RecoveryPoints)
		}
	}
}

func TestNameTime(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "db-20260301T021500.sql", []byte("x"), 0)
	put(t, dir, "db-20260302T021500.sql", []byte("x"), -1) // changed before the other
	put(t, dir, "db-99999999T999999.sql", []byte("x"), 0)
	put(t, dir, "db-copy.sql", []byte("x"), 5)
	o := observe(t, dir, "name_time", "%Y%m%dT%H%M%S", "name_zone", "Europe/Berlin")
	if got, want := o.RecoveryPoints[0].Time, time.Date(2026, 3, 2, 1, 15, 0, 0, time.UTC); !got.Equal(want) || len(o.RecoveryPoints) != 2 {
		t.Errorf("got %v, want two with the newest of %v", o.RecoveryPoints, want)
	}
	if got := observe(t, dir, "name_time", "db-%Y%m%d").RecoveryPoints[0].Time; !got.Equal(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("by day: got %v, want its start in UTC", got)
	}
	wantOutcome(t, observe(t, dir, "name_time", "at-%s"), holdfast.Failed, holdfast.NoMatch, "none of 4 names has a time like at-%s")
	// A name cannot make a backup newer than its last byte.
	put(t, dir, "db-20990101T000000.sql", []byte("x"), 3)
	if got := observe(t, dir, "name_time", "%Y%m%dT%H%M%S").RecoveryPoints[0].Time; !got.Equal(began.Add(3 * time.Hour)) {
		t.Errorf("from the future: got %v, want its last change %v", got, began.Add(3*time.Hour))
	}
	put(t, dir, fmt.Sprintf("unix-%d.sql", began.Unix()), []byte("x"), 8)
	if got := observe(t, dir, "name_time", "unix-%s").RecoveryPoints[0].Time; !got.Equal(began) {
		t.Errorf("unix: got %v, want %v", got, began)
	}
}

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.sql", []byte("a"), 1)
	put(t, dir, "b.sql", []byte("b"), 3)
	sumA, sumB := string(sums(t, dir, "a.sql")), string(sums(t, dir, "b.sql"))
	const manifest = "SHA256SUMS"
	with := []any{"manifest", manifest}
	for _, c := range []struct {
		what, content string
		hours         int
		outcome       holdfast.Outcome
		reason        holdfast.Reason
		words         string
	}{
		{"both", sumA + sumB, 4, holdfast.OK, "", "b.sql"},
		{"comment, star, CRLF, dot", "# made by cron\r\n\r\n" + strings.Replace(strings.TrimSpace(sumB), "  ", " *./", 1) + "\r\n", 4, holdfast.OK, "", "b.sql"},
		{"the later line counts", strings.Replace(sumA, "a.sql", "b.sql", 1) + sumB, 4, holdfast.OK, "", "b.sql"},
		{"newest not in it, and newer", sumA, 2, holdfast.OK, "", "a.sql"},
		{"newest not in it, and older", sumA, 4, holdfast.Failed, holdfast.Assertion, "b.sql is not in the manifest"},
		{"older than all", "# nothing yet\n", 0, holdfast.Failed, holdfast.Missing, "none of 2 archives is in its manifest"},
		{"another sum", strings.Replace(sumA, "a.sql", "b.sql", 1), 4, holdfast.Failed, holdfast.Damaged, "differs from the manifest"},
		{"out of the directory", sumB + strings.Replace(sumA, "a.sql", "../a.sql", 1), 4, holdfast.Failed, holdfast.Damaged, `line 2: "../a.sql" lies outside`},
		{"absolute", strings.Replace(sumA, "a.sql", "/etc/passwd", 1), 4, holdfast.Failed, holdfast.Damaged, "line 1"},
		{"no sum", "hello\n", 4, holdfast.Failed, holdfast.Damaged, "manifest SHA256SUMS, line 1: not a SHA-256 sum"},
		{"no digits", strings.Repeat("z", 64) + "  b.sql\n", 4, holdfast.Failed, holdfast.Damaged, "not a SHA-256 sum"},
	} {
		t.Run(c.what, func(t *testing.T) {
			put(t, dir, manifest, []byte(c.content), c.hours)
			wantOutcome(t, observe(t, dir, with...), c.outcome, c.reason, c.words)
		})
	}
	put(t, dir, manifest, nil, 4)
	if o, err := files.Probes()[0].Observe(t.Context(), request(t, dir, with...)); err == nil || !strings.Contains(err.Error(), "empty: still being written?") {
		t.Errorf("empty manifest: got %s %v, want that nobody can tell", o.Summary, err)
	}
	must(t, os.Remove(filepath.Join(dir, manifest)))
	wantOutcome(t, observe(t, dir, with...), holdfast.Failed, holdfast.Missing, "there is no manifest SHA256SUMS")
	must(t, os.Mkdir(filepath.Join(dir, manifest), 0o755))
	wantOutcome(t, observe(t, dir, with...), holdfast.Failed, holdfast.Damaged, "is no file")
}

func TestManifestPerFile(t *testing.T) {
	dir := t.TempDir()
	with := []any{"manifest", "{file}.sha256"}
	put(t, dir, "a.sql", []byte("a"), 1)
	put(t, dir, "b.sql", []byte("b"), 3)
	wantOutcome(t, observe(t, dir, with...), holdfast.Failed, holdfast.Missing, "none of 2 archives")
	put(t, dir, "a.sql.sha256", sums(t, dir, "a.sql"), 2)
	wantOutcome(t, observe(t, dir, with...), holdfast.OK, "", "a.sql")
	put(t, dir, "b.sql.sha256", sums(t, dir, "b.sql"), 4)
	o := observe(t, dir, with...)
	wantOutcome(t, o, holdfast.OK, "", "b.sql")
	if got := measure(t, o, "archives"); got != 2 {
		t.Errorf("archives: got %v, want 2: a manifest is none", got)
	}
}

func TestListOnly(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.gz", []byte("not gzip"), 1)
	put(t, dir, "SHA256SUMS", sums(t, dir, "a.gz"), 2)
	for _, manifest := range []string{"", "SHA256SUMS"} {
		o := observe(t, dir, "pattern", "*.gz", "list_only", true, "manifest", manifest)
		wantOutcome(t, o, holdfast.OK, "", "not read")
		if o.Verification != nil || len(o.RecoveryPoints) != 1 {
			t.Errorf("got %+v and %v, want a recovery point and no verification", o.Verification, o.RecoveryPoints)
		}
	}
	put(t, dir, "b.gz", nil, 3)
	wantOutcome(t, observe(t, dir, "pattern", "*.gz", "list_only", true), holdfast.Failed, holdfast.Empty)
}

// TestHostileNames: what a file is called cannot spoil what is shown.
func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"\x1b]0;owned\x07", "\xff\xfe", "new\nline", strings.Repeat("ü", 127), "=cmd|x", "<script>"} {
		put(t, dir, name, []byte("x"), i)
		o := observe(t, dir) // validates
		if strings.ContainsAny(o.Summary+o.RecoveryPoints[0].ID, "\x1b\x07\n") {
			t.Errorf("%q: control characters in %q", name, o.Summary)
		}
	}
}

// TestDeadline reads a file that has no end within the check's time.
func TestDeadline(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "a.img"))
	must(t, err)
	must(t, f.Truncate(1<<42))
	must(t, f.Close())
	must(t, os.Chtimes(f.Name(), began, began))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = files.Probes()[0].Observe(ctx, request(t, dir))
	if got := probe.ReasonOf(err); got != holdfast.Timeout {
		t.Errorf("got reason %q (%v), want timeout", got, err)
	}
}

func TestDeafMount(t *testing.T) {
	dir, hangUp := probetest.DeafMount(t)
	p := files.Probes()[0]
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	o, err := p.Observe(ctx, request(t, dir))
	must(t, err)
	wantOutcome(t, o, holdfast.Failed, holdfast.Timeout, "does not answer")
	taken, takeBack := context.WithCancel(t.Context())
	takeBack()
	_, err = p.Observe(taken, request(t, dir))
	if got := probe.ReasonOf(err); got != holdfast.Timeout {
		t.Errorf("cancelled: got reason %q (%v), want timeout", got, err)
	}
	hangUp()
	wantOutcome(t, observe(t, dir), holdfast.Failed, holdfast.Unreachable)
}

// TestForbidden looks as a user who may not.
func TestForbidden(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	closed, unreadable := t.TempDir(), t.TempDir()
	put(t, closed, "a.sql", []byte("x"), 1)
	put(t, unreadable, "a.sql", []byte("x"), 1)
	must(t, os.Chmod(closed, 0o700))
	must(t, os.Chmod(filepath.Dir(closed), 0o755))
	must(t, os.Chmod(unreadable, 0o755))
	must(t, os.Chmod(filepath.Join(unreadable, "a.sql"), 0o600))
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		for _, dir := range []string{closed, unreadable} {
			o, err := files.Probes()[0].Observe(context.Background(), request(t, dir))
			if got := probe.ReasonOf(err); got != holdfast.Refused {
				t.Errorf("got %s, reason %q (%v), want refused", o.Summary, got, err)
			}
		}
	}()
	<-done
}
