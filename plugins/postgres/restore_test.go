package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
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
		"a role is missing":    {"a.sql", nil, nil, holdfast.Failed, holdfast.Assertion},
		"tolerated":            {"a.sql", map[string]any{"tolerate": []string{`role "app" does not exist`}}, nil, holdfast.OK, ""},
		"another error":        {"a.sql", map[string]any{"tolerate": []string{`role "web" does not exist`}}, nil, holdfast.Failed, holdfast.Assertion},
		"with owners":          {"a.custom", map[string]any{"roles": []string{"app"}, "assertions": []string{"select pg_get_userbyid(relowner) = 'app' from pg_class where relname = 'entry'"}}, nil, holdfast.OK, ""},
		"a row is lost":        {"a.custom", nil, map[string]string{"pg_restore": loses}, holdfast.Failed, holdfast.Assertion},
		"damaged":              {"damaged.custom", nil, nil, holdfast.Failed, holdfast.Damaged},
		"no initdb":            {"a.custom", nil, map[string]string{"initdb": "/no/such/initdb"}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"no postgres":          {"a.custom", nil, map[string]string{"initdb": mkdir, "postgres": "/no/such/postgres"}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"no psql":              {"a.sql", nil, map[string]string{"psql": "/no/such/psql"}, holdfast.OutcomeUnknown, holdfast.ToolMissing},
		"postgres ends":        {"a.custom", nil, map[string]string{"initdb": mkdir, "postgres": s.tool(t, "echo no luck >&2; exit 1")}, holdfast.OutcomeUnknown, ""},
		"more than bytes_max":  {"a.custom", map[string]any{"bytes_max": "1MiB"}, nil, holdfast.OutcomeUnknown, holdfast.TooSmall},
		"scratch in the dumps": {"a.custom", map[string]any{"scratch": "."}, nil, holdfast.OutcomeUnknown, holdfast.Refused},
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
			if settings["scratch"] == "." {
				settings["scratch"] = dir
			}
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

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func TestRestoreCancelled(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	path, mark := slowRestore(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir, root := s.dump(t, "a.custom"), t.TempDir()
	var phases []string
	told := make(chan string, 100)
	done := make(chan error, 1)
	go func() {
		ctx := probe.WithProgress(ctx, func(p holdfast.Phase) {
			select {
			case told <- p.Name:
			default:
			}
		})
		_, err := observeIn(ctx, t, "postgres.restore", dumpOf(dir, map[string]any{"scratch": root}), map[string]string{"pg_restore": path})
		done <- err
	}()
	waitFor(t, func() bool { return exists(mark) })
	if n := len(clusterIn(t, root)); n == 0 {
		t.Error("no cluster runs in scratch, want one: this test finds none")
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("got an observation, want an error: it was cancelled")
	}
	isEmpty(t, root)
	if left := clusterIn(t, root); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	close(told)
	for name := range told {
		phases = append(phases, name)
	}
	if got := strings.Join(phases, " "); !strings.HasPrefix(got, "read start restore") {
		t.Errorf("phases: got %q, want read, start, restore", got)
	}
}

// TestRestoreKilled kills the process that restores. The test binary is run again
// as that process.
func TestRestoreKilled(t *testing.T) {
	if settings := os.Getenv("RESTORE_SETTINGS"); settings != "" {
		_, err := find(t, "postgres.restore").Observe(t.Context(), probe.Request{Settings: holdfast.Settings(settings), Tools: map[string]string{"pg_restore": os.Getenv("RESTORE_TOOL")}})
		t.Fatalf("it ended by itself: %v", err)
	}
	t.Parallel()
	s := theSource(t)
	path, mark := slowRestore(t, s)
	root := t.TempDir()
	settings := dumpOf(s.dump(t, "a.custom"), map[string]any{"scratch": root})
	b, err := json.Marshal(settings)
	must(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestRestoreKilled$")
	cmd.Env = append(os.Environ(), "RESTORE_TOOL="+path, "RESTORE_SETTINGS="+string(b))
	must(t, cmd.Start())
	waitFor(t, func() bool { return exists(mark) })
	// While its owner lives, another test leaves its cluster alone.
	before := postmasters(t, root)
	o, err := observe(t, "postgres.restore", settings, nil)
	expect(t, o, err, holdfast.OK, "")
	if after := postmasters(t, root); len(before) != 1 || !slices.Equal(after, before) {
		t.Errorf("the living test's cluster: got postmasters %v, want %v, one", after, before)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	waitFor(t, func() bool { return len(clusterIn(t, root)) == 0 })
	o, err = observe(t, "postgres.restore", settings, nil)
	expect(t, o, err, holdfast.OK, "")
	isEmpty(t, root)
}

// clusterIn lists the processes whose working folder is below a folder.
func clusterIn(t *testing.T, dir string) []int {
	t.Helper()
	all, err := os.ReadDir("/proc")
	must(t, err)
	var found []int
	for _, e := range all {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		exe, _ := os.Readlink("/proc/" + e.Name() + "/exe")
		if cwd, err := os.Readlink("/proc/" + e.Name() + "/cwd"); err == nil && strings.HasPrefix(cwd, dir+"/") && filepath.Base(exe) == "postgres" {
			found = append(found, pid)
		}
	}
	return found
}

// postmasters lists the servers that run below a folder, each as its pid and when it
// started: a server's workers come and go.
func postmasters(t *testing.T, dir string) []string {
	t.Helper()
	all := clusterIn(t, dir)
	var found []string
	for _, pid := range all {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		_, after, ok := strings.Cut(string(stat), ") ")
		f := strings.Fields(after) // from the third field on, see proc(5)
		if err != nil || !ok || len(f) < 20 {
			continue
		}
		if parent, err := strconv.Atoi(f[1]); err != nil || slices.Contains(all, parent) {
			continue
		}
		found = append(found, fmt.Sprintf("%d started %s", pid, f[19]))
	}
	return found
}

// waitFor polls until something another process does has happened.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(120 * time.Second); !done(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it did not happen in 120 s")
		}
	}
}
