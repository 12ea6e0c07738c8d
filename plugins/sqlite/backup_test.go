package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
	"github.com/holdfast-monitor/holdfast/plugins/sqlite"
)

const tool = "/usr/bin/sqlite3"

// shop is the content of a database in WAL mode, of many pages and an index.
func shop(t testing.TB) []byte {
	t.Helper()
	if _, err := os.Stat(tool); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("sqlite3 is needed: %v", err)
		}
		t.Skipf("sqlite3 is needed: %v", err)
	}
	return made(t, `PRAGMA journal_mode=WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT); CREATE INDEX notes ON orders (note);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) INSERT INTO orders SELECT i, 'note ' || i FROM n;`)
}

// made is the file of a database made by statements.
func made(t testing.TB, sql string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.db")
	if out, err := exec.Command(tool, "-batch", "-bail", path, sql).CombinedOutput(); err != nil {
		t.Fatalf("sqlite3: %v: %s", err, out)
	}
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func observe(t testing.TB, settings map[string]any) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	o, err := sqlite.Probes()[0].Observe(ctx, request(t, settings))
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	return o, err
}

func request(t testing.TB, settings map[string]any) probe.Request {
	t.Helper()
	b, err := json.Marshal(settings)
	must(t, err)
	return probe.Request{Check: "s/d/c", Settings: holdfast.Settings(b), Tools: map[string]string{"sqlite3": tool}}
}

func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason {
		t.Errorf("got %s %q: %s\nwant %s %q\nraw %s", o.Outcome, o.Reason, o.Summary, outcome, reason, o.Raw)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// aged writes a file last changed some time ago, and returns when.
func aged(t testing.TB, path string, content []byte, age time.Duration) time.Time {
	t.Helper()
	must(t, os.WriteFile(path, content, 0o600))
	at := time.Now().Add(-age).UTC().Truncate(time.Second)
	must(t, os.Chtimes(path, at, at))
	return at
}

func names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestGood(t *testing.T) {
	t.Parallel()
	db := shop(t)
	dir := filepath.Join(t.TempDir(), "50% off?#1") // a path that is no plain address
	must(t, os.Mkdir(dir, 0o755))
	var want []holdfast.RecoveryPoint
	for i := range 6 {
		name := fmt.Sprintf("app %d.db", i)
		at := aged(t, filepath.Join(dir, name), db, time.Hour*time.Duration(i+1))
		if i != 4 { // the newest four and the oldest
			want = append(want, holdfast.RecoveryPoint{Time: at, ID: name, Bytes: holdfast.Bytes(len(db)), Files: 1})
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "app now.db"), db[:100], 0o600)) // being written
	before := names(t, dir)
	o, err := observe(t, map[string]any{"directory": dir, "pattern": "app*.db", "assertions": []string{"SELECT COUNT(*) = 2000 FROM orders", "SELECT 0.5;"}})
	expect(t, o, err, holdfast.OK, "")
	if diff := cmp.Diff(want, o.RecoveryPoints); diff != "" {
		t.Errorf("recovery points (-want +got):\n%s", diff)
	}
	if o.Verification == nil || o.Verification.Scope != 1 || o.Verification.Errors != 0 {
		t.Errorf("got %+v, want a whole verification", o.Verification)
	}
	if diff := cmp.Diff(before, names(t, dir)); diff != "" {
		t.Errorf("the folder changed (-before +after):\n%s", diff)
	}
	o, err = observe(t, map[string]any{"directory": dir, "pattern": "app*.db", "check": "quick"})
	expect(t, o, err, holdfast.OK, "")
	if o.Verification != nil {
		t.Errorf("got %+v, want a quick check to claim none", o.Verification)
	}
}

