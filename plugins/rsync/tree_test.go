package rsync_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
	"github.com/holdfast-monitor/holdfast/plugins/rsync"
)

type m = map[string]any

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mirror is a folder and its mirror, made by the real rsync.
type mirror struct{ source, dir string }

// at is when the source's files were last changed.
var at = time.Now().Add(-48 * time.Hour).Truncate(time.Second)

func newMirror(t testing.TB) *mirror {
	t.Helper()
	if _, err := os.Stat("/usr/bin/rsync"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("rsync is needed: %v", err)
		}
		t.Skipf("rsync is needed: %v", err)
	}
	base := t.TempDir()
	x := &mirror{filepath.Join(base, "source"), filepath.Join(base, "mirror")}
	for i := range 12 {
		x.write(t, fmt.Sprintf("ledger/%02d", i), strings.Repeat(string(rune('a'+i)), 1000+i), at.Add(-time.Duration(i)*time.Hour))
	}
	x.write(t, "notes *[1].txt", "hello", at.Add(-time.Minute))
	must(t, os.Symlink("ledger/00", filepath.Join(x.source, "link")))
	return x
}

// write puts a file into the source.
func (x *mirror) write(t testing.TB, name, content string, changed time.Time) {
	t.Helper()
	put(t, filepath.Join(x.source, name), content, changed)
}

func put(t testing.TB, path, content string, changed time.Time) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o600))
	must(t, os.Chtimes(path, changed, changed))
}

// sync mirrors the source, the marker first.
func (x *mirror) sync(t testing.TB) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(x.source, ".mirrored"), fmt.Appendf(nil, "%d\n", time.Now().Unix()), 0o600))
	out, err := exec.Command("/usr/bin/rsync", "-a", "--delete", "--exclude=SHA256SUMS", "--", x.source+"/", x.dir).CombinedOutput()
	if err != nil {
		t.Fatalf("rsync: %v: %s", err, out)
	}
}

// sums writes a manifest of the mirror by the real sha256sum.
func (x *mirror) sums(t testing.TB) {
	t.Helper()
	cmd := exec.Command("/usr/bin/find", ".", "-type", "f", "!", "-name", ".mirrored", "!", "-name", "SHA256SUMS", "-exec", "/usr/bin/sha256sum", "--", "{}", "+")
	cmd.Dir = x.dir
	out, err := cmd.Output()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(x.dir, "SHA256SUMS"), out, 0o600))
}

func (x *mirror) request(t testing.TB, more m) probe.Request {
	t.Helper()
	settings := m{"directory": x.dir}
	for k, v := range more {
		settings[k] = v
	}
	b, err := json.Marshal(settings)
	must(t, err)
	return probe.Request{Check: "s/d/c", Settings: holdfast.Settings(b)}
}

func (x *mirror) observe(t testing.TB, more m) (probe.Observation, error) {
	t.Helper()
	o, err := rsync.Probes()[0].Observe(t.Context(), x.request(t, more))
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	return o, err
}

// expect tests what came out, and that the words are in what is said.
func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason, words string) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason || !strings.Contains(o.Summary, words) {
		t.Errorf("got %s %q: %s\nwant %s %q: %s", o.Outcome, o.Reason, o.Summary, outcome, reason, words)
	}
}

func TestGood(t *testing.T) {
	x := newMirror(t)
	x.sync(t)
	x.sums(t)
	before := time.Now()
	for _, c := range []struct {
		name  string
		more  m
		at    time.Time
		from  string
		scope float64 // below 0: none claimed
	}{
		{"by its newest change", m{"manifest": "SHA256SUMS", "marker": ""}, time.Time{}, "newest change", 1},
		{"by a marker's content", m{"marker": ".mirrored", "manifest": "./SHA256SUMS"}, before, "the time in .mirrored", 1},
		{"by a marker's change", m{"marker": "ledger/03"}, at.Add(-3 * time.Hour), "the last change of ledger/03", -1},
		{"with the source", m{"marker": ".mirrored", "source": x.source}, before, "the time in .mirrored", 0.9}, // it has no manifest
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.at.IsZero() {
				c.at = before // the marker itself is the newest file where it is not named
			}
			if c.more["source"] != nil { // the marker has whole seconds; what came in the same one is not older
				past := time.Now().Add(5 * time.Second).Unix()
				must(t, os.WriteFile(filepath.Join(x.dir, ".mirrored"), fmt.Append(nil, past), 0o600))
				c.at = time.Unix(past, 0)
			}
			o, err := x.observe(t, c.more)
			expect(t, o, err, holdfast.OK, "", "files")
			if len(o.RecoveryPoints) != 1 || o.RecoveryPoints[0].Time.Sub(c.at).Abs() > 2*time.Second || o.RecoveryPoints[0].Files < 12 {
				t.Errorf("got %+v, want one of %v", o.RecoveryPoints, c.at)
			}
			if !strings.Contains(o.Facts["recovery_point_from"], c.from) {
				t.Errorf("got it from %q, want %q", o.Facts["recovery_point_from"], c.from)
			}
			switch v := o.Verification; {
			case v == nil && c.scope >= 0, v != nil && (v.Scope < 0.99*c.scope || v.Errors != 0):
				t.Errorf("got %+v, want scope %v", v, c.scope)
			}
		})
	}
}

