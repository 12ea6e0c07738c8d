package borg_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/borg"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

const (
	tool     = "/usr/bin/borg"
	password = "correct horse"
)

var names = []string{"borg.repository", "borg.check", "borg.restore"}

// repo is a real repository in a temporary folder.
type repo struct {
	dir, passwordFile, source, base string
}

// templates are made once for all tests to copy: an empty repository, and one with
// two archives.
var (
	emptyTemplate = sync.OnceValue(func() *repo {
		base, err := os.MkdirTemp("", "borg-template-")
		if err != nil {
			panic(err)
		}
		templateDir = base
		r := &repo{dir: filepath.Join(base, "repo"), passwordFile: filepath.Join(base, "password"), base: filepath.Join(base, "base")}
		if err := errors.Join(os.WriteFile(r.passwordFile, []byte(password+"\n"), 0o600), r.run(nil, "", "init", "--encryption=repokey-blake2", r.dir)); err != nil {
			panic(err)
		}
		return r
	})
	templateDir string
)

// The helpers of all plugins' tests, under short names.
var (
	expect, isEmpty, must  = probetest.Expect, probetest.WantEmpty, probetest.Must
	write, noise, fakeTool = probetest.Write, probetest.Noise, probetest.FakeTool
)

// find returns a fresh probe by name.
func find(t testing.TB, name string) probe.Probe {
	t.Helper()
	return probetest.Find(t, borg.Probes(), name)
}

func TestMain(m *testing.M) {
	probetest.RestoreVictim(borg.Probes()...)
	code := m.Run()
	if templateDir != "" {
		_ = os.RemoveAll(templateDir)
	}
	os.Exit(code)
}

// newRepo makes a repository and a folder to back up.
func newRepo(t *testing.T) *repo {
	t.Helper()
	if _, err := os.Stat(tool); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("borg is needed: %v", err)
		}
		t.Skipf("borg is needed: %v", err)
	}
	base := t.TempDir()
	r := emptyTemplate().copy(t)
	r.source, r.base = filepath.Join(base, "source"), filepath.Join(base, "base")
	write(t, filepath.Join(r.source, "a", "ledger"), noise(1, 300_000))
	write(t, filepath.Join(r.source, "a", "journal"), noise(2, 200_000))
	write(t, filepath.Join(r.source, "b", "notes *[1].txt"), "hello")
	write(t, filepath.Join(r.source, "empty"), "")
	must(t, os.Link(filepath.Join(r.source, "a", "journal"), filepath.Join(r.source, "b", "hard")))
	must(t, os.Symlink("a/ledger", filepath.Join(r.source, "link")))
	return r
}

// sourceBytes is what newRepo's source restores to.
const sourceBytes = 300_000 + 200_000 + 5

func (r *repo) run(stdout io.Writer, dir string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), tool, args...)
	cmd.Dir = dir
	cmd.Env = []string{"BORG_BASE_DIR=" + r.base, "BORG_PASSPHRASE=" + password, "PATH=/usr/bin", "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8",
		"BORG_RELOCATED_REPO_ACCESS_IS_OK=yes", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes"}
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("borg %v: %w\n%s", args, err, stderr.Bytes())
	}
	return nil
}

// repair runs borg check --repair, which ends with a warning.
func (r *repo) repair(t testing.TB) {
	t.Helper()
	cmd := exec.Command(tool, "check", "--repair", r.dir)
	cmd.Env = []string{"BORG_BASE_DIR=" + r.base, "BORG_PASSPHRASE=" + password, "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING=YES",
		"BORG_RELOCATED_REPO_ACCESS_IS_OK=yes", "LC_ALL=C.UTF-8"}
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("borg check --repair: %v: %s", err, out)
	}
}

// backup makes an archive whose backup began at a time, and leaves the time zone of
// the one who makes it far from UTC.
func (r *repo) backup(t testing.TB, name string, at time.Time) {
	t.Helper()
	must(t, r.run(nil, r.source, "create", "--timestamp="+at.UTC().Format("2006-01-02T15:04:05"), r.dir+"::"+strings.NewReplacer("{", "{{", "}", "}}").Replace(name), "."))
}

var (
	firstTime  = time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
	secondTime = firstTime.Add(24 * time.Hour)
)

