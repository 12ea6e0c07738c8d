package catalog_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

// write puts one file into a new directory.
func write(t *testing.T, dir, content string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "catalog.yaml"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// watched runs Watch over dir inside a bubble of its own time.
type watched struct {
	reload chan struct{}
	mu     sync.Mutex
	events []catalog.Event // guarded by mu
}

func watch(t *testing.T, dir, inForce string) *watched {
	t.Helper()
	w := &watched{reload: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		catalog.Watch(ctx, dir, catalog.Options{}, inForce, w.reload, w.deliver)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watched) deliver(e catalog.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// after lets time pass and returns what was delivered meanwhile.
func (w *watched) after(d time.Duration) []catalog.Event {
	<-time.After(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

const good, bad = "site: fra\n", "site: fra\nkind: castle\n"

func hash(t *testing.T, dir string) string {
	t.Helper()
	c, err := catalog.Load(dir, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Hash
}

func TestWatchBadEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, good)
		w := watch(t, dir, hash(t, dir))
		if got := w.after(time.Minute); len(got) != 0 {
			t.Fatalf("nothing changed: got %+v", got)
		}

		write(t, dir, bad)
		var faults catalog.Errors
		if got := w.after(3 * time.Second); len(got) != 1 || got[0].Catalogue != nil || !errors.As(got[0].Err, &faults) {
			t.Fatalf("bad edit: got %+v, want one refusal", got)
		}
		if got := w.after(time.Minute); len(got) != 0 {
			t.Fatalf("the same bad edit: got %+v, want silence", got)
		}

		write(t, dir, good+"title: Frankfurt\n")
		got := w.after(3 * time.Second)
		if len(got) != 1 || got[0].Err != nil || got[0].Catalogue.Sites[0].Title != "Frankfurt" || got[0].Hash != hash(t, dir) {
			t.Fatalf("mended: got %+v, want the new catalogue", got)
		}
	})
}

func TestWatchBadEditTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, good)
		w := watch(t, dir, hash(t, dir))
		write(t, dir, bad)
		if got := w.after(3 * time.Second); len(got) != 1 || got[0].Err == nil {
			t.Fatalf("bad edit: got %+v, want one refusal", got)
		}
		write(t, dir, good)
		if got := w.after(3 * time.Second); len(got) != 1 || got[0].Err != nil {
			t.Fatalf("taken back: got %+v, want it accepted, so that the refusal ends", got)
		}
	})
}

func TestWatchReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, good)
		w := watch(t, dir, hash(t, dir))
		w.reload <- struct{}{}
		if got := w.after(0); len(got) != 1 || got[0].Catalogue == nil {
			t.Fatalf("reload of unchanged files: got %+v, want them delivered at once", got)
		}
	})
}

// TestWatchSettles writes a checkout file by file, each within the time contents
// must stand still: only the whole is delivered.
func TestWatchSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, good)
		w := watch(t, dir, hash(t, dir))
		w.after(2*time.Second - 50*time.Millisecond)
		for i := range 5 {
			if got := w.after(100 * time.Millisecond); len(got) != 0 {
				t.Fatalf("half of a checkout was delivered: %+v", got)
			}
			write(t, dir, good+"title: "+string(rune('a'+i))+"\n")
		}
		if got := w.after(3 * time.Second); len(got) != 1 || got[0].Catalogue.Sites[0].Title != "e" {
			t.Fatalf("got %+v, want the whole, once", got)
		}
	})
}

func TestWatchReplacedLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := t.TempDir()
		write(t, filepath.Join(base, "one"), good)
		write(t, filepath.Join(base, "two"), "site: ams\n")
		link := filepath.Join(base, "current")
		if err := os.Symlink("one", link); err != nil {
			t.Fatal(err)
		}
		w := watch(t, link, hash(t, link))
		if err := os.Symlink("two", link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
		if got := w.after(3 * time.Second); len(got) != 1 || got[0].Err != nil || got[0].Catalogue.Sites[0].Name != "ams" {
			t.Fatalf("link replaced: got %+v, want the other catalogue", got)
		}
	})
}

func TestWatchReplacedDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := t.TempDir()
		dir := filepath.Join(base, "catalog")
		write(t, dir, good)
		w := watch(t, dir, hash(t, dir))
		if err := os.Rename(dir, dir+".old"); err != nil {
			t.Fatal(err)
		}
		if got := w.after(3 * time.Second); len(got) != 1 || got[0].Err == nil || got[0].Hash != "" {
			t.Fatalf("directory gone: got %+v, want one refusal", got)
		}
		write(t, dir, "site: ams\n")
		if got := w.after(3 * time.Second); len(got) != 1 || got[0].Err != nil || got[0].Catalogue.Sites[0].Name != "ams" {
			t.Fatalf("directory back: got %+v, want the other catalogue", got)
		}
	})
}