func TestSample(t *testing.T) {
	x := newMirror(t)
	x.sync(t)
	x.sums(t)
	o, err := x.observe(t, m{"manifest": "SHA256SUMS", "sample_files": 3})
	expect(t, o, err, holdfast.OK, "", "3 files")
	if v := o.Verification; v == nil || v.Scope <= 0 || v.Scope > 0.3 {
		t.Errorf("got %+v, want the scope of 3 of 13 files", v)
	}
	o, err = x.observe(t, m{"manifest": "SHA256SUMS", "sample_bytes": 1})
	expect(t, o, err, holdfast.OK, "", "1 files")
	seen := map[float64]bool{}
	for range 12 {
		o, _ := x.observe(t, m{"manifest": "SHA256SUMS", "sample_files": 1})
		seen[o.Verification.Scope] = true
	}
	if len(seen) < 2 {
		t.Error("12 looks compared the same file")
	}
}

func TestOldAndUnfinished(t *testing.T) {
	x := newMirror(t)
	x.sync(t)
	must(t, os.Remove(filepath.Join(x.dir, ".mirrored")))
	put(t, filepath.Join(x.dir, "ledger", ".07.a1B2c3"), "half", time.Now()) // as rsync names what it receives
	put(t, filepath.Join(x.dir, "from-2099"), "x", time.Now().AddDate(70, 0, 0))
	o, err := x.observe(t, nil)
	expect(t, o, err, holdfast.OK, "", "compared with nothing")
	if got := o.RecoveryPoints[0].Time; !got.Equal(at) {
		t.Errorf("got %v, want the newest finished file's %v", got, at)
	}
	if o.Facts["receiving"] != "1 files" || o.Facts["dated_in_the_future"] != "1 files" || o.Verification != nil {
		t.Errorf("got %v and %+v", o.Facts, o.Verification)
	}
}

func TestDamage(t *testing.T) {
	x := newMirror(t)
	x.write(t, ".early", "x", at)
	x.sync(t)
	x.sums(t)
	future := time.Now().Add(2 * time.Second)
	must(t, os.WriteFile(filepath.Join(x.dir, ".mirrored"), fmt.Append(nil, future.Unix()), 0o600))
	ledger := filepath.Join(x.dir, "ledger", "05")
	whole, err := os.ReadFile(ledger)
	must(t, err)
	info, err := os.Stat(ledger)
	must(t, err)
	manifest, source := m{"manifest": "SHA256SUMS", "marker": ".mirrored"}, m{"source": x.source, "marker": ".mirrored"}
	flipped := append([]byte{whole[0] ^ 1}, whole[1:]...)
	for _, c := range []struct {
		name   string
		spoil  func()
		more   m
		reason holdfast.Reason
		words  string
	}{
		{"a flipped bit, manifest", func() { put(t, ledger, string(flipped), info.ModTime()) }, manifest, holdfast.Damaged, "differs from the manifest"},
		{"a flipped bit, source", func() { put(t, ledger, string(flipped), info.ModTime()) }, source, holdfast.Damaged, "rsync does not notice"},
		{"cut, manifest", func() { put(t, ledger, string(whole[:10]), info.ModTime()) }, manifest, holdfast.Damaged, "1 of 14 files"},
		{"cut, source", func() { put(t, ledger, string(whole[:10]), info.ModTime()) }, source, holdfast.Damaged, "differs from the source"},
		{"emptied", func() { put(t, ledger, "", info.ModTime()) }, manifest, holdfast.Damaged, "ledger/05"},
		{"gone, manifest", func() { must(t, os.Remove(ledger)) }, manifest, holdfast.Assertion, "in the manifest and not in the mirror"},
		{"gone, source", func() { must(t, os.Remove(ledger)) }, source, holdfast.Assertion, "is not in the mirror"},
		{"a folder in its place", func() { must(t, os.Remove(ledger)); must(t, os.Mkdir(ledger, 0o755)) }, manifest, holdfast.Assertion, "not in the mirror"},
		{"a pipe in its place", func() { must(t, os.Remove(ledger)); must(t, syscall.Mkfifo(ledger, 0o600)) }, manifest, holdfast.Assertion, "not in the mirror"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spoil()
			o, err := x.observe(t, c.more)
			expect(t, o, err, holdfast.Failed, c.reason, c.words)
			if o.Verification == nil || o.Verification.Errors != 1 {
				t.Errorf("got %+v, want one error", o.Verification)
			}
			must(t, os.RemoveAll(ledger))
			put(t, ledger, string(whole), info.ModTime())
		})
	}
	o, err := x.observe(t, manifest)
	expect(t, o, err, holdfast.OK, "", "compared")
	must(t, os.WriteFile(filepath.Join(x.dir, "SHA256SUMS"), []byte("rubbish\n"), 0o600))
	o, err = x.observe(t, manifest)
	expect(t, o, err, holdfast.Failed, holdfast.Damaged, "line 1")
	must(t, os.Remove(filepath.Join(x.dir, "SHA256SUMS")))
	o, err = x.observe(t, manifest)
	expect(t, o, err, holdfast.Failed, holdfast.Missing, "no manifest")
}

