package restic_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast/plugins/restic"
)

// sample reads a captured output of the tool.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	return b
}

func TestParseSnapshots(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file  string
		at    string // of the newest
		bytes int64
		files int64
		added int64 // -1: not said
	}{
		{"restic-0.14-snapshots.json", "2026-11-21T20:57:59.457621327Z", 0, 0, -1},
		{"restic-0.19-snapshots.json", "2026-11-21T21:00:02.787068452Z", 602000, 3, 203401},
	} {
		list, err := restic.ParseSnapshots(sample(t, c.file))
		if err != nil || len(list) != 2 {
			t.Errorf("%s: got %d snapshots, %v, want 2", c.file, len(list), err)
			continue
		}
		p := restic.Point(list[1])
		if p.Time.Format(time.RFC3339Nano) != c.at || int64(p.Bytes) != c.bytes || p.Files != c.files {
			t.Errorf("%s: got %+v, want %+v", c.file, p, c)
		}
		if said := p.Changed != nil; said != (c.added >= 0) || said && int64(*p.Changed) != c.added {
			t.Errorf("%s: got %v changed, want %d", c.file, p.Changed, c.added)
		}
		if diff := cmp.Diff([]string{"svc=payroll"}, list[1].Tags); diff != "" {
			t.Errorf("%s: tags (-want +got):\n%s", c.file, diff)
		}
	}
	for _, bad := range []string{"", "{}", `[{"id":"12"}]`, `[{"id":"` + strings.Repeat("a", 64) + `","time":"2026-01-01T00:00:00Z"}]`} {
		if list, err := restic.ParseSnapshots([]byte(bad)); err == nil {
			t.Errorf("%q: got %v, want an error", bad, list)
		}
	}
}

func TestParseStats(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]restic.Size{
		"restic-0.14-stats.json": {Bytes: 1201000, Entries: 8, Snapshots: 2},
		"restic-0.19-stats.json": {Bytes: 1203000, Entries: 8, Snapshots: 2},
	} {
		got, err := restic.ParseStats(sample(t, file))
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", file, got, err, want)
		}
	}
}

func TestParseLs(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"restic-0.14-ls.jsonl", "restic-0.19-ls.jsonl"} {
		var files, bytesIn int64
		err := restic.ParseLs(bytes.NewReader(sample(t, file)), func(n restic.Node) {
			if n.Type == "file" {
				files, bytesIn = files+1, bytesIn+n.Size
			}
		})
		if err != nil || files != 3 || bytesIn != 601000 {
			t.Errorf("%s: got %d files with %d bytes, %v, want 3 with 601000", file, files, bytesIn, err)
		}
	}
	for _, bad := range []string{"rubbish", `{"struct_type":"node"}`, `{"struct_type":"node","type":"file","path":"/a","size":-1}`} {
		if err := restic.ParseLs(strings.NewReader(bad), func(restic.Node) {}); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestParseCheck(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]restic.Checked{
		"restic-0.14-check.txt":                  {Clean: true},
		"restic-0.14-check-subset.txt":           {Clean: true, Packs: 2},
		"restic-0.14-check-corrupt.txt":          {Packs: 4},
		"restic-0.14-check-corrupt-nodata.txt":   {Clean: true},
		"restic-0.19-check.jsonl":                {Clean: true},
		"restic-0.19-check-readdata.jsonl":       {Clean: true},
		"restic-0.19-check-corrupt.jsonl":        {},
		"restic-0.19-check-corrupt-nodata.jsonl": {Clean: true},
		"restic-0.19-check-subset.txt":           {Clean: true, Packs: 1},
		"restic-0.17-check-subset.txt":           {Clean: true, Packs: 1},
	} {
		if got := restic.ParseCheck(sample(t, file)); got != want {
			t.Errorf("%s: got %+v, want %+v", file, got, want)
		}
	}
}

