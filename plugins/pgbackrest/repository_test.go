package pgbackrest_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/pgbackrest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

func TestRepositoryGood(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	for name, c := range map[string]struct {
		repo      string
		more      map[string]any
		encrypted bool
	}{
		"plain":     {s.plain, nil, false},
		"encrypted": {s.secret, map[string]any{"cipher_pass_file": s.pass}, true},
		"config":    {"", map[string]any{"config": s.config, "repo": 2}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := observe(t, "pgbackrest.repository", c.repo, c.more)
			expect(t, o, err, holdfast.OK, "")
			if len(o.RecoveryPoints) != 5 {
				t.Fatalf("got %v, want the newest four and the oldest", o.RecoveryPoints)
			}
			for i, p := range o.RecoveryPoints[:4] {
				name := s.wal[4-i]
				if p.ID != name || !p.Time.Equal(s.commits[name]) || p.Bytes < 20<<20 {
					t.Errorf("point %d: got %+v, want %s as of its last commit, %v", i+1, p, name, s.commits[name])
				}
			}
			if oldest := o.RecoveryPoints[4]; !strings.HasSuffix(oldest.ID, "F") || !oldest.Time.Before(s.commits[s.wal[0]]) {
				t.Errorf("oldest: got %+v, want the full backup as it ended", oldest)
			}
			if o.Encrypted == nil || *o.Encrypted != c.encrypted || o.Verification != nil {
				t.Errorf("got encrypted %v, verification %v; want %v and none", o.Encrypted, o.Verification, c.encrypted)
			}
			if measure(t, o, "backups_full") != 1 || measure(t, o, "backups_diff")+measure(t, o, "backups_incr") != 1 || o.Fingerprint["engine"] != "PostgreSQL 15" ||
				!strings.HasPrefix(o.Fingerprint["tool"], "pgBackRest 2.") {
				t.Errorf("got %v, %v", o.Measures, o.Fingerprint)
			}
			o, err = observe(t, "pgbackrest.verify", c.repo, c.more)
			expect(t, o, err, holdfast.OK, "")
			if v := o.Verification; v == nil || v.Scope != 1 || v.Errors != 0 || measure(t, o, "files_read") < 1900 || measure(t, o, "wal_files_read") < 7 {
				t.Errorf("got %+v, %v, want all of it read", v, o.Measures)
			}
		})
	}
}

// Before any file of the log is archived behind it, the newest point is the backup's
// end, and what it changed is known.
func TestBackupAlone(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	repo := s.copy(t, s.plain)
	for _, name := range s.wal {
		damage(t, "gone", one(t, repo, logFolder+name+"-*"))
	}
	o, err := observe(t, "pgbackrest.repository", repo, nil)
	expect(t, o, err, holdfast.OK, "")
	p := o.RecoveryPoints[0]
	if !strings.HasSuffix(p.ID, "I") || p.Changed == nil || *p.Changed <= 0 || *p.Changed >= p.Bytes || !p.Time.Before(s.commits[s.wal[0]]) {
		t.Errorf("newest point: got %+v, want the incremental backup, with less changed than it restores", p)
	}
}

