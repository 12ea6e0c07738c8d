package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

func alertCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alert",
		Short: "What got worse, who has it, and who is told",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(alertListCommand(), alertAckCommand(), alertSilenceCommand(), alertSilencesCommand(), alertRoutesCommand(), alertTestCommand())
	return cmd
}

func alertListCommand() *cobra.Command {
	var (
		api     client
		output  string
		service string
		all     bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show what got worse, one alert for each cause, the most urgent first",
		Example: `  holdfast alert list
  holdfast alert list --service payments --all -o json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := listAlerts(cmd.Context(), &api, service, all)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), answer)
			}
			return writeAlerts(cmd.OutOrStdout(), answer)
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "only alerts that concern this `service`")
	cmd.Flags().BoolVar(&all, "all", false, "those that ended within the last seven days as well")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

// listAlerts asks for alerts page by page.
func listAlerts(ctx context.Context, api *client, service string, all bool) (web.Alerts, error) {
	list := web.Alerts{Alerts: []holdfast.Alert{}}
	query := url.Values{"limit": {"1000"}}
	if service != "" {
		query.Set("service", service)
	}
	for {
		var page web.Alerts
		if err := api.do(ctx, "GET", "/alerts?"+query.Encode(), nil, &page); err != nil {
			return list, err
		}
		list.At = page.At
		for _, a := range page.Alerts {
			if all || a.Status != holdfast.AlertResolved {
				list.Alerts = append(list.Alerts, a)
			}
		}
		if page.Next.Next == "" {
			list.Total = len(list.Alerts)
			return list, nil
		}
		query.Set("cursor", page.Next.Next)
	}
}

func writeAlerts(w io.Writer, a web.Alerts) error {
	if len(a.Alerts) == 0 {
		_, err := fmt.Fprintln(w, "No alerts.")
		return err
	}
	var t table
	t.row("STATUS", "SEVERITY", "FOR", "ID", "WHAT", "EFFECT", "NEXT", "QUIET")
	for _, x := range a.Alerts {
		lasted := a.At.Sub(x.Since)
		if x.Status == holdfast.AlertResolved {
			lasted = x.Resolved.Sub(x.Since)
		}
		quiet := x.Quiet
		if quiet == "" {
			quiet = "-"
		}
		t.row(string(x.Status), string(x.Severity), shortAge(lasted), x.ID, x.What, x.Effect, x.Next, quiet)
	}
	_, err := t.WriteTo(w)
	return err
}

// spell is when something begins and ends, as flags say it.
type spell struct {
	from, until time.Time
	lasts       holdfast.Duration
}

func (s *spell) add(cmd *cobra.Command, what string) {
	cmd.Flags().Var(durationFlag{&s.lasts}, "for", "how long "+what+": 2h, 1d")
	cmd.Flags().Var(timeFlag{&s.until}, "until", "when it ends, instead of --for")
}

// end returns when it ends.
func (s *spell) end(now time.Time) (time.Time, error) {
	switch {
	case s.lasts != 0 && !s.until.IsZero():
		return time.Time{}, errors.New("--for and --until: give one of them")
	case s.lasts != 0 && s.from.After(now):
		return s.from.Add(s.lasts.Std()), nil
	case s.lasts != 0:
		return now.Add(s.lasts.Std()).Truncate(time.Second), nil
	case s.until.IsZero():
		return time.Time{}, errors.New("--for: say how long, or --until when")
	}
	return s.until, nil
}

func alertAckCommand() *cobra.Command {
	var (
		api    client
		output string
		when   spell
		body   web.AcknowledgeRequest
	)
	cmd := &cobra.Command{
		Use:   "ack ID",
		Short: "Say that you have an alert: nobody is reminded of it until then",
		Long: `Say that you have an alert: nobody is reminded of it until then. One that gets
worse is told all the same. The ID may be cut short, as long as it is clear.`,
		Example: `  holdfast alert ack 3fa9 --for 4h --note "replacing the disk"`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if body.Until, err = when.end(time.Now().UTC()); err != nil {
				return usageError(cmd, err)
			}
			id, err := whichAlert(cmd.Context(), &api, args[0])
			if err != nil {
				return err
			}
			var a holdfast.Alert
			if err := api.do(cmd.Context(), "POST", "/alerts/"+url.PathEscape(id)+"/acknowledge", body, &a); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), a)
			}
			if a.Ack != nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s has it until %s: %s\n", clean(a.Ack.By), a.Ack.Until.Format(time.RFC3339), clean(a.What))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&body.Note, "note", "", "what is being done")
	when.add(cmd, "nobody is reminded")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

// wholeID is how long the ID of an alert is.
const wholeID = 20

// whichAlert returns the ID of the one open alert whose ID begins so; a whole ID is
// not looked up.
func whichAlert(ctx context.Context, api *client, begins string) (string, error) {
	if len(begins) >= wholeID {
		return begins, nil
	}
	list, err := listAlerts(ctx, api, "", false)
	if err != nil {
		return "", err
	}
	found := ""
	for _, a := range list.Alerts {
		switch {
		case begins == "" || !strings.HasPrefix(a.ID, begins):
		case found != "":
			return "", exitf(exitUsage, "alert %s: several begin so: give more of the ID", clean(begins))
		default:
			found = a.ID
		}
	}
	if found == "" {
		return "", exitf(exitNotFound, "no open alert %s\nhint: holdfast alert list", clean(begins))
	}
	return found, nil
}

func alertSilenceCommand() *cobra.Command {
	var (
		api    client
		output string
		when   spell
		kind   string
		body   web.SilenceInput
	)
	cmd := &cobra.Command{
		Use:   "silence",
		Short: "Keep alerts quiet for a while; verdicts and scores stay as they are",
		Long: `Keep alerts quiet for a while; verdicts and scores stay as they are. What is not
named matches everything; something has to be named. An end is told all the same to
whoever was told of the begin.`,
		Example: `  holdfast alert silence --host db1 --for 2h --maintenance --reason "kernel update"
  holdfast alert silence --service wiki --kind rpo-breached --until 2026-07-01 --reason "being moved"
  holdfast alert silence end 5f2a90c1d3e4b607`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			body.From, body.Kind = when.from, holdfast.AlertKind(kind)
			if body.Until, err = when.end(time.Now().UTC()); err != nil {
				return usageError(cmd, err)
			}
			var s holdfast.Silence
			if err := api.do(cmd.Context(), "POST", "/silences", body, &s); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "silence %s: %s until %s\n", clean(s.ID), clean(silenceOf(s)), s.Until.Format(time.RFC3339))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&body.Service, "service", "", "of this `service`")
	f.StringVar(&body.Site, "site", "", "of what stands at this `site`")
	f.StringVar(&body.Host, "host", "", "of what stands on this `host`")
	f.StringVar(&body.Agent, "agent", "", "of what this `agent` looks at")
	f.StringVar(&body.Owner, "owner", "", "of services of this `owner`")
	f.StringVar(&kind, "kind", "", "of this `kind`: "+fmt.Sprint(holdfast.AlertKinds))
	f.StringVar(&body.Cause, "cause", "", "of this `cause`, as the alert names it")
	f.StringVar(&body.Reason, "reason", "", "why")
	f.BoolVar(&body.Maintenance, "maintenance", false, "it is work that was announced")
	f.Var(timeFlag{&when.from}, "from", "when it begins (default now)")
	when.add(cmd, "it stays quiet")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	cmd.AddCommand(alertSilenceEndCommand())
	return cmd
}

func alertSilenceEndCommand() *cobra.Command {
	var (
		api    client
		output string
	)
	cmd := &cobra.Command{
		Use:     "end ID",
		Short:   "End a silence early: what still fires is told",
		Example: "  holdfast alert silence end 5f2a90c1d3e4b607",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s holdfast.Silence
			if err := api.do(cmd.Context(), "POST", "/silences/"+url.PathEscape(args[0])+"/end", nil, &s); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "silence %s has ended: %s\n", clean(s.ID), clean(silenceOf(s)))
			return err
		},
	}
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func alertSilencesCommand() *cobra.Command {
	var (
		api    client
		output string
	)
	cmd := &cobra.Command{
		Use:   "silences",
		Short: "Show what is kept quiet, why and until when",
		Example: `  holdfast alert silences
  holdfast alert silences -o json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer web.Silences
			if err := api.do(cmd.Context(), "GET", "/silences", nil, &answer); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), answer)
			}
			return writeSilences(cmd.OutOrStdout(), answer)
		},
	}
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func writeSilences(w io.Writer, a web.Silences) error {
	if len(a.Silences) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is silenced.")
		return err
	}
	var t table
	t.row("STANDS", "ID", "QUIET", "BY", "UNTIL", "REASON")
	for _, s := range a.Silences {
		stands := "holds"
		switch {
		case !s.Ended.IsZero(), !a.At.Before(s.Until):
			stands = "ended"
		case a.At.Before(s.From):
			stands = "planned"
		}
		t.row(stands, s.ID, silenceOf(s), s.By, s.Until.Format(time.RFC3339), s.Reason)
	}
	_, err := t.WriteTo(w)
	return err
}

// silenceOf says what a silence matches.
func silenceOf(s holdfast.Silence) string {
	var parts []string
	for _, p := range [][2]string{
		{"service", s.Service}, {"site", s.Site}, {"host", s.Host}, {"agent", s.Agent}, {"owner", s.Owner}, {"kind", string(s.Kind)}, {"cause", s.Cause},
	} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	return strings.Join(parts, ", ")
}
