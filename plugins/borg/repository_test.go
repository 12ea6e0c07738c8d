package borg_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/borg"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

func TestRepositoryGood(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	o, err := r.observe(t, "borg.repository", map[string]any{"archives": "ledger-*"})
	expect(t, o, err, holdfast.OK, "")
	list := r.list(t)
	want := []holdfast.RecoveryPoint{
		{Time: secondTime, ID: list["ledger-2"], Bytes: sourceBytes + 100_000, Files: 6}, // whatever the zone of the backup
		{Time: firstTime, ID: list["ledger-1"]},
	}
	if diff := cmp.Diff(want, o.RecoveryPoints); diff != "" {
		t.Errorf("recovery points (-want +got):\n%s", diff)
	}
	if o.Verification != nil {
		t.Error("borg.repository claims a verification")
	}
	if o.Encrypted == nil || !*o.Encrypted || o.Immutable != nil {
		t.Errorf("got encrypted %v, immutable %v, want true and unknown", o.Encrypted, o.Immutable)
	}
	if got := o.Fingerprint["tool"]; !strings.HasPrefix(o.Facts["version"], strings.TrimPrefix(got, "borg ")+".") {
		t.Errorf("fingerprint: got %q of version %q, want borg and major.minor", got, o.Facts["version"])
	}
	if got := o.Fingerprint[holdfast.PartRepository]; len(got) != 64 {
		t.Errorf("repository: got %q, want its ID", got)
	}
}

// The newest four and the oldest of ten archives, past a newest that is no backup of
// this kind, one whose name is a pattern, and a checkpoint.
func TestRepositoryMany(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.source = t.TempDir()
	write(t, filepath.Join(r.source, "file"), "x")
	for i := range 10 {
		r.backup(t, "day[*]{"+strconv.Itoa(i)+"}", firstTime.Add(time.Duration(i)*time.Hour))
	}
	r.backup(t, "day[*]{11}.checkpoint", firstTime.Add(11*time.Hour))
	r.backup(t, "other", firstTime.Add(12*time.Hour))
	o, err := r.once(t, "borg.repository", map[string]any{"archives": "day*"})
	expect(t, o, err, holdfast.OK, "")
	var got []time.Duration
	for _, p := range o.RecoveryPoints {
		got = append(got, p.Time.Sub(firstTime)/time.Hour)
	}
	if diff := cmp.Diff([]time.Duration{9, 8, 7, 6, 0}, got); diff != "" {
		t.Errorf("hours of the recovery points (-want +got):\n%s", diff)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	empty := newRepo(t)
	r := newRepoWithTwo(t)
	wrong := filepath.Join(t.TempDir(), "wrong")
	write(t, wrong, "not it")
	none := filepath.Join(t.TempDir(), "nothing")
	folder := t.TempDir()
	write(t, filepath.Join(folder, "data.txt"), "x")
	for _, c := range []struct {
		name    string
		of      *repo
		more    map[string]any
		probes  int // the first ones
		outcome holdfast.Outcome
		reason  holdfast.Reason
	}{
		{"empty", empty, nil, 3, holdfast.Failed, holdfast.Empty},
		{"wrong passphrase", r, map[string]any{"passphrase_file": wrong}, 3, holdfast.Failed, holdfast.Credential},
		{"no passphrase", r, map[string]any{"passphrase_file": nil}, 1, holdfast.Failed, holdfast.Credential},
		{"no passphrase file", r, map[string]any{"passphrase_file": none}, 3, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		{"no key file", r, map[string]any{"key_file": none}, 3, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		{"missing", r, map[string]any{"repository": none}, 3, holdfast.Failed, holdfast.Missing},
		{"a folder of something else", r, map[string]any{"repository": folder}, 3, holdfast.Failed, holdfast.Missing},
		{"a file", r, map[string]any{"repository": wrong}, 3, holdfast.Failed, holdfast.Missing},
		{"no match", r, map[string]any{"archives": "wages-*"}, 3, holdfast.Failed, holdfast.NoMatch},
		{"unreachable", r, map[string]any{"repository": "ssh://127.0.0.1:" + closedPort(t) + "/repo"}, 1, holdfast.Failed, holdfast.Unreachable},
	} {
		for _, name := range names[:c.probes] {
			t.Run(c.name+" "+name, func(t *testing.T) {
				t.Parallel()
				o, err := c.of.once(t, name, c.more)
				expect(t, o, err, c.outcome, c.reason)
				if o.Verification != nil || o.Restoration != nil {
					t.Errorf("a test of nothing is attested: %+v", o)
				}
			})
		}
	}
}

// TestRefused looks as a user who may not read the repository.
func TestRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("becoming somebody else needs root")
	}
	r := newRepoWithTwo(t)
	for _, part := range []string{"", "config", "data/0", fmt.Sprintf("index.%d", r.last(t))} {
		c := r.copy(t)
		must(t, os.Chmod(c.dir, 0o755))
		must(t, os.Chmod(filepath.Join(c.dir, "config"), 0o644))
		must(t, os.Chmod(filepath.Join(c.dir, part), 0))
		got := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			scratch := filepath.Join(c.dir, "..", "scratch")
			_ = os.Mkdir(scratch, 0o777)
			_ = os.Chmod(scratch, 0o777)
			for up := filepath.Dir(c.dir); up != "/tmp" && up != "/"; up = filepath.Dir(up) {
				_ = os.Chmod(up, 0o755)
			}
			_ = unix.Setfsuid(65534)
			_, _, err := borg.View(context.Background(), c.dir, scratch)
			got <- err
		}()
		if err := <-got; probe.ReasonOf(err) != holdfast.Refused {
			t.Errorf("%q closed: got %v, want refused", part, err)
		}
	}
}

