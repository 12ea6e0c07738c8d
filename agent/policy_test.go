package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
)

func TestPolicyPermit(t *testing.T) {
	disk := holdfast.Description{Name: "host.disk"}
	repository := holdfast.Description{Name: "restic.repository", Privileges: holdfast.Privileges{Secrets: true}}
	restore := holdfast.Description{Name: "restic.restore", Privileges: holdfast.Privileges{Secrets: true, Writes: true}}
	run := holdfast.Description{Name: "script.run", Privileges: holdfast.Privileges{Command: true}}
	tape := holdfast.Description{Name: "tape.drive"} // an outside plugin's
	firstParty := []holdfast.Description{disk, repository, restore, run}
	const named = `{"command":["/usr/local/bin/check","--all"]}`
	standard := agent.Default()
	tests := map[string]struct {
		change func(*agent.Config)
		probe  holdfast.Description
		with   holdfast.Settings
		want   string // in the error; "": permitted
	}{
		"safe probes run unnamed":        {probe: disk},
		"those with secrets do not":      {probe: repository, want: "does not allow restic.repository"},
		"nor outside plugins":            {probe: tape, want: "add it to allow:"},
		"a name allows":                  {change: func(c *agent.Config) { c.Allow = []string{"restic.repository"} }, probe: repository},
		"and nothing else":               {change: func(c *agent.Config) { c.Allow = []string{"restic.repository"} }, probe: restore, want: "does not allow restic.restore"},
		"a glob allows":                  {change: func(c *agent.Config) { c.Allow = []string{"restic.*"} }, probe: restore},
		"a glob is no prefix":            {change: func(c *agent.Config) { c.Allow = []string{"tap"} }, probe: tape, want: "does not allow"},
		"an outside plugin by name":      {change: func(c *agent.Config) { c.Allow = []string{"tape.*"} }, probe: tape},
		"safe ones only by name":         {change: func(c *agent.Config) { c.AllowSafe = false }, probe: disk, want: "does not allow host.disk"},
		"a command needs more":           {change: func(c *agent.Config) { c.Allow = []string{"*"} }, probe: run, with: named, want: `"/usr/local/bin/check", which is not among this host's commands`},
		"a command by path":              {change: func(c *agent.Config) { c.Allow, c.Commands = []string{"*"}, []string{"/usr/local/bin/check"} }, probe: run, with: named},
		"as text":                        {change: func(c *agent.Config) { c.Allow, c.Commands = []string{"*"}, []string{"/bin/true"} }, probe: run, with: `{"command":"/bin/true"}`},
		"not by another way to it":       {change: func(c *agent.Config) { c.Allow, c.Commands = []string{"*"}, []string{"/bin/true"} }, probe: run, with: `{"command":"/bin/../bin/true"}`, want: "not a plain absolute path"},
		"a command does not allow":       {change: func(c *agent.Config) { c.Commands = []string{"/usr/local/bin/check"} }, probe: run, with: named, want: "does not allow script.run"},
		"a command must be named at all": {change: func(c *agent.Config) { c.Allow = []string{"*"} }, probe: run, want: "names no program"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := standard
			if tt.change != nil {
				tt.change(&c)
			}
			err := agent.NewPolicy(c, firstParty).Permit(holdfast.Check{Probe: tt.probe.Name, With: tt.with}, tt.probe)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestPolicyTools(t *testing.T) {
	usr, local, elsewhere := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "borg")
	for _, file := range []string{filepath.Join(usr, "restic"), filepath.Join(local, "restic"), filepath.Join(local, "tar"), elsewhere} {
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(usr, "notes"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := agent.Default()
	c.Tools = map[string]string{"borg": elsewhere}
	p := agent.NewPolicy(c, nil)
	agent.SetToolDirs(p, usr, local)
	got := p.Tools(holdfast.Description{Privileges: holdfast.Privileges{
		Tools: []string{"restic", "tar", "borg", "notes", "missing", "../" + filepath.Base(local) + "/tar"}}})
	want := map[string]string{"restic": filepath.Join(usr, "restic"), "tar": filepath.Join(local, "tar"), "borg": elsewhere}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("tools (-got +want):\n%s", diff)
	}
}
