package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// allAgents reads every page of the agents.
func allAgents(ctx context.Context, api *client) (all web.Agents, err error) {
	all.Agents = []holdfast.AgentState{}
	for cursor := ""; ; {
		var part web.Agents
		if err := api.do(ctx, "GET", "/agents?limit=1000&cursor="+url.QueryEscape(cursor), nil, &part); err != nil {
			return all, err
		}
		all.At, all.Total, all.Agents = part.At, part.Total, append(all.Agents, part.Agents...)
		if cursor = part.Next.Next; cursor == "" {
			return all, nil
		}
	}
}

func agentsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "agents", Short: "The agents a collector knows", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var (
		api    client
		output string
		data   string
	)
	list := &cobra.Command{
		Use:   "list",
		Short: "Show every agent: last heard, checks, certificate, clock, spool",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := allAgents(cmd.Context(), &api)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), answer)
			}
			return writeAgents(cmd.OutOrStdout(), answer)
		},
	}
	addOutput(list, &output)
	addClient(list, &api)
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "Revoke an agent: its certificate opens nothing any more",
		Long: `Revoke an agent: its session ends and its certificate opens nothing any more. What
it last saw badly stays bad; what it saw well becomes unknown. It may join again
with a new token.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := collector.Ask(cmd.Context(), data, "/remove", collector.AdminRequest{Name: args[0]}); err != nil {
				return adminError(err)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is revoked\n", clean(args[0]))
			return err
		},
	}
	remove.Flags().StringVar(&data, "data", "/var/lib/holdfast", "`folder` of the running collector")
	cmd.AddCommand(list, remove)
	return cmd
}

func writeAgents(w io.Writer, a web.Agents) error {
	var t table
	t.row("AGENT", "SITE", "STANDS", "LAST HEARD", "CHECKS", "REFUSED", "CERTIFICATE", "CLOCK", "SPOOLED", "VERSION")
	for _, s := range a.Agents {
		certificate := "-"
		if !s.Certificate.IsZero() {
			certificate = shortAge(s.Certificate.Sub(a.At)) + " left"
		}
		heard := "never"
		if !s.LastHeard.IsZero() {
			heard = shortAge(a.At.Sub(s.LastHeard)) + " ago"
		}
		t.row(s.Name, s.Site, agentStands(s, a.At), heard, strconv.Itoa(s.Checks), strconv.Itoa(len(s.Refused)),
			certificate, s.Offset.String(), strconv.Itoa(s.Spooled), s.Version)
	}
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	for _, s := range a.Agents {
		if s.Clash != "" {
			fmt.Fprintf(w, "%s: %s\n", clean(s.Name), clean(s.Clash))
		}
	}
	return nil
}

// agentStands says in words how an agent stands.
func agentStands(s holdfast.AgentState, now time.Time) string {
	switch {
	case s.Revoked:
		return "revoked"
	case s.Connected:
		return "reporting"
	case s.Enrolled.IsZero():
		return "never joined"
	case !s.SilentSince.IsZero():
		return "silent for " + shortAge(now.Sub(s.SilentSince))
	}
	return "silent"
}