func TestNameTime(t *testing.T) {
	t.Parallel()
	db := shop(t)
	dir := t.TempDir()
	aged(t, filepath.Join(dir, "app-20200102T030405.db"), db, time.Hour)
	o, err := observe(t, map[string]any{"directory": dir, "name_time": "%Y%m%dT%H%M%S"})
	expect(t, o, err, holdfast.OK, "")
	if want := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC); !o.RecoveryPoints[0].Time.Equal(want) {
		t.Errorf("got %v, want %v", o.RecoveryPoints[0].Time, want)
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	db := shop(t)
	flip := func(at int) []byte { b := append([]byte{}, db...); b[at] ^= 0x7f; return b }
	zero := func(from, to int) []byte { b := append([]byte{}, db...); clear(b[from:to]); return b }
	stale := func() []byte { // an index that lacks a row of its table
		b := made(t, `CREATE TABLE t (x); CREATE INDEX i ON t (x); INSERT INTO t VALUES (1), (2); PRAGMA writable_schema=ON;
			UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t (x) WHERE x > 5' WHERE name = 'i';`)
		return b
	}
	for name, c := range map[string]struct {
		content    []byte
		reason     holdfast.Reason
		quickSees  bool
		assertions []string
	}{
		"no byte":           {nil, holdfast.Empty, true, nil},
		"no table":          {made(t, "PRAGMA user_version = 1"), holdfast.Empty, true, nil},
		"something else":    {[]byte(strings.Repeat("hello", 100)), holdfast.Damaged, true, nil},
		"short":             {db[:50], holdfast.Damaged, true, nil},
		"cut off":           {db[:len(db)/2], holdfast.Damaged, true, nil},
		"last byte missing": {db[:len(db)-1], holdfast.Damaged, true, nil},
		"magic flipped":     {flip(3), holdfast.Damaged, true, nil},
		"page size flipped": {flip(16), holdfast.Damaged, true, nil},
		"schema zeroed":     {zero(100, 4096), holdfast.Damaged, true, nil},
		"page zeroed":       {zero(4096*3, 4096*4), holdfast.Damaged, true, nil},
		"page kind flipped": {flip(4096 * 2), holdfast.Damaged, true, nil},
		"index and table":   {stale(), holdfast.Damaged, false, nil},
		"assertion":         {db, holdfast.Assertion, true, []string{"SELECT COUNT(*) > 2000 FROM orders"}},
	} {
		for _, check := range []string{"full", "quick"} {
			t.Run(name+"/"+check, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				older := aged(t, filepath.Join(dir, "1"), db, 2*time.Hour)
				aged(t, filepath.Join(dir, "2"), c.content, time.Hour)
				o, err := observe(t, map[string]any{"directory": dir, "check": check, "assertions": append([]string{"SELECT 1"}, c.assertions...)})
				if check == "quick" && !c.quickSees {
					expect(t, o, err, holdfast.OK, "")
					return
				}
				expect(t, o, err, holdfast.Failed, c.reason)
				if len(o.RecoveryPoints) != 1 || !o.RecoveryPoints[0].Time.Equal(older) {
					t.Errorf("got recovery points %v, want the older file's", o.RecoveryPoints)
				}
				if o.Verification != nil && o.Verification.Errors == 0 {
					t.Error("a damaged file is verified")
				}
			})
		}
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	aged(t, filepath.Join(dir, "app.db"), shop(t), time.Hour)
	program := filepath.Join(t.TempDir(), "program")
	for name, c := range map[string]struct{ assertion, says string }{
		"false":       {"SELECT COUNT(*) < 10 FROM orders", "got 0, want true"},
		"no table":    {"SELECT COUNT(*) FROM customers", "no such table"},
		"no value":    {"SELECT MAX(id) FROM orders WHERE id < 0", "got NULL"},
		"no row":      {"SELECT id FROM orders WHERE id < 0", "returned 0 rows"},
		"two rows":    {"SELECT id FROM orders LIMIT 2", "returned 2 rows"},
		"two values":  {"SELECT 1, 1", "want one row with one value"},
		"a program":   {".shell touch " + program, "safe mode"},
		"a file":      {"ATTACH '" + program + "' AS other", "safe mode"},
		"writes":      {"DELETE FROM orders", "readonly"},
		"not SQL":     {"hello", "syntax error"},
		"and another": {"SELECT 1; SELECT 1", "returned 2 rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := observe(t, map[string]any{"directory": dir, "assertions": []string{c.assertion}})
			expect(t, o, err, holdfast.Failed, holdfast.Assertion)
			if !strings.Contains(o.Summary, c.says) {
				t.Errorf("got %q, want it to say %q", o.Summary, c.says)
			}
		})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(program); err == nil {
			t.Error("an assertion ran a program or made a file")
		}
	})
}

