package redis_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// TestPersistence takes a server with RDB files through its life. The steps share the
// server, so they are one test.
func TestPersistence(t *testing.T) {
	primary, _ := start(t)
	with := map[string]any{"address": primary.address(), "password_file": secret(t, password)}
	files := map[string]any{"address": primary.address(), "password_file": secret(t, password), "directory": primary.dir}

	primary.do(t, "CONFIG", "RESETSTAT")
	primary.do(t, "SET", "b", "2")
	began := time.Now().Truncate(time.Second)
	primary.save(t)
	o, err := observe(t, "redis.persistence", files)
	expect(t, o, err, holdfast.OK, "")
	if len(o.RecoveryPoints) != 1 || o.RecoveryPoints[0].Time.Before(began) {
		t.Errorf("got %v, want now: nothing changed since %v", o.RecoveryPoints, began)
	}
	if o.Verification == nil || o.Verification.Scope != 1 || o.Verification.Errors != 0 || measure(o, "rdb_keys") < 1 {
		t.Errorf("got %+v, %v, want the RDB file verified and its keys counted", o.Verification, o.Measures)
	}
	saved := time.Now()
	await(t, func() bool { return time.Since(saved) > 1100*time.Millisecond })
	primary.do(t, "SET", "b", "3")
	o, err = observe(t, "redis.persistence", with)
	expect(t, o, err, holdfast.OK, "")
	if len(o.RecoveryPoints) != 1 || o.RecoveryPoints[0].Time.After(saved) || o.RecoveryPoints[0].Time.Before(began) {
		t.Errorf("got %v, want that of the save at %v", o.RecoveryPoints, began)
	}
	t.Run("another folder's file", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "dump.rdb"), golden(t), 0o600))
		old := time.Now().Add(-time.Hour)
		must(t, os.Chtimes(filepath.Join(dir, "dump.rdb"), old, old))
		primary.save(t)
		o, err := observe(t, "redis.persistence", map[string]any{"address": primary.address(), "password_file": secret(t, password), "directory": dir})
		expect(t, o, err, holdfast.Failed, holdfast.Assertion)
	})
	t.Run("a save fails", func(t *testing.T) {
		must(t, os.Remove(filepath.Join(primary.dir, "dump.rdb")))
		must(t, os.Mkdir(filepath.Join(primary.dir, "dump.rdb"), 0o755))
		primary.do(t, "BGSAVE")
		await(t, func() bool {
			return strings.Contains(primary.do(t, "INFO", "persistence"), "rdb_last_bgsave_status:err")
		})
		o, err := observe(t, "redis.persistence", with)
		expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Assertion)
		must(t, os.Remove(filepath.Join(primary.dir, "dump.rdb")))
		primary.save(t)
	})
}

// save saves once no save for a replica is under way.
func (d *daemon) save(t testing.TB) {
	t.Helper()
	await(t, func() bool { return strings.Contains(d.do(t, "INFO", "persistence"), "rdb_bgsave_in_progress:0") })
	d.do(t, "SAVE")
}

// A server that has never saved: the time INFO gives is that of its start.
func TestPersistsNothing(t *testing.T) {
	start(t)
	d, err := launch("nothing")
	must(t, err)
	o, err := observe(t, "redis.persistence", map[string]any{"address": d.address(), "password_file": secret(t, password)})
	expect(t, o, err, holdfast.Failed, holdfast.Empty)
	o, err = observe(t, "redis.persistence", map[string]any{"address": d.address(), "password_file": secret(t, password), "directory": d.dir})
	expect(t, o, err, holdfast.Failed, holdfast.Empty)
}