// The newest commit in a file of the log is the one that PostgreSQL's own reader
// finds there.
func TestNewestCommit(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	file := one(t, s.plain, logFolder+s.wal[3]+"-*") // archived as it is
	b, err := os.ReadFile(file)
	must(t, err)
	dir := filepath.Join(s.farm.Dir, "dumped")
	must(t, s.farm.Folder(dir))
	must(t, os.WriteFile(filepath.Join(dir, s.wal[3]), b, 0o644))
	out, _ := exec.Command(s.farm.Bin+"/pg_waldump", "--rmgr=Transaction", "--path="+dir, s.wal[3]).Output() // it ends badly: the next file is not there
	var newest string
	for line := range strings.Lines(string(out)) {
		if _, after, ok := strings.Cut(line, "desc: COMMIT "); ok {
			newest = strings.Join(strings.Fields(after)[:2], " ")
		}
	}
	at, tablespaces, err := pgbackrest.ReadLog(strings.NewReader(string(b)))
	if got := at.Local().Format("2006-01-02 15:04:05.000000"); err != nil || tablespaces != 0 || newest == "" || !strings.HasPrefix(newest, strings.TrimRight(got, "0")) {
		t.Errorf("got %s, %d tablespaces, %v, want %s as pg_waldump says, and none", got, tablespaces, err, newest)
	}
	for name, text := range map[string]string{"empty": "", "text": strings.Repeat("no log at all ", 1000), "cut": string(b[:5000]), "a page": string(b[:8192])} {
		if _, _, err := pgbackrest.ReadLog(strings.NewReader(text)); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestNothingThere(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	wrong := filepath.Join(t.TempDir(), "wrong")
	must(t, os.WriteFile(wrong, []byte("incorrect donkey\n"), 0o600))
	blank := filepath.Join(t.TempDir(), "blank")
	must(t, os.WriteFile(blank, []byte("\n"), 0o600))
	fresh := filepath.Join(s.farm.Dir, "fresh")
	must(t, s.farm.Folder(fresh))
	config, err := s.configFor("fresh", fresh, s.primary)
	must(t, err)
	_, err = s.farm.Run(tool, "--config="+config, "--stanza=main", "stanza-create")
	must(t, err)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	_, port, err := net.SplitHostPort(closed.Addr().String())
	must(t, err)
	away := filepath.Join(t.TempDir(), "s3.conf")
	must(t, os.WriteFile(away, []byte("[global]\nrepo1-type=s3\nrepo1-path=/\nrepo1-s3-bucket=b\nrepo1-s3-region=r\nrepo1-s3-endpoint=127.0.0.1\nrepo1-s3-uri-style=path\nrepo1-s3-key=k\n"+
		"repo1-s3-key-secret=s\nrepo1-storage-port="+port+"\nio-timeout=1\n"), 0o600))

	for name, c := range map[string]struct {
		repo    string
		more    map[string]any
		outcome holdfast.Outcome
		reason  holdfast.Reason
	}{
		"no repository":      {"/no/such/repository", nil, holdfast.Failed, holdfast.Missing},
		"no stanza":          {s.plain, map[string]any{"stanza": "other"}, holdfast.Failed, holdfast.Missing},
		"no backup":          {fresh, nil, holdfast.Failed, holdfast.Empty},
		"wrong passphrase":   {s.secret, map[string]any{"cipher_pass_file": wrong}, holdfast.Failed, holdfast.Credential},
		"no passphrase":      {s.secret, nil, holdfast.Failed, holdfast.Credential},
		"not encrypted":      {s.plain, map[string]any{"cipher_pass_file": s.pass}, holdfast.Failed, holdfast.Credential},
		"no passphrase file": {s.secret, map[string]any{"cipher_pass_file": "/no/such/file"}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		"blank passphrase":   {s.secret, map[string]any{"cipher_pass_file": blank}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		"no config":          {"", map[string]any{"config": "/no/such/file"}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable},
		"unreachable":        {"", map[string]any{"config": away}, holdfast.Failed, holdfast.Unreachable},
		"neither":            {"", nil, holdfast.OutcomeUnknown, ""},
		"both":               {s.plain, map[string]any{"config": s.config}, holdfast.OutcomeUnknown, ""},
		"bad stanza":         {s.plain, map[string]any{"stanza": "../main"}, holdfast.OutcomeUnknown, ""},
	} {
		for _, p := range pgbackrest.Probes() {
			t.Run(p.Describe().Name+" "+name, func(t *testing.T) {
				t.Parallel()
				o, err := observe(t, p.Describe().Name, c.repo, c.more)
				expect(t, o, err, c.outcome, c.reason)
				if len(o.RecoveryPoints) > 0 || o.Verification != nil || o.Restoration != nil {
					t.Errorf("got %+v, want nothing attested", o)
				}
			})
		}
	}
}

// A program that is not there, is another or hangs says nothing of the repository.
func TestTool(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	for name, c := range map[string]struct {
		tools  map[string]string
		reason holdfast.Reason
	}{
		"none":  {map[string]string{}, holdfast.ToolMissing},
		"gone":  {map[string]string{"pgbackrest": "/no/such/tool"}, holdfast.ToolMissing},
		"other": {map[string]string{"pgbackrest": fakeTool(t, "echo hello")}, holdfast.ToolMissing},
		"hung":  {map[string]string{"pgbackrest": fakeTool(t, "exec sleep 600")}, holdfast.Timeout},
		"hangs later": {map[string]string{"pgbackrest": fakeTool(t, `case "$*" in *repo-ls*|*verify*|*restore*) exec sleep 600;; esac; exec `+tool+` "$@"`)},
			holdfast.Timeout},
	} {
		for _, p := range pgbackrest.Probes() {
			t.Run(p.Describe().Name+" "+name, func(t *testing.T) {
				t.Parallel()
				limit := 60 * time.Second
				if c.reason == holdfast.Timeout {
					limit = time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				q := request(t, s.plain, nil)
				q.Tools = c.tools
				o, err := observeIn(ctx, t, p.Describe().Name, q)
				expect(t, o, err, holdfast.OutcomeUnknown, c.reason)
			})
		}
	}
}

// While a backup is at work its lock is held. A look needs none and takes none, not
// even to see whether it is held: a backup that begins meanwhile would fail.
func TestLocked(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	dir := t.TempDir()
	lock := filepath.Join(dir, "main-backup.lock")
	held, err := os.Create(lock)
	must(t, err)
	defer held.Close()
	must(t, unix.Flock(int(held.Fd()), unix.LOCK_EX))
	config := filepath.Join(dir, "pgbackrest.conf")
	must(t, os.WriteFile(config, []byte("[global]\nrepo1-path="+s.secret+"\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass="+passphrase+
		"\nlock-path="+dir+"\nlog-path="+dir+"\n"), 0o600))
	trace := filepath.Join(dir, "trace")
	traced := fakeTool(t, "exec /usr/bin/strace -f --seccomp-bpf -A -o "+trace+" -e trace=flock,open,openat,mkdir,mkdirat,rename,renameat,unlink,unlinkat,chmod,fchmodat,utimensat "+tool+` "$@"`)
	before := tree(t, s.secret)
	for _, name := range []string{"pgbackrest.repository", "pgbackrest.verify"} {
		q := request(t, "", map[string]any{"config": config})
		q.Tools = map[string]string{"pgbackrest": traced}
		o, err := observeIn(t.Context(), t, name, q)
		expect(t, o, err, holdfast.OK, "")
	}
	if diff := cmp.Diff(before, tree(t, s.secret)); diff != "" {
		t.Errorf("the repository was written to (-before +after):\n%s", diff)
	}
	calls, err := os.ReadFile(trace)
	must(t, err)
	if !strings.Contains(string(calls), s.secret+"/backup") {
		t.Fatal("the trace shows no look at the repository: this test finds nothing")
	}
	for line := range strings.Lines(string(calls)) {
		if strings.Contains(line, " --- ") || strings.Contains(line, " +++ ") { // signals, ends
			continue
		}
		touches := strings.Contains(line, "O_CREAT") || strings.Contains(line, "O_WRONLY") || strings.Contains(line, "O_RDWR") ||
			!strings.Contains(line, "open") && strings.Contains(line, "/")
		if strings.Contains(line, "flock(") || touches && !strings.Contains(line, "/dev/") || strings.Contains(line, lock) {
			t.Errorf("it locks or writes: %s", line)
		}
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	for _, p := range pgbackrest.Probes() {
		t.Run(p.Describe().Name, func(t *testing.T) {
			q := []probe.Request{request(t, "/no/such/repository", nil)}
			if p.Describe().Name == "pgbackrest.repository" { // the others are heavy, and tried in other tests
				q = append(q, request(t, s.plain, nil))
			}
			probetest.Run(t, p, q...)
		})
	}
}
