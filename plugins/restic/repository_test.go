package restic_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/restic"
)

func TestRepositoryGood(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	for i := range 6 {
		write(t, filepath.Join(r.source, "counter"), strconv.Itoa(i))
		r.backup(t)
	}
	o, err := r.observe(t, "restic.repository", map[string]any{"host": "db1", "path": r.source, "tag": "ledger"})
	expect(t, o, err, holdfast.OK, "")
	list := r.list(t)
	var want []holdfast.RecoveryPoint
	for _, i := range []int{5, 4, 3, 2, 0} { // the newest four and the oldest
		want = append(want, restic.Point(list[i]))
	}
	if want[0].Files == 0 { // the backup did not say
		want[0].Files = 13 // folders and links among them
	}
	want[0].Bytes = 300_000 + 200_000 + 5 + 1 // the hard link once
	if diff := cmp.Diff(want, o.RecoveryPoints); diff != "" {
		t.Errorf("recovery points (-want +got):\n%s", diff)
	}
	if o.Verification != nil {
		t.Error("restic.repository claims a verification")
	}
	if o.Encrypted == nil || !*o.Encrypted || o.Immutable != nil {
		t.Errorf("got encrypted %v, immutable %v, want true and unknown", o.Encrypted, o.Immutable)
	}
	if got := o.Fingerprint["tool"]; got != "restic "+restic.MajorMinor(o.Facts["version"]) || o.Facts["version"] == "" {
		t.Errorf("fingerprint: got %q, want restic and major.minor", got)
	}
	first := o.Fingerprint[holdfast.PartRepository]
	if first == "" {
		t.Error("nothing tells the repository from another")
	}
	other := newRepo(t)
	other.dir = filepath.Join(t.TempDir(), "other")
	other.restic(t, "init")
	other.backup(t)
	o, err = other.observe(t, "restic.repository", nil)
	expect(t, o, err, holdfast.OK, "")
	if second := o.Fingerprint[holdfast.PartRepository]; second == "" || second == first {
		t.Errorf("another repository: got %q, want another than %q", second, first)
	}
}

func TestRepositoryOutcomes(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	t.Run("empty", func(t *testing.T) {
		for _, name := range []string{"restic.repository", "restic.check", "restic.restore"} {
			o, err := r.observe(t, name, nil)
			expect(t, o, err, holdfast.Failed, holdfast.Empty)
			if o.Verification != nil || o.Restoration != nil {
				t.Errorf("%s attests a test of nothing: %+v", name, o)
			}
		}
	})
	r.backup(t)
	wrong := filepath.Join(t.TempDir(), "wrong")
	write(t, wrong, "not it")
	none := filepath.Join(t.TempDir(), "nothing")
	port := closedPort(t)
	for _, c := range []struct {
		name    string
		more    map[string]any
		outcome holdfast.Outcome
		reason  holdfast.Reason
	}{
		{"wrong password", map[string]any{"password_file": wrong}, holdfast.Failed, holdfast.Credential},
		{"missing", map[string]any{"repository": none}, holdfast.Failed, holdfast.Missing},
		{"no password file", map[string]any{"password_file": none}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		{"no such host", map[string]any{"host": "db2"}, holdfast.Failed, holdfast.NoMatch},
		{"no such path", map[string]any{"path": "/srv"}, holdfast.Failed, holdfast.NoMatch},
		{"no such tag", map[string]any{"tag": "ledger,weekly"}, holdfast.Failed, holdfast.NoMatch},
		{"unreachable", map[string]any{"repository": "rest:http://127.0.0.1:" + port + "/"}, holdfast.Failed, holdfast.Unreachable},
	} {
		for _, name := range []string{"restic.repository", "restic.check", "restic.restore"} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				t.Parallel()
				if c.reason == holdfast.Unreachable && name != "restic.repository" {
					return // restic tries for 12 s; once is enough
				}
				o, err := r.observe(t, name, c.more)
				expect(t, o, err, c.outcome, c.reason)
			})
		}
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
	dir := t.TempDir()
	r := &repo{dir: dir, passwordFile: filepath.Join(dir, "password")}
	write(t, r.passwordFile, password)
	hung := fakeTool(t, `[ "$1" = version ] && { echo "restic 0.14.0 compiled with go"; exit 0; }; exec sleep 600`)
	other := fakeTool(t, `echo "something else"`)
	for _, name := range []string{"restic.repository", "restic.check", "restic.restore"} {
		for what, c := range map[string]struct {
			tools  map[string]string
			reason holdfast.Reason
		}{
			"none":  {nil, holdfast.ToolMissing},
			"gone":  {map[string]string{"restic": "/no/such/restic"}, holdfast.ToolMissing},
			"other": {map[string]string{"restic": other}, holdfast.ToolMissing},
			"hung":  {map[string]string{"restic": hung}, holdfast.Timeout},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				limit := 60 * time.Second
				if c.reason == holdfast.Timeout {
					limit = 300 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				scratch := t.TempDir()
				o, err := find(t, name).Observe(ctx, probe.Request{Settings: r.settings(t, nil), Tools: c.tools, Scratch: scratch})
				expect(t, o, err, holdfast.OutcomeUnknown, c.reason)
				isEmpty(t, scratch)
			})
		}
	}
}

