package borg_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast/plugins/borg"
)

const id = "317fbf070379f064dfbd6b8685a22c5216ec62fd0fabbd1a9a0432cccaf91cd6"

func TestParseList(t *testing.T) {
	t.Parallel()
	list := func(time string) string {
		return `{"archives":[{"id":"` + id + `","name":"a","time":"` + time + `"}],"encryption":{"mode":"none"}}`
	}
	for in, want := range map[string]time.Time{
		"2026-11-22T03:31:26.000000":       time.Date(2026, 11, 22, 3, 31, 26, 0, time.UTC), // 1.2, in UTC by TZ
		"2026-11-22T05:31:26.000000+02:00": time.Date(2026, 11, 22, 3, 31, 26, 0, time.UTC), // 1.4
		"2026-11-22T05:31:26+0200":         time.Date(2026, 11, 22, 3, 31, 26, 0, time.UTC),
	} {
		got, err := borg.ParseList([]byte(list(in)))
		if err != nil || len(got.Archives) != 1 || !got.Archives[0].Time.Equal(want) {
			t.Errorf("%s: got %+v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "null", "{}", "[]", `{"archives":[]}`, list(""), list("soon"), strings.Replace(list("2026-11-22T03:31:26"), id, "x", 1)} {
		if got, err := borg.ParseList([]byte(in)); err == nil {
			t.Errorf("%s: got %+v, want an error", in, got)
		}
	}
}

func TestParseItems(t *testing.T) {
	t.Parallel()
	lines := `{"type": "d", "path": ".", "healthy": true, "size": 0, "source": ""}
{"type": "-", "path": "ledger", "healthy": true, "size": 300, "source": ""}
{"type": "-", "mode": "hrw-r--r--", "path": "hard", "healthy": true, "size": 0, "source": "ledger"}
{"type": "d", "path": "d", "healthy": true, "size": 0, "source": ""}
{"type": "l", "path": "link", "healthy": true, "size": 6, "source": "ledger"}
{"type": "p", "path": "pipe", "healthy": true, "size": 0, "source": ""}
`
	var paths []string
	got, err := borg.ParseItems(strings.NewReader(lines), func(it borg.Item) { paths = append(paths, it.Path) })
	if err != nil || got.Files != 2 || got.Bytes != 300 || got.Folders != 1 || got.Links != 1 || got.Others != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"ledger", "hard", "d", "link", "pipe"}, paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	for _, in := range []string{"{}", "x", `{"type": "-", "path": "a", "size": 1}`, `{"type": "-", "path": "a", "size": -1, "healthy": true}`} {
		if got, err := borg.ParseItems(strings.NewReader(in), func(borg.Item) {}); err == nil {
			t.Errorf("%s: got %+v, want an error", in, got)
		}
	}
}

func TestCheckpoints(t *testing.T) {
	t.Parallel()
	all := []borg.Archive{{Name: "a"}, {Name: "b.checkpoint"}, {Name: "b.checkpoint.1"}, {Name: "checkpoint"}}
	var names []string
	for _, a := range borg.SortArchives(all) {
		names = append(names, a.Name)
	}
	if diff := cmp.Diff([]string{"checkpoint", "a"}, names); diff != "" {
		t.Errorf("archives (-want +got):\n%s", diff)
	}
}

// TestIntegrity reads the file of a real repository, and any that is damaged
// anywhere without a crash.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	found, err := filepath.Glob(filepath.Join(r.dir, "integrity.*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v, want one integrity file", found, err)
	}
	b, err := os.ReadFile(found[0])
	must(t, err)
	if got, err := borg.ParseIntegrity(b); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v, want index and hints", got, err)
	}
	for n := range b {
		if got, err := borg.ParseIntegrity(b[:n]); err == nil {
			t.Errorf("%d bytes of it: got %v, want an error", n, got)
		}
		for bit := range 8 {
			c := append([]byte(nil), b...)
			c[n] ^= 1 << bit
			_, _ = borg.ParseIntegrity(c)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	line := func(id, text string) string {
		return `{"type": "log_message", "levelname": "ERROR", "name": "borg.archiver", "msgid": "` + id + `", "message": "` + text + `"}` + "\n"
	}
	trace := func(last string) string {
		return line("Exception", "Local Exception") + line("", `Traceback (most recent call last):\n  File \"x.py\", line 1, in main\n    f()\n`+last+`\n\nPlatform: Linux`)
	}
	remote := `{"type": "log_message", "levelname": "WARNING", "message": "Remote: `
	for _, c := range []struct{ stderr, want string }{
		{line("PassphraseWrong", "passphrase supplied in BORG_PASSPHRASE is incorrect."), "credential"},
		{line("KeyfileNotFoundError", "No key file for repository"), "credential"},
		{line("Repository.DoesNotExist", "Repository /x does not exist."), "missing"},
		{line("IntegrityError", "Data integrity error: Segment entry checksum mismatch"), "damaged"},
		{line("Repository.CheckNeeded", "Inconsistency detected."), "damaged"},
		{line("Repository.InvalidRepositoryConfig", "no repository section found"), "damaged"},
		{line("Repository.InvalidRepositoryConfig", "repository version 2 is not supported by this borg version"), "unable "},
		{trace("binascii.Error: Incorrect padding"), "damaged"},
		{trace("AssertionError"), "damaged"},
		{trace("OSError: [Errno 5] Input/output error"), "damaged"},
		{trace("FileNotFoundError: [Errno 2] No such file or directory: '/r/data/0/2'"), "damaged"},
		{trace("FileNotFoundError: [Errno 2] No such file or directory: 'ssh'"), "unable tool-missing"},
		{trace("PermissionError: [Errno 13] Permission denied: '/r/data/0/2'"), "unable refused"},
		{trace("OSError: [Errno 28] No space left on device"), "unable too-small"},
		{trace("OSError: [Errno 24] Too many open files"), "unable "},
		{trace("MemoryError"), "unable "},
		{line("ConnectionClosedWithHint", "Connection closed by remote host. Is borg working on the server?"), "unreachable"},
		{remote + `borg@vault: Permission denied (publickey)."}` + "\n" + line("ConnectionClosedWithHint", "Connection closed"), "credential"},
		{remote + `bash: borg: command not found"}` + "\n" + line("ConnectionClosedWithHint", "Connection closed"), "unable tool-missing"},
		{remote + `Host key verification failed."}` + "\n" + line("ConnectionClosedWithHint", "Connection closed"), "unreachable"},
		{line("PathNotAllowed", "Repository path not allowed: /x"), "unable refused"},
		{"usage: borg [-V] [-h]\n", "unable "},
		{"", "unable "},
	} {
		if got := borg.Judge(c.stderr, 2); got != c.want {
			t.Errorf("%s: got %q, want %q", c.stderr, got, c.want)
		}
	}
	// Progress never crowds out an error.
	crowd := strings.Repeat(`{"type": "progress_percent", "current": 1, "total": 2, "message": "Verifying data"}`+"\n", 100_000)
	if got := borg.Judge(crowd+line("IntegrityError", "x"), 2); got != "damaged" {
		t.Errorf("after much progress: got %q, want damaged", got)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source borg.Source
		want   string // "" for none
	}{
		{borg.Source{Repository: "/srv/borg"}, ""},
		{borg.Source{Repository: "ssh://u@vault:2222/./borg", PassphraseFile: "/etc/p", KeyFile: "/etc/k", Archives: "a-*"}, ""},
		{borg.Source{Repository: "borg"}, "neither an absolute folder"},
		{borg.Source{Repository: "vault:borg"}, "neither an absolute folder"},
		{borg.Source{Repository: "ssh://vault"}, "neither an absolute folder"},
		{borg.Source{Repository: "ssh://u:secret@vault/borg"}, "carries a password"},
		{borg.Source{Repository: "ssh://-oProxyCommand=x/borg"}, "dash"},
		{borg.Source{Repository: "ssh://-l@vault/borg"}, "dash"},
		{borg.Source{Repository: "ssh://vault/borg::one"}, "names an archive"},
		{borg.Source{Repository: "ssh://vault/{now}"}, "braces"},
		{borg.Source{Repository: "/srv/borg", PassphraseFile: "p"}, "passphrase_file"},
		{borg.Source{Repository: "/srv/borg", KeyFile: "k"}, "key_file"},
		{borg.Source{Repository: "/srv/borg", Archives: "["}, "archives"},
	} {
		err := c.source.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.source, err, c.want)
		}
	}
}