// golden is an RDB file that the primary wrote.
func golden(t testing.TB) []byte {
	t.Helper()
	primary, _ := start(t)
	primary.do(t, "SET", "ledger", strings.Repeat("entry ", 500))
	path := filepath.Join(t.TempDir(), "copy.rdb")
	primary.do(t, "--rdb", path)
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// A copied RDB file is dated by what it says itself, not by when it was copied.
func TestCopiedRDB(t *testing.T) {
	t.Parallel()
	rdb := golden(t)
	taken := time.Now()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "dump.rdb"), rdb, 0o600))
	later := taken.Add(-time.Minute) // older than the content says: an mtime set back
	for _, at := range []time.Time{taken.Add(time.Hour), later} {
		must(t, os.Chtimes(filepath.Join(dir, "dump.rdb"), at, at))
		o, err := observe(t, "redis.persistence", map[string]any{"directory": dir})
		expect(t, o, err, holdfast.OK, "")
		if got := o.RecoveryPoints[0].Time; got.After(taken) {
			t.Errorf("file of %v: got %v, want the time of the save, before %v", at, got, taken)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	rdb := golden(t)
	manifest := "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
	incr := "#TS:1795320114\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\nb\n\r\n"
	flip := func(s string, at int) string { b := []byte(s); b[at] ^= 0x11; return string(b) }
	whole := map[string]string{"dump.rdb": string(rdb), "appendonlydir/appendonly.aof.manifest": manifest,
		"appendonlydir/appendonly.aof.1.base.rdb": string(rdb), "appendonlydir/appendonly.aof.1.incr.aof": incr}
	const gone = "\x00gone"
	for name, c := range map[string]struct {
		file, content string
		outcome       holdfast.Outcome
		reason        holdfast.Reason
	}{
		"whole":                   {"dump.rdb", string(rdb), holdfast.OK, ""},
		"RDB cut off":             {"dump.rdb", string(rdb[:len(rdb)-3]), holdfast.Failed, holdfast.Damaged},
		"RDB cut in half":         {"dump.rdb", string(rdb[:len(rdb)/2]), holdfast.Failed, holdfast.Damaged},
		"RDB flipped":             {"dump.rdb", flip(string(rdb), len(rdb)*2/3), holdfast.Failed, holdfast.Damaged},
		"RDB sum flipped":         {"dump.rdb", flip(string(rdb), len(rdb)-2), holdfast.Failed, holdfast.Damaged},
		"RDB empty":               {"dump.rdb", "", holdfast.Failed, holdfast.Damaged},
		"RDB something else":      {"dump.rdb", "hello, world", holdfast.Failed, holdfast.Damaged},
		"RDB gone, AOF there":     {"dump.rdb", gone, holdfast.OK, ""},
		"base cut off":            {"appendonlydir/appendonly.aof.1.base.rdb", string(rdb[:len(rdb)/2]), holdfast.Failed, holdfast.Damaged},
		"base flipped":            {"appendonlydir/appendonly.aof.1.base.rdb", flip(string(rdb), len(rdb)*2/3), holdfast.Failed, holdfast.Damaged},
		"base gone":               {"appendonlydir/appendonly.aof.1.base.rdb", gone, holdfast.Failed, holdfast.Damaged},
		"base empty":              {"appendonlydir/appendonly.aof.1.base.rdb", "", holdfast.Failed, holdfast.Damaged},
		"increment cut off":       {"appendonlydir/appendonly.aof.1.incr.aof", incr[:len(incr)-1], holdfast.Failed, holdfast.Damaged},
		"increment cut in half":   {"appendonlydir/appendonly.aof.1.incr.aof", incr[:len(incr)*2/3], holdfast.Failed, holdfast.Damaged},
		"increment flipped":       {"appendonlydir/appendonly.aof.1.incr.aof", flip(incr, strings.Index(incr, "$3")+1), holdfast.Failed, holdfast.Damaged},
		"increment gone":          {"appendonlydir/appendonly.aof.1.incr.aof", gone, holdfast.Failed, holdfast.Damaged},
		"increment empty":         {"appendonlydir/appendonly.aof.1.incr.aof", "", holdfast.OK, ""}, // as after a rewrite
		"within a transaction":    {"appendonlydir/appendonly.aof.1.incr.aof", incr + "*1\r\n$5\r\nMULTI\r\n", holdfast.Failed, holdfast.Damaged},
		"a transaction":           {"appendonlydir/appendonly.aof.1.incr.aof", "*1\r\n$5\r\nMULTI\r\n" + incr + "*1\r\n$4\r\nEXEC\r\n", holdfast.OK, ""},
		"manifest gone":           {"appendonlydir/appendonly.aof.manifest", gone, holdfast.Failed, holdfast.Damaged},
		"manifest empty":          {"appendonlydir/appendonly.aof.manifest", "", holdfast.Failed, holdfast.Damaged},
		"manifest of other lines": {"appendonlydir/appendonly.aof.manifest", "file ../dump.rdb seq 1 type b\n", holdfast.Failed, holdfast.Damaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, content := range whole {
				if file == c.file {
					content = c.content
				}
				if content == gone {
					continue
				}
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755))
				must(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o400))
			}
			o, err := observe(t, "redis.persistence", map[string]any{"directory": dir})
			expect(t, o, err, c.outcome, c.reason)
			if c.outcome == holdfast.Failed && (o.Verification == nil || o.Verification.Errors == 0) {
				t.Errorf("got %+v, want an error counted", o.Verification)
			}
		})
	}
}

func TestPersistenceFolder(t *testing.T) {
	t.Parallel()
	start(t)
	dir := t.TempDir()
	o, err := observe(t, "redis.persistence", map[string]any{"directory": dir})
	expect(t, o, err, holdfast.Failed, holdfast.Empty)
	o, err = observe(t, "redis.persistence", map[string]any{"directory": dir + "/none"})
	expect(t, o, err, holdfast.Failed, holdfast.Missing)
	for _, bad := range []map[string]any{{}, {"directory": "here"}, {"directory": dir, "rdb": "../dump.rdb"}} {
		if _, err := observe(t, "redis.persistence", bad); err == nil || !strings.Contains(err.Error(), "setting") {
			t.Errorf("%v: got %v, want an error that names the setting", bad, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "dump.rdb"), golden(t), 0o600))
	o, err = find(t, "redis.persistence").Observe(t.Context(), probe.Request{Settings: encode(t, map[string]any{"directory": dir})})
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.ToolMissing)
}

// TestAOFOfServer reads the AOF that a real server writes, beside it.
func TestAOFOfServer(t *testing.T) {
	_, replica := start(t)
	with := map[string]any{"address": replica.address(), "password_file": secret(t, password), "directory": replica.dir}
	await(t, func() bool { // a replica writes its AOF anew when it has joined
		return strings.Contains(replica.do(t, "INFO", "persistence"), "aof_rewrite_in_progress:0")
	})
	before := time.Now()
	o, err := observe(t, "redis.persistence", with)
	expect(t, o, err, holdfast.OK, "")
	if len(o.RecoveryPoints) == 0 || o.RecoveryPoints[0].Time.Before(before.Add(-3*time.Second)) {
		t.Errorf("got %v, want a second ago at most", o.RecoveryPoints)
	}
	if measure(o, "aof_bytes") <= 0 {
		t.Errorf("got measures %v, want the AOF's bytes", o.Measures)
	}
	must(t, os.Rename(filepath.Join(replica.dir, "appendonlydir"), filepath.Join(replica.dir, "moved")))
	o, err = observe(t, "redis.persistence", with)
	must(t, os.Rename(filepath.Join(replica.dir, "moved"), filepath.Join(replica.dir, "appendonlydir")))
	expect(t, o, err, holdfast.Failed, holdfast.Missing)
}
