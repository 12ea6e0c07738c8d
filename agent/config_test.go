package agent_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
)

func TestConfigBad(t *testing.T) {
	files, _ := filepath.Glob("testdata/config/*.yaml")
	if len(files) < 8 {
		t.Fatalf("%d bad configurations, want at least 8", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			_, err = agent.ParseConfig(agent.Default(), filepath.Base(file), text)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(err.Error()+"\n", string(want)); diff != "" {
				t.Errorf("error (-got +want):\n%s", diff)
			}
		})
	}
}

func TestConfigGood(t *testing.T) {
	text := `# the owner of this host decides
data: /srv/agent
join: collector.example.org:8481
token_file: /etc/holdfast/token
allow: [restic.*, files.archive]
allow_safe: false
tools: {restic: /opt/restic/restic}
commands: [/usr/local/bin/check_ledger]
plugins: {/opt/holdfast/tape: "sha256:` + strings.Repeat("ab", 32) + `"}
discover: 6h
discover_except: [/srv/test-*]
spool_bytes: 256MiB
spool_age: 14d
log_level: debug
log_format: json
`
	got, err := agent.ParseConfig(agent.Default(), "agent.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := agent.Config{
		Data: "/srv/agent", Join: "collector.example.org:8481", TokenFile: "/etc/holdfast/token",
		Allow: []string{"restic.*", "files.archive"}, Tools: map[string]string{"restic": "/opt/restic/restic"},
		Commands: []string{"/usr/local/bin/check_ledger"}, Plugins: map[string]string{"/opt/holdfast/tape": "sha256:" + strings.Repeat("ab", 32)},
		Discover: holdfast.Duration(6 * time.Hour), DiscoverExcept: []string{"/srv/test-*"}, SpoolBytes: 256 << 20, SpoolAge: 14 * holdfast.Day, LogLevel: slog.LevelDebug, LogFormat: "json",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("configuration (-got +want):\n%s", diff)
	}
	for _, s := range agent.Settings() {
		if !strings.Contains(text, "\n"+s.Key+":") {
			t.Errorf("this test does not know the key %s", s.Key)
		}
	}
	if got, err := agent.ParseConfig(want, "agent.yaml", []byte("# nothing\n")); err != nil || cmp.Diff(got, want) != "" {
		t.Errorf("an empty file changes the configuration to %+v, %v", got, err)
	}
}

func TestLoadConfigTrustsOnlyTheHostsOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte("allow: [a.b]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := agent.LoadConfig(agent.Default(), file); err != nil || len(c.Allow) != 1 {
		t.Errorf("a file only its owner writes gives %+v, %v", c, err)
	}
	if err := os.Chmod(file, 0o664); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.LoadConfig(agent.Default(), file); err == nil || !strings.Contains(err.Error(), "hint: chmod go-w") {
		t.Errorf("a file that a group writes gives %v, want a refusal with a hint", err)
	}
	if os.Geteuid() != 0 {
		return // giving files away needs root
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 4711, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chown(file, 0, 0) })
	// A process of user 0 may let root alone decide; any other may let itself.
	if _, err := agent.LoadConfig(agent.Default(), file); err == nil || !strings.Contains(err.Error(), "belongs to user 4711") {
		t.Errorf("a file of a stranger gives %v, want a refusal", err)
	}
}
