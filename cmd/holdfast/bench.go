package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/cmd/holdfast/bench"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine: how much a collector takes in, how fast news travels",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchIngestCommand(), benchAlertCommand())
	return cmd
}

func benchIngestCommand() *cobra.Command {
	o := bench.Options{Program: "/proc/self/exe", Agents: 2000, Results: 50, Services: 10_000, Outstanding: 320, Burst: 8}
	duration := holdfast.Duration(30 * time.Second)
	var output string
	cmd := &cobra.Command{
		Use:   "ingest --data DIR",
		Short: "Report to a real collector as fast as it acknowledges, then look every report up",
		Long: `Report to a real collector as fast as it acknowledges, then look every report up.

Two processes on this machine: the collector with a catalogue of ten checks a
service, judging all the while, and this one, which is all the agents. Each agent
joins by its own token and speaks the agents' protocol over mutual TLS with its own
certificate. In every report all times are new and all numbers changed; of the
results 1 % change their outcome and 0.1 % their text. --unchanged measures the
quiet case: only times are new.

Afterwards the collector is stopped, its store opened again, and every report it
acknowledged is looked up there: exit 1 if one is missing. The data folder must be
empty, and stays, with the collector's log.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Duration, o.Progress = duration.Std(), cmd.ErrOrStderr()
			if err := o.Check(); err != nil {
				return usageError(cmd, err)
			}
			r, err := bench.Run(cmd.Context(), o)
			if err != nil && !errors.Is(err, bench.ErrLost) {
				return err
			}
			if output == "json" {
				return errors.Join(err, writeJSON(cmd.OutOrStdout(), r))
			}
			return errors.Join(err, writeBench(cmd.OutOrStdout(), r))
		},
	}
	addOutput(cmd, &output)
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", "", "empty `folder` for everything, on the disk to measure")
	f.Var(durationFlag{&duration}, "duration", "how long to measure, after a short warming up")
	f.IntVar(&o.Agents, "agents", o.Agents, "agents, each with its own certificate and connection")
	f.IntVar(&o.Results, "results", o.Results, "results of one report")
	f.IntVar(&o.Services, "services", o.Services, "services of the catalogue, ten checks each")
	f.IntVar(&o.Outstanding, "outstanding", o.Outstanding, "reports under way at once, over all agents")
	f.IntVar(&o.Burst, "burst", o.Burst, "reports under way at once of one agent")
	f.IntVar(&o.Kills, "kills", 0, "kill -9 the collector so many times under load first, and look each time")
	f.BoolVar(&o.Unchanged, "unchanged", false, "only times are new")
	return cmd
}

func benchAlertCommand() *cobra.Command {
	o := bench.AlertOptions{Program: "/proc/self/exe", Services: 10_000, Down: 500, Agents: 2000, Rounds: 2}
	var output string
	cmd := &cobra.Command{
		Use:   "alert --data DIR",
		Short: "Damage repositories that many services need, and time their alerts",
		Long: `Damage repositories that many services need, and time their alerts.

A real collector judges a catalogue of services, of which so many need the same
repository. An agent reports one repository after the other as damaged, and then as
mended; what is timed goes from the report's acknowledgement to the receipt of
the one alert by this process, which speaks for an Alertmanager. With
--alertmanager every notice is handed on to a real one, and counts as received once
that has answered. The data folder must be empty, and stays.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = cmd.ErrOrStderr()
			if err := o.Check(); err != nil {
				return usageError(cmd, err)
			}
			r, err := bench.RunAlert(cmd.Context(), o)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			var t table
			t.row("firing", fmt.Sprintf("p50 %.0f ms, p99 %.0f ms, longest %.0f ms", r.P50, r.P99, r.Max))
			t.row("resolved", fmt.Sprintf("p50 %.0f ms, p99 %.0f ms, longest %.0f ms", r.EndP50, r.EndP99, r.EndMax))
			t.row("notices", fmt.Sprintf("%d about %d repositories in %d rounds", r.Notices, r.Services/r.Down, r.Rounds))
			t.row("effect", r.Effect)
			_, err = t.WriteTo(cmd.OutOrStdout())
			return err
		},
	}
	addOutput(cmd, &output)
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", "", "empty `folder` for everything")
	f.IntVar(&o.Services, "services", o.Services, "services of the catalogue, ten checks each")
	f.IntVar(&o.Down, "down", o.Down, "services that need the same repository")
	f.IntVar(&o.Agents, "agents", o.Agents, "agents")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "how often every repository is damaged and mended: once or twice")
	f.StringVar(&o.Alertmanager, "alertmanager", "", "`URL` of an Alertmanager that gets every notice too")
	return cmd
}

// writeBench shows what was measured, for people.
func writeBench(w io.Writer, r bench.Result) error {
	var t table
	row := func(what, format string, args ...any) { t.row(what, fmt.Sprintf(format, args...)) }
	row("results acknowledged", "%.0f/s", r.ResultsPerSecond)
	row("report to acknowledgement", "p50 %.1f ms, p99 %.1f ms, longest %.1f ms", r.P50, r.P99, r.Max)
	row("collector", "%.2f µs of CPU a result, %.2f cores; generator %.2f cores", r.CPUPerResult, r.CollectorCores, r.GeneratorCores)
	row("memory", "%v resident, %v of it the collector's own", holdfast.Bytes(r.RSS), holdfast.Bytes(r.Heap))
	row("disk", "%.0f fsync/s, %.0f reports a commit, store of %v", r.FsyncsPerSecond, r.ReportsPerCommit, holdfast.Bytes(r.StoreBytes))
	row("judged", "%.0f services/s after %.0f changed results/s", r.JudgementsPerSec, r.ChangedPerSecond)
	row("restart", "%.0f ms", r.RestartMilliseconds)
	row("reports", "%d acknowledged, %d of them found in the store", r.Acknowledged, r.Found)
	_, err := t.WriteTo(w)
	return err
}
