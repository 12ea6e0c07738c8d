package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-monitor/holdfast/agent/discover"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// drafted is what `discover --write` answers as JSON.
type drafted struct {
	Schema   string         `json:"schema"` // "holdfast.discover-write/v1"
	File     string         `json:"file"`
	Services []string       `json:"services"`
	Allow    []string       `json:"allow"` // what the agent's configuration must name
	Asks     []discover.Ask `json:"asks"`  // what is still to be supplied
}

// draft writes a starting catalogue for a host beside what the folder has.
func (d *discovery) draft(cmd *cobra.Command, r discover.Report) error {
	if err := os.MkdirAll(d.write, 0o755); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	if err := d.readNames(); err != nil {
		return err
	}
	made := discover.Draft(r, d.terms)
	if len(made.Services) == 0 {
		return exitf(exitNotFound, "nothing was found on %s to write a catalogue of\nhint: run it as root, on the host that holds the data", clean(made.Host))
	}
	file := filepath.Join(d.write, made.Host+".yaml")
	if err := writeNew(file, made.Text); err != nil {
		return err
	}
	if _, err := d.load(); err != nil { // it was made to be good: what is not is a fault here
		return fmt.Errorf("%s was written and is no good catalogue: %w\nhint: mend it by hand, and please report this", clean(file), placed(err, d.write))
	}
	answer := drafted{Schema: "holdfast.discover-write/v1", File: file, Services: made.Services, Allow: notNil(made.Allow), Asks: notNil(made.Asks)}
	if d.output == "json" {
		return writeJSON(cmd.OutOrStdout(), answer)
	}
	agent := d.terms.Agent
	if agent == "" {
		agent = made.Host
	}
	return answer.print(cmd.OutOrStdout(), d.write, agent)
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// writeNew writes a file that is not there yet.
func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return exitf(exitFailed, "%s exists, and nothing is overwritten\nhint: move it away, or write into another folder and compare", clean(file))
	}
	if err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	return nil
}

func (d *discovery) load() (names discover.Terms, err error) {
	c, err := catalog.Load(d.write, catalog.Options{Probes: probesByName(), Costs: score.Codes()})
	if err != nil {
		return names, err
	}
	for _, s := range c.Sites {
		names.Sites = append(names.Sites, s.Name)
	}
	for _, t := range c.Teams {
		names.Teams = append(names.Teams, t.Name)
	}
	for _, s := range c.Services {
		names.Services = append(names.Services, s.Name)
	}
	return names, nil
}

// readNames learns what a catalogue that is there has already.
func (d *discovery) readNames() error {
	d.terms.Probes = map[string]bool{}
	for name, p := range probesByName() {
		d.terms.Probes[name] = p.Privileges.Safe()
	}
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		if files, _ := filepath.Glob(filepath.Join(d.write, pattern)); len(files) == 0 {
			continue
		}
		there, err := d.load()
		if err != nil {
			return fmt.Errorf("the catalogue in %s has faults, and is left as it is: %w\nhint: holdfast catalog validate %s", clean(d.write), placed(err, d.write), clean(d.write))
		}
		d.terms.Sites, d.terms.Teams, d.terms.Services = there.Sites, there.Teams, there.Services
		return nil
	}
	return nil
}

func (a drafted) print(w io.Writer, dir, agent string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", clean(a.File), plural(len(a.Services), "service"))
	for _, s := range a.Services {
		fmt.Fprintf(&b, "  %s\n", clean(s))
	}
	if len(a.Asks) > 0 {
		b.WriteString("\nStill needed on this host, readable by the agent's user alone:\n")
		for _, ask := range a.Asks {
			fmt.Fprintf(&b, "  %s\n    %s\n", clean(ask.Where), clean(ask.What))
		}
	}
	fmt.Fprintf(&b, "\nNext:\n  holdfast catalog validate %s\n  holdfast collector token --agent %s     (on the collector)\n", clean(dir), clean(agent))
	if len(a.Allow) > 0 {
		fmt.Fprintf(&b, "These probes read secrets or write in scratch; the agent runs them if /etc/holdfast/agent.yaml says\n  allow: [%s]\n", strings.Join(a.Allow, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
