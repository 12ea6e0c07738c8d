package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// dumpOf are the settings for a folder of dumps.
func dumpOf(dir string, more map[string]any) map[string]any {
	m := map[string]any{"directory": dir, "settle": "0s", "zone": "UTC"}
	for k, v := range more {
		m[k] = v
	}
	return m
}

func TestDumpGood(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	for name, c := range map[string]struct {
		format  string
		checked bool
	}{
		"a.custom": {"custom", true}, "a.raw": {"custom", false}, "a.dir": {"directory", true}, "a.tar": {"tar", false}, "a.sql": {"plain", false},
		"a.sql.gz": {"plain, gzip", true}, "a.sql.zst": {"plain, zstd", true}, "a.raw.gz": {"custom, gzip", true},
		"quiet.sql": {"plain", false}, "inserts.sql": {"plain", false}, "all.sql": {"plain", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := observe(t, "postgres.dump", dumpOf(s.dump(t, name), nil), nil)
			expect(t, o, err, holdfast.OK, "")
			if got := o.Facts["format"]; got != c.format {
				t.Errorf("format: got %q, want %q", got, c.format)
			}
			if (o.Verification != nil) != c.checked || c.checked && (o.Verification.Scope != 1 || o.Verification.Errors != 0) {
				t.Errorf("verification: got %+v, want one: %v", o.Verification, c.checked)
			}
			// With --inserts, a value of several lines may look like statements.
			if measure(t, o, "tables") != 3 && name != "inserts.sql" || measure(t, o, "rows") < 1002 || name != "inserts.sql" && measure(t, o, "rows") != 1002 {
				t.Errorf("got %v, want 3 tables with 1002 rows", o.Measures)
			}
			if measure(t, o, "large_objects") != 1 {
				t.Errorf("got %v, want a large object", o.Measures)
			}
			if len(o.RecoveryPoints) != 1 || o.RecoveryPoints[0].Bytes < 500_000 || o.Encrypted != nil {
				t.Errorf("got %+v, encrypted %v", o.RecoveryPoints, o.Encrypted)
			}
			if name != "all.sql" && o.Fingerprint["engine"] != "PostgreSQL 15" {
				t.Errorf("fingerprint: got %v", o.Fingerprint)
			}
		})
	}
}

// A recovery point is when the dump began, whatever was done to the file since.
func TestDumpTime(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	began := s.before
	for name, fromHeader := range map[string]bool{"a.custom": true, "a.dir": true, "a.tar": true, "a.sql.gz": true, "quiet.sql": false} {
		o, err := observe(t, "postgres.dump", dumpOf(s.dump(t, name), nil), nil)
		expect(t, o, err, holdfast.OK, "")
		got := o.RecoveryPoints[0].Time
		if fromHeader && (o.Facts["time_from"] != "its header" || got.Before(began) || got.After(began.Add(60*time.Second)) || got.Nanosecond() != 0) {
			t.Errorf("%s: got %v from %s, want its header's time after %v", name, got, o.Facts["time_from"], began)
		}
		if !fromHeader && !strings.Contains(o.Facts["time_from"], "--verbose") {
			t.Errorf("%s: got time from %q, want a hint", name, o.Facts["time_from"])
		}
	}
	t.Run("zone", func(t *testing.T) {
		dir := s.dump(t, "a.custom")
		east, err := observe(t, "postgres.dump", dumpOf(dir, map[string]any{"zone": "Asia/Tokyo", "list_only": true}), nil)
		expect(t, east, err, holdfast.OK, "")
		utc, err := observe(t, "postgres.dump", dumpOf(dir, map[string]any{"list_only": true}), nil)
		expect(t, utc, err, holdfast.OK, "")
		if d := utc.RecoveryPoints[0].Time.Sub(east.RecoveryPoints[0].Time); d != 9*time.Hour {
			t.Errorf("a header's wall clock in Tokyo: got %v earlier, want 9h", d)
		}
		west, err := observe(t, "postgres.dump", dumpOf(dir, map[string]any{"zone": "America/New_York", "list_only": true}), nil)
		expect(t, west, err, holdfast.OK, "")
		if !strings.Contains(west.Facts["time_from"], "zone is wrong") || west.RecoveryPoints[0].Time.After(time.Now()) {
			t.Errorf("a time to come: got %v from %q", west.RecoveryPoints[0].Time, west.Facts["time_from"])
		}
	})
	t.Run("newest four and oldest", func(t *testing.T) {
		dir := t.TempDir()
		b, err := os.ReadFile(filepath.Join(s.dumps, "quiet.sql"))
		must(t, err)
		now := time.Now().Truncate(time.Second)
		for i := range 31 {
			path := filepath.Join(dir, fmt.Sprintf("ledger-%02d.sql", i))
			if i == 30 { // the oldest cannot be used: the oldest that can is told
				b = []byte("PGDMP")
			}
			must(t, os.WriteFile(path, b, 0o600))
			at := now.Add(-time.Duration(i) * 24 * time.Hour)
			must(t, os.Chtimes(path, at, at))
		}
		must(t, os.WriteFile(filepath.Join(dir, "other.txt"), []byte("x"), 0o600))
		o, err := observe(t, "postgres.dump", dumpOf(dir, map[string]any{"pattern": "ledger-*.sql"}), nil)
		expect(t, o, err, holdfast.OK, "")
		var got []int
		for _, p := range o.RecoveryPoints {
			got = append(got, int(now.Sub(p.Time)/(24*time.Hour)))
		}
		if fmt.Sprint(got) != "[0 1 2 3 29]" {
			t.Errorf("recovery points: got %v days old, want 0 to 3 and 29", got)
		}
	})
}

