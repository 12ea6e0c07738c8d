package mariadb_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/mariadb"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// dumped is a folder with one dump of shop an hour old.
func dumped(t testing.TB, content string) (dir string, at time.Time) {
	t.Helper()
	dir = t.TempDir()
	return dir, aged(t, filepath.Join(dir, "shop.sql"), content, time.Hour)
}

func TestRestoreGood(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir, at := dumped(t, zipped(t, primary.dump(t, "shop", "--where=id < 50")))
	before := time.Now()
	o, err := observe(t, find(t, "mariadb.restore"), map[string]any{"directory": dir, "assertions": []string{
		"SELECT COUNT(*) = 3 FROM customers",
		"SELECT raw = x'000d0a1aff' AND note = 'a line\nCREATE TABLE x\n-- Dump completed' FROM orders WHERE id = 1",
		"SELECT note = '\\\\! touch /tmp/x' FROM big",
		"SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = 'shop'",
		"SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
		"SELECT @@log_bin = 0 AND @@port = 0 AND @@skip_networking",
	}})
	expect(t, o, err, holdfast.OK, "")
	r := o.Restoration
	if r == nil {
		t.Fatal("no restoration")
	}
	if r.Bytes == 0 || r.Coverage != 1 || r.Checks != 2+6 || !r.Point.Equal(at) || r.Duration <= 0 || r.Started.Before(before) {
		t.Errorf("got %+v, want the whole dump of %v, 2 tables and 6 assertions", r, at)
	}
	if got := measure(o, "rows"); got != 5 {
		t.Errorf("got %v rows, want 5", got)
	}
	if got := o.Fingerprint["engine"]; got != "mariadb 10.11" {
		t.Errorf("got engine %q, want mariadb 10.11", got)
	}
}

// A dump of everything replaces the server's accounts too; what it holds is asked all
// the same.
func TestRestoreAllDatabases(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir, _ := dumped(t, primary.dump(t, "--all-databases", "--flush-privileges", "--where=1 LIMIT 1000"))
	o, err := observe(t, find(t, "mariadb.restore"), map[string]any{"directory": dir, "point": "random", "assertions": []string{"SELECT COUNT(*) >= 3 FROM customers"}})
	expect(t, o, err, holdfast.OK, "")
	if got := measure(o, "tables"); got != 2 {
		t.Errorf("got %v tables, want the 2 of shop", got)
	}
}

// What the client is content with is not enough: a dump without a table loads with
// exit code 0.
func TestRestoreLacksTable(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir, _ := dumped(t, primary.dump(t, "shop", "--ignore-table=shop.orders", "--ignore-table=shop.big"))
	o, err := observe(t, find(t, "mariadb.restore"), map[string]any{"directory": dir, "assertions": []string{"SELECT COUNT(*) > 0 FROM orders"}})
	expect(t, o, err, holdfast.Failed, holdfast.Assertion)
	if !strings.Contains(o.Summary, "'shop.orders' doesn't exist") || o.Restoration != nil {
		t.Errorf("got %q and %+v, want the table named and no restoration", o.Summary, o.Restoration)
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	program := filepath.Join(t.TempDir(), "program")
	for name, c := range map[string]struct{ assertion, says string }{
		"true":       {"SELECT COUNT(*) >= 2 FROM orders", ""},
		"a number":   {"SELECT -0.5;", ""},
		"false":      {"SELECT COUNT(*) > 1000 FROM orders", "got 0, want true"},
		"missing":    {"SELECT COUNT(*) FROM nothing", "'shop.nothing' doesn't exist"},
		"no value":   {"SELECT MAX(id) > 0 FROM orders WHERE id > 1000", "got NULL"},
		"text":       {"SELECT 'yes'", "got yes"},
		"no row":     {"SELECT id FROM orders WHERE id > 1000", "returned 0 rows"},
		"two rows":   {"SELECT id FROM orders", "returned 2 rows"},
		"two values": {"SELECT 1, 1", "want one row with one value"},
		"two":        {"SELECT 1; SELECT 1", "returned 2 rows"},
		"nothing":    {"-- true", "returned 0 rows"},
		"a program":  {"\\! touch " + program + "\n", "Unknown command"},
		"another":    {"system touch " + program, "error in your SQL syntax"},
		"a file":     {"source /etc/passwd", "error in your SQL syntax"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := mariadb.Assert(t.Context(), tools, primary.dir, "shop", c.assertion)
			switch {
			case c.says == "" && err != nil:
				t.Errorf("got %v, want it to hold", err)
			case c.says != "" && (!probe.IsFault(err, holdfast.Assertion) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want a fault that says %q", err, c.says)
			}
		})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(program); err == nil {
			t.Error("the client ran a program that SQL named")
		}
	})
}

// Dumps that do not restore, though they look whole.
func TestRestoreDamaged(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	sql := primary.dump(t, "shop")
	last := strings.LastIndex(sql, "-- Dump completed")
	body, end := sql[:last], sql[last:]
	for name, c := range map[string]struct {
		content string
		reason  holdfast.Reason
	}{
		"cut off":                   {sql[:len(sql)/2], holdfast.Damaged},
		"a statement spoilt":        {strings.Replace(sql, "INSERT INTO `orders` VALUES", "INSERT INTO `orders` VALUES (", 1), holdfast.Damaged},
		"a table dropped later":     {body + "DROP TABLE `customers`;\n" + end, holdfast.Assertion},
		"no byte":                   {"", holdfast.Empty},
		"writes outside of scratch": {body + "SELECT 1 INTO OUTFILE '/tmp/holdfast-mariadb-test-out';\n" + end, holdfast.Damaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := dumped(t, c.content)
			o, err := observe(t, find(t, "mariadb.restore"), map[string]any{"directory": dir})
			expect(t, o, err, holdfast.Failed, c.reason)
			if o.Restoration != nil {
				t.Errorf("got %+v, want no restoration", o.Restoration)
			}
		})
	}
}

