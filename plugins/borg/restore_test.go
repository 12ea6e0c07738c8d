package borg_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/borg"
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
	must(t, r.run(nil, "", "create", "--timestamp=2026-03-29T01:30:00", r.dir+"::deep", r.source)) // with folders above that are not listed
	before := time.Now()
	phases := &phases{}
	o, err := ask(t, r.request(t, nil), func(ctx context.Context, q probe.Request) (probe.Observation, error) {
		return find(t, "borg.restore").Observe(probe.WithProgress(ctx, phases.add), q)
	})
	expect(t, o, err, holdfast.OK, "")
	got := o.Restoration
	if got == nil {
		t.Fatal("no restoration")
	}
	bytes := holdfast.Bytes(sourceBytes + len("behind a closed door") + len("not UTF-8"))
	if got.Files != 7 || got.Bytes != bytes || got.Coverage != 1 || got.Checks != 7 || !got.Point.Equal(firstTime) {
		t.Errorf("got %+v, want 7 files, %d bytes, whole, of %v", got, bytes, firstTime)
	}
	if got.Duration <= 0 || got.Started.Before(before) || got.Started.Add(got.Duration.Std()).After(time.Now()) {
		t.Errorf("got %v from %v, want the time of the restore itself", got.Duration, got.Started)
	}
	if s := phases.String(); s != "list restore compare" {
		t.Errorf("got phases %s, want list, restore, compare", s)
	}
}

// phases are the names of those told, each once in a row.
type phases struct {
	mu    sync.Mutex
	names []string // guarded by mu
}

func (p *phases) add(ph holdfast.Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.names); n == 0 || p.names[n-1] != ph.Name {
		p.names = append(p.names, ph.Name)
	}
}

func (p *phases) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.names, " ")
}

func TestRestoreSample(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	whole := int64(sourceBytes + 100_000)
	o, err := r.once(t, "borg.restore", map[string]any{"target_bytes_max": "250kB", "point": "random", "archives": "ledger-2"})
	expect(t, o, err, holdfast.OK, "")
	got := o.Restoration
	if got == nil || got.Files == 0 || got.Bytes > 250_000 || got.Checks != got.Files || got.Coverage != float64(got.Bytes)/float64(whole) {
		t.Errorf("got %+v, want some files of at most 250 kB and their share of %d bytes", got, whole)
	}
	if o.Facts["seed"] == "" || o.Facts["archive"] != "ledger-2" {
		t.Errorf("got facts %v, want the seed and the archive", o.Facts)
	}
	o, err = r.once(t, "borg.restore", map[string]any{"target_bytes_max": 3})
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.TooSmall)
}

func TestRestoreNoFile(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.source = t.TempDir()
	must(t, os.MkdirAll(filepath.Join(r.source, "folder"), 0o755))
	r.backup(t, "one", firstTime)
	o, err := r.once(t, "borg.restore", nil)
	expect(t, o, err, holdfast.Failed, holdfast.Empty)
}

// A tool that restores something else than the archive holds, and says all is
// well: the comparison does not take its word.
func TestRestoreNoticesWhatTheToolDoesNot(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	for name, spoil := range map[string]string{
		"byte changed": `printf X | dd of=a/ledger bs=1 seek=290000 conv=notrunc 2>/dev/null`,
		"missing":      `rm a/ledger`,
		"one more":     `echo > a/ledger2`,
		"link":         `rm link; ln -s a/journal link`,
		"hard link":    `cp b/hard b/soft; mv b/soft b/hard`,
		"nothing":      `rm -r "$PWD"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := r.request(t, nil)
			q.Tools = map[string]string{"borg": fakeTool(t, tool+` "$@" || exit
case " $* " in *" extract "*) ;; *) exit 0;; esac
`+spoil)}
			o, err := borg.Once(t.Context(), "borg.restore", q)
			reason := holdfast.Assertion
			if name == "nothing" {
				reason = holdfast.Empty
			}
			expect(t, o, err, holdfast.Failed, reason)
			isEmpty(t, q.Scratch)
		})
	}
}

// An owner that cannot be set is no lost content.
func TestRestoreAttributes(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	q := r.request(t, nil)
	q.Tools = map[string]string{"borg": fakeTool(t, tool+` "$@" || exit