// A file copied from a database in use: what lies beside it belongs to it.
func TestCopiedInUse(t *testing.T) {
	t.Parallel()
	db := shop(t)
	for _, end := range []string{"-wal", "-journal"} {
		dir := t.TempDir()
		aged(t, filepath.Join(dir, "app.db"), db, time.Hour)
		aged(t, filepath.Join(dir, "app.db"+end), []byte("changes"), time.Hour)
		o, err := observe(t, map[string]any{"directory": dir})
		expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Assertion)
		aged(t, filepath.Join(dir, "app.db"+end), nil, time.Hour)
		o, err = observe(t, map[string]any{"directory": dir})
		expect(t, o, err, holdfast.OK, "")
	}
}

// TestLocked looks at a file that another process has locked for itself, as a copy
// that is being replaced is: that is no fault of it, and the lock stays.
func TestLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.db")
	aged(t, path, made(t, "CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1);"), time.Hour)
	owner := exec.Command(tool, "-batch", path)
	in, err := owner.StdinPipe()
	must(t, err)
	out, err := owner.StdoutPipe()
	must(t, err)
	must(t, owner.Start())
	t.Cleanup(func() { in.Close(); _ = owner.Wait() })
	_, err = in.Write([]byte("BEGIN EXCLUSIVE; SELECT 'held';\n"))
	must(t, err)
	held := make([]byte, len("held\n"))
	_, err = io.ReadFull(out, held)
	must(t, err)
	o, err := observe(t, map[string]any{"directory": dir})
	expect(t, o, err, holdfast.OK, "")
	_, err = in.Write([]byte("INSERT INTO orders VALUES (2); COMMIT; SELECT 'done';\n"))
	must(t, err)
	_, err = io.ReadFull(out, held)
	must(t, err)
	if got := string(held); got != "done\n" {
		t.Errorf("the owner of the lock got %q, want done", got)
	}
}

func TestFolderAndTool(t *testing.T) {
	t.Parallel()
	db := shop(t)
	dir := t.TempDir()
	o, err := observe(t, map[string]any{"directory": dir})
	expect(t, o, err, holdfast.Failed, holdfast.Empty)
	o, err = observe(t, map[string]any{"directory": dir + "/none"})
	expect(t, o, err, holdfast.Failed, holdfast.Missing)
	aged(t, filepath.Join(dir, "app.db"), db, time.Hour)
	o, err = observe(t, map[string]any{"directory": dir, "pattern": "*.sqlite"})
	expect(t, o, err, holdfast.Failed, holdfast.NoMatch)
	for _, bad := range []map[string]any{{"directory": "here"}, {"directory": dir, "check": "deep"}, {"directory": dir, "assertions": []string{" "}}} {
		if _, err := observe(t, bad); err == nil || !strings.Contains(err.Error(), "setting") {
			t.Errorf("%v: got %v, want an error that names the setting", bad, err)
		}
	}
	fake := func(script string) string {
		path := filepath.Join(t.TempDir(), "sqlite3")
		must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
		return path
	}
	for name, c := range map[string]struct {
		tool   string
		reason holdfast.Reason
	}{
		"none": {"", holdfast.ToolMissing},
		"gone": {"/nowhere/sqlite3", holdfast.ToolMissing},
		"old":  {fake("echo 'Error: unknown option: -safe' >&2; exit 1"), holdfast.ToolMissing},
		"hung": {fake("exec sleep 600"), holdfast.Timeout},
	} {
		limit := 60 * time.Second
		if c.reason == holdfast.Timeout {
			limit = time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		r := request(t, map[string]any{"directory": dir})
		r.Tools = map[string]string{"sqlite3": c.tool}
		o, err := sqlite.Probes()[0].Observe(ctx, r)
		cancel()
		if err == nil || probe.ReasonOf(err) != c.reason {
			t.Errorf("%s: got %s %q, %v, want an error with reason %q", name, o.Outcome, o.Reason, err, c.reason)
		}
	}
	aged(t, filepath.Join(dir, "app.db.gz"), []byte("\x1f\x8b\x08 and more"), time.Minute)
	o, err = observe(t, map[string]any{"directory": dir})
	expect(t, o, err, holdfast.OutcomeUnknown, "")
}

func TestContract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	aged(t, filepath.Join(dir, "app.db"), shop(t), time.Hour)
	probetest.Run(t, sqlite.Probes()[0], request(t, map[string]any{"directory": dir}), request(t, map[string]any{"directory": t.TempDir()}))
}
