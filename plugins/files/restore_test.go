package files_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/files"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

const tarTool = "/usr/bin/tar"

// source is a folder as people back it up: hard and symbolic links, a closed folder,
// names that mean something to a shell.
func source(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	for name, content := range map[string]string{
		"etc/fstab": "/dev/sda1 /\n", "etc/ssl/a.pem": "PEM", "empty": "", "a *[1]?.txt": "x", "bad\xffname": "y",
		"closed/file": "behind a closed door", "ledger": strings.Repeat("0123456789", 30_000),
	} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	must(t, os.Link(filepath.Join(dir, "ledger"), filepath.Join(dir, "hard")))
	must(t, os.Symlink("/no/such/thing", filepath.Join(dir, "link")))
	must(t, os.Chmod(filepath.Join(dir, "closed"), 0o500))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "closed"), 0o700) })
	return dir
}

const sourceBytes = 300_000 + 12 + 3 + 1 + 1 + 20

// pack makes an archive by the real tar, some hours after began.
func pack(t testing.TB, dir, name, from string, hours int, more ...string) {
	t.Helper()
	path := filepath.Join(dir, name)
	args := append([]string{"--create", "--auto-compress", "--file=" + path, "--directory=" + from}, append(more, "--", ".")...)
	if out, err := exec.Command(tarTool, args...).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	at := began.Add(time.Duration(hours) * time.Hour)
	must(t, os.Chtimes(path, at, at))
}

// restoreWith runs files.restore with a tar of the test's choice ("": the real one)
// and demands that scratch is empty afterwards.
func restoreWith(ctx context.Context, t testing.TB, tool, dir string, pairs ...any) (probe.Observation, error) {
	t.Helper()
	if tool == "" {
		tool = tarTool
	}
	r := request(t, dir, pairs...)
	r.Scratch, r.Tools = t.TempDir(), map[string]string{"tar": tool}
	o, err := files.Probes()[1].Observe(ctx, r)
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	if left, e := os.ReadDir(r.Scratch); e != nil || len(left) > 0 {
		t.Errorf("scratch holds %v, %v, want nothing left", left, e)
	}
	return o, err
}

func wantUnable(t testing.TB, err error, reason holdfast.Reason, words string) {
	t.Helper()
	if err == nil || probe.ReasonOf(err) != reason || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v (%q), want that nobody can tell, %q: %s", err, probe.ReasonOf(err), reason, words)
	}
}

// fakeTar writes a tar that does its work and then something else.
func fakeTar(t testing.TB, after string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tar")
	must(t, os.WriteFile(path, []byte(`#!/bin/sh
[ "$1" = --version ] && exec `+tarTool+` --version
for a; do case $a in --directory=*) target=${a#*=};; esac; done
`+after), 0o755))
	return path
}

func TestRestoreFormats(t *testing.T) {
	from := source(t)
	for _, name := range []string{"a.tar", "a.tar.gz", "a.tgz", "a.tar.zst"} {
		for _, form := range []string{"--format=gnu", "--format=pax"} {
			dir := t.TempDir()
			pack(t, dir, name, from, 1, form)
			before := time.Now()
			o, err := restoreWith(t.Context(), t, "", dir, "must_exist", []string{"etc/fstab", "etc/ssl/*.pem"})
			must(t, err)
			wantOutcome(t, o, holdfast.OK, "", "restored 8 files", "every byte compared", name)
			got := o.Restoration
			if got == nil || got.Files != 8 || got.Bytes != sourceBytes || got.Coverage != 1 || got.Checks != 10 || !got.Point.Equal(began.Add(time.Hour)) {
				t.Fatalf("%s: got %+v, want 8 files with %d bytes, whole", name, got, sourceBytes)
			}
			if got.Duration <= 0 || got.Started.Before(before) || got.Started.Add(got.Duration.Std()).After(time.Now()) {
				t.Errorf("got %v from %v, want the time of the restore", got.Duration, got.Started)
			}
			if !strings.HasPrefix(o.Fingerprint["tool"], "tar 1.") || o.Facts["archive"] != name {
				t.Errorf("got %v, %v, want tar's version and the archive", o.Fingerprint, o.Facts)
			}
		}
	}
}