case " $* " in *" extract "*) echo '{"type": "log_message", "levelname": "WARNING", "message": "a/ledger: chown: [Errno 22] Invalid argument"}' >&2; exit 1;; esac`)}
	o, err := borg.Once(t.Context(), "borg.restore", q)
	expect(t, o, err, holdfast.OK, "")
	if o.Restoration == nil || o.Facts["restore_said"] == "" {
		t.Errorf("got %+v and facts %v, want a restoration and what borg said", o.Restoration, o.Facts)
	}
}

func TestRestoreScratch(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	t.Run("a folder of the user's keeps what is not ours", func(t *testing.T) {
		scratch := t.TempDir()
		write(t, filepath.Join(scratch, "theirs"), "x")
		o, err := r.observe(t, "borg.restore", map[string]any{"scratch": scratch})
		expect(t, o, err, holdfast.OK, "")
		if left, err := os.ReadDir(scratch); err != nil || len(left) != 1 {
			t.Errorf("got %v, %v, want theirs and nothing more", left, err)
		}
	})
	t.Run("more than expected", func(t *testing.T) {
		q := r.request(t, nil)
		q.Tools = map[string]string{"borg": fakeTool(t, `case " $* " in *" extract "*) ;; *) exec `+tool+` "$@";; esac
head -c 5000000 /dev/zero > endless
exec sleep 600`)}
		o, err := borg.Once(t.Context(), "borg.restore", q)
		expect(t, o, err, holdfast.OutcomeUnknown, holdfast.TooSmall)
		isEmpty(t, q.Scratch)
	})
}

// slow is a borg that stops before it is done, with the restored files in place.
func slow(t *testing.T) (path, mark string) {
	mark = filepath.Join(t.TempDir(), "restored")
	return fakeTool(t, tool+` "$@" || exit
case " $* " in *" extract "*) touch `+mark+`; exec sleep 600;; esac`), mark
}

func TestRestoreContract(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	probetest.RunRestore(t, probetest.Restorable{
		Probe:    func() probe.Probe { return find(t, "borg.restore") },
		Settings: map[string]any{"repository": r.dir, "passphrase_file": r.passwordFile},
		Tools:    map[string]string{"borg": tool},
		Source:   r.dir,
		Hold: func(t *testing.T) (map[string]string, string) {
			path, mark := slow(t)
			return map[string]string{"borg": path}, mark
		},
	})
}

// What the catalogue lets pass is told and taken off what was restored.
func TestRestoreTolerates(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	fake := fakeTool(t, tool+` "$@" || exit
case " $* " in *" extract "*) rm a/ledger; ln -sf nowhere link;; esac`)
	with := func(tolerate ...string) (probe.Observation, error) {
		q := r.request(t, map[string]any{"tolerate": tolerate, "archives": "ledger-1"})
		q.Tools = map[string]string{"borg": fake}
		return borg.Once(t.Context(), "borg.restore", q)
	}
	o, err := with(`"a/ledger"`, `"link"`)
	expect(t, o, err, holdfast.OK, "")
	if !strings.HasSuffix(o.Summary, "; 2 tolerated") || !strings.Contains(o.Facts["tolerated"], `"a/ledger" was not restored`) || o.Restoration == nil || o.Restoration.Bytes != sourceBytes-300_000 {
		t.Errorf("got %s, %v, %+v, want 2 tolerated and the rest restored", o.Summary, o.Facts, o.Restoration)
	}
	o, err = with(`"link"`)
	expect(t, o, err, holdfast.Failed, holdfast.Assertion)
}
