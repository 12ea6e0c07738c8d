package postgres_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

var assertions = []string{"select current_setting('archive_mode') = 'off' and current_setting('listen_addresses') = '' and current_setting('port')::int < 32768",
	"select count(*) = 1000 from entry", "select sum(amount) = 750750 from entry", `select count(*) > 0 from "odd ""name"" (x)"`}

func TestRestoreGood(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	for name, more := range map[string]map[string]any{
		"a.custom": {}, "a.raw.gz": {},
		"a.sql.zst": {"roles": []string{"app"}},
		"all.sql":   {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := time.Now()
			settings := dumpOf(s.dump(t, name), more)
			settings["assertions"] = assertions
			o, err := observe(t, "postgres.restore", settings, nil)
			expect(t, o, err, holdfast.OK, "")
			r := o.Restoration
			if r == nil {
				t.Fatal("no restoration")
			}
			if r.Coverage != 1 || r.Checks != 7 || r.Bytes < 500_000 || r.Duration <= 0 || r.Started.Before(before) || r.Started.Add(r.Duration.Std()).After(time.Now()) {
				t.Errorf("got %+v, want all of it, three tables and four assertions", *r)
			}
			if r.Point.IsZero() || !r.Point.Before(time.Now()) {
				t.Errorf("point: got %v, want when the dump began", r.Point)
			}
			if measure(t, o, "tables") != 3 || measure(t, o, "rows") != 1002 || o.Facts["assertion_2"] != assertions[1]+": true" {
				t.Errorf("got %v, %v", o.Measures, o.Facts)
			}
		})
	}
}

// A dump that lacks a table restores without a word from the tool; the assertion
// finds it.
func TestRestoreLacksTable(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	o, err := observe(t, "postgres.restore", dumpOf(s.dump(t, "short.custom"), nil), nil)
	expect(t, o, err, holdfast.OK, "")
	settings := dumpOf(s.dump(t, "short.custom"), map[string]any{"assertions": []string{"select true", "select count(*) > 0 from entry"}})
	o, err = observe(t, "postgres.restore", settings, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Assertion)
	if want := `assertion 2 of 2: select count(*) > 0 from entry: relation "entry" does not exist`; o.Summary != want || o.Restoration != nil {
		t.Errorf("got %q and %+v, want %q and no restoration", o.Summary, o.Restoration, want)
	}
}

func TestAssert(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	conn, err := pgx.Connect(t.Context(), s.primary.DSN("reader", "ledger"))
	must(t, err)
	defer conn.Close(t.Context())
	const patience = 300 * time.Millisecond
	must(t, postgres.Restrict(t.Context(), conn, patience))
	for assertion, says := range map[string]string{
		"select count(*) = 1000 from entry":      "",
		"select count(*) > 1000 from entry":      "does not give true",
		"select null::bool":                      "does not give true",
		"select 1":                               "does not give true",
		"select true where false":                "no row",
		"select true from entry limit 2":         "several rows",
		"select true, true":                      "2 values",
		"select true; drop table entry":          "multiple commands",
		"delete from entry returning true":       "read-only",
		"copy entry to program 'true'":           "must be superuser",
		"select pg_read_file('PG_VERSION') > ''": "permission denied",
		"select true from nowhere":               "does not exist",
		"":                                       "no row",
		"select pg_sleep(60) is null":            "assertion_timeout",
	} {
		err := postgres.Assert(t.Context(), conn, assertion, patience)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", assertion, err, says)
		}
		want := holdfast.Assertion
		if says == "assertion_timeout" {
			want = ""
		}
		if err != nil && want != "" && !probe.IsFault(err, want) {
			t.Errorf("%s: got %v, want a fault", assertion, err)
		}
	}
}

