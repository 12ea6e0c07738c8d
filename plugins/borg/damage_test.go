package borg_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/borg"
)

// ways are how files are damaged.
var ways = map[string]func(t *testing.T, file string){
	"flip": func(t *testing.T, f string) { info, err := os.Stat(f); must(t, err); flip(t, f, int(info.Size()/3)) },
	"truncate": func(t *testing.T, f string) {
		info, err := os.Stat(f)
		must(t, err)
		must(t, os.Truncate(f, info.Size()/2))
	},
	"delete": func(t *testing.T, f string) { must(t, os.Remove(f)) },
	"empty":  func(t *testing.T, f string) { must(t, os.Truncate(f, 0)) },
}

// TestDamage damages segments and config in every way and looks with every probe: each
// says what it can see, none writes into the repository, and none attests
// anything that is damaged.
func TestDamage(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	last := r.last(t) // a commit alone; before it the manifest, a commit, and the second backup's objects
	manifest, objects := last-1, last-3
	entries := puts(t, r.segment(objects))
	if len(entries) != 3 { // a chunk of data, one of entries, the archive
		t.Fatalf("got objects at %v in segment %d, want three", entries, objects)
	}
	const bad, fine, key = "failed damaged", "ok ", "failed credential|failed damaged"
	kinds := []struct {
		name, file, ways           string
		at                         int // of the bit that is flipped; 0: at a third
		repository, check, restore string
		kept                       int // recovery points in spite of it
	}{
		{"data of a file", r.segment(2), "flip", 1000, fine, bad, bad, 2},
		{"first backup's segment", r.segment(2), "truncate delete empty", 0, bad, bad, bad, 1},
		{"entries of an archive", r.segment(objects), "flip", entries[1] + 60, bad, bad, bad, 1},
		{"archive", r.segment(objects), "flip", entries[2] + 60, bad, bad, bad, 1},
		{"second backup's segment", r.segment(objects), "truncate delete empty", 0, bad, bad, bad, 1},
		{"manifest", r.segment(manifest), "flip truncate delete empty", 100, bad, bad, bad, 0},
		{"commit", r.segment(last), "flip truncate delete empty", 10, bad, bad, bad, 1},
		{"config", filepath.Join(r.dir, "config"), "truncate delete empty", 0, bad, bad, bad, 0},
		// Nothing tells damage of the sealed key from another passphrase, unless its text
		// is no base64 any more.
		{"key", filepath.Join(r.dir, "config"), "flip", 700, key, key, key, 0},
		{"nonce", filepath.Join(r.dir, "nonce"), "flip delete", 0, fine, "", "", 2},
		{"README", filepath.Join(r.dir, "README"), "delete", 0, fine, "", "", 2},
	}
	for _, k := range kinds {
		for way := range strings.FieldsSeq(k.ways) {
			broken := r.copy(t)
			file := filepath.Join(broken.dir, strings.TrimPrefix(k.file, r.dir))
			if k.at > 0 && way == "flip" {
				flip(t, file, k.at)
			} else {
				ways[way](t, file)
			}
			before := broken.tree(t)
			for i, want := range []string{k.repository, k.check, k.restore} {
				if want == "" {
					continue
				}
				t.Run(k.name+"/"+way+"/"+names[i], func(t *testing.T) {
					t.Parallel()
					var more map[string]any
					if names[i] == "borg.check" {
						more = map[string]any{"verify_data": true}
					}
					o, err := broken.once(t, names[i], more)
					if err != nil {
						t.Fatal(err)
					}
					if got := fmt.Sprintf("%s %s", o.Outcome, o.Reason); !slices.Contains(strings.Split(want, "|"), got) {
						t.Errorf("got %s: %s, want %s\nraw %s", got, o.Summary, want, o.Raw)
					}
					if n := len(o.RecoveryPoints); names[i] == "borg.repository" && n != k.kept {
						t.Errorf("got %d recovery points, want %d", n, k.kept)
					}
					if want == bad && (o.Restoration != nil || o.Verification != nil && o.Verification.Errors == 0) {
						t.Errorf("a damaged repository is attested: %+v %+v", o.Restoration, o.Verification)
					}
					if diff := cmp.Diff(before, broken.tree(t)); diff != "" {
						t.Errorf("the repository changed (-before +after):\n%s", diff)
					}
				})
			}
		}
	}
}

// TestMended damages what borg mends in silence. The view sees each of it; the
// probes call it degraded, read the data, and leave the mending to its owner.
func TestMended(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	last := r.last(t)
	for _, kind := range []string{"index", "hints", "integrity"} {
		for way, damage := range ways {
			t.Run(kind+"/"+way, func(t *testing.T) {
				broken := r.copy(t)
				name := fmt.Sprintf("%s.%d", kind, last)
				damage(t, filepath.Join(broken.dir, name))
				mends, lost, err := borg.View(t.Context(), broken.dir, t.TempDir())
				said := slices.ContainsFunc(mends, func(s string) bool { return strings.HasPrefix(s, name+":") })
				if kind == "integrity" && way == "flip" { // the hash of one of the others
					said = len(mends) > 0
				}
				if err != nil || lost || !said {
					t.Errorf("got %v, lost %v, %v, want %s named", mends, lost, err, name)
				}
			})
		}
	}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := r.copy(t)
			ways["flip"](t, filepath.Join(broken.dir, fmt.Sprintf("index.%d", last)))
			ways[[]string{"empty", "delete", "truncate"}[i]](t, filepath.Join(broken.dir, fmt.Sprintf("hints.%d", last)))
			before := broken.tree(t)
			o, err := broken.once(t, name, nil)
			expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Damaged)
			switch {
			case name == "borg.repository" && len(o.RecoveryPoints) != 2,
				name == "borg.check" && (o.Verification == nil || o.Verification.Errors != 2),
				name == "borg.restore" && (o.Restoration == nil || o.Restoration.Coverage != 1):
				t.Errorf("got %+v %+v %+v", o.RecoveryPoints, o.Verification, o.Restoration)
			}
			if diff := cmp.Diff(before, broken.tree(t)); diff != "" {
				t.Errorf("the repository changed (-before +after):\n%s", diff)
			}
		})
	}
}

// A file whose lost content borg check --repair has replaced with zeros reads well,
// and is not what was backed up.
func TestZeroed(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	flip(t, r.segment(2), 1000)
	r.repair(t)
	for _, name := range []string{"borg.repository", "borg.restore"} {
		o, err := r.once(t, name, nil)
		expect(t, o, err, holdfast.Failed, holdfast.Damaged)
		if !strings.Contains(o.Summary, "zeros") {
			t.Errorf("%s: got %q, want it to name the zeros", name, o.Summary)
		}
	}
}
