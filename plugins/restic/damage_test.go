package restic_test

import (
	"os"
	"path/filepath"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// TestDamage damages every kind of file in every way and looks with every probe:
// each says what it can see, and none calls damage it can see anything else. The
// user's own cache is warm, which hides half of this from a probe that uses it.
func TestDamage(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.restic(t, "backup", "--quiet", "--host", "db1", r.source) // with the cache, in this test's own HOME
	first := map[string]bool{}
	for _, kind := range []string{"snapshots", "data"} {
		for _, f := range r.files(t, kind) {
			first[filepath.Base(f)] = true
		}
	}
	write(t, filepath.Join(r.source, "a", "more"), noise(7, 100_000))
	r.restic(t, "backup", "--quiet", "--host", "db1", r.source)

	newest := func(r *repo, part string, larger bool) string {
		var pick string
		var size int64
		for _, f := range r.files(t, part) {
			info, err := os.Stat(f)
			must(t, err)
			if !first[filepath.Base(f)] && (pick == "" || larger == (info.Size() > size)) {
				pick, size = f, info.Size()
			}
		}
		return pick
	}
	kinds := []struct {
		name string
		file func(*repo) string
		// The probes that see each way of damage.
		repository, check, restore string
	}{
		{"config", func(r *repo) string { return filepath.Join(r.dir, "config") }, "tfdz", "tfdz", "tfdz"},
		{"key", func(r *repo) string { return r.files(t, "keys")[0] }, "tfdz", "tfdz", "tfdz"},
		// A snapshot file that is gone was never there, for all that can be seen.
		{"snapshot", func(r *repo) string { return newest(r, "snapshots", true) }, "tfz", "tfz", "tfz"},
		{"index", func(r *repo) string { return r.files(t, "index")[0] }, "tfdz", "tfdz", "tfdz"},
		{"tree pack", func(r *repo) string { return newest(r, "data", false) }, "tfdz", "tfdz", "tfdz"},
		{"data pack", func(r *repo) string { return newest(r, "data", true) }, "", "tfdz", "tfdz"},
	}
	ways := map[string]func(string){
		"t": func(f string) { info, err := os.Stat(f); must(t, err); must(t, os.Truncate(f, info.Size()/2)) },
		"f": func(f string) {
			b, err := os.ReadFile(f)
			must(t, err)
			b[len(b)/3] ^= 0x40
			must(t, os.WriteFile(f, b, 0o600))
		},
		"d": func(f string) { must(t, os.Remove(f)) },
		"z": func(f string) { must(t, os.Truncate(f, 0)) },
	}
	for _, k := range kinds {
		for way, damage := range ways {
			broken := r.copy(t)
			f := k.file(broken)
			must(t, os.Chmod(f, 0o600))
			damage(f)
			for _, p := range []struct {
				name, sees string
				more       map[string]any
			}{
				{"restic.repository", k.repository, nil},
				{"restic.check", k.check, map[string]any{"read_data_subset": "100%"}},
				{"restic.restore", k.restore, nil},
			} {
				t.Run(k.name+"/"+way+"/"+p.name, func(t *testing.T) {
					t.Parallel()
					o, err := broken.observe(t, p.name, p.more)
					if !contains(p.sees, way) {
						expect(t, o, err, holdfast.OK, "")
						return
					}
					expect(t, o, err, holdfast.Failed, holdfast.Damaged)
					kept := len(o.RecoveryPoints)
					if older := k.name == "snapshot" || k.name == "tree pack"; p.name == "restic.repository" && older && kept != 1 {
						t.Errorf("got %d recovery points, want the older one that is still good", kept)
					}
					if o.Restoration != nil || o.Verification != nil && o.Verification.Errors == 0 {
						t.Errorf("a damaged repository is attested: %+v %+v", o.Restoration, o.Verification)
					}
				})
			}
		}
	}
}

func contains(ways, way string) bool {
	for _, w := range ways {
		if string(w) == way {
			return true
		}
	}
	return false
}