// A failure that a second look does not see, like that of a file a prune has just
// replaced, is not reported; one that it sees, or never comes to see, is.
func TestSecondLook(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	broken := `echo "Fatal: load <index/8ffed66b98>: invalid data returned" >&2; exit 1`
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
			fake := fakeTool(t, `case " $* " in *" find "*) ;; *) exec `+tool+` "$@";; esac
[ -e `+mark+` ] && { `+c.second+`; }; touch `+mark+`; `+broken)
			limit := 60 * time.Second
			if c.name == "hung" {
				limit = 10 * time.Second // long enough for the first look on a busy host
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			o, err := find(t, "restic.repository").Observe(ctx, probe.Request{Settings: r.settings(t, nil), Tools: map[string]string{"restic": fake}})
			expect(t, o, err, c.outcome, c.reason)
			if said := o.Facts["second_look"] != ""; said != (c.name == "hung") {
				t.Errorf("got facts %v, want them to say where there was no second look", o.Facts)
			}
		})
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.backup(t)
	hold := func(t *testing.T, r *repo, args ...string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, tool, append([]string{"--repo", r.dir, "--password-file", r.passwordFile, "--no-cache"}, args...)...)
		cmd.Env = []string{"HOME=/nonexistent"}
		pipe, err := cmd.StdinPipe() // a backup of standard input lasts until it ends
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() { pipe.Close(); cancel(); _ = cmd.Wait() })
		waitFor(t, func() bool { return len(entries(t, filepath.Join(r.dir, "locks"))) > 0 })
	}
	t.Run("a backup at work is no fault", func(t *testing.T) {
		t.Parallel()
		r := r.copy(t)
		hold(t, r, "backup", "--stdin")
		o, err := r.observe(t, "restic.repository", nil)
		expect(t, o, err, holdfast.OK, "")
		if n := len(entries(t, filepath.Join(r.dir, "locks"))); n != 1 {
			t.Errorf("got %d locks, want the backup's own", n)
		}
	})
	for _, c := range []struct {
		name      string
		exclusive bool
		age       time.Duration
		outcome   holdfast.Outcome
		reason    holdfast.Reason
	}{
		{"exclusive", true, 0, holdfast.OutcomeDegraded, holdfast.Locked},
		{"exclusive and left behind", true, 40 * time.Minute, holdfast.OutcomeDegraded, holdfast.Locked},
		{"left behind", false, 31 * time.Minute, holdfast.OutcomeDegraded, holdfast.Locked},
		{"not yet left behind", false, 29 * time.Minute, holdfast.OK, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := r.copy(t)
			path := r.lock(t, c.exclusive, c.age)
			o, err := r.observe(t, "restic.repository", nil)
			expect(t, o, err, c.outcome, c.reason)
			if len(o.RecoveryPoints) != 1 {
				t.Errorf("got %d recovery points, want the one that is there", len(o.RecoveryPoints))
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the lock was touched: %v", err)
			}
		})
	}
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}
