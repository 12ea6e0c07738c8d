package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Policy is the law of the host: which checks may run here, and with which
// programs.
type Policy struct {
	config Config
	safe   map[string]bool // first-party probes that run without being named
	dirs   []string        // where programs are looked for that the configuration does not pin
}

// NewPolicy returns the policy of a configuration. FirstParty describes the
// probes that come with Holdfast.
func NewPolicy(c Config, firstParty []holdfast.Description) *Policy {
	p := &Policy{config: c, safe: map[string]bool{}, dirs: []string{"/usr/bin", "/usr/local/bin"}}
	for _, d := range firstParty {
		p.safe[d.Name] = d.Privileges.Safe()
	}
	return p
}

// Permit reports why a check may not run here, or nil. It reads neither the
// collector's mind nor the probe's answer: only the probe's name, what the probe
// says it needs, and the check's settings. The error is for people and names the
// key to change.
func (p *Policy) Permit(check holdfast.Check, d holdfast.Description) error {
	if err := p.PermitName(check.Probe); err != nil {
		return err
	}
	if !d.Privileges.Command {
		return nil
	}
	program, err := commandOf(check.With)
	if err != nil {
		return err
	}
	if !slices.Contains(p.config.Commands, program) {
		return fmt.Errorf("%s would run %q, which is not among this host's commands\nhint: to permit it, add it to commands: in the agent's configuration", check.Probe, program)
	}
	return nil
}

// PermitName is Permit as far as the probe's name decides, before anything of
// the probe was started.
func (p *Policy) PermitName(probe string) error {
	if p.config.AllowSafe && p.safe[probe] {
		return nil
	}
	for _, pattern := range p.config.Allow {
		if ok, err := path.Match(pattern, probe); err == nil && ok {
			return nil
		}
	}
	return fmt.Errorf("this host does not allow %s\nhint: to permit it, add it to allow: in the agent's configuration", probe)
}

// commandOf returns the program that the setting "command" names: its text, or
// the first of its list.
func commandOf(with holdfast.Settings) (string, error) {
	var settings struct {
		Command json.RawMessage `json:"command"`
	}
	var program string
	var argv []string
	if with != "" {
		if err := json.Unmarshal([]byte(with), &settings); err != nil {
			return "", fmt.Errorf("settings: %w", err)
		}
	}
	if err := json.Unmarshal(settings.Command, &argv); err == nil && len(argv) > 0 {
		program = argv[0]
	} else if err := json.Unmarshal(settings.Command, &program); err != nil {
		return "", fmt.Errorf("the setting command names no program")
	}
	return program, absolute(program)
}

// Tools returns the absolute paths of the programs a probe runs: those the
// configuration pins, else those found in the default folders. What is not found
// is absent, and the probe says so.
func (p *Policy) Tools(d holdfast.Description) map[string]string {
	tools := map[string]string{}
	for _, name := range d.Privileges.Tools {
		if file, ok := p.config.Tools[name]; ok {
			tools[name] = file
			continue
		}
		if strings.Contains(name, "/") {
			continue
		}
		for _, dir := range p.dirs {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
				tools[name] = file
				break
			}
		}
	}
	return tools
}
