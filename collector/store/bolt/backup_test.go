package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

func restored(t *testing.T, image []byte) (*bolt.Store, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new", "data")
	if err := bolt.Restore(t.Context(), bytes.NewReader(image), dir, bolt.Options{}); err != nil {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("a refused restore left %s", left[0].Name())
		}
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != bolt.FileName {
		t.Errorf("restore left %v, want %s alone", entries, bolt.FileName)
	}
	return open(t, dir), nil
}

func TestRestore(t *testing.T) {
	image, want := filled(t, 12)
	s, err := restored(t, image)
	if err != nil {
		t.Fatal(err)
	}
	got, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("the restored store differs")
	}
	// Numbers go on where they were: nothing is overwritten.
	r, err := s.AppendRecord(t.Context(), holdfast.Record{At: day, By: "after"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(r.ID, "-00000013") {
		t.Errorf("record after a restore: got %s, want number 13", r.ID)
	}
}

// TestBackupUnderWrites takes backups while batches are committed. Each restores
// to whole batches without a gap, at least those committed before it began.
func TestBackupUnderWrites(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var committed uint64 // guarded by mu
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := uint64(1); ctx.Err() == nil; n++ {
			if err := s.Commit(t.Context(), numbered(n)); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			committed = n
			mu.Unlock()
		}
	})
	defer writer.Wait()
	defer stop()
	grew := false
	for range 10 {
		mu.Lock()
		before := committed
		mu.Unlock()
		var image bytes.Buffer
		if err := s.Backup(t.Context(), &image); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		after := committed
		mu.Unlock()
		r, err := restored(t, image.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		last := compareNumbered(t, r)
		if last < before || last > after+1 {
			t.Errorf("got %d batches, want %d to %d", last, before, after+1)
		}
		grew = grew || last > 0
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !grew {
		t.Error("no backup held anything")
	}
}

// TestBackupCutShort hands a backup over that ended early, at its writer or in
// what was kept of it.
func TestBackupCutShort(t *testing.T) {
	image, _ := filled(t, 12)
	s, err := openImage(t, image)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
	for size := 0; size < len(image); size += 3001 {
		if _, err := restored(t, image[:size]); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%d of %d bytes: got %v, want ErrDamaged", size, len(image), err)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	image, _ := filled(t, 3)
	ctx := t.Context()

	occupied := t.TempDir()
	if err := os.WriteFile(filepath.Join(occupied, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := bolt.Restore(ctx, bytes.NewReader(image), occupied, bolt.Options{})
	if err == nil || !strings.Contains(err.Error(), "is not empty: it holds notes") {
		t.Errorf("folder with a file: got %v", err)
	}

	open(t, filepath.Join(occupied, "running"))
	err = bolt.Restore(ctx, bytes.NewReader(image), filepath.Join(occupied, "running"), bolt.Options{})
	if !errors.Is(err, store.ErrInUse) {
		t.Errorf("folder of a running collector: got %v, want ErrInUse", err)
	}

	broken := errors.New("line dropped")
	dir := t.TempDir()
	if err := bolt.Restore(ctx, iotest.ErrReader(broken), dir, bolt.Options{}); !errors.Is(err, broken) {
		t.Errorf("source fails: got %v, want its error", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("source fails: left %v, %v", left, err)
	}

	damaged := bytes.Clone(image)
	for at := bytes.Index(damaged, []byte("a note")); at >= 0; at = indexFrom(damaged, []byte("a note"), at) {
		damaged[at] ^= 0x20
	}
	if _, err := restored(t, damaged); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "records") {
		t.Errorf("damaged record: got %v, want ErrDamaged naming it", err)
	}

	s, err := openImage(t, image)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := bolt.SetFormat(s, 2); err != nil {
		t.Fatal(err)
	}
	var newer bytes.Buffer
	if err := s.Backup(ctx, &newer); err != nil {
		t.Fatal(err)
	}
	if _, err := restored(t, newer.Bytes()); !errors.Is(err, store.ErrNewer) {
		t.Errorf("backup of a newer version: got %v, want ErrNewer", err)
	}
}
