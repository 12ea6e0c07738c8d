package restic_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
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
	t.Run("in the repository", func(t *testing.T) {
		inside := filepath.Join(r.dir, "tmp")
		must(t, os.Mkdir(inside, 0o755))
		link := filepath.Join(t.TempDir(), "link")
		must(t, os.Symlink(inside, link))
		for _, dir := range []string{inside, r.dir, link} {
			if _, err := r.observe(t, "restic.restore", map[string]any{"scratch": dir}); err == nil || !strings.Contains(err.Error(), "lies in") {
				t.Errorf("scratch %s: got %v, want it refused", dir, err)
			}
		}
	})
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
	t.Run("too small", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("mounting a small file system needs root")
		}
		small := t.TempDir()
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=700k", "none", small).CombinedOutput(); err != nil {
			t.Fatalf("mount: %v: %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("umount", small).Run() })
		o, err := r.observe(t, "restic.restore", map[string]any{"scratch": small})
		expect(t, o, err, holdfast.OutcomeUnknown, holdfast.TooSmall)
		isEmpty(t, small)
	})
}

// slow is a restic that stops before it is done, with the restored files in place.
func slow(t *testing.T) (path, mark string) {
	mark = filepath.Join(t.TempDir(), "restored")
	return fakeTool(t, tool+` "$@" || exit
case " $* " in *" restore "*) touch `+mark+`; exec sleep 600;; esac`), mark
}

func TestRestoreCancelled(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	path, mark := slow(t)
	scratch := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := find(t, "restic.restore").Observe(ctx, probe.Request{Settings: r.settings(t, nil), Tools: map[string]string{"restic": path}, Scratch: scratch})
		done <- err
	}()
	waitFor(t, func() bool { _, err := os.Stat(mark); return err == nil })
	cancel()
	if err := <-done; err == nil {
		t.Error("got an observation, want an error: it was cancelled")
	}
	isEmpty(t, scratch)
}

// TestRestoreKilled kills the process that restores. The test binary is run again
// as that process.
func TestRestoreKilled(t *testing.T) {
	if scratch := os.Getenv("RESTORE_INTO"); scratch != "" {
		_, err := find(t, "restic.restore").Observe(t.Context(), probe.Request{
			Settings: holdfast.Settings(os.Getenv("RESTORE_SETTINGS")), Tools: map[string]string{"restic": os.Getenv("RESTORE_TOOL")}, Scratch: scratch})
		t.Fatalf("it ended by itself: %v", err)
	}
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	path, mark := slow(t)
	scratch := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRestoreKilled$")
	cmd.Env = append(os.Environ(), "RESTORE_INTO="+scratch, "RESTORE_TOOL="+path, "RESTORE_SETTINGS="+string(r.settings(t, nil)))
	must(t, cmd.Start())
	waitFor(t, func() bool { _, err := os.Stat(mark); return err == nil })
	// While its owner lives, another test leaves the folder alone.
	o, err := r.observe(t, "restic.restore", map[string]any{"scratch": scratch})
	expect(t, o, err, holdfast.OK, "")
	if n := len(entries(t, scratch)); n != 1 {
		t.Errorf("got %d folders in scratch, want that of the living", n)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if n := len(entries(t, scratch)); n != 1 {
		t.Errorf("got %d folders in scratch, want that of the dead", n)
	}
	o, err = r.observe(t, "restic.restore", map[string]any{"scratch": scratch})
	expect(t, o, err, holdfast.OK, "")
	isEmpty(t, scratch)
}
