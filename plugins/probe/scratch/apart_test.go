package scratch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// folders makes folders below one, and names them.
func folders(t *testing.T, names ...string) func(string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) string { return filepath.Join(dir, name) }
}

// wantRoot tests what Root says of a folder: "" that it may be used.
func wantRoot(t *testing.T, want, dir string, away ...string) {
	t.Helper()
	got, err := scratch.Root(t.Context(), dir, away...)
	switch {
	case want == "" && err != nil:
		t.Errorf("%s away from %s: got %v, want it taken", dir, away, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s away from %s: got %q, %v, want %q", dir, away, got, err, want)
	case (want == "lies in" || want == "holds") && probe.ReasonOf(err) != holdfast.Refused:
		t.Errorf("%s away from %s: got reason %q, want refused", dir, away, probe.ReasonOf(err))
	}
}

func TestRoot(t *testing.T) {
	at := folders(t, "repo/data", "scratch", "other")
	link := func(to, name string) {
		if err := os.Symlink(at(to), at(name)); err != nil {
			t.Fatal(err)
		}
	}
	link("repo", "link")
	link("other", "scratch/out")
	link("gone", "dangling")
	if err := os.WriteFile(at("scratch/database"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("other/database"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ want, dir, away string }{
		{"", at("scratch"), at("repo")},
		{"", at("scratch"), "/"}, // where everything lies
		{"", at("scratch"), "sftp:host:/srv"},
		{"", at("scratch"), at("scratch2")}, // a name that only begins the same
		{"", at("link/data"), at("other")},
		{"", at("scratch"), at("other/database")},
		{"not an absolute folder", "scratch", at("repo")},
		{"there is no", at("missing"), at("repo")},
		{"is not a folder", at("other/database"), at("repo")},
		{"lies in", at("repo"), at("repo")},
		{"lies in", at("repo"), at("repo") + "/../repo/"},
		{"lies in", at("repo/data"), at("repo")},
		{"lies in", at("link/data"), at("repo")},
		{"lies in", at("repo/data"), at("link")},
		{"lies in", at("scratch/out"), at("other")},
		{"holds", at(""), at("repo")},
		{"holds", at("repo"), at("link/data")},
		{"holds", at("scratch"), at("scratch/database")},
		{"", at("scratch"), at("missing/data")},        // its nearest folder is above scratch
		{"holds", at("repo"), at("repo/later/data")},   // and here it is scratch itself
		{"holds", at("repo"), at("link/later")},        // by another name
		{"holds", at(""), at("dangling")},              // a link to nothing
		{"holds", at("other"), at("other/database/x")}, // below a file
	} {
		wantRoot(t, c.want, c.dir, at("nowhere/to/be/seen"), c.away)
	}
}

// TestRootMounts has one folder mounted in two places: inodes of the folders above do
// not tell that both show the same.
func TestRootMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("mounting needs root")
		}
		t.Skip("mounting needs root")
	}
	at := folders(t, "repo/sub/deep", "repo/next", "a b", "scratch/inside")
	for from, to := range map[string]string{"repo/sub": "a b", "repo/next": "scratch/inside"} {
		if err := unix.Mount(at(from), at(to), "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("mount: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at(to), unix.MNT_DETACH) })
	}
	wantRoot(t, "lies in", at("a b"), at("repo"))
	wantRoot(t, "lies in", at("a b/deep"), at("repo"))
	wantRoot(t, "lies in", at("a b/deep"), at("repo/sub"))
	wantRoot(t, "holds", at("a b"), at("repo/sub/deep"))
	wantRoot(t, "holds", at("scratch"), at("scratch/inside"))
	wantRoot(t, "", at("a b"), at("repo/next"))
	wantRoot(t, "", at("repo/next"), at("a b"))
}

// TestRootSilent keeps away from a path on a file system that does not answer: nobody
// waits for it for long, and it is still known by its name.
func TestRootSilent(t *testing.T) {
	t.Parallel()
	deaf, hangUp := probetest.DeafMount(t)
	defer hangUp()
	at := folders(t, "scratch")
	wantRoot(t, "", at("scratch"), filepath.Join(deaf, "repo"), filepath.Join(deaf, "other"), at("missing"))
	wantRoot(t, "holds", filepath.Dir(deaf), filepath.Join(deaf, "repo"))
	if _, err := scratch.Root(t.Context(), filepath.Join(deaf, "scratch")); probe.ReasonOf(err) != holdfast.Timeout {
		t.Errorf("scratch that does not answer: got %v, want timeout", err)
	}
}
