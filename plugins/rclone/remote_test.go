package rclone_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
	"github.com/holdfast-monitor/holdfast/plugins/rclone"
	"github.com/holdfast-monitor/holdfast/plugins/s3/s3test"
)

const tool = "/usr/bin/rclone"

type m = map[string]any

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gateway is the one S3 server of this test binary; TestMain ends it.
var gateway *s3test.Server

var startGateway = sync.OnceValue(func() (err error) {
	gateway, err = s3test.Start()
	return err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if gateway != nil {
		_ = gateway.Stop()
	}
	os.Exit(code)
}

// store is a folder, and a configuration by which rclone reaches it.
type store struct{ dir, config string }

// at is when the newest of its objects was changed.
var at = time.Now().Add(-50 * time.Hour).Truncate(time.Second).UTC()

func newStore(t testing.TB) *store {
	t.Helper()
	if _, err := os.Stat(tool); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("rclone is needed: %v", err)
		}
		t.Skipf("rclone is needed: %v", err)
	}
	base := t.TempDir()
	s := &store{filepath.Join(base, "data"), filepath.Join(base, "rclone.conf")}
	must(t, os.Mkdir(s.dir, 0o755))
	s.configure(t, "")
	return s
}

// configure writes a configuration with a local remote, an alias, and more.
func (s *store) configure(t testing.TB, more string) {
	t.Helper()
	must(t, os.WriteFile(s.config, fmt.Appendf(nil, "[disk]\ntype = local\n\n[store]\ntype = alias\nremote = %s\n%s\n", s.dir, more), 0o600))
}

func (s *store) put(t testing.TB, name string, size int, hours int) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, make([]byte, size), 0o600))
	must(t, os.Chtimes(path, at, at.Add(-time.Duration(hours)*time.Hour)))
}

func (s *store) request(t testing.TB, more m) probe.Request {
	t.Helper()
	settings := m{"remote": "store:", "config_file": s.config}
	for k, v := range more {
		settings[k] = v
	}
	b, err := json.Marshal(settings)
	must(t, err)
	return probe.Request{Check: "s/d/c", Settings: holdfast.Settings(b), Tools: map[string]string{"rclone": tool}}
}

func (s *store) observe(t testing.TB, more m) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	o, err := rclone.Probes()[0].Observe(ctx, s.request(t, more))
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	return o, err
}

// expect tests what came out, and that the words are in what is said.
func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason, words string) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason || !strings.Contains(o.Summary, words) {
		t.Errorf("got %s %q: %s\nwant %s %q: %s\nraw %s", o.Outcome, o.Reason, o.Summary, outcome, reason, words, o.Raw)
	}
}

