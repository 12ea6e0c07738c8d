package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
	"github.com/holdfast-monitor/holdfast/collector/store/storetest"
)

var backgroundCtx = context.Background()

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Place {
		dir := t.TempDir()
		return func() (store.Store, error) { return bolt.Open(dir, bolt.Options{}) }
	})
}

func open(t testing.TB, dir string) *bolt.Store {
	t.Helper()
	return openWith(t, dir, bolt.Options{})
}

func openWith(t testing.TB, dir string, o bolt.Options) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // closed before in some tests
	return s
}

func TestOpenTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "open")
	s := open(t, dir)
	_, err := bolt.Open(dir, bolt.Options{})
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), "another collector uses "+dir) {
		t.Errorf("got %v, want ErrInUse naming the folder", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

// TestOpenOther opens a store that another program than a collector has open.
func TestOpenOther(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(dir, bolt.FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := bolt.Open(dir, bolt.Options{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
}

func TestFileMode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	open(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, bolt.FileName): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: got %o, want %o", path, got, want)
		}
	}
}

// TestNewerFormat opens a store as a version after this one would have left it.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, dir, bolt.Options{Program: "9.1.0"})
	if err := bolt.SetFormat(s, 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := bolt.Open(dir, bolt.Options{Program: "1.0.0"})
	if !errors.Is(err, store.ErrNewer) {
		t.Fatalf("got %v, want ErrNewer", err)
	}
	for _, part := range []string{filepath.Join(dir, bolt.FileName), "format is 2", "by holdfast 9.1.0", "this is holdfast 1.0.0", "knows format 1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want it to say %q", err, part)
		}
	}
}

// TestCrashWhileCreating begins beside what a crash in the middle of creation leaves.
func TestCrashWhileCreating(t *testing.T) {
	dir := t.TempDir()
	for _, left := range [][]byte{{}, []byte("half a page"), make([]byte, 16384)} {
		if err := os.WriteFile(filepath.Join(dir, bolt.FileName+".new"), left, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if err := s.Commit(t.Context(), numbered(1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, bolt.FileName)); err != nil {
			t.Fatal(err)
		}
	}
}