func TestRestoreNothing(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir, _ := dumped(t, primary.dump(t, "shop"))
	for what, settings := range map[holdfast.Reason]map[string]any{
		holdfast.Empty: {"directory": t.TempDir()}, holdfast.Missing: {"directory": dir + "/none"}, holdfast.NoMatch: {"directory": dir, "pattern": "*.none"},
	} {
		o, err := observe(t, find(t, "mariadb.restore"), settings)
		expect(t, o, err, holdfast.Failed, what)
	}
}

func TestRestoreScratch(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir, _ := dumped(t, primary.dump(t, "shop"))
	closed := t.TempDir() // in a folder of root's alone
	o, err := observe(t, find(t, "mariadb.restore"), map[string]any{"directory": dir, "scratch": closed})
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Refused)
	isEmpty(t, closed)
	o, err = observe(t, find(t, "mariadb.restore"), map[string]any{"directory": dir, "bytes_max": "1MiB"})
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.TooSmall)
}

// Errors that the catalogue lets pass do not stop the client, and are told; another one
// still counts.
func TestRestoreTolerates(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	sql := primary.dump(t, "shop")
	last := strings.LastIndex(sql, "-- Dump completed")
	dir, _ := dumped(t, sql[:last]+"INSERT INTO nowhere VALUES (1);\nSELECT no_such_function();\n"+sql[last:])
	for _, c := range []struct {
		tolerate []string
		outcome  holdfast.Outcome
		reason   holdfast.Reason
		says     string
	}{
		{[]string{}, holdfast.Failed, holdfast.Damaged, "nowhere"},
		{[]string{"'shop.nowhere' doesn't exist"}, holdfast.Failed, holdfast.Damaged, "no_such_function"},
		{[]string{"'shop.nowhere' doesn't exist", "ERROR 1305"}, holdfast.OK, "", "; 2 tolerated"},
	} {
		o, err := observe(t, find(t, "mariadb.restore"), map[string]any{"directory": dir, "tolerate": c.tolerate, "assertions": []string{"SELECT COUNT(*) >= 3 FROM customers"}})
		expect(t, o, err, c.outcome, c.reason)
		if !strings.Contains(o.Summary, c.says) {
			t.Errorf("%q: got %q, want %s", c.tolerate, o.Summary, c.says)
		}
	}
}

func TestRestoreTools(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir, _ := dumped(t, primary.dump(t, "shop"))
	hung := fakeTool(t, "exec sleep 600")
	for name, c := range map[string]struct {
		tools  map[string]string
		reason holdfast.Reason
	}{
		"no server":    {with("mariadbd", ""), holdfast.ToolMissing},
		"gone":         {with("mariadbd", "/nowhere/mariadbd"), holdfast.ToolMissing},
		"no client":    {with("mariadb", ""), holdfast.ToolMissing},
		"no install":   {with("mariadb-install-db", ""), holdfast.ToolMissing},
		"server hangs": {with("mariadbd", hung), holdfast.Timeout},
		"client hangs": {with("mariadb", hung), holdfast.Timeout},
		"server ends":  {with("mariadbd", fakeTool(t, "echo '[ERROR] no' >&2; exit 1")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			if c.reason == holdfast.Timeout {
				ctx, cancel = context.WithTimeout(t.Context(), 6*time.Second)
			}
			defer cancel()
			into := scratchDir(t)
			o, err := find(t, "mariadb.restore").Observe(ctx, probe.Request{Settings: encode(t, map[string]any{"directory": dir}), Tools: c.tools, Scratch: into})
			expect(t, o, err, holdfast.OutcomeUnknown, c.reason)
			isEmpty(t, into)
		})
	}
}

// slow is a client that stops while it loads a dump.
func slow(t testing.TB) (path, mark string) {
	mark = filepath.Join(t.TempDir(), "loading")
	return fakeTool(t, `case " $* " in *" --database="*) touch `+mark+`; exec sleep 600;; esac; exec `+tools["mariadb"]+` "$@"`), mark
}

func TestRestoreContract(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir, _ := dumped(t, primary.dump(t, "shop"))
	probetest.RunRestore(t, probetest.Restorable{
		Probe:    func() probe.Probe { return find(t, "mariadb.restore") },
		Settings: map[string]any{"directory": dir},
		Tools:    tools,
		Source:   dir,
		Scratch:  scratchDir,
		Hold: func(t *testing.T) (map[string]string, string) {
			path, mark := slow(t)
			return with("mariadb", path), mark
		},
	})
}

func TestContract(t *testing.T) {
	t.Parallel()
	primary, _ := start(t)
	dir, _ := dumped(t, primary.dump(t, "shop"))
	for _, p := range []struct {
		name string
		with map[string]any
	}{
		{"mariadb.dump", map[string]any{"directory": dir}},
		{"mariadb.replica", map[string]any{"defaults_file": primary.defaults(t, "monitor", "secret")}},
		{"mariadb.restore", map[string]any{"directory": t.TempDir()}},
	} {
		t.Run(p.name, func(t *testing.T) {
			probetest.Run(t, find(t, p.name), probe.Request{Settings: encode(t, p.with), Tools: tools})
		})
	}
}