func TestGood(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for i := range 7 {
		s.put(t, fmt.Sprintf("daily/ledger-%d.dump", i), 100+i, i)
	}
	s.put(t, "daily/ledger-1.dump.sha256", 64, 0)
	must(t, os.Symlink("/no/such/file", filepath.Join(s.dir, "dangling")))
	for _, more := range []m{{"pattern": "*.dump"}, {"pattern": "daily/*.dump"}, {"remote": "disk:" + s.dir, "pattern": "*.dump", "hashes": true}} {
		o, err := s.observe(t, more)
		expect(t, o, err, holdfast.OK, "", "7 objects")
		var want []holdfast.RecoveryPoint
		for _, i := range []int{0, 1, 2, 3, 6} { // the newest four and the oldest
			want = append(want, holdfast.RecoveryPoint{Time: at.Add(-time.Duration(i) * time.Hour), ID: fmt.Sprintf("daily/ledger-%d.dump", i), Bytes: holdfast.Bytes(100 + i), Files: 1})
		}
		if diff := cmp.Diff(want, o.RecoveryPoints); diff != "" {
			t.Errorf("%v: recovery points (-want +got):\n%s", more, diff)
		}
		if !strings.Contains(o.Facts["said"], "symlink") || o.Fingerprint["tool"] == "" || o.Verification != nil {
			t.Errorf("got %v, %v, %v, want rclone's notice and version, and no verification", o.Facts, o.Fingerprint, o.Verification)
		}
		if hashed := strings.Contains(o.Facts["hashes"], "sha256"); hashed != (more["hashes"] != nil) {
			t.Errorf("%v: got hashes %q", more, o.Facts["hashes"])
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	o, err := s.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "holds no object")
	s.put(t, "a.partial", 5, 0)
	s.put(t, "hollow.dump", 0, 0)
	o, err = s.observe(t, m{"pattern": "*.dump"})
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "have no byte")
	s.put(t, "future.sql", 5, -24*365)
	o, err = s.observe(t, m{"pattern": "*.sql"})
	expect(t, o, err, holdfast.OutcomeUnknown, "", "one in the future")
	o, err = s.observe(t, m{"pattern": "*.gz"})
	expect(t, o, err, holdfast.Failed, holdfast.NoMatch, "none of 3 objects matches *.gz")
	o, err = s.observe(t, m{"remote": "store:none"})
	expect(t, o, err, holdfast.Failed, holdfast.Missing, "there is no store:none")
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put(t, "a", 1, 0)
	mark := filepath.Join(t.TempDir(), "ran")
	for _, c := range []struct {
		name, more string
		settings   m
		reason     holdfast.Reason
		words      string
	}{
		{"no such remote", "", m{"remote": "other:"}, "", "has no remote [other]"},
		{"runs a program", "[dav]\ntype = webdav\nurl = http://127.0.0.1:1\nbearer_token_command = touch " + mark, m{"remote": "dav:"}, holdfast.Refused, "bearer_token_command"},
		{"runs ssh", "[far]\ntype = sftp\nssh = touch " + mark, m{"remote": "far:"}, holdfast.Refused, `"ssh"`},
		{"written another way", "[dav]\ntype = webdav\n  BEARER_TOKEN_COMMAND: touch " + mark, m{"remote": "dav:"}, holdfast.Refused, "program"},
		{"on the fly behind an alias", "[dav]\ntype = alias\nremote = :webdav,url=\"http://127.0.0.1:1\",bearer_token_command=\"touch " + mark + "\":", m{"remote": "dav:"}, holdfast.Refused, "bearer_token_command"},
		{"options of the whole", "[far]\ntype = local\nglobal.metadata_mapper = touch " + mark, m{"remote": "far:"}, holdfast.Refused, "metadata_mapper"},
		{"encrypted", "# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nAAAA", nil, holdfast.CredentialUnreadable, "encrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.configure(t, c.more)
			o, err := s.observe(t, c.settings)
			expect(t, o, err, holdfast.OutcomeUnknown, c.reason, c.words)
		})
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program of the configuration ran")
	}
	s.configure(t, "[far]\ntype = sftp\nhost = h\nmd5sum_command = md5sum\nserver_command = sudo sftp-server")
	o, err := s.observe(t, nil)
	expect(t, o, err, holdfast.OK, "", "1 objects")
	before, err := os.ReadFile(s.config)
	must(t, err)
	must(t, os.Remove(s.config))
	o, err = s.observe(t, nil)
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "no such file")
	must(t, os.WriteFile(s.config, append(before, "rubbish["...), 0o600))
	o, err = s.observe(t, nil)
	expect(t, o, err, holdfast.OutcomeUnknown, "", "could not parse line")
}

