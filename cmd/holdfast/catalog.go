package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/plugins"
)

func catalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "Check the catalogue of services, and describe it to editors",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(catalogValidateCommand(), catalogSchemaCommand())
	return cmd
}

func catalogValidateCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "validate DIR",
		Short: "Read a catalogue and print every fault in it",
		Long: `Read the *.yaml and *.yml files of DIR as the collector does and print every
fault, each with its file, line and column, the path of its key and a hint.

Exit code 0: the collector would accept it; warnings are printed. 1: it would
refuse it and keep the last good one in force.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return validateCatalog(cmd, args[0], output == "json")
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func catalogSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the catalogue's documents, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of the catalogue's documents. An editor that
speaks the YAML language server completes keys and marks mistakes once the first
line of a file reads

  # yaml-language-server: $schema=PATH/holdfast-catalog.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(catalog.Schema())
			return err
		},
	}
}

// validation is what `catalog validate` answers as JSON.
type validation struct {
	Schema   string          `json:"schema"`
	Valid    bool            `json:"valid"`
	Hash     string          `json:"hash,omitempty"`
	Counts   *catalogCounts  `json:"counts,omitempty"`
	Errors   []catalog.Fault `json:"errors"`
	Warnings []catalog.Fault `json:"warnings"`
}

type catalogCounts struct {
	Services int `json:"services"`
	Judged   int `json:"judged"` // services with a BIA
	Sites    int `json:"sites"`
	Teams    int `json:"teams"`
	Plans    int `json:"plans"`
	Paths    int `json:"paths"`
	Checks   int `json:"checks"`
	Agents   int `json:"agents"` // named by checks
}

func validateCatalog(cmd *cobra.Command, dir string, asJSON bool) error {
	v := validation{Schema: "holdfast.catalog/v1", Errors: []catalog.Fault{}, Warnings: []catalog.Fault{}}
	c, err := catalog.Load(dir, catalog.Options{
		Probes: probesByName(),
		Costs:  score.Codes(),
		Warn:   func(f catalog.Fault) { v.Warnings = append(v.Warnings, f) },
	})
	place(v.Warnings, dir)
	var faults catalog.Errors
	switch {
	case errors.As(placed(err, dir), &faults):
		v.Errors = append(v.Errors, faults...)
	case err != nil:
		return err
	default:
		v.Valid, v.Hash, v.Counts = true, c.Hash, countCatalog(c)
	}
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), v)
	} else {
		_, err = cmd.OutOrStdout().Write(v.text(dir))
	}
	if err == nil && !v.Valid {
		return exitError{code: exitFailed} // what is wrong has been said
	}
	return err
}

// placed makes the places of a catalogue's faults those the reader of the command
// line knows: below dir, as it was given.
func placed(err error, dir string) error {
	var faults catalog.Errors
	if errors.As(err, &faults) {
		place(faults, dir)
	}
	return err
}

func place(faults []catalog.Fault, dir string) {
	for i := range faults {
		faults[i].File = filepath.Join(dir, faults[i].File)
	}
}

// probesByName returns what the first-party probes are.
func probesByName() map[string]holdfast.Description {
	probes := make(map[string]holdfast.Description)
	for _, d := range plugins.Descriptions() {
		probes[d.Name] = d
	}
	return probes
}

func countCatalog(c *holdfast.Catalogue) *catalogCounts {
	n := &catalogCounts{Services: len(c.Services), Sites: len(c.Sites), Teams: len(c.Teams), Plans: len(c.Plans)}
	for _, s := range c.Services {
		n.Paths += len(s.Paths)
		if s.BIA != nil {
			n.Judged++
		}
	}
	agents := make(map[string]bool)
	for k := range c.Checks {
		n.Checks++
		agents[k.On] = true
	}
	n.Agents = len(agents)
	return n
}

// text writes the answer for people: faults with the line they stand in, then
// one line that sums up.
func (v validation) text(dir string) []byte {
	var b bytes.Buffer
	for _, f := range v.Errors {
		writeFault(&b, f)
	}
	for _, f := range v.Warnings {
		f.Problem = "warning: " + f.Problem
		writeFault(&b, f)
	}
	if v.Valid {
		fmt.Fprintf(&b, "%s is a good catalogue: %s (%d judged), %s, %s, %s, %s, %s on %s; %s\n", clean(dir),
			plural(v.Counts.Services, "service"), v.Counts.Judged, plural(v.Counts.Paths, "path"), plural(v.Counts.Sites, "site"),
			plural(v.Counts.Plans, "plan"), plural(v.Counts.Teams, "team"), plural(v.Counts.Checks, "check"),
			plural(v.Counts.Agents, "agent"), plural(len(v.Warnings), "warning"))
	} else {
		fmt.Fprintf(&b, "%s is refused: %s\n", clean(dir), plural(len(v.Errors), "error"))
	}
	return b.Bytes()
}

func writeFault(b *bytes.Buffer, f catalog.Fault) {
	fmt.Fprintln(b, clean(f.String()))
	for line := range strings.Lines(f.Excerpt) {
		fmt.Fprintln(b, "    "+clean(strings.TrimSuffix(line, "\n")))
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