func TestRestoreChoice(t *testing.T) {
	dir, from := t.TempDir(), source(t)
	for i, name := range []string{"1.tar", "2.tar", "3.tar"} {
		pack(t, dir, name, from, i)
	}
	put(t, dir, "SHA256SUMS", sums(t, dir, "1.tar", "2.tar"), 2)
	pack(t, dir, "4.tar", from, 3) // newer than the manifest: still being written
	put(t, dir, "SHA256SUMS", sums(t, dir, "1.tar", "2.tar", "3.tar"), 2)
	o, err := restoreWith(t.Context(), t, "", dir, "manifest", "SHA256SUMS")
	must(t, err)
	wantOutcome(t, o, holdfast.OK, "", "3.tar")
	seen := map[string]bool{}
	for range 30 {
		o, err := restoreWith(t.Context(), t, "", dir, "point", "random", "pattern", "[123].tar")
		must(t, err)
		seen[o.Facts["archive"]] = true
		if o.Facts["seed"] == "" {
			t.Fatal("no seed is told")
		}
		if len(seen) == 3 {
			break
		}
	}
	if len(seen) != 3 {
		t.Errorf("random took %v, want all in time", seen)
	}
}

func TestRestoreOutcomes(t *testing.T) {
	from := source(t)
	good := t.TempDir()
	pack(t, good, "a.tar.gz", from, 1)
	whole, err := os.ReadFile(filepath.Join(good, "a.tar.gz"))
	must(t, err)
	pack(t, good, "plain.tar", from, 0)
	plain, err := os.ReadFile(filepath.Join(good, "plain.tar"))
	must(t, err)
	flipped := bytes.Replace(plain, []byte("behind a closed"), []byte("behind A closed"), 1)
	for _, c := range []struct {
		name, file string
		content    []byte
		pairs      []any
		outcome    holdfast.Outcome
		reason     holdfast.Reason
		words      string
	}{
		{"cut", "a.tar.gz", whole[:len(whole)/2], nil, holdfast.Failed, holdfast.Damaged, "a.tar.gz is damaged"},
		{"emptied", "a.tar.gz", nil, nil, holdfast.Failed, holdfast.Damaged, "damaged"},
		{"cut between members", "a.tar", plain[:2048], nil, holdfast.Failed, holdfast.Damaged, "damaged"},
		{"a flipped bit, by the manifest", "plain.tar", flipped, []any{"manifest", "SHA256SUMS"}, holdfast.Failed, holdfast.Damaged, "differs from the manifest"},
		{"lacks a file", "a.tar.gz", whole, []any{"must_exist", []string{"etc/fstab", "etc/shadow"}}, holdfast.Failed, holdfast.Assertion, `there is no "etc/shadow"`},
		{"empty", "a.tar.gz", gzipped(t, make([]byte, 10240)), nil, holdfast.Failed, holdfast.Empty, "holds no file"},
		{"no match", "a.tar.gz", whole, []any{"pattern", "*.zst"}, holdfast.Failed, holdfast.NoMatch, "matches *.zst"},
		{"no manifest", "a.tar.gz", whole, []any{"manifest", "NONE"}, holdfast.Failed, holdfast.Missing, "no manifest NONE"},
		{"a zip", "a.zip", zipped(t, 8), nil, holdfast.OutcomeUnknown, "", "not a tar file"},
		{"a dump", "a.sql.gz", gzipped(t, []byte("SELECT")), nil, holdfast.OutcomeUnknown, "", "not a tar file"},
		{"a name twice", "a.tar", append(bytes.Clone(bytes.TrimRight(tarred(t), "\x00")), tarredAgain(t)...), nil, holdfast.OutcomeUnknown, "", "a name twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, c.file, c.content, 1)
			if c.file == "plain.tar" {
				put(t, dir, "SHA256SUMS", sums(t, good, "plain.tar"), 2)
			}
			o, err := restoreWith(t.Context(), t, "", dir, c.pairs...)
			if c.outcome == holdfast.OutcomeUnknown {
				wantUnable(t, err, c.reason, c.words)
				return
			}
			must(t, err)
			wantOutcome(t, o, c.outcome, c.reason, c.words)
			if o.Restoration != nil {
				t.Errorf("got %+v, want no restoration", o.Restoration)
			}
		})
	}
	o, err := restoreWith(t.Context(), t, "", t.TempDir())
	must(t, err)
	wantOutcome(t, o, holdfast.Failed, holdfast.Empty)
	o, err = restoreWith(t.Context(), t, "", filepath.Join(good, "none"))
	must(t, err)
	wantOutcome(t, o, holdfast.Failed, holdfast.Missing)
}

