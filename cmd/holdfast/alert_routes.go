package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

func alertRoutesCommand() *cobra.Command {
	var (
		api    client
		output string
	)
	cmd := &cobra.Command{
		Use:   "routes",
		Short: "Show who is told what, and how their receivers do",
		Example: `  holdfast alert routes
  holdfast alert routes -o json | jq '.routes[].receivers[] | select(.dead > 0)'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer web.Routes
			if err := api.do(cmd.Context(), "GET", "/routes", nil, &answer); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), answer)
			}
			return writeRoutes(cmd.OutOrStdout(), answer)
		},
	}
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func writeRoutes(w io.Writer, a web.Routes) error {
	if len(a.Routes) == 0 {
		_, err := fmt.Fprintln(w, "Nobody is told of alerts: start the collector with --alerts FILE (deploy/alerts.yaml shows every key).")
		return err
	}
	var t table
	t.row("STANDS", "ROUTE", "RECEIVER", "TYPE", "WAITING", "DEAD", "LAST TAKEN", "TARGET", "PROBLEM")
	for _, r := range a.Routes {
		for _, x := range r.Receivers {
			t.row(receiverStands(x), r.Name, x.Name, x.Type, strconv.Itoa(x.Waiting), strconv.Itoa(x.Dead), heardAgo(x.Delivered, a.At), x.Target, x.Problem)
		}
	}
	_, err := t.WriteTo(w)
	return err
}

// receiverStands says in a word how a receiver does.
func receiverStands(r holdfast.ReceiverState) string {
	switch {
	case r.Dead > 0, r.Waiting > 0 && r.Problem != "":
		return "failing"
	case r.Delivered.IsZero():
		return "untried"
	}
	return "taking"
}

func heardAgo(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return shortAge(now.Sub(at)) + " ago"
}

func alertTestCommand() *cobra.Command {
	var (
		api    client
		output string
	)
	cmd := &cobra.Command{
		Use:   "test ROUTE",
		Short: "Send a test to every receiver of a route, and say what each did",
		Long: `Send a test to every receiver of a route, and say what each did. The test says that
nothing is wrong. Exit 0: every receiver took it; 3: one did not.`,
		Example: `  holdfast alert test everything
  holdfast alert test night-shift -o json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var answer web.RouteTest
			if err := api.do(cmd.Context(), "POST", "/routes/"+url.PathEscape(args[0])+"/test", nil, &answer); err != nil {
				return err
			}
			failed := 0
			var t table
			t.row("TEST", "RECEIVER", "TYPE", "TARGET", "PROBLEM")
			for _, r := range answer.Receivers {
				outcome := "taken"
				if r.Problem != "" {
					outcome = "failed"
					failed++
				}
				t.row(outcome, r.Name, r.Type, r.Target, strings.TrimSpace(r.Problem))
			}
			var err error
			if output == "json" {
				err = writeJSON(cmd.OutOrStdout(), answer)
			} else {
				_, err = t.WriteTo(cmd.OutOrStdout())
			}
			if err == nil && failed > 0 {
				err = exitf(exitBadAnswer, "%d of %d receivers did not take the test", failed, len(answer.Receivers))
			}
			return err
		},
	}
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}
