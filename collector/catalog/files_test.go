package catalog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

// tree writes files by their path below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadWhichFiles(t *testing.T) {
	dir := tree(t, map[string]string{
		"a.yaml": "site: a\n---\n# nothing\n---\nsite: a2\n", "b.yml": "site: b", "below/further/c.yaml": "site: c",
		".hidden.yaml": "site: hidden", ".git/d.yaml": "site: git", "e.yaml.bak": "site: bak", "README.md": "# site",
	})
	link := filepath.Join(t.TempDir(), "current")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	// As a volume of a container platform links its files.
	if err := os.Symlink(filepath.Join(dir, "e.yaml.bak"), filepath.Join(dir, "linked.yaml")); err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Load(link, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range c.Sites {
		got = append(got, s.Name)
	}
	if diff := cmp.Diff(got, []string{"a", "a2", "b", "bak", "c"}); diff != "" {
		t.Errorf("sites (-got +want):\n%s", diff)
	}
}

func TestLoadRefusesFiles(t *testing.T) {
	big := tree(t, map[string]string{"a.yaml": strings.Repeat("#", 4<<20+1)})
	file := filepath.Join(tree(t, map[string]string{"a.yaml": "site: a"}), "a.yaml")
	many := tree(t, map[string]string{"0.yaml": ""})
	for i := range 10_000 {
		if err := os.Link(filepath.Join(many, "0.yaml"), filepath.Join(many, fmt.Sprintf("%d.yaml", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	pipe := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(pipe, "a.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(dangling, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		big:                              "a.yaml is larger than 4 MiB: split it",
		file:                             "is not a directory: name the directory that holds the YAML files",
		many:                             "more than 10000 files",
		pipe:                             "a.yaml is not a regular file",
		dangling:                         "a.yaml: no such file or directory",
		t.TempDir():                      "no *.yaml or *.yml file in",
		filepath.Join(t.TempDir(), "no"): "no such file or directory",
	} {
		if _, err := catalog.Load(dir, catalog.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestHash(t *testing.T) {
	seen := make(map[string]bool)
	for _, files := range []map[string][]byte{
		{"a.yaml": []byte("site: a\n")}, {"b.yaml": []byte("site: a\n")}, {"a.yaml": []byte("site: a\n#\n")},
		{"a.yaml": []byte("site: a\n"), "b.yaml": nil},
	} {
		c, err := catalog.Parse(files, catalog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if seen[c.Hash] {
			t.Errorf("%v has the hash of other files", files)
		}
		seen[c.Hash] = true
	}
}

// TestTimeouts takes deadlines from the probe's cost, and always below the interval.
func TestTimeouts(t *testing.T) {
	c, err := catalog.Parse(map[string][]byte{"a.yaml": []byte(`
service: a
tier: 4
bia: {rto: 1h, rpo: 1h}
data:
  cheap: {probe: other.plugin, on: h, every: 5m}
  heavy: {probe: files.copy, on: h, every: 2h}
  io: {probe: files.archive, on: h, every: 5m, with: {directory: /srv}}
  often: {probe: files.copy, on: h, every: 10s}
  own: {probe: files.copy, on: h, every: 1h, timeout: 59m}
`)}, catalog.Options{Probes: probes()})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for k := range c.Checks {
		got[k.ID] = k.Timeout.String()
	}
	want := map[string]string{"a/cheap/primary": "10s", "a/heavy/primary": "1h", "a/io/primary": "2m", "a/often/primary": "9s", "a/own/primary": "59m"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("timeouts (-got +want):\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	var got []string
	_, err := catalog.Parse(map[string][]byte{"a.yaml": []byte(`
service: a
tier: 1
data:
  d: {probe: files.archive, on: h, every: 5m}
  secret: {probe: my.own, on: h, every: 5m, with: {password: hunter2, db: {api_token: x, password_file: /etc/pw}, url: "https://me:pw@example.org/", ok: "https://example.org:443/@me"}}
paths:
  p: {needs: [{attest: exit, every: 1y}]}
---
scenario: nothing
`)}, catalog.Options{Probes: probes(), Warn: func(f catalog.Fault) { got = append(got, f.String()) }})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a.yaml:2:1: service.a: the service has no bia: it is not judged; state bia: {rto: …, rpo: …}",
		"a.yaml:5:6: service.a.data.d.with: `files.archive` needs the setting `directory`; without it the check is unknown",
		"a.yaml:6:62: service.a.data.secret.with.password: looks like a secret; secrets never stand in the catalogue: name a file that the agent reads on its own host",
		"a.yaml:6:87: service.a.data.secret.with.db.api_token: looks like a secret; secrets never stand in the catalogue: name a file that the agent reads on its own host",
		"a.yaml:6:120: service.a.data.secret.with.url: looks like a secret; secrets never stand in the catalogue: name a file that the agent reads on its own host",
		"a.yaml:8:6: service.a.paths.p: the path covers no scenario: it is never taken; state covers: [data-corruption, …]",
		"a.yaml:8:15: service.a.paths.p.needs[0]: the need does not say who attests; state by: ROLE",
		"a.yaml:10:1: scenario.nothing: the scenario takes nothing out; list sites, hosts, suppliers or teams, or say data: damaged",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("warnings (-got +want):\n%s", diff)
	}
}

// TestTrueStatements reads what is unwise, and true: no fault.
func TestTrueStatements(t *testing.T) {
	c, err := catalog.Parse(map[string][]byte{"a.yaml": []byte(`
site: fra
---
service: a
owner: nobody we know
tier: 1
bia: {rto: 3d, rpo: 3d, mtpd: 1h, wrt: 5h}
depends_on: [{service: b}]
data: {d: {copies: {r: {kind: replica}}}, left-out: {}}
paths:
  p: {covers: [site-loss, ransomware], at: fra, from: [d/r]}
---
service: b
tier: 4
depends_on: [{service: a, kind: recovery}]
`)}, catalog.Options{})
	if err != nil {
		t.Fatalf("got %v, want it accepted", err)
	}
	want := []holdfast.Dependency{{Service: "b", Kind: holdfast.Required}}
	if diff := cmp.Diff(c.Service("a").DependsOn, want); diff != "" {
		t.Errorf("dependencies (-got +want):\n%s", diff)
	}
}
