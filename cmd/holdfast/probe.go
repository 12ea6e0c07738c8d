package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/plugins"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// exitCouldNotTell is the fourth exit code of monitoring plugins, UNKNOWN. The
// first three are the outcomes ok, degraded, failed.
const exitCouldNotTell = 3

func probeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "List, describe and try probes on this host, without a collector",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(probeListCommand(), probeDescribeCommand(), probeRunCommand())
	return cmd
}

func probeListCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the probes that come with Holdfast",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := plugins.Descriptions()
			if output == "json" {
				for i := range all {
					all[i] = withoutNull(all[i])
				}
				return writeJSON(cmd.OutOrStdout(), map[string]any{"probes": all})
			}
			t := &table{}
			t.row("PROBE", "COST", "NEEDS", "OBSERVES")
			for _, d := range all {
				t.row(d.Name, string(d.Cost), needs(d.Privileges), d.Observes)
			}
			_, err := t.WriteTo(cmd.OutOrStdout())
			return err
		},
	}
	addOutput(cmd, &output)
	return cmd
}

// needs says in a word or two what a probe must be allowed to do.
func needs(p holdfast.Privileges) string {
	var all []string
	for _, n := range []struct {
		is   bool
		word string
	}{{p.Writes, "writes"}, {p.Secrets, "secrets"}, {p.Command, "command"}} {
		if n.is {
			all = append(all, n.word)
		}
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ",")
}

// withoutNull makes lists that are empty print as such.
func withoutNull(d holdfast.Description) holdfast.Description {
	if d.Reasons == nil {
		d.Reasons = []holdfast.Reason{}
	}
	if d.Target == nil {
		d.Target = []string{}
	}
	if d.Privileges.Tools == nil {
		d.Privileges.Tools = []string{}
	}
	return d
}

func probeDescribeCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "describe NAME",
		Short:             "Say what a probe observes, its settings and what it needs",
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeProbe,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := findProbe(plugins.Descriptions(), args[0])
			if err != nil {
				return exitError{exitNotFound, err}
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), withoutNull(d))
			}
			return describeTable(cmd.OutOrStdout(), d)
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func completeProbe(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if len(args) == 0 {
		for _, d := range plugins.Descriptions() {
			names = append(names, d.Name+"\t"+d.Observes)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func findProbe(all []holdfast.Description, name string) (holdfast.Description, error) {
	var names []string
	for _, d := range all {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	hint := "holdfast probe list shows them all"
	if near := probe.Nearest(name, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	return holdfast.Description{}, fmt.Errorf("there is no probe %q\nhint: %s", name, hint)
}

// probeRun is the command line of probe run.
type probeRun struct {
	output, scratch string
	set, tools      []string
	timeout         holdfast.Duration
}

func probeRunCommand() *cobra.Command {
	var r probeRun
	cmd := &cobra.Command{
		Use:   "run NAME",
		Short: "Run a probe once on this host and print what it saw",
		Long: `Run a probe once on this host, as the agent would, and print what it saw.

The exit code is that of monitoring plugins: 0 ok, 1 degraded, 2 failed, 3 could
not tell, which is also the code of a mistake on the command line.
The agent's own policy is not asked: who runs this command has their own rights.`,
		Example: `  holdfast probe run host.disk --set path=/srv --set free=200GiB
  holdfast probe run net.tls --set address=shop.example.org:443 --output json`,
		Args:              couldNotTellArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeProbe,
		RunE:              func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0]) },
	}
	addOutput(cmd, &r.output)
	goodOutput := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error { return couldNotTell(goodOutput(cmd, args)) }
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return couldNotTell(usageError(cmd, err)) })
	cmd.Flags().StringArrayVar(&r.set, "set", nil, "`key=value` of a setting (may be repeated; a repeated list grows)")
	cmd.Flags().StringArrayVar(&r.tools, "tool", nil, "`name=/path` of a program the probe runs (default: looked up in /usr/bin and /usr/local/bin)")
	cmd.Flags().TextVar(&r.timeout, "timeout", holdfast.Duration(0), "`duration` before it is ended, like 30s (default: by the probe's cost)")
	cmd.Flags().StringVar(&r.scratch, "scratch", os.TempDir(), "`folder` below which the probe may write; emptied afterwards")
	return cmd
}

// couldNotTell gives any error the exit code of "could not tell".
func couldNotTell(err error) error {
	if err == nil {
		return nil
	}
	return exitError{exitCouldNotTell, err}
}

func couldNotTellArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return couldNotTell(usageArgs(check)(cmd, args)) }
}

// seen is what probe run prints as JSON.
type seen struct {
	Probe string            `json:"probe"`
	Took  holdfast.Duration `json:"took"`
	holdfast.Observation
}

// run carries out the probe and answers with its exit code.
func (r *probeRun) run(cmd *cobra.Command, name string) error {
	began := time.Now()
	o, err := r.observe(cmd.Context(), cmd.ErrOrStderr(), name)
	if errors.Is(cmd.Context().Err(), context.Canceled) {
		return err
	}
	if err != nil {
		o = holdfast.Observation{At: began.UTC(), Check: name, Outcome: holdfast.OutcomeUnknown, Reason: probe.ReasonOf(err), Summary: oneLine(err)}
	}
	took := holdfast.Duration(time.Since(began))
	if r.output == "json" {
		err = writeJSON(cmd.OutOrStdout(), seen{name, took, o})
	} else {
		err = observationTable(cmd.OutOrStdout(), o, time.Now())
	}
	code, ok := map[holdfast.Outcome]int{holdfast.OK: 0, holdfast.OutcomeDegraded: 1, holdfast.Failed: 2}[o.Outcome]
	switch {
	case err != nil:
		return couldNotTell(err)
	case !ok:
		code = exitCouldNotTell
	case code == 0:
		return nil
	}
	return exitError{code, nil}
}

// oneLine makes a summary of an error that may have several lines.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func (r *probeRun) observe(ctx context.Context, narration io.Writer, name string) (holdfast.Observation, error) {
	byPlugin := plugins.ByPlugin()
	d, err := findProbe(plugins.Descriptions(), name)
	if err != nil {
		return holdfast.Observation{}, err
	}
	with, err := settingsFrom(d.Settings, r.set)
	if err != nil {
		return holdfast.Observation{}, err
	}
	tools := agent.NewPolicy(agent.Default(), nil).Tools(d)
	for _, pin := range r.tools {
		tool, path, ok := strings.Cut(pin, "=")
		if !ok || !filepath.IsAbs(path) {
			return holdfast.Observation{}, fmt.Errorf("--tool %q: write it like restic=/opt/restic/bin/restic", pin)
		}
		tools[tool] = path
	}
	dir, err := os.MkdirTemp(r.scratch, "holdfast-probe-")
	if err != nil {
		return holdfast.Observation{}, fmt.Errorf("make scratch folder: %w", err)
	}
	defer os.RemoveAll(dir)
	// What a plugin says is told with its failure; a log would say it twice.
	host, err := agent.NewPlugins(agent.PluginsConfig{FirstParty: byPlugin, Dir: dir, Log: slog.New(slog.DiscardHandler), Protected: agent.DatabaseFolders})
	if err != nil {
		return holdfast.Observation{}, err
	}
	timeout := r.timeout
	if timeout == 0 {
		timeout = d.Cost.Timeout(holdfast.Year)
	}
	p := newProgress(narration)
	defer p.end()
	o, err := host.Observe(probe.WithProgress(ctx, p.tell), holdfast.Check{ID: name, Probe: name, Timeout: timeout, With: with}, tools)
	return o, errors.Join(err, host.Close())
}
