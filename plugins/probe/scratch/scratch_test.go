package scratch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

func TestRoot(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"repo/data", "scratch", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "repo"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		dir, away, want string
	}{
		{at("scratch"), at("repo"), ""},
		{at("scratch"), at("missing"), ""},
		{"scratch", at("repo"), "not an absolute folder"},
		{at("missing"), at("repo"), "there is no"},
		{at("repo"), at("repo"), "lies in"},
		{at("repo/data"), at("repo"), "lies in"},
		{at("link/data"), at("repo"), "lies in"},
		{at("repo/data"), at("link"), "lies in"},
		{dir, at("repo"), "holds"},
		{at("repo"), at("link/data"), "holds"},
	} {
		got, err := scratch.Root(t.Context(), c.dir, at("other"), c.away)
		if c.want == "" && (err != nil || got != c.dir) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s away from %s: got %q, %v, want %q", c.dir, c.away, got, err, c.want)
		}
	}
}

// TestNewSweeps checks that a workspace whose owner is dead goes with the next one,
// and one in use stays.
func TestNewSweeps(t *testing.T) {
	root := t.TempDir()
	used, err := scratch.New(root, "a")
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(root, "holdfast-restore-dead")
	if err := os.MkdirAll(filepath.Join(dead, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, "holdfast-owner"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := scratch.New(root, "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("what a dead owner left: got %v, want it gone", err)
	}
	if _, err := os.Stat(filepath.Dir(used.Data())); err != nil {
		t.Errorf("a workspace in use: %v", err)
	}
	for _, w := range []*scratch.Workspace{used, next} {
		if err := w.Remove(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v, want nothing left", left, err)
	}
}
