package mariadb_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

func zipped(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(content))
	must(t, err)
	must(t, z.Close())
	return b.String()
}

func zstandard(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	must(t, err)
	_, err = z.Write([]byte(content))
	must(t, err)
	must(t, z.Close())
	return b.String()
}

func TestDumpGood(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	sql := primary.dump(t, "shop")
	for name, c := range map[string]struct {
		content string
		checked bool
	}{
		"plain": {sql, false},
		"gzip":  {zipped(t, sql), true},
		"zstd":  {zstandard(t, sql), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var want []holdfast.RecoveryPoint
			for i := range 6 {
				file := fmt.Sprintf("shop-%d.sql", i)
				at := aged(t, filepath.Join(dir, file), c.content, time.Hour*time.Duration(i+1))
				if i != 4 { // the newest four and the oldest
					want = append(want, holdfast.RecoveryPoint{Time: at, ID: file})
				}
			}
			write(t, filepath.Join(dir, "shop-now.sql"), c.content[:100]) // being written
			write(t, filepath.Join(dir, "README"), "not a dump")
			want[0].Bytes, want[0].Files = holdfast.Bytes(len(sql)), 1
			o, err := observe(t, find(t, "mariadb.dump"), map[string]any{"directory": dir, "pattern": "shop-*"})
			expect(t, o, err, holdfast.OK, "")
			if diff := cmp.Diff(want, o.RecoveryPoints); diff != "" {
				t.Errorf("recovery points (-want +got):\n%s", diff)
			}
			if got := o.Verification != nil; got != c.checked {
				t.Errorf("got verification %v, want %v", got, c.checked)
			}
			if got := measure(o, "tables"); got != 2 {
				t.Errorf("got %v tables, want 2", got)
			}
			if !strings.Contains(o.Facts["dated_by"], "last changed") {
				t.Errorf("got dated_by %q, want the last change", o.Facts["dated_by"])
			}
		})
	}
}

// A dump of everything: the server's own tables are not counted.
func TestDumpAllDatabases(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir := t.TempDir()
	aged(t, filepath.Join(dir, "all.sql"), primary.dump(t, "--all-databases"), time.Hour)
	o, err := observe(t, find(t, "mariadb.dump"), map[string]any{"directory": dir})
	expect(t, o, err, holdfast.OK, "")
	if got := measure(o, "tables"); got != 2 {
		t.Errorf("got %v tables, want the 2 of shop", got)
	}
}

// As of when a dump is: by its name, its last line and its last change.
func TestDumpTime(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	sql := primary.dump(t, "shop")
	body := sql[:strings.LastIndex(sql, "-- Dump completed")]
	const hour = time.Hour
	changed := time.Now().Add(-hour).UTC().Truncate(time.Second)
	stamp := func(at time.Time) string {
		return "-- Dump completed on " + at.Format("2006-01-02 ") + strings.TrimPrefix(at.Format("15:04:05"), "0") + "\n"
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	must(t, err)
	for name, c := range map[string]struct {
		file, last string
		more       map[string]any
		want       time.Time
	}{
		"last change":                        {"a.sql", stamp(changed), nil, changed},
		"without a date":                     {"a.sql", "-- Dump completed\n", nil, changed},
		"name":                               {"a-" + changed.Add(-2*hour).Format("20060102T150405") + ".sql", stamp(changed), map[string]any{"name_time": "%Y%m%dT%H%M%S"}, changed.Add(-2 * hour)},
		"copied a day later":                 {"a.sql", stamp(changed.Add(-24 * hour)), nil, changed.Add(-12 * hour)},
		"copied a day later, the zone known": {"a.sql", stamp(changed.Add(-24 * hour).In(berlin)), map[string]any{"zone": "Europe/Berlin"}, changed.Add(-24 * hour)},
		"a clock ahead":                      {"a.sql", stamp(changed.Add(9 * hour)), nil, changed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, c.file), body+c.last)
			must(t, os.Chtimes(filepath.Join(dir, c.file), changed, changed))
			more := map[string]any{"directory": dir}
			for k, v := range c.more {
				more[k] = v
			}
			o, err := observe(t, find(t, "mariadb.dump"), more)
			expect(t, o, err, holdfast.OK, "")
			if got := o.RecoveryPoints[0].Time; !got.Equal(c.want) {
				t.Errorf("got %v (%s), want %v", got, o.Facts["dated_by"], c.want)
			}
		})
	}
}