func TestDumpOutcomes(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	good := s.dump(t, "a.custom")
	hung := fakeTool(t, "exec sleep 600")
	old := fakeTool(t, `echo "pg_restore: error: unsupported version (1.16) in file header" >&2; exit 1`)
	closed := s.dump(t, "a.custom")
	junk := t.TempDir()
	must(t, os.WriteFile(filepath.Join(junk, "a.dump.age"), []byte("age-encryption.org/v1\n..."), 0o600))
	for name, c := range map[string]struct {
		settings map[string]any
		tools    map[string]string
		outcome  holdfast.Outcome
		reason   holdfast.Reason
	}{
		"missing":         {dumpOf(good+"/none", nil), nil, holdfast.Failed, holdfast.Missing},
		"empty":           {dumpOf(t.TempDir(), nil), nil, holdfast.Failed, holdfast.Empty},
		"no match":        {dumpOf(good, map[string]any{"pattern": "*.sql"}), nil, holdfast.Failed, holdfast.NoMatch},
		"being written":   {dumpOf(good, map[string]any{"settle": "1h"}), nil, holdfast.Failed, holdfast.Empty},
		"schema only":     {dumpOf(s.dump(t, "schema.custom"), nil), nil, holdfast.Failed, holdfast.Empty},
		"encrypted":       {dumpOf(junk, nil), nil, holdfast.Failed, holdfast.Damaged},
		"tool missing":    {dumpOf(good, nil), map[string]string{"pg_restore": "/no/such/pg_restore"}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"tool too old":    {dumpOf(good, nil), map[string]string{"pg_restore": old}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"tool hangs":      {dumpOf(good, nil), map[string]string{"pg_restore": hung}, holdfast.OutcomeUnknown, holdfast.Timeout},
		"zone":            {dumpOf(good, map[string]any{"zone": "Nowhere"}), nil, holdfast.OutcomeUnknown, ""},
		"only its header": {dumpOf(closed, map[string]any{"list_only": true}), map[string]string{"pg_restore": hung}, holdfast.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			if c.reason == holdfast.Timeout {
				ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
			}
			defer cancel()
			o, err := observeIn(ctx, t, "postgres.dump", c.settings, c.tools)
			expect(t, o, err, c.outcome, c.reason)
			if o.Verification != nil {
				t.Errorf("a verification of nothing: %+v", o.Verification)
			}
		})
	}
	t.Run("deaf mount", func(t *testing.T) {
		dir, hangUp := probetest.DeafMount(t)
		defer hangUp()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o, err := observeIn(ctx, t, "postgres.dump", dumpOf(dir, nil), nil)
		expect(t, o, err, holdfast.Failed, holdfast.Timeout)
	})
}

// TestDumpDamage damages every kind of file a dump can be, in every way.
func TestDumpDamage(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	ways := map[string]func(t testing.TB, path string){
		"cut in half": func(t testing.TB, path string) { truncate(t, path, 0.5) },
		"cut at 95 %": func(t testing.TB, path string) { truncate(t, path, 0.95) },
		"last bytes gone": func(t testing.TB, path string) {
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.Truncate(path, info.Size()-40))
		},
		"flipped":     func(t testing.TB, path string) { flip(t, path, 0.6) },
		"head zeroed": func(t testing.TB, path string) { zero(t, path, 16) },
		"emptied":     func(t testing.TB, path string) { must(t, os.Truncate(path, 0)) },
		"deleted":     func(t testing.TB, path string) { must(t, os.Remove(path)) },
	}
	for _, c := range []struct{ dump, file, unseen string }{
		{"a.custom", "", "deleted"},
		{"a.raw", "", "deleted flipped"},                 // nothing to compare its content with
		{"a.tar", "", "deleted flipped last bytes gone"}, // which are zeros
		{"a.raw.gz", "", "deleted"},
		{"a.sql", "", "deleted flipped"},
		{"a.sql.gz", "", "deleted"},
		{"a.sql.zst", "", "deleted"},
		{"all.sql", "", "deleted flipped"},
		{"a.dir", "toc.dat", "flipped"}, // has no checksum
		{"a.dir", "largest", ""},
		{"a.dir", "blob_4711.dat.gz", ""},
		{"raw.dir", "largest", "flipped"},
		{"a.dir", "blobs.toc", "flipped cut at 95 % last bytes gone"}, // one line of 22 bytes
	} {
		for way, damage := range ways {
			if strings.Contains(c.unseen, way) {
				continue
			}
			t.Run(c.dump+" "+c.file+" "+way, func(t *testing.T) {
				t.Parallel()
				dir := s.dump(t, c.dump, "quiet.sql")
				old := time.Now().Add(-time.Hour)
				must(t, os.Chtimes(filepath.Join(dir, "quiet.sql"), old, old))
				path := filepath.Join(dir, c.dump, c.file)
				if c.file == "largest" {
					path = largest(t, filepath.Join(dir, c.dump))
				}
				damage(t, path)
				o, err := observe(t, "postgres.dump", dumpOf(dir, map[string]any{"zone": "UTC"}), nil)
				reason := holdfast.Damaged
				if way == "emptied" && c.file == "" {
					reason = holdfast.Empty
				}
				expect(t, o, err, holdfast.Failed, reason)
				if len(o.RecoveryPoints) != 1 || o.RecoveryPoints[0].ID != "quiet.sql" {
					t.Errorf("got %+v, want the older dump that is still good", o.RecoveryPoints)
				}
				if o.Verification != nil && o.Verification.Errors == 0 {
					t.Errorf("a damaged dump is attested: %+v", o.Verification)
				}
			})
		}
	}
}

func truncate(t testing.TB, path string, share float64) {
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.Truncate(path, int64(share*float64(info.Size()))))
}

func flip(t testing.TB, path string, share float64) {
	b, err := os.ReadFile(path)
	must(t, err)
	b[int(share*float64(len(b)))] ^= 0x40
	must(t, os.WriteFile(path, b, 0o600))
}

func zero(t testing.TB, path string, n int) {
	b, err := os.ReadFile(path)
	must(t, err)
	clear(b[:min(n, len(b))])
	must(t, os.WriteFile(path, b, 0o600))
}

func largest(t testing.TB, dir string) string {
	entries, err := os.ReadDir(dir)
	must(t, err)
	var pick string
	var size int64
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		if info.Size() > size && e.Name() != "toc.dat" && !strings.HasPrefix(e.Name(), "blob") {
			pick, size = filepath.Join(dir, e.Name()), info.Size()
		}
	}
	return pick
}
