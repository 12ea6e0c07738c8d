package pgbackrest_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// entries asks how many entries there are, and that they are the right ones.
func entries(n int) string {
	return fmt.Sprintf("select count(*) = %d and max(id) = %d and sum(amount) = %d from entry where id > 0", n, n, n*(n+1)/2)
}

// apart asks that the cluster can reach nobody and nobody it.
const apart = "select current_setting('archive_mode') = 'off' and current_setting('listen_addresses') = '' and current_setting('port')::int < 32768"

func TestRestoreGood(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	holds := unzip(t, one(t, s.plain, "backup/main/2???????-??????F/pg_data/postgresql.auto.conf.gz"))
	if !strings.Contains(holds, s.farm.Dir+"/pgbackrest-archive") || !strings.Contains(holds, "archive_mode = 'on'") {
		t.Errorf("the backup's configuration does not archive, so this test shows nothing: %s", holds)
	}
	before := append(tree(t, s.plain), tree(t, s.secret)...)
	others := append(append(tree(t, s.farm.Dir+"/lock"), tree(t, s.farm.Dir+"/spool")...), tree(t, s.farm.Dir+"/log")...)
	space := tree(t, s.farm.Dir+"/space")
	t.Cleanup(func() {
		if diff := cmp.Diff(before, append(tree(t, s.plain), tree(t, s.secret)...)); diff != "" {
			t.Errorf("the live repositories were written to (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(others, append(append(tree(t, s.farm.Dir+"/lock"), tree(t, s.farm.Dir+"/spool")...), tree(t, s.farm.Dir+"/log")...)); diff != "" {
			t.Errorf("the source's locks, spool or log were written to (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(space, tree(t, s.farm.Dir+"/space")); diff != "" {
			t.Errorf("the live tablespace was written to (-before +after):\n%s", diff)
		}
	})
	for name, more := range map[string]map[string]any{
		"plain":     {"repository": s.plain},
		"encrypted": {"repository": s.secret, "cipher_pass_file": s.pass},
		"config":    {"config": s.contrary(t), "repo": 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			more["assertions"] = []string{apart, entries(900), "select count(*) = 2 from quick", "select count(*) = 1 from pg_prepared_xacts where gid = 'held'",
				"select spcname = 'fast' from pg_class c join pg_tablespace t on t.oid = c.reltablespace where relname = 'quick'"}
			q := request(t, "", more)
			o, err := observeIn(t.Context(), t, "pgbackrest.restore", q)
			expect(t, o, err, holdfast.OK, "")
			r := o.Restoration
			if r == nil {
				t.Fatal("no restoration")
			}
			want := s.commits[s.wal[4]]
			if !r.Point.Equal(want) || r.Coverage != 1 || r.Checks != 8 || r.Bytes < 20<<20 || r.Duration <= 0 || r.Started.Before(began) || r.Started.Add(r.Duration.Std()).After(time.Now()) {
				t.Errorf("got %+v, want all of it, as of %v, one look at the log, two databases and five assertions", *r, want)
			}
		})
	}
}

// contrary is a configuration of somebody who restores in earnest: it names servers,
// and says to put links and tablespaces where the source has them.
func (s *source) contrary(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.config)
	must(t, err)
	file := filepath.Join(t.TempDir(), "pgbackrest.conf")
	must(t, os.WriteFile(file, append(b, []byte("pg1-host=db1\npg2-host=db2\npg2-path="+s.primary.Dir+"\n[global:restore]\nlink-all=y\ndelta=y\ntablespace-map=fast="+s.farm.Dir+"/space\n"+
		"recovery-option=primary_conninfo=host=db1\ndb-include=template1\n[global:archive-get]\narchive-async=y\n")...), 0o600))
	return file
}

func unzip(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	b, err := io.ReadAll(z)
	must(t, err)
	return string(b)
}

// By chance an older backup is restored, as it ended: the full one was made with the
// first hundred entries, the other with four hundred.
func TestRestoreRandom(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	o, err := observe(t, "pgbackrest.restore", s.plain, map[string]any{"point": "random", "assertions": []string{"select count(*) in (100, 400) from entry where id > 0"}})
	expect(t, o, err, holdfast.OK, "")
	if o.Facts["seed"] == "" || o.Facts["backup"] == "" || o.Restoration == nil || !o.Restoration.Point.Before(s.commits[s.wal[0]]) {
		t.Errorf("got %+v of %v, want a backup as it ended, and the seed it was chosen by", o.Restoration, o.Facts)
	}
}

