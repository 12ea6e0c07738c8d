package bolt_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// writeUntilFull commits numbered batches from n on and returns the number of the
// first that was refused.
func writeUntilFull(t *testing.T, s *bolt.Store, n uint64) uint64 {
	t.Helper()
	for ; n < 20000; n++ {
		err := s.Commit(t.Context(), numbered(n))
		if errors.Is(err, store.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatalf("batch %d: got %v, want ErrFull", n, err)
		}
	}
	t.Fatal("never full")
	return 0
}

// checkFull checks a full store: reading goes on and finds every batch before n,
// and writing goes on being refused.
func checkFull(t *testing.T, s *bolt.Store, n uint64) {
	t.Helper()
	if last := compareNumbered(t, s); last != n-1 {
		t.Fatalf("full store: got %d batches, want %d", last, n-1)
	}
	if err := s.Backup(t.Context(), io.Discard); err != nil {
		t.Fatalf("back up full store: %v", err)
	}
	if err := s.Commit(t.Context(), hugeBatch()); !errors.Is(err, store.ErrFull) {
		t.Fatalf("huge batch: got %v, want ErrFull", err)
	}
	if last := compareNumbered(t, s); last != n-1 {
		t.Fatalf("full store, after another refusal: got %d batches, want %d", last, n-1)
	}
}

// hugeBatch is larger than any file system here.
func hugeBatch() store.Batch {
	return store.Batch{Histories: []store.History{{Check: "huge", Value: make([]byte, 17<<20)}}}
}

func TestMaxSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small := bolt.Options{MaxSize: 20 << 20}
	s := openWith(t, dir, small)
	if err := s.Commit(t.Context(), store.Batch{Histories: []store.History{{Check: "large", Value: make([]byte, 15<<20)}}}); err != nil {
		t.Fatal(err)
	}
	n := writeUntilFull(t, s, 1)
	checkFull(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openWith(t, dir, small) // opening needs no space
	checkFull(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openWith(t, dir, bolt.Options{MaxSize: 64 << 20})
	if err := s.Commit(t.Context(), numbered(n)); err != nil {
		t.Fatal(err)
	}
	if last := compareNumbered(t, s); last != n {
		t.Errorf("got %d batches, want %d", last, n)
	}
}

// TestDiskFull fills small file systems to several levels beforehand, writes until
// nothing more fits, makes space, and goes on.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	t.Parallel()
	for kind, mount := range map[string]func(*testing.T) string{"tmpfs": mountTmpfs, "ext4": mountExt4} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := mount(t)
			for level := range 5 {
				fillAndRecover(t, filepath.Join(dir, fmt.Sprint(level)), (200+level*150)<<10)
			}
		})
	}
}

// fillAndRecover runs one store on a file system with so many bytes free.
func fillAndRecover(t *testing.T, dir string, free int) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ballast := filepath.Join(dir, "ballast")
	fillUp(t, ballast)
	info, err := os.Stat(ballast)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(ballast, info.Size()-int64(free)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	s := open(t, data)
	n := writeUntilFull(t, s, 1)
	checkFull(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, data) // and it starts on a full disk
	checkFull(t, s, n)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for more := n + 50; n < more; n++ {
		if err := s.Commit(t.Context(), numbered(n)); err != nil {
			t.Fatalf("batch %d, with space again: %v", n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, data)
	if last := compareNumbered(t, s); last != n-1 {
		t.Errorf("got %d batches, want %d", last, n-1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// fillUp writes a file until the file system is full.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	f.Sync() // ext4 gives out blocks late; the error is the one wanted
}

func mountTmpfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	command(t, "mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	return dir
}

func mountExt4(t *testing.T) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs.ext4", "-q", "-m", "0", image)
	command(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	return dir
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
