package pgbackrest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const logFolder = "archive/main/15-1/0000000100000000/"

// verdict is what a look at a damaged repository says.
type verdict struct {
	outcome holdfast.Outcome
	reason  holdfast.Reason
}

var (
	good    = verdict{holdfast.OK, ""}
	ruined  = verdict{holdfast.Failed, holdfast.Damaged}
	limping = verdict{holdfast.OutcomeDegraded, holdfast.Damaged}
	holed   = verdict{holdfast.OutcomeDegraded, holdfast.Missing}
)

// harm is a file, or several that are damaged alike, and what each probe says of it.
// What pgbackrest.repository does not read it cannot say; what pgbackrest.verify
// misses nobody can know.
type harm struct {
	name         string
	files        []string
	kinds        []string
	look, verify verdict
	points       int // that are left of five; -1: not asked
}

func harms(s *source) []harm {
	full, incr := "backup/main/2???????-??????F/", "backup/main/*I/"
	newestLog, middle, first := logFolder+s.wal[4]+"-*", logFolder+s.wal[2]+"-*", logFolder+s.wal[0]+"-*"
	changed, few := []string{"flip", "cut", "empty"}, []string{"flip", "gone"}
	return []harm{
		{"backup.info", []string{"backup/main/backup.info"}, kinds, limping, ruined, 5},
		{"backup.info.copy", []string{"backup/main/backup.info.copy"}, few, limping, ruined, 5},
		{"archive.info", []string{"archive/main/archive.info"}, kinds, limping, ruined, 5},
		{"archive.info.copy", []string{"archive/main/archive.info.copy"}, few, limping, ruined, 5},
		{"both backup.info", []string{"backup/main/backup.info", "backup/main/backup.info.copy"}, few, ruined, ruined, 0},
		{"both archive.info", []string{"archive/main/archive.info", "archive/main/archive.info.copy"}, []string{"cut", "empty", "gone"}, ruined, ruined, 0},
		{"manifest", []string{incr + "backup.manifest"}, kinds, good, ruined, 5},
		{"manifest copy", []string{incr + "backup.manifest.copy"}, few, good, ruined, 5},
		{"both manifests", []string{incr + "backup.manifest", incr + "backup.manifest.copy"}, []string{"flip", "cut"}, good, ruined, 5},
		{"no manifest", []string{incr + "backup.manifest", incr + "backup.manifest.copy"}, []string{"empty", "gone"}, ruined, ruined, 5},
		{"file of a backup", []string{full + "pg_data/base/1/1255.gz"}, kinds, good, ruined, 5},
		{"newest log", []string{newestLog}, changed, ruined, ruined, 5},
		{"middle log", []string{middle}, changed, ruined, ruined, -1},
		{"gap", []string{middle}, []string{"gone"}, holed, ruined, -1},
		{"first log", []string{first}, changed, good, ruined, 5},
		{"newest log lost", []string{newestLog}, []string{"gone"}, good, good, 5},
	}
}

// TestDamage damages every kind of file of a plain repository, in every way.
func TestDamage(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	for _, h := range harms(s) {
		for _, kind := range h.kinds {
			t.Run(h.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				repo := s.copy(t, s.plain)
				if h.name == "gap" { // that did not come about just now
					age(t, repo, s.wal[3:])
				}
				for _, pattern := range h.files {
					damage(t, kind, one(t, repo, pattern))
				}
				o, err := observe(t, "pgbackrest.repository", repo, nil)
				expect(t, o, err, h.look.outcome, h.look.reason)
				if h.points >= 0 && len(o.RecoveryPoints) != h.points {
					t.Errorf("got recovery points %v, want %d", ids(o), h.points)
				}
				switch h.name {
				case "middle log", "gap":
					if got := ids(o); len(got) == 0 || got[0] != s.wal[1] {
						t.Errorf("got recovery points %v, want %s for the newest: what comes after the gap cannot be reached", got, s.wal[1])
					}
				case "newest log", "newest log lost":
					if got := ids(o); len(got) == 0 || got[0] != s.wal[3] {
						t.Errorf("got recovery points %v, want %s for the newest", got, s.wal[3])
					}
				}
				o, err = observe(t, "pgbackrest.verify", repo, nil)
				expect(t, o, err, h.verify.outcome, h.verify.reason)
				if v := o.Verification; v == nil || (v.Errors > 0) != (h.verify == ruined) {
					t.Errorf("verification: got %+v", v)
				}
			})
		}
	}
}

