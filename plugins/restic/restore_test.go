package restic_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

func TestRestoreWhole(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	write(t, filepath.Join(r.source, "closed", "file"), "behind a closed door")
	write(t, filepath.Join(r.source, "bad\xffname"), "not UTF-8")
	must(t, os.Chmod(filepath.Join(r.source, "closed", "file"), 0))
	must(t, os.Chmod(filepath.Join(r.source, "closed"), 0o500))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(r.source, "closed"), 0o700) })
	r.backup(t)
	before := time.Now()
	o, err := r.observe(t, "restic.restore", nil)
	expect(t, o, err, holdfast.OK, "")
	got := o.Restoration
	if got == nil {
		t.Fatal("no restoration")
	}
	point := r.list(t)[0].Time
	bytes := holdfast.Bytes(300_000 + 2*200_000 + len("hello") + len("behind a closed door") + len("not UTF-8"))
	if got.Files != 7 || got.Bytes != bytes || got.Coverage != 1 || got.Checks != 7 || !got.Point.Equal(point) {
		t.Errorf("got %+v, want 7 files, %d bytes, whole, of %v", got, bytes, point)
	}
	if got.Duration <= 0 || got.Started.Before(before) || got.Started.Add(got.Duration.Std()).After(time.Now()) {
		t.Errorf("got %v from %v, want the time of the restore itself", got.Duration, got.Started)
	}
}

func TestRestoreSample(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	whole := int64(300_000 + 2*200_000 + 5)
	o, err := r.observe(t, "restic.restore", map[string]any{"target_bytes_max": "250kB", "point": "random"})
	expect(t, o, err, holdfast.OK, "")
	got := o.Restoration
	if got == nil || got.Files == 0 || got.Bytes > 250_000 || got.Checks != got.Files || got.Coverage != float64(got.Bytes)/float64(whole) {
		t.Errorf("got %+v, want some files of at most 250 kB and their share of %d bytes", got, whole)
	}
	if o.Facts["seed"] == "" || o.Facts["snapshot"] == "" {
		t.Errorf("got facts %v, want the seed and the snapshot", o.Facts)
	}
	o, err = r.observe(t, "restic.restore", map[string]any{"target_bytes_max": 3})
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.TooSmall)
	o, err = r.observe(t, "restic.restore", map[string]any{"target_bytes_max": whole})
	expect(t, o, err, holdfast.OK, "")
	if o.Restoration.Coverage != 1 {
		t.Errorf("got coverage %v, want 1: all of it fits", o.Restoration.Coverage)
	}
}

func TestRestoreNoFile(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	must(t, os.RemoveAll(r.source))
	must(t, os.MkdirAll(filepath.Join(r.source, "folder"), 0o755))
	r.backup(t)
	o, err := r.observe(t, "restic.restore", nil)
	expect(t, o, err, holdfast.Failed, holdfast.Empty)
}

