package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/collector/openid"
)

// The example configuration of an agent is one an agent takes.
func TestExampleAgentConfig(t *testing.T) {
	text, err := os.ReadFile("../../deploy/agent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := agent.LoadConfig(agent.Default(), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if len(c.Allow) != 3 || c.Join == "" {
		t.Errorf("got %+v, want the example's three probes and its collector", c)
	}
}

// The example of OpenID Connect is one the collector takes, once its secret is
// there.
func TestExampleOpenID(t *testing.T) {
	text, err := os.ReadFile("../../deploy/oidc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"oidc.yaml": text, "oidc-secret": []byte("hush\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := openid.Load(filepath.Join(dir, "oidc.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Roles) != 5 || c.Title != "Acme" {
		t.Errorf("got %+v, want the example's five roles", c)
	}
}

// systemd takes the units as they are, without a warning, and finds them well
// shut in.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd-analyze is missing: make test installs it")
		}
		t.Skip("systemd-analyze is missing")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"holdfast-collector.service", "holdfast-agent.service"} {
		text, err := os.ReadFile("../../deploy/systemd/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), unit)
		if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("/usr/bin/holdfast"), []byte(binary)), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("systemd-analyze verify %s: %v\n%s", unit, err, out)
		}
		// Exposure as systemd counts it: 0 shut in, 10 open.
		out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=30", "--no-pager", file).CombinedOutput()
		if err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			t.Errorf("systemd-analyze security %s: %v: %s", unit, err, lines[len(lines)-1])
		}
	}
}