// What the tool says counts, and not how it ends.
func TestRestoreErrors(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	real := s.farm.Bin + "/pg_restore"
	loses := fakeTool(t, real+` "$@" || exit; case " $* " in *" --dbname="*) `+s.farm.Bin+`/psql --host=/proc/self/cwd $(echo "$*" | grep -o -- '--port=[0-9]*') -U holdfast -q -c 'delete from entry where id = 7' restored;; esac`)
	mkdir := s.tool(t, "exit 0") // the folder is there already
	for name, c := range map[string]struct {
		dump    string
		more    map[string]any
		tools   map[string]string
		outcome holdfast.Outcome
		reason  holdfast.Reason
	}{
		"a role is missing":   {"a.sql", nil, nil, holdfast.Failed, holdfast.Assertion},
		"tolerated":           {"a.sql", map[string]any{"tolerate": []string{`role "app" does not exist`}}, nil, holdfast.OK, ""},
		"another error":       {"a.sql", map[string]any{"tolerate": []string{`role "web" does not exist`}}, nil, holdfast.Failed, holdfast.Assertion},
		"with owners":         {"a.custom", map[string]any{"roles": []string{"app"}, "assertions": []string{"select pg_get_userbyid(relowner) = 'app' from pg_class where relname = 'entry'"}}, nil, holdfast.OK, ""},
		"a row is lost":       {"a.custom", nil, map[string]string{"pg_restore": loses}, holdfast.Failed, holdfast.Assertion},
		"damaged":             {"damaged.custom", nil, nil, holdfast.Failed, holdfast.Damaged},
		"no initdb":           {"a.custom", nil, map[string]string{"initdb": "/no/such/initdb"}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"no postgres":         {"a.custom", nil, map[string]string{"initdb": mkdir, "postgres": "/no/such/postgres"}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"no psql":             {"a.sql", nil, map[string]string{"psql": "/no/such/psql"}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"postgres ends":       {"a.custom", nil, map[string]string{"initdb": mkdir, "postgres": s.tool(t, "echo no luck >&2; exit 1")}, holdfast.OutcomeUnknown, ""},
		"more than bytes_max": {"a.custom", map[string]any{"bytes_max": "1MiB"}, nil, holdfast.OutcomeUnknown, holdfast.TooSmall},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dir string
			if c.dump == "damaged.custom" {
				dir = s.dump(t, "a.custom")
				flip(t, filepath.Join(dir, "a.custom"), 0.6)
			} else {
				dir = s.dump(t, c.dump)
			}
			settings := dumpOf(dir, c.more)
			o, err := observe(t, "postgres.restore", settings, c.tools)
			expect(t, o, err, c.outcome, c.reason)
			if name == "postgres ends" && !strings.Contains(err.Error(), "no luck") {
				t.Errorf("got %v, want what postgres said", err)
			}
			if name == "tolerated" && (!strings.HasPrefix(o.Facts["tolerated"], "1: ") || !strings.HasSuffix(o.Summary, "; 1 tolerated")) {
				t.Errorf("got facts %v, want what was tolerated", o.Facts)
			}
		})
	}
	t.Run("none to restore", func(t *testing.T) {
		t.Parallel()
		for what, settings := range map[holdfast.Reason]map[string]any{
			holdfast.Empty: dumpOf(t.TempDir(), nil), holdfast.Missing: dumpOf(s.dumps+"/none", nil), holdfast.NoMatch: dumpOf(s.dump(t, "a.sql"), map[string]any{"pattern": "*.dump"}),
		} {
			o, err := observe(t, "postgres.restore", settings, nil)
			expect(t, o, err, holdfast.Failed, what)
		}
	})
	t.Run("tool hangs", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		root := t.TempDir()
		o, err := observeIn(ctx, t, "postgres.restore", dumpOf(s.dump(t, "a.custom"), map[string]any{"scratch": root}), map[string]string{"pg_restore": s.tool(t, "exec sleep 600")})
		expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Timeout)
		isEmpty(t, root)
	})
	t.Run("too small", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("mounting a small file system needs root")
		}
		small := t.TempDir()
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=9m", "none", small).CombinedOutput(); err != nil {
			t.Fatalf("mount: %v: %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("umount", small).Run() })
		for _, max := range []any{0, 1 << 20} { // refused before, and full while it runs
			o, err := observe(t, "postgres.restore", dumpOf(s.dump(t, "a.custom"), map[string]any{"scratch": small, "bytes_max": max}), nil)
			if max == 0 {
				expect(t, o, err, holdfast.OutcomeUnknown, holdfast.TooSmall)
			} else if err == nil {
				t.Errorf("a full disk: got %s, want an error", o.Outcome)
			}
			isEmpty(t, small)
		}
	})
}

// slowRestore is a pg_restore that stops when it should load.
func slowRestore(t *testing.T, s *source) (path, mark string) {
	mark = filepath.Join(t.TempDir(), "loading")
	return fakeTool(t, `case " $* " in *" --dbname="*) touch `+mark+`; exec sleep 600;; esac; exec `+s.farm.Bin+`/pg_restore "$@"`), mark
}

func TestRestoreContract(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	dir := s.dump(t, "a.custom")
	probetest.RunRestore(t, probetest.Restorable{
		Probe:    func() probe.Probe { return find(t, "postgres.restore") },
		Settings: dumpOf(dir, nil),
		Source:   dir,
		Hold: func(t *testing.T) (map[string]string, string) {
			path, mark := slowRestore(t, s)
			return map[string]string{"pg_restore": path}, mark
		},
	})
}