// tarredAgain is what appending the same names with other content adds, with the pad
// that trimming took from the block before it.
func tarredAgain(t testing.TB) []byte {
	t.Helper()
	whole := tarred(t)
	pad := make([]byte, len(whole)-1024-len(bytes.TrimRight(whole, "\x00")))
	return append(pad, bytes.ReplaceAll(whole, []byte("hello\n"), []byte("HELLO\n"))...)
}

// TestRestoreNoticesWhatTarDoesNot has a tar that unpacks something else than the
// archive holds, and says all is well: the comparison does not take its word.
func TestRestoreNoticesWhatTarDoesNot(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, "a.tar.gz", source(t), 1)
	for name, spoil := range map[string]string{
		"byte changed": `printf X | dd of="$target/ledger" bs=1 seek=290000 conv=notrunc 2>/dev/null`,
		"shorter":      `truncate -s 299999 "$target/ledger"`,
		"missing":      `rm "$target/etc/fstab"`,
		"one more":     `echo > "$target/more"`,
		"folder":       `rm "$target/ledger"; mkdir "$target/ledger"`,
		"link":         `ln -sfn /elsewhere "$target/link"`,
		"no hard link": `rm "$target/hard"; cp "$target/ledger" "$target/hard"`,
		"nothing":      `rm -r "$target"/*`,
	} {
		t.Run(name, func(t *testing.T) {
			o, err := restoreWith(t.Context(), t, fakeTar(t, tarTool+` "$@" || exit; `+spoil), dir)
			must(t, err)
			wantOutcome(t, o, holdfast.Failed, holdfast.Assertion)
		})
	}
	o, err := restoreWith(t.Context(), t, fakeTar(t, tarTool+` "$@"; echo "tar: x: Cannot mknod: Operation not permitted" >&2; exit 2`), dir)
	must(t, err)
	wantOutcome(t, o, holdfast.OK, "")
	if !strings.Contains(o.Facts["restore_said"], "mknod") {
		t.Errorf("got facts %v, want what tar said", o.Facts)
	}
	o, err = restoreWith(t.Context(), t, fakeTar(t, `echo "tar: Unexpected EOF in archive" >&2; exit 2`), dir)
	must(t, err)
	wantOutcome(t, o, holdfast.Failed, holdfast.Damaged, "Unexpected EOF")
}