// A tool that restores something else than the snapshot holds, and says all is
// well: the comparison does not take its word.
func TestRestoreNoticesWhatTheToolDoesNot(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	for name, spoil := range map[string]string{
		"byte changed": `printf X | dd of="$ledger" bs=1 seek=290000 conv=notrunc 2>/dev/null`,
		"shorter":      `truncate -s 299999 "$ledger"`,
		"longer":       `echo >> "$ledger"`,
		"missing":      `rm "$ledger"`,
		"one more":     `echo > "${ledger}2"`,
		"folder":       `rm "$ledger"; mkdir "$ledger"`,
		"link":         `rm "$source/link"; ln -s a/journal "$source/link"`,
		"nothing":      `rm -r "$target"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := fakeTool(t, tool+` "$@" || exit
case " $* " in *" restore "*) ;; *) exit 0;; esac
for a; do case $a in --target=*) target=${a#--target=};; esac; done
source=$target`+r.source+` ledger=$source/a/ledger
`+spoil)
			scratch := t.TempDir()
			o, err := find(t, "restic.restore").Observe(t.Context(), probe.Request{Settings: r.settings(t, nil), Tools: map[string]string{"restic": fake}, Scratch: scratch})
			reason := holdfast.Assertion
			if name == "nothing" {
				reason = holdfast.Empty
			}
			expect(t, o, err, holdfast.Failed, reason)
			isEmpty(t, scratch)
		})
	}
}

// An attribute that cannot be set is no lost content, whatever the file's name.
func TestRestoreAttributes(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	fake := fakeTool(t, tool+` "$@" || exit
case " $* " in *" restore "*) echo "ignoring error for /decrypt/truncated: xattr: operation not supported" >&2; echo "Fatal: There were 1 errors" >&2; exit 1;; esac`)
	o, err := find(t, "restic.restore").Observe(t.Context(), probe.Request{Settings: r.settings(t, nil), Tools: map[string]string{"restic": fake}, Scratch: t.TempDir()})
	expect(t, o, err, holdfast.OK, "")
	if o.Restoration == nil || o.Facts["restore_said"] == "" {
		t.Errorf("got %+v and facts %v, want a restoration and what restic said", o.Restoration, o.Facts)
	}
}

func TestRestoreScratch(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	t.Run("a folder of the user's keeps what is not ours", func(t *testing.T) {
		scratch := t.TempDir()
		write(t, filepath.Join(scratch, "theirs"), "x")
		write(t, filepath.Join(scratch, "holdfast-restore-theirs", "data", "file"), "x") // no marker
		o, err := r.observe(t, "restic.restore", map[string]any{"scratch": scratch})
		expect(t, o, err, holdfast.OK, "")
		if left := entries(t, scratch); len(left) != 2 {
			t.Errorf("got %v, want both of theirs and nothing more", left)
		}
	})
	t.Run("more than expected", func(t *testing.T) {
		fake := fakeTool(t, `case " $* " in *" restore "*) ;; *) exec `+tool+` "$@";; esac
for a; do case $a in --target=*) mkdir ${a#*=}; head -c 5000000 /dev/zero > ${a#*=}/endless;; esac; done
exec sleep 600`)
		scratch := t.TempDir()
		o, err := find(t, "restic.restore").Observe(t.Context(), probe.Request{Settings: r.settings(t, nil), Tools: map[string]string{"restic": fake}, Scratch: scratch})
		expect(t, o, err, holdfast.OutcomeUnknown, holdfast.TooSmall)
		isEmpty(t, scratch)
	})
}

// slow is a restic that stops before it is done, with the restored files in place.
func slow(t *testing.T) (path, mark string) {
	mark = filepath.Join(t.TempDir(), "restored")
	return fakeTool(t, tool+` "$@" || exit
case " $* " in *" restore "*) touch `+mark+`; exec sleep 600;; esac`), mark
}

func TestRestoreContract(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	probetest.RunRestore(t, probetest.Restorable{
		Probe:    func() probe.Probe { return find(t, "restic.restore") },
		Settings: map[string]any{"repository": r.dir, "password_file": r.passwordFile},
		Tools:    map[string]string{"restic": tool},
		Source:   r.dir,
		Hold: func(t *testing.T) (map[string]string, string) {
			path, mark := slow(t)
			return map[string]string{"restic": path}, mark
		},
	})
}

// What the catalogue lets pass is told and taken off what was restored.
func TestRestoreTolerates(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	fake := fakeTool(t, tool+` "$@" || exit
case " $* " in *" restore "*) for a; do case $a in --target=*) rm "${a#*=}`+r.source+`/a/ledger"; echo more >> "${a#*=}`+r.source+`/b/hard";; esac; done;; esac`)
	with := func(tolerate ...string) (probe.Observation, error) {
		return find(t, "restic.restore").Observe(t.Context(), probe.Request{Settings: r.settings(t, map[string]any{"tolerate": tolerate}),
			Tools: map[string]string{"restic": fake}, Scratch: t.TempDir()})
	}
	o, err := with("a/ledger", "a/journal", "b/hard")
	expect(t, o, err, holdfast.OK, "")
	if !strings.HasSuffix(o.Summary, "; 3 tolerated") || !strings.Contains(o.Facts["tolerated"], `/a/ledger" was not restored`) || o.Restoration == nil || o.Restoration.Files != 2 || o.Restoration.Bytes != 5 {
		t.Errorf("got %s, %v, %+v, want 3 tolerated and the other 2 files restored", o.Summary, o.Facts, o.Restoration)
	}
	o, err = with("a/ledger")
	expect(t, o, err, holdfast.Failed, holdfast.Assertion)
}