// Without encryption there is nothing to give, and the probe says what it sees. A
// key file opens a repository that keeps none itself.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"none", "authenticated-blake2", "keyfile"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			r.dir = filepath.Join(t.TempDir(), "repo {now}") // which borg would take for a placeholder
			must(t, r.run(nil, "", "init", "--encryption="+mode, strings.NewReplacer("{", "{{", "}", "}}").Replace(r.dir)))
			at := r.dir
			r.dir = filepath.Join(filepath.Dir(at), "repo")
			must(t, os.Rename(at, r.dir))
			r.backup(t, "one", firstTime)
			must(t, os.Rename(r.dir, at))
			r.dir = at
			more := map[string]any{}
			switch mode {
			case "none":
				more["passphrase_file"] = nil
			case "keyfile":
				keys, err := filepath.Glob(filepath.Join(r.base, ".config", "borg", "keys", "*"))
				if err != nil || len(keys) != 1 {
					t.Fatalf("got keys %v, %v, want one", keys, err)
				}
				o, err := r.once(t, "borg.repository", nil)
				expect(t, o, err, holdfast.Failed, holdfast.Credential)
				more["key_file"] = keys[0]
			}
			o, err := r.once(t, "borg.repository", more)
			expect(t, o, err, holdfast.OK, "")
			if o.Encrypted == nil || *o.Encrypted != (mode == "keyfile") || o.Facts["encryption"] == "" {
				t.Errorf("got encrypted %v, %v", o.Encrypted, o.Facts)
			}
		})
	}
}

// closedPort returns a loopback port nobody listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

func TestWithoutTool(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	hung := fakeTool(t, `[ "$1" = --version ] && { echo "borg 1.2.4"; exit 0; }; exec sleep 600`)
	other := fakeTool(t, `echo "something else"`)
	for _, name := range names {
		for what, c := range map[string]struct {
			tools  map[string]string
			reason holdfast.Reason
		}{
			"none":  {nil, holdfast.ToolMissing},
			"gone":  {map[string]string{"borg": "/no/such/borg"}, holdfast.ToolMissing},
			"other": {map[string]string{"borg": other}, holdfast.ToolMissing},
			"hung":  {map[string]string{"borg": hung}, holdfast.Timeout},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				limit := 60 * time.Second
				if c.reason == holdfast.Timeout {
					limit = 500 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				q := r.request(t, nil)
				q.Tools = c.tools
				o, err := find(t, name).Observe(ctx, q)
				expect(t, o, err, holdfast.OutcomeUnknown, c.reason)
				isEmpty(t, q.Scratch)
			})
		}
	}
}

// A failure that a second look does not see is not reported; one that it sees, or
// never comes to see, is.
func TestSecondLook(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	broken := `echo '{"type": "log_message", "message": "Data integrity error: x", "levelname": "ERROR", "msgid": "IntegrityError"}' >&2; exit 2`
	for _, c := range []struct {
		name, second string
		outcome      holdfast.Outcome
		reason       holdfast.Reason
	}{
		{"passing", "exec " + tool + ` "$@"`, holdfast.OK, ""},
		{"lasting", broken, holdfast.Failed, holdfast.Damaged},
		{"hung", "exec sleep 600", holdfast.Failed, holdfast.Damaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mark := filepath.Join(t.TempDir(), "seen")
			fake := fakeTool(t, `case " $* " in *" list "*) ;; *) exec `+tool+` "$@";; esac
[ -e `+mark+` ] && { `+c.second+`; }; touch `+mark+`; `+broken)
			limit := 60 * time.Second
			if c.name == "hung" {
				limit = 10 * time.Second // long enough for the first look on a busy host
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			q := r.request(t, nil)
			q.Tools = map[string]string{"borg": fake}
			o, err := find(t, "borg.repository").Observe(ctx, q)
			expect(t, o, err, c.outcome, c.reason)
			if said := o.Facts["second_look"] != ""; said != (c.name == "hung") {
				t.Errorf("got facts %v, want them to say where there was no second look", o.Facts)
			}
		})
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	for _, c := range []struct {
		name    string
		put     func(t *testing.T, r *repo, at time.Time)
		age     time.Duration
		outcome holdfast.Outcome
		reason  holdfast.Reason
	}{
		{"a backup at work", exclusive, time.Hour, holdfast.OK, ""},
		{"left behind", exclusive, 13 * time.Hour, holdfast.OutcomeDegraded, holdfast.Locked},
		{"mounted for long", shared, 13 * time.Hour, holdfast.OutcomeDegraded, holdfast.Locked},
		{"mounted", shared, time.Hour, holdfast.OK, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := r.copy(t)
			c.put(t, r, time.Now().Add(-c.age))
			before := r.tree(t)
			o, err := r.once(t, "borg.repository", nil)
			expect(t, o, err, c.outcome, c.reason)
			if len(o.RecoveryPoints) != 2 || !strings.Contains(o.Facts["lock"], "db2") {
				t.Errorf("got %d recovery points and lock %q, want both that are there and db2", len(o.RecoveryPoints), o.Facts["lock"])
			}
			if diff := cmp.Diff(before, r.tree(t)); diff != "" {
				t.Errorf("the lock was touched (-before +after):\n%s", diff)
			}
		})
	}
}

func exclusive(t *testing.T, r *repo, at time.Time) {
	write(t, filepath.Join(r.dir, "lock.exclusive", "db2@1234.4711-0"), "")
	must(t, os.Chtimes(filepath.Join(r.dir, "lock.exclusive"), at, at))
}

func shared(t *testing.T, r *repo, at time.Time) {
	file := filepath.Join(r.dir, "lock.roster")
	write(t, file, `{"shared": [["db2@1234", 4711, 0]], "exclusive": []}`)
	must(t, os.Chtimes(file, at, at))
}