// TestCrypt lists a remote that encrypts, with its password and with another, of
// which rclone says nothing.
func TestCrypt(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	run := func(args ...string) string {
		cmd := exec.Command(tool, args...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("rclone %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	crypt := func(name, password string) string {
		return fmt.Sprintf("[%s]\ntype = crypt\nremote = %s\npassword = %s\n", name, s.dir, run("obscure", password))
	}
	s.configure(t, crypt("sealed", "correct horse")+crypt("wrong", "battery staple"))
	o, err := s.observe(t, m{"remote": "wrong:"})
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "holds no object")
	file := filepath.Join(t.TempDir(), "ledger.dump")
	must(t, os.WriteFile(file, make([]byte, 500), 0o600))
	run("--config", s.config, "copy", "--", file, "sealed:backups")
	o, err = s.observe(t, m{"remote": "sealed:", "pattern": "*.dump"})
	expect(t, o, err, holdfast.OK, "", "1 objects, 500B")
	for _, remote := range []string{"wrong:", "wrong:backups"} {
		o, err = s.observe(t, m{"remote": remote})
		if remote == "wrong:" {
			expect(t, o, err, holdfast.Failed, holdfast.Credential, "do not open")
		} else { // the folder's name is another with this password
			expect(t, o, err, holdfast.Failed, holdfast.Missing, "there is no wrong:backups")
		}
	}
}

// TestS3 lists a real object store.
func TestS3(t *testing.T) {
	s := newStore(t)
	must(t, startGateway())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	closed := l.Addr().String()
	l.Close()
	remote := func(name, url, secret string) string {
		return fmt.Sprintf("[%s]\ntype = s3\nprovider = Other\naccess_key_id = %s\nsecret_access_key = %s\nendpoint = %s\nforce_path_style = true\n", name, gateway.Access, secret, url)
	}
	s.configure(t, remote("cloud", gateway.URL, gateway.Secret)+remote("wrong", gateway.URL, "wrong")+remote("closed", "http://"+closed, "x"))
	s.put(t, "ledger-1.dump", 300, 1)
	s.put(t, "ledger-2.dump", 400, 2)
	copied := exec.Command(tool, "--config", s.config, "copy", "--", s.dir, "cloud:backups/ledger")
	copied.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin"}
	out, err := copied.CombinedOutput()
	if err != nil {
		t.Fatalf("rclone copy: %v: %s", err, out)
	}
	o, err := s.observe(t, m{"remote": "cloud:backups/ledger", "hashes": true})
	expect(t, o, err, holdfast.OK, "", "2 objects, 700B")
	if len(o.RecoveryPoints) != 2 || !o.RecoveryPoints[0].Time.Equal(at.Add(-time.Hour)) || !strings.Contains(o.Facts["hashes"], "md5") {
		t.Errorf("got %v and hashes %q, want the source's times and md5", o.RecoveryPoints, o.Facts["hashes"])
	}
	o, err = s.observe(t, m{"remote": "cloud:backups/ledger", "server_modtime": true})
	expect(t, o, err, holdfast.OK, "", "2 objects")
	if age := time.Since(o.RecoveryPoints[0].Time); age > time.Hour {
		t.Errorf("got an age of %v, want that of the upload", age)
	}
	for _, c := range []struct {
		remote  string
		reason  holdfast.Reason
		outcome holdfast.Outcome
	}{
		{"wrong:backups", holdfast.Credential, holdfast.Failed},
		{"closed:backups", holdfast.Unreachable, holdfast.Failed},
		{"cloud:no-such-bucket", holdfast.Missing, holdfast.Failed},
	} {
		o, err := s.observe(t, m{"remote": c.remote})
		expect(t, o, err, c.outcome, c.reason, c.remote)
	}
}

func TestWithoutTool(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put(t, "a", 1, 0)
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "rclone")
		must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755))
		return path
	}
	version := `[ "$1" = version ] && { echo "rclone v1.60.1"; exit 0; }; `
	for _, c := range []struct {
		name, tool string
		reason     holdfast.Reason
		words      string
	}{
		{"none", "", holdfast.ToolMissing, "not installed"},
		{"gone", "/no/such/rclone", holdfast.ToolMissing, "no such program"},
		{"another", script("echo hello"), holdfast.ToolMissing, "not an answer of rclone"},
		{"hung", script(version + "exec sleep 600"), holdfast.Timeout, "in time"},
		{"list cut off", script(version + `printf '[\n{"Path":"a","Size":1,"ModTime":"2026-01-01T00:00:00Z"}'`), "", "rclone"},
		{"no list", script(version + "echo hello"), "", "no list"},
		{"no list at all", script(version + "exit 0"), "", "no list"},
		{"fails after a good list", script(version + `echo '[]'; echo "2026/11/22 03:50:33 Failed to lsjson: whatever" >&2; exit 1`), "", "whatever"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.request(t, nil)
			r.Tools = map[string]string{"rclone": c.tool}
			limit := 60 * time.Second
			if c.reason == holdfast.Timeout {
				limit = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			o, err := rclone.Probes()[0].Observe(ctx, r)
			expect(t, o, err, holdfast.OutcomeUnknown, c.reason, c.words)
		})
	}
}

// TestNothingWritten looks at every file that was there before.
func TestNothingWritten(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put(t, "a", 1, 0)
	list := func() (all []string) {
		must(t, filepath.Walk(filepath.Dir(s.config), func(path string, info os.FileInfo, err error) error {
			all = append(all, fmt.Sprint(path, info.Size(), info.ModTime()))
			return err
		}))
		return all
	}
	before := list()
	o, err := s.observe(t, m{"hashes": true})
	expect(t, o, err, holdfast.OK, "", "1 objects")
	if diff := cmp.Diff(before, list()); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
	for _, name := range []string{".config/rclone", ".cache/rclone", ".rclone.conf", "vfs", "vfsMeta"} {
		if _, err := os.Stat("/nonexistent/" + name); err == nil {
			t.Errorf("rclone made itself a home with %s", name)
		}
	}
}

func TestSettings(t *testing.T) {
	s := &store{config: "/etc/rclone.conf"}
	for _, c := range []struct {
		more m
		want string
	}{
		{m{"remote": "/srv"}, "not NAME:PATH"},
		{m{"remote": ":sftp,ssh=id:"}, "not NAME:PATH"},
		{m{"remote": "a,ssh=id:"}, "not NAME:PATH"},
		{m{"remote": "-x:"}, "not NAME:PATH"},
		{m{"config_file": "x"}, "not an absolute path"},
		{m{"pattern": "[x"}, "not a pattern"},
	} {
		if _, err := s.observe(t, c.more); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.more, err, c.want)
		}
	}
}

func TestContract(t *testing.T) {
	s := newStore(t)
	s.put(t, "a", 1, 0)
	probetest.Run(t, rclone.Probes()[0], s.request(t, nil), s.request(t, m{"remote": "store:none"}))
}
