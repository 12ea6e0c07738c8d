package scratch_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

func TestOptions(t *testing.T) {
	many := make([]string, 21)
	for i := range many {
		many[i] = "x"
	}
	for _, c := range []struct {
		options scratch.Options
		want    string
	}{
		{scratch.Options{}, ""},
		{scratch.Options{Point: "random", Memory: 1, Tolerate: many[:20]}, ""},
		{scratch.Options{Point: "oldest", Memory: -1}, "setting \"point\": \"oldest\" is neither latest nor random\nsetting \"memory\": it is negative"},
		{scratch.Options{Tolerate: []string{"a", ""}}, `setting "tolerate": an empty text would tolerate every error`},
		{scratch.Options{Tolerate: many}, `setting "tolerate": 21 texts, at most 20`},
		{scratch.Options{Tolerate: []string{strings.Repeat("x", 201)}}, `setting "tolerate": a text is longer than 200 bytes`},
	} {
		got := ""
		if err := c.options.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", c.options, got, c.want)
		}
	}
}

// place opens a place in a folder of the test's own.
func place(t *testing.T, o scratch.Options) (*scratch.Place, string) {
	t.Helper()
	dir := t.TempDir()
	p, err := o.Open(t.Context(), probe.Request{Check: "s/p/t", Scratch: dir, Protected: []string{"/nowhere/at/all"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p, dir
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	if _, err := (scratch.Options{Memory: 1 << 60}).Open(t.Context(), probe.Request{Scratch: dir}, 1); probe.ReasonOf(err) != holdfast.TooSmall {
		t.Errorf("no memory: got %v, want too-small", err)
	}
	for name, r := range map[string]struct {
		request probe.Request
		away    []string
	}{
		"the agent's": {probe.Request{Scratch: dir, Protected: []string{dir}}, nil},
		"its own":     {probe.Request{Scratch: dir}, []string{dir}},
	} {
		if _, err := (scratch.Options{}).Open(t.Context(), r.request, 0, r.away...); probe.ReasonOf(err) != holdfast.Refused {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

// TestRestore checks how a restore begins and ends, whatever becomes of it: nothing is
// left.
func TestRestore(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone wrong")
	fill := func(bytes int) func(context.Context, string) error {
		return func(ctx context.Context, dir string) error {
			probe.Progress(ctx, "restore", 0, 0)
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "file"), make([]byte, bytes), 0o400), os.Chmod(dir, 0o500)); err != nil {
				return err
			}
			if bytes > 1<<20 {
				<-ctx.Done()
			}
			return ctx.Err()
		}
	}
	for name, c := range map[string]struct {
		options scratch.Options
		expect  scratch.Tally
		restore func(context.Context, string) error
		reason  holdfast.Reason
		want    string
	}{
		"good":             {scratch.Options{}, scratch.Tally{Files: 1, Bytes: 1000}, fill(1000), "", ""},
		"failed":           {scratch.Options{}, scratch.Tally{}, func(context.Context, string) error { return gone }, "", "gone wrong"},
		"takes too much":   {scratch.Options{}, scratch.Tally{Files: 1, Bytes: 1000}, fill(2 << 20), holdfast.TooSmall, "the restore has written 2MiB, 1000B were expected"},
		"no room":          {scratch.Options{}, scratch.Tally{Bytes: 1 << 60}, nil, holdfast.TooSmall, "and a tenth to spare"},
		"memory by itself": {scratch.Options{Memory: 1}, scratch.Tally{}, fill(0), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, dir := place(t, c.options)
			restore := c.restore
			if restore == nil {
				restore = func(context.Context, string) error { t.Error("it was begun"); return nil }
			}
			err := p.Restore(t.Context(), c.expect, restore)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want it restored", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || probe.ReasonOf(err) != c.reason):
				t.Errorf("got %v (%q), want %q: %s", err, probe.ReasonOf(err), c.reason, c.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("got %v, %v, want nothing left", left, err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		p, dir := place(t, scratch.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		err := p.Restore(ctx, scratch.Tally{Bytes: 4 << 20}, func(ctx context.Context, dir string) error {
			cancel()
			return fill(2<<20)(ctx, dir)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("got %v, %v, want nothing left", left, err)
		}
	})
}

// TestProgress has what a restore writes told, and not where it tells more itself.
func TestProgress(t *testing.T) {
	t.Parallel()
	p, _ := place(t, scratch.Options{})
	var mu sync.Mutex
	var written []holdfast.Phase
	told := make(chan struct{}, 1)
	ctx := probe.WithProgress(t.Context(), func(p holdfast.Phase) {
		mu.Lock()
		defer mu.Unlock()
		if p.Done > 1000 && p.Done < 1200 { // with the workspace's own marker
			p.Done = 1000
			select {
			case told <- struct{}{}:
			default:
			}
		}
		written = append(written, p)
	})
	err := p.Restore(ctx, scratch.Tally{Files: 1, Bytes: 2000}, func(ctx context.Context, dir string) error {
		probe.Progress(ctx, "start", 0, 0)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1000), 0o600)); err != nil {
			return err
		}
		probe.Progress(ctx, "restore", 0, 2000)
		<-told
		probe.Progress(ctx, "compare", 0, 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []holdfast.Phase{{Name: "start"}, {Name: "restore", Total: 2000}, {Name: "restore", Done: 1000, Total: 2000}, {Name: "compare"}}
	if diff := cmp.Diff(want, slices.Compact(written)); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func TestPickAndSample(t *testing.T) {
	facts := map[string]string{}
	if n := (scratch.Options{}).Pick(scratch.NewSeed(), 9, facts); n != 0 || len(facts) > 0 {
		t.Errorf("latest: got %d, %v, want the newest and no seed", n, facts)
	}
	random := scratch.Options{Point: "random"}
	seen := map[int]bool{}
	for range 1000 {
		seed := scratch.NewSeed()
		n := random.Pick(seed, 4, facts)
		if again := random.Pick(seed, 4, map[string]string{}); again != n || facts["seed"] != string(seed) {
			t.Fatalf("seed %s: got %d and %d, told %v", seed, n, again, facts)
		}
		seen[n] = true
	}
	if len(seen) != 4 {
		t.Errorf("random: got %v of 4 in 1,000 choices", seen)
	}
	s := scratch.NewSample[string]("seed", 1000)
	for _, name := range []string{"empty", "large"} {
		s.Offer(name, map[string]int64{"empty": 0, "large": 1001}[name], name)
	}
	for i := range 500 {
		s.Offer(strings.Repeat("x", i), 10, "file")
	}
	files, holds := s.Picked()
	if len(files) != 64 || holds.Files != 64 || holds.Bytes != 640 || holds.OnceBytes != 640 || slices.Contains(files, "large") || slices.Contains(files, "empty") {
		t.Errorf("sample: got %d files, %+v, want 64 of 10 bytes", len(files), holds)
	}
}

// TestComparisonTolerates has several things wrong, of which the catalogue lets two pass.
func TestComparisonTolerates(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Name: "cache", Typeflag: tar.TypeDir, Mode: 0o700}, {Name: "cache/old", Typeflag: tar.TypeReg, Size: 3},
		{Name: "good", Typeflag: tar.TypeReg, Size: 3}, {Name: "same", Typeflag: tar.TypeLink, Linkname: "good"},
		{Name: "to", Typeflag: tar.TypeSymlink, Linkname: "good"}, {Name: "bad", Typeflag: tar.TypeReg, Size: 3},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte("abc")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	backup := scratch.Tally{Files: 4, Bytes: 12, OnceBytes: 9, Folders: 1, Links: 1}
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "good"), []byte("abc"), 0o600), os.Link(filepath.Join(dir, "good"), filepath.Join(dir, "same")),
		os.Symlink("elsewhere", filepath.Join(dir, "to")), os.WriteFile(filepath.Join(dir, "bad"), []byte("abcd"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tolerate []string
		fault    string
		restored scratch.Tally
		told     string
	}{
		{nil, `"cache" was not restored as a folder`, scratch.Tally{}, ""},
		{[]string{`"cache`}, `"to" is not the link`, scratch.Tally{}, ""},
		{[]string{`"cache`, "is not the link", "with 4 bytes, the backup has 3"}, "", scratch.Tally{Files: 2, Bytes: 6, OnceBytes: 3},
			`4: "cache" was not restored as a folder; "cache/old" was not restored; "to" is not the link to "good" that the backup holds; "bad" was restored with 4 bytes, the backup has 3`},
	} {
		tolerated := scratch.Options{Tolerate: c.tolerate}.Tolerated()
		comparison, err := scratch.Compare(dir, tolerated)
		if err != nil {
			t.Fatal(err)
		}
		err = comparison.Tree(bytes.NewReader(archive.Bytes()))
		if c.fault != "" {
			if !probe.IsFault(err, holdfast.Assertion) || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: got %v, want a fault that says %s", c.tolerate, err, c.fault)
			}
			continue
		}
		found, e := comparison.Found()
		if err := errors.Join(err, e); err != nil {
			t.Errorf("%q: %v", c.tolerate, err)
		}
		if diff := cmp.Diff(backup, found); diff != "" {
			t.Errorf("found, what is tolerated as it should be (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(c.restored, comparison.Less(backup)); diff != "" {
			t.Errorf("restored (-want +got):\n%s", diff)
		}
		o := probe.Observation{Summary: "restored", Facts: map[string]string{}}
		tolerated.Tell(&o)
		if diff := cmp.Diff(c.told, o.Facts["tolerated"]); diff != "" || o.Summary != "restored; 4 tolerated" || o.Measures[0].Value != 4 {
			t.Errorf("told %q, %v (-want +got):\n%s", o.Summary, o.Measures, diff)
		}
	}
	if _, err := scratch.Compare(filepath.Join(dir, "nothing"), scratch.Options{}.Tolerated()); !probe.IsFault(err, holdfast.Empty) {
		t.Errorf("no folder: got %v, want empty", err)
	}
}
