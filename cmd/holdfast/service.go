package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

func serviceCommand() *cobra.Command {
	var (
		api    client
		output string
	)
	cmd := &cobra.Command{
		Use:   "service NAME",
		Short: "Show one service: findings with gain and remedy, paths, deadlines",
		Args:  usageArgs(cobra.ExactArgs(1)),
	}
	show := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one service: findings with gain and remedy, paths, deadlines",
		Args:  usageArgs(cobra.ExactArgs(1)),
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List services, worst first",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer web.Status
			if err := api.do(cmd.Context(), "GET", "/status", nil, &answer); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), answer.Services)
			}
			var t table
			t.row("SERVICE", "TIER", "STATE", "SCORE", "OWNER", "TITLE")
			for _, s := range answer.Services {
				t.row(s.Name, strconv.Itoa(s.Tier), string(s.State), scoreText(s.Score), s.Owner, s.Title)
			}
			_, err := t.WriteTo(cmd.OutOrStdout())
			return err
		},
	}
	one := func(cmd *cobra.Command, args []string) error {
		var answer web.OneService
		if err := api.do(cmd.Context(), "GET", "/services/"+url.PathEscape(args[0]), nil, &answer); err != nil {
			return err
		}
		if output == "json" {
			return writeJSON(cmd.OutOrStdout(), answer.Service)
		}
		return writeService(cmd.OutOrStdout(), answer)
	}
	cmd.RunE, show.RunE = one, one
	for _, c := range []*cobra.Command{cmd, show, list} {
		addOutput(c, &output)
		addClient(c, &api)
	}
	cmd.AddCommand(show, list)
	return cmd
}

func writeService(w io.Writer, a web.OneService) error {
	p := a.Service
	fmt.Fprintf(w, "%s (%s), tier %d: %s, score %s\n", clean(p.Name), clean(p.Title), p.Tier, clean(string(p.State)), scoreText(p.Score))
	if p.Cause != nil {
		fmt.Fprintf(w, "Cause: %s\n", clean(p.Cause.Reason))
	}
	if p.NextChange != nil {
		fmt.Fprintf(w, "Next change if nothing new is heard: in %s\n", shortAge(p.NextChange.Sub(a.At)))
	}
	for _, l := range p.Looser {
		fmt.Fprintf(w, "Looser term: %s was %s, is %s\n", clean(l.Term), clean(l.Was), clean(l.Is))
	}
	sections := []func(io.Writer, holdfast.Posture, time.Time) error{writeScenarios, writePaths, writeFindings}
	for _, write := range sections {
		fmt.Fprintln(w)
		if err := write(w, p, a.At); err != nil {
			return err
		}
	}
	return nil
}

func writeScenarios(w io.Writer, p holdfast.Posture, now time.Time) error {
	var t table
	t.row("SCENARIO", "STATE", "PATH", "DATA LOST / RPO", "TIME BACK / RTO", "RPO BREACHED IN")
	for _, s := range p.Scenarios {
		name := s.Name
		if s.AskedBy != "" {
			name += " (asked by " + s.AskedBy + ")"
		}
		breach := "-"
		if !s.RPOAt.IsZero() {
			breach = "now"
			if s.RPOAt.After(now) {
				breach = shortAge(s.RPOAt.Sub(now))
			}
		}
		t.row(name, string(s.State), s.Path, lossText(s, now), timeText(s), breach)
	}
	_, err := t.WriteTo(w)
	return err
}

func writePaths(w io.Writer, p holdfast.Posture, now time.Time) error {
	for _, path := range p.Paths {
		fmt.Fprintf(w, "PATH %s at %s\n", clean(path.Name), clean(path.At))
		for _, rung := range holdfast.Rungs {
			r, ok := path.Rungs[rung]
			if !ok {
				continue
			}
			fmt.Fprintf(w, "  rung %-10s %-9s %s\n", rung, clean(string(r.State)), clean(rungText(r, now)))
		}
		var t table
		for _, n := range path.Needs {
			seen := "-"
			if !n.At.IsZero() {
				seen = "so for " + shortAge(now.Sub(n.At)) // since the facts were new; they have been seen again since
			}
			t.row("  → "+n.Need, string(n.Kind), string(n.Verdict), seen, n.Reason)
		}
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
		for _, s := range path.Scenarios {
			if len(s.Reasons) > 0 {
				fmt.Fprintf(w, "  in %s %s: %s\n", clean(s.Name), clean(string(s.State)), clean(strings.Join(s.Reasons, "; ")))
			}
		}
	}
	return nil
}

func rungText(r holdfast.RungPosture, now time.Time) string {
	text := "never reached"
	if !r.At.IsZero() {
		text = "reached " + shortAge(now.Sub(r.At)) + " ago"
	}
	if !r.Required {
		text += ", not required"
	}
	if r.Until.After(now) {
		text += ", good for " + shortAge(r.Until.Sub(now))
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

func writeFindings(w io.Writer, p holdfast.Posture, now time.Time) error {
	if len(p.Findings) == 0 {
		fmt.Fprintln(w, "No findings: every need is met.")
		return nil
	}
	findings := slices.Clone(p.Findings)
	slices.SortStableFunc(findings, func(a, b holdfast.Finding) int { return b.Points - a.Points })
	var t table
	t.row("POINTS", "GAIN", "NEED", "VERDICT", "SINCE", "REASON", "REMEDY")
	for _, f := range findings {
		since := "-"
		if !f.Since.IsZero() {
			since = shortAge(now.Sub(f.Since))
		}
		t.row("-"+strconv.Itoa(f.Points), "+"+strconv.Itoa(f.Gain), f.Need, string(f.Verdict), since, f.Reason, f.Remedy)
	}
	_, err := t.WriteTo(w)
	return err
}