// What pgBackRest and PostgreSQL say is not enough: content counts, and so does where
// it would go.
func TestRestoreFaults(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	incr := "backup/main/*I/"
	for name, c := range map[string]struct {
		repo    string
		harm    string // what is damaged, flipped
		more    map[string]any
		tools   map[string]string
		outcome holdfast.Outcome
		reason  holdfast.Reason
		says    string
	}{
		"a table is missing": {s.plain, "", map[string]any{"assertions": []string{"select true", "select count(*) > 0 from invoice"}}, nil,
			holdfast.Failed, holdfast.Assertion, `assertion 2 of 2: select count(*) > 0 from invoice: relation "invoice" does not exist`},
		"a database is missing": {s.plain, "", map[string]any{"database": "ledger"}, nil, holdfast.Failed, holdfast.Assertion, "ledger"},
		"file of the backup":    {s.plain, incr + "pg_data/global/pg_control.gz", nil, nil, holdfast.Failed, holdfast.Damaged, ""},
		"file of the log":       {s.plain, logFolder + s.wal[1] + "-*", nil, nil, holdfast.Failed, holdfast.Damaged, ""},
		"encrypted log": {s.secret, logFolder + s.wal[0] + "-*", map[string]any{"cipher_pass_file": s.pass}, nil, // archive-get brings it without a word
			holdfast.Failed, holdfast.Damaged, ""},
		"tablespace since":     {s.late, "", nil, nil, holdfast.OutcomeUnknown, holdfast.Refused, "tablespace"},
		"no such user":         {s.plain, "", map[string]any{"user": "nobody"}, nil, holdfast.OutcomeUnknown, "", "see the setting user"},
		"more than bytes_max":  {s.plain, "", map[string]any{"bytes_max": "1MiB"}, nil, holdfast.OutcomeUnknown, holdfast.TooSmall, "bytes_max"},
		"no postgres":          {s.plain, "", nil, map[string]string{"pgbackrest": tool, "postgres": "/no/such/postgres"}, holdfast.OutcomeUnknown, holdfast.ToolMissing, ""},
		"postgres ends":        {s.plain, "", nil, map[string]string{"pgbackrest": tool, "postgres": s.tool(t, "echo no luck >&2; exit 1")}, holdfast.OutcomeUnknown, "", "no luck"},
		"postgres gives up":    {s.plain, "", nil, map[string]string{"pgbackrest": tool, "postgres": s.tool(t, "echo 'FATAL:  WAL ends before end of online backup' >&2; exit 1")}, holdfast.Failed, holdfast.Damaged, "WAL ends before"},
		"recovery stops short": {s.plain, "", nil, map[string]string{"pgbackrest": tool, "postgres": s.tool(t, "rm /proc/self/fd/3/pg_wal/"+s.wal[4]+"; exec "+s.farm.Bin+"/postgres \"$@\"")}, holdfast.Failed, holdfast.Damaged, "recovery ended before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := c.repo
			if c.harm != "" {
				repo = s.copy(t, repo)
				damage(t, "flip", one(t, repo, c.harm))
			}
			q := request(t, repo, c.more)
			if c.tools != nil {
				q.Tools = c.tools
			}
			o, err := observeIn(t.Context(), t, "pgbackrest.restore", q)
			expect(t, o, err, c.outcome, c.reason)
			if said := fmt.Sprint(o.Summary, err); !strings.Contains(said, c.says) {
				t.Errorf("got %q, want it to say %q", said, c.says)
			}
			if o.Restoration != nil {
				t.Errorf("got %+v, want no restoration", o.Restoration)
			}
		})
	}
}

// tool is fakeTool where the clusters' owner can run it.
func (s *source) tool(t testing.TB, script string) string {
	t.Helper()
	dir, err := os.MkdirTemp(s.farm.Dir, "tool-")
	must(t, err)
	path := filepath.Join(dir, "tool")
	must(t, errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755)))
	return path
}

// A server that was promoted goes on on a timeline of its own, and recovery follows it.
func TestTimeline(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	repo := s.copy(t, s.plain)
	branch := s.farm.At(filepath.Join(s.farm.Dir, "branch"))
	must(t, errors.Join(s.farm.Folder(branch.Dir), s.farm.Folder(branch.Dir+"-space")))
	config, err := s.configFor("branch", repo, branch)
	must(t, err)
	_, err = s.farm.Run(tool, "--config="+config, "--stanza=main", "--tablespace-map-all="+branch.Dir+"-space", "restore")
	must(t, err)
	must(t, branch.Start(map[string]string{"unix_socket_directories": s.farm.Dir, "archive_command": tool + " --config=" + config + " --stanza=main archive-push %p",
		"max_prepared_transactions": "7", "max_connections": "137"}))
	branch.Await(t, "not pg_is_in_recovery()")
	must(t, branch.Exec("postgres", "insert into entry select g, g from generate_series(901, 1000) g"))
	name, err := branch.Switch()
	must(t, err)
	must(t, branch.Stop())
	o, err := observe(t, "pgbackrest.repository", repo, nil)
	expect(t, o, err, holdfast.OK, "")
	if got := ids(o); len(got) == 0 || got[0] != name || !strings.HasPrefix(name, "00000002") || o.Facts["timeline"] != "2" {
		t.Errorf("got recovery points %v on timeline %s, want the newest to be %s on timeline 2", got, o.Facts["timeline"], name)
	}
	o, err = observe(t, "pgbackrest.restore", repo, map[string]any{"assertions": []string{entries(1000)}})
	expect(t, o, err, holdfast.OK, "")
	o, err = observe(t, "pgbackrest.verify", repo, nil)
	expect(t, o, err, holdfast.OK, "")
}

// TestRestoreContract runs what every restore probe must keep: among others that nothing
// is left after cancel, deadline and kill.
func TestRestoreContract(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	probetest.RunRestore(t, probetest.Restorable{
		Probe:    func() probe.Probe { return find(t, "pgbackrest.restore") },
		Settings: map[string]any{"stanza": "main", "repository": s.plain},
		Tools:    map[string]string{"pgbackrest": tool}, Source: s.plain,
		Hold: func(t *testing.T) (map[string]string, string) { // when it should recover
			script := s.tool(t, "")
			mark := filepath.Join(filepath.Dir(script), "mark")
			must(t, errors.Join(os.Chmod(filepath.Dir(script), 0o777), os.WriteFile(script, []byte("#!/bin/sh\ntouch "+mark+"\nexec sleep 600\n"), 0o755)))
			return map[string]string{"pgbackrest": tool, "postgres": script}, mark
		},
	})
}