func TestDumpOutcomes(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	sql := primary.dump(t, "shop")
	gz, zst := zipped(t, sql), zstandard(t, sql)
	flip := func(s string, at int) string { b := []byte(s); b[at] ^= 0x20; return string(b) }
	nothing := primary.dump(t, "shop", "--no-create-info", "--no-data", "--skip-routines", "--skip-triggers")
	for name, c := range map[string]struct {
		content string
		reason  holdfast.Reason
	}{
		"cut off":               {sql[:len(sql)*2/3], holdfast.Damaged},
		"last line cut off":     {sql[:strings.LastIndex(sql, "-- Dump")], holdfast.Damaged},
		"beginning lost":        {sql[400:], holdfast.Damaged},
		"something else":        {"hello\n", holdfast.Damaged},
		"no byte":               {"", holdfast.Empty},
		"no table":              {nothing, holdfast.Empty},
		"gzip cut off":          {gz[:len(gz)-9], holdfast.Damaged},
		"gzip without its sum":  {gz[:len(gz)-4], holdfast.Damaged},
		"gzip flipped":          {flip(gz, len(gz)/2), holdfast.Damaged},
		"gzip sum flipped":      {flip(gz, len(gz)-6), holdfast.Damaged},
		"gzip of a cut-off one": {zipped(t, sql[:len(sql)/2]), holdfast.Damaged},
		"gzip of nothing":       {zipped(t, ""), holdfast.Empty},
		"gzip heading only":     {gz[:5], holdfast.Damaged},
		"zstd cut off":          {zst[:len(zst)-3], holdfast.Damaged},
		"zstd flipped":          {flip(zst, len(zst)/2), holdfast.Damaged},
		"zstd sum flipped":      {flip(zst, len(zst)-1), holdfast.Damaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			older := aged(t, filepath.Join(dir, "1"), sql, 2*time.Hour)
			aged(t, filepath.Join(dir, "2"), c.content, time.Hour)
			o, err := observe(t, find(t, "mariadb.dump"), map[string]any{"directory": dir})
			expect(t, o, err, holdfast.Failed, c.reason)
			if want := []holdfast.RecoveryPoint{{Time: older, ID: "1"}}; !cmp.Equal(o.RecoveryPoints, want) {
				t.Errorf("got recovery points %v, want the older dump's", o.RecoveryPoints)
			}
			if o.Verification != nil && o.Verification.Errors == 0 {
				t.Error("a dump that is not whole is verified")
			}
		})
	}
}

func TestDumpFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	look := func(settings map[string]any) (probe.Observation, error) {
		return observe(t, find(t, "mariadb.dump"), settings)
	}
	o, err := look(map[string]any{"directory": dir})
	expect(t, o, err, holdfast.Failed, holdfast.Empty)
	o, err = look(map[string]any{"directory": dir + "/none"})
	expect(t, o, err, holdfast.Failed, holdfast.Missing)
	aged(t, filepath.Join(dir, "a"), "x", time.Hour)
	o, err = look(map[string]any{"directory": dir, "pattern": "*.sql"})
	expect(t, o, err, holdfast.Failed, holdfast.NoMatch)
	for _, bad := range []map[string]any{{"directory": "dumps"}, {"directory": dir, "pattern": "a/b"}, {"directory": dir, "zone": "Nowhere/At"},
		{"directory": dir, "name_time": "%H"}} {
		if _, err := look(bad); err == nil || !strings.Contains(err.Error(), "setting") {
			t.Errorf("%v: got %v, want an error that names the setting", bad, err)
		}
	}
}

func measure(o probe.Observation, name string) float64 {
	for _, m := range o.Measures {
		if m.Name == name {
			return m.Value
		}
	}
	return -1
}