// TestNotMirroredYet: what came after the last run is behind, not damaged.
func TestNotMirroredYet(t *testing.T) {
	x := newMirror(t)
	x.sync(t)
	must(t, os.WriteFile(filepath.Join(x.dir, ".mirrored"), fmt.Append(nil, time.Now().Add(-time.Hour).Unix()), 0o600))
	x.write(t, "ledger/05", "new content", time.Now())
	x.write(t, "moved in", "with an old time", at.Add(-72*time.Hour))
	o, err := x.observe(t, m{"source": x.source, "marker": ".mirrored"})
	expect(t, o, err, holdfast.OK, "", "nothing to compare") // every inode here is young
	if o.Verification != nil {
		t.Errorf("got %+v, want no verification of nothing", o.Verification)
	}
	x.sync(t)
	x.sums(t)
	put(t, filepath.Join(x.dir, "ledger", "06"), "newer than the manifest", time.Now().Add(time.Minute))
	o, err = x.observe(t, m{"manifest": "SHA256SUMS"})
	expect(t, o, err, holdfast.OK, "", "compared")
}

func TestNotThere(t *testing.T) {
	x := newMirror(t)
	o, err := x.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Missing, "no directory")
	must(t, os.MkdirAll(filepath.Join(x.dir, "folder"), 0o755))
	o, err = x.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "holds no file")
	x.sync(t)
	o, err = x.observe(t, m{"marker": "none"})
	expect(t, o, err, holdfast.Failed, holdfast.Missing, "no marker none")
	must(t, os.WriteFile(filepath.Join(x.dir, ".mirrored"), []byte("4000000000"), 0o600))
	o, err = x.observe(t, m{"marker": ".mirrored"})
	expect(t, o, err, holdfast.OutcomeUnknown, "", "dated in the future")
	o, err = x.observe(t, m{"source": x.source + "-gone"})
	expect(t, o, err, holdfast.OK, "", "nothing to compare")
	if !strings.Contains(o.Facts["source"], "cannot be read") || o.Verification != nil {
		t.Errorf("got %v, %+v, want it said that the source is away", o.Facts, o.Verification)
	}
	o, err = x.observe(t, m{"source": x.dir})
	expect(t, o, err, holdfast.OutcomeUnknown, "", "it is the mirror itself")
	must(t, os.Remove(filepath.Join(x.dir, "link")))
	must(t, os.Symlink("/etc/passwd", filepath.Join(x.dir, "out")))
	if _, err = x.observe(t, m{"marker": "out"}); err == nil {
		t.Error("a marker that is a link out of the mirror was followed")
	}
}

func TestDeafMount(t *testing.T) {
	dir, hangUp := probetest.DeafMount(t)
	defer hangUp()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	o, err := rsync.Probes()[0].Observe(ctx, (&mirror{dir: dir}).request(t, nil))
	expect(t, o, err, holdfast.Failed, holdfast.Timeout, "does not answer")
}

func TestSettings(t *testing.T) {
	x := &mirror{dir: "/srv"}
	for _, c := range []struct {
		more m
		want string
	}{
		{m{"directory": "srv"}, "not an absolute path"},
		{m{"marker": "../x"}, "not in the mirror"},
		{m{"manifest": "/x"}, "not in the mirror"},
		{m{"source": "x"}, "not an absolute path"},
		{m{"source": "/x", "manifest": "y"}, "not with both"},
		{m{"sample_files": 0}, "not between 1 and"},
		{m{"sample_bytes": 0}, "above 0"},
	} {
		if _, err := x.observe(t, c.more); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.more, err, c.want)
		}
	}
}

func TestContract(t *testing.T) {
	x := newMirror(t)
	x.sync(t)
	x.sums(t)
	probetest.Run(t, rsync.Probes()[0], x.request(t, m{"manifest": "SHA256SUMS"}), x.request(t, m{"directory": "/no/such/folder"}))
}