func TestRestoreWithoutTool(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, "a.tar.gz", source(t), 1)
	_, err := restoreWith(t.Context(), t, "/no/such/tar", dir)
	wantUnable(t, err, holdfast.ToolMissing, "no such program")
	_, err = restoreWith(t.Context(), t, "/usr/bin/true", dir)
	wantUnable(t, err, holdfast.ToolMissing, "not an answer of GNU tar")
	_, err = restoreWith(t.Context(), t, fakeTar(t, `echo "tar (child): gzip: Cannot exec: No such file or directory" >&2; exit 2`), dir)
	wantUnable(t, err, holdfast.ToolMissing, "gzip")
	_, err = restoreWith(t.Context(), t, fakeTar(t, `head -c 5000000 /dev/zero > "$target/endless"; exec sleep 600`), dir)
	wantUnable(t, err, holdfast.TooSmall, "were expected")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = restoreWith(ctx, t, fakeTar(t, "exec sleep 600"), dir)
	wantUnable(t, err, holdfast.Timeout, "longer timeout")
}

// What the catalogue lets pass is told and taken off what was restored.
func TestRestoreTolerates(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, "a.tar.gz", source(t), 1)
	tool := fakeTar(t, tarTool+` "$@" || exit; rm "$target/hard"; echo more >> "$target/etc/fstab"`)
	o, err := restoreWith(t.Context(), t, tool, dir, "tolerate", []string{`"hard"`, `"ledger"`, `"etc/fstab"`})
	must(t, err)
	wantOutcome(t, o, holdfast.OK, "", "restored 6 files", "; 2 tolerated")
	if !strings.Contains(o.Facts["tolerated"], `"etc/fstab" was restored with 17 bytes, the backup has 12`) || o.Restoration.Bytes != sourceBytes-12 {
		t.Errorf("got %v, %+v, want what was tolerated taken off", o.Facts, o.Restoration)
	}
	o, err = restoreWith(t.Context(), t, tool, dir, "tolerate", []string{`"etc/fstab"`})
	must(t, err)
	wantOutcome(t, o, holdfast.Failed, holdfast.Assertion, "hard")
}

// TestRestoreHostile has an archive whose names lead out of scratch.
func TestRestoreHostile(t *testing.T) {
	dir, from := t.TempDir(), source(t)
	outside := filepath.Join(filepath.Dir(from), "outside")
	must(t, os.WriteFile(outside, []byte("out"), 0o600))
	for _, flags := range [][]string{{"--absolute-names", "--add-file=" + outside}, {"--absolute-names", "--transform=s,ledger,../../../escaped,"}} {
		pack(t, dir, "a.tar", from, 1, flags...)
		must(t, os.Remove(outside))
		o, err := restoreWith(t.Context(), t, "", dir)
		if err == nil && strings.Contains(flags[1], "escaped") && o.Outcome == holdfast.OK {
			t.Errorf("a member above its folder passed: %s", o.Summary)
		}
		if _, err := os.Stat(outside); err == nil {
			t.Error("an absolute name was written")
		}
		must(t, os.WriteFile(outside, []byte("out"), 0o600))
	}
}

func TestRestoreContract(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, "a.tar", source(t), 1)
	probetest.Run(t, files.Probes()[1], request(t, dir), request(t, dir, "pattern", "*.zst"))
	probetest.RunRestore(t, probetest.Restorable{
		Probe:    func() probe.Probe { return files.Probes()[1] },
		Settings: map[string]any{"directory": dir, "settle": "0s"},
		Tools:    map[string]string{"tar": tarTool},
		Source:   dir,
		Hold: func(t *testing.T) (map[string]string, string) {
			mark := filepath.Join(t.TempDir(), "restored")
			return map[string]string{"tar": fakeTar(t, tarTool+` "$@"; touch `+mark+`; exec sleep 600`)}, mark
		},
	})
	for in, want := range map[string]string{
		`{"directory":"/x","point":"oldest"}`:      "neither latest nor random",
		`{"directory":"/x","manifest":"../S"}`:     "not in the directory",
		`{"directory":"/x","must_exist":["/etc"]}`: "not a path in the archive",
		`{"directory":"/x","must_exist":["[x"]}`:   "not a path in the archive",
		`{"directory":"x"}`:                        "not an absolute path",
	} {
		if _, err := files.Probes()[1].Observe(t.Context(), probe.Request{Settings: holdfast.Settings(in)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}