// twoArchives is a repository with ledger-1 and ledger-2, made once.
var twoArchives = struct {
	sync.Mutex
	made *repo
}{}

func newRepoWithTwo(t *testing.T) *repo {
	t.Helper()
	r := newRepo(t)
	twoArchives.Lock()
	defer twoArchives.Unlock()
	if twoArchives.made == nil {
		r.backup(t, "ledger-1", firstTime)
		write(t, filepath.Join(r.source, "a", "more"), noise(7, 100_000))
		r.backup(t, "ledger-2", secondTime)
		kept := *r
		kept.dir = filepath.Join(templateDir, "two")
		must(t, os.CopyFS(kept.dir, os.DirFS(r.dir)))
		twoArchives.made = &kept
		return r
	}
	must(t, os.RemoveAll(r.dir))
	must(t, os.CopyFS(r.dir, os.DirFS(twoArchives.made.dir)))
	write(t, filepath.Join(r.source, "a", "more"), noise(7, 100_000))
	return r
}

// copy copies the repository, so that it can be damaged.
func (r *repo) copy(t testing.TB) *repo {
	t.Helper()
	c := *r
	c.dir = filepath.Join(t.TempDir(), "repo")
	must(t, os.CopyFS(c.dir, os.DirFS(r.dir)))
	return &c
}

// settings are the probe's settings for this repository, with more of them.
func (r *repo) settings(t testing.TB, more map[string]any) holdfast.Settings {
	t.Helper()
	m := map[string]any{"repository": r.dir, "passphrase_file": r.passwordFile}
	for k, v := range more {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	b, err := json.Marshal(m)
	must(t, err)
	return holdfast.Settings(b)
}

func (r *repo) request(t testing.TB, more map[string]any) probe.Request {
	t.Helper()
	return probe.Request{Check: "s/d/c", Settings: r.settings(t, more), Tools: map[string]string{"borg": tool}, Scratch: t.TempDir()}
}

// observe runs a probe on the repository.
func (r *repo) observe(t *testing.T, name string, more map[string]any) (probe.Observation, error) {
	t.Helper()
	return ask(t, r.request(t, more), find(t, name).Observe)
}

// once is observe without a second look.
func (r *repo) once(t *testing.T, name string, more map[string]any) (probe.Observation, error) {
	t.Helper()
	return ask(t, r.request(t, more), func(ctx context.Context, q probe.Request) (probe.Observation, error) {
		return borg.Once(ctx, name, q)
	})
}

func ask(t *testing.T, q probe.Request, observe func(context.Context, probe.Request) (probe.Observation, error)) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	o, err := observe(ctx, q)
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	isEmpty(t, q.Scratch)
	return o, err
}

// list is the IDs of the repository's archives by name.
func (r *repo) list(t testing.TB) map[string]string {
	t.Helper()
	var out bytes.Buffer
	must(t, r.run(&out, "", "list", "--json", r.dir))
	list, err := borg.ParseList(out.Bytes())
	must(t, err)
	ids := map[string]string{}
	for _, a := range list.Archives {
		ids[a.Name] = a.ID
	}
	return ids
}

// tree lists everything in the repository with its size and the time it was changed.
func (r *repo) tree(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(r.dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := fmt.Sprint(info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			what += string(b)
		}
		found[p] = what
		return nil
	}))
	return found
}

// segment is the path of a segment.
func (r *repo) segment(n int) string {
	return filepath.Join(r.dir, "data", "0", strconv.Itoa(n))
}

// last is the number of the newest segment, which holds a commit alone.
func (r *repo) last(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, "data", "0"))
	must(t, err)
	last := 0
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		must(t, err)
		last = max(last, n)
	}
	return last
}

// puts lists where the objects of a segment begin: magic, then CRC32, size, tag, ID
// and data each.
func puts(t testing.TB, segment string) []int {
	t.Helper()
	b, err := os.ReadFile(segment)
	must(t, err)
	var at []int
	for i := 8; i+9 <= len(b); {
		if b[i+8] == 0 {
			at = append(at, i)
		}
		i += int(binary.LittleEndian.Uint32(b[i+4:]))
	}
	return at
}

// flip changes a bit of a file.
func flip(t testing.TB, file string, at int) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	b[at] ^= 0x04
	must(t, os.WriteFile(file, b, 0o600))
}