// age makes files of the log ten minutes older.
func age(t *testing.T, repo string, names []string) {
	t.Helper()
	for _, name := range names {
		file := one(t, repo, logFolder+name+"-*")
		b, err := os.ReadFile(file)
		must(t, err)
		put(t, file, b)
		at := time.Now().Add(-10 * time.Minute)
		must(t, os.Chtimes(file, at, at))
	}
}

// A backup that is listed and whose folder, or that of one it builds on, is gone, or
// the log it needs itself, is no recovery point.
func TestBackupGone(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	for name, c := range map[string]struct {
		gone string
		left string // begins the name of the newest point; "": none is left
	}{
		"folder of the newest": {"backup/main/*I", "0000"},
		"folder of the full":   {"backup/main/2???????-??????F", ""},
		"archive":              {"archive/main/15-1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := s.copy(t, s.plain)
			found, err := filepath.Glob(filepath.Join(repo, c.gone))
			must(t, err)
			if len(found) != 1 {
				t.Fatalf("%s: got %v, want one", c.gone, found)
			}
			must(t, os.RemoveAll(found[0]))
			o, err := observe(t, "pgbackrest.repository", repo, nil)
			expect(t, o, err, holdfast.Failed, holdfast.Damaged)
			if got := ids(o); (len(got) > 0) != (c.left != "") || len(got) > 0 && !strings.HasPrefix(got[0], c.left) {
				t.Errorf("got recovery points %v, want the newest to begin with %q", got, c.left)
			}
			o, err = observe(t, "pgbackrest.verify", repo, nil)
			expect(t, o, err, holdfast.Failed, holdfast.Damaged)
		})
	}
}

// An encrypted repository has no other checksums for its bundles and log than the
// plain one, and pgBackRest gives up at a file that it cannot decrypt.
func TestDamageEncrypted(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	opens := map[string]any{"cipher_pass_file": s.pass}
	for name, c := range map[string]struct {
		files        []string
		look, verify verdict
	}{
		"one info":   {[]string{"backup/main/backup.info"}, limping, ruined},
		"both infos": {[]string{"backup/main/backup.info", "backup/main/backup.info.copy"}, ruined, ruined},
		"bundle":     {[]string{"backup/main/*F/bundle/1"}, good, ruined},
		"newest log": {[]string{logFolder + s.wal[4] + "-*"}, ruined, ruined},
		"zst log":    {[]string{logFolder + s.wal[0] + "-*"}, good, ruined},
	} {
		for _, kind := range kinds {
			if kind == "gone" && strings.HasSuffix(name, "log") { // as in a plain one
				continue
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				repo := s.copy(t, s.secret)
				for _, pattern := range c.files {
					damage(t, kind, one(t, repo, pattern))
				}
				o, err := observe(t, "pgbackrest.repository", repo, opens)
				expect(t, o, err, c.look.outcome, c.look.reason)
				o, err = observe(t, "pgbackrest.verify", repo, opens)
				expect(t, o, err, c.verify.outcome, c.verify.reason)
			})
		}
	}
	o, err := observe(t, "pgbackrest.repository", s.secret, opens)
	expect(t, o, err, holdfast.OK, "")
	if o.Encrypted == nil || !*o.Encrypted || !slices.Contains(ids(o), s.wal[4]) {
		t.Errorf("got encrypted %v, points %v; want it encrypted, up to %s", o.Encrypted, ids(o), s.wal[4])
	}
	o, err = observe(t, "pgbackrest.verify", s.secret, opens)
	expect(t, o, err, holdfast.OK, "")
}
