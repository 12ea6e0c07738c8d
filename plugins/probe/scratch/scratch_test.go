package scratch_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

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