func TestBlame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, text string
		exit       int
		want       string
	}{
		{file: "restic-0.14-norepo.txt", exit: 1, want: "missing"},
		{file: "restic-0.19-norepo.txt", exit: 10, want: "missing"},
		{file: "restic-0.14-wrongpw.txt", exit: 1, want: "credential"},
		{file: "restic-0.19-wrongpw.txt", exit: 12, want: "credential"},
		{file: "restic-0.19-check-corrupt.stderr", exit: 1, want: "damaged"},
		{text: "exit code alone", exit: 10, want: "missing"},
		{text: "exit code alone", exit: 12, want: "credential"},
		{text: `Fatal: unable to open config file: Head "http://127.0.0.1:9/config": dial tcp 127.0.0.1:9: connect: connection refused` + "\nIs there a repository at the following location?\nrest:http://127.0.0.1:9/", exit: 1, want: "unreachable"},
		{text: `Fatal: repository does not exist: unable to open config file: dial tcp: lookup nas on 10.0.0.1:53: no such host`, exit: 10, want: "unreachable"},
		{text: "Fatal: unable to open config file: unexpected HTTP response (401): 401 Unauthorized", exit: 1, want: "credential"},
		{text: "Fatal: unable to open config file: unexpected HTTP response (503): 503 Service Unavailable", exit: 1, want: "unreachable"},
		{text: "Fatal: unable to open config file: Stat: Access Denied.", exit: 1, want: "credential"},
		{text: "subprocess ssh: Permission denied (publickey).\nFatal: unable to start the sftp session", exit: 1, want: "credential"},
		{text: "Fatal: unable to open config file: stat /srv/r/config: permission denied\nIs there a repository at the following location?", exit: 1, want: "unable refused"},
		{text: "Fatal: unknown flag: --frobnicate", exit: 1, want: "unable "},
		{text: "", exit: -1, want: "unable "},
		{text: "Load(<data/e3>, 401, 403) returned error, retrying after 1s: EOF", exit: -1, want: "damaged"},
	} {
		text := []byte(c.text)
		if c.file != "" {
			text = sample(t, c.file)
		}
		if got := restic.Judge(text, c.exit); got != c.want {
			t.Errorf("%s%s exit %d: got %q, want %q", c.file, c.text, c.exit, got, c.want)
		}
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	v, err := restic.ParseVersion([]byte("restic 0.14.0 compiled with go1.19.8 on linux/amd64\n"))
	if err != nil || v != "0.14.0" || restic.MajorMinor(v) != "0.14" {
		t.Errorf("got %q, %v, want 0.14.0", v, err)
	}
	if v, err := restic.ParseVersion([]byte("bash: restic: not found")); err == nil {
		t.Errorf("got %q, want an error", v)
	}
}

func TestParseEnv(t *testing.T) {
	t.Parallel()
	got, err := restic.ParseEnv(strings.NewReader("# storage\n\nAWS_ACCESS_KEY_ID=a=b\n RESTIC_REST_PASSWORD=secret\n"))
	if diff := cmp.Diff([]string{"AWS_ACCESS_KEY_ID=a=b", "RESTIC_REST_PASSWORD=secret"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"RESTIC_PASSWORD_COMMAND=touch /tmp/x", "LD_PRELOAD=x.so", "PATH=/tmp", "hunter2"} {
		if got, err := restic.ParseEnv(strings.NewReader(bad)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, %v, want an error without the value", bad, got, err)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s    restic.Source
		want string
	}{
		{restic.Source{Repository: "/srv/r", PasswordFile: "/p"}, ""},
		{restic.Source{Repository: "s3:https://s3.example.org/bucket", PasswordFile: "/p", EnvFile: "/e"}, ""},
		{restic.Source{Repository: "sftp:backup@nas:/srv/r", PasswordFile: "/p"}, ""},
		{restic.Source{Repository: "srv/r", PasswordFile: "/p"}, "neither an absolute folder"},
		{restic.Source{Repository: "rclone:remote:path", PasswordFile: "/p"}, "neither an absolute folder"},
		{restic.Source{Repository: "rest:https://user:secret@host/", PasswordFile: "/p"}, "carries a password"},
		{restic.Source{Repository: "sftp:-oProxyCommand=x:/r", PasswordFile: "/p"}, "dash"},
		{restic.Source{Repository: "sftp://-oProxyCommand=x/r", PasswordFile: "/p"}, "dash"},
		{restic.Source{Repository: "/srv/r", PasswordFile: "p"}, `"password_file"`},
		{restic.Source{Repository: "/srv/r", PasswordFile: "/p", Path: "p"}, `"path"`},
	} {
		err := c.s.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.s, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%+v: the message shows the secret", c.s)
		}
	}
}
