package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

func statusCommand() *cobra.Command {
	var (
		api      client
		output   string
		exitCode bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every service's posture, worst first",
		Long: `Show every service's posture, worst first: its state, score, data that would be
lost now against the recovery point objective, time back against the recovery time
objective, and what causes the state.

With --exit-code the command ends with 3 unless every service is proven.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer web.Status
			if err := api.do(cmd.Context(), "GET", "/status", nil, &answer); err != nil {
				return err
			}
			if output == "json" {
				if err := writeJSON(cmd.OutOrStdout(), answer); err != nil {
					return err
				}
			} else if err := writeStatus(cmd.OutOrStdout(), answer); err != nil {
				return err
			}
			if exitCode {
				for _, s := range answer.Services {
					if s.State != holdfast.Proven {
						return exitError{code: exitBadAnswer}
					}
				}
			}
			return nil
		},
	}
	addOutput(cmd, &output)
	addClient(cmd, &api)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with 3 unless every service is proven")
	return cmd
}

func writeStatus(w io.Writer, a web.Status) error {
	fmt.Fprintln(w, clean(a.Sentence))
	for _, n := range a.Notices {
		fmt.Fprintln(w, cleanLines(n.Text))
	}
	if len(a.SilentAgents) > 0 {
		fmt.Fprintf(w, "Silent agents: %s\n", clean(strings.Join(a.SilentAgents, ", ")))
	}
	fmt.Fprintln(w)
	var t table
	t.row("SERVICE", "TIER", "STATE", "SCORE", "DATA LOST / RPO", "TIME BACK / RTO", "CAUSE")
	for _, s := range a.Services {
		worst := worstScenario(s)
		t.row(s.Name, strconv.Itoa(s.Tier), string(s.State), scoreText(s.Score),
			lossText(worst, a.At), timeText(worst), causeText(s))
	}
	_, err := t.WriteTo(w)
	return err
}

// worstScenario returns the scenario a service's state comes from: of its own,
// the worst, then the one with the lowest score.
func worstScenario(p holdfast.Posture) (worst holdfast.ScenarioPosture) {
	for _, s := range p.Scenarios {
		if s.AskedBy != "" {
			continue
		}
		if worst.Name == "" || s.State.Rank() > worst.State.Rank() || s.State == worst.State && s.Score < worst.Score {
			worst = s
		}
	}
	return worst
}

func scoreText(score *int) string {
	if score == nil {
		return "-"
	}
	return strconv.Itoa(*score)
}

// lossText writes what would be lost now, against what may be.
func lossText(s holdfast.ScenarioPosture, now time.Time) string {
	lost := "no point"
	if !s.Point.IsZero() {
		lost = shortAge(now.Sub(s.Point))
	}
	return lost + " / " + objectiveText(s.RPO)
}

// timeText writes how long recovery takes, against how long it may.
func timeText(s holdfast.ScenarioPosture) string {
	took := "never run"
	if s.Path == "" {
		took = "no path"
	}
	if r := s.RecoveryTime; r != nil && (r.Total > 0 || !r.AtLeast) {
		took = shortAge(r.Total.Std())
		if r.Estimated {
			took = "~" + took
		}
		if r.AtLeast {
			took = "≥" + took
		}
	}
	return took + " / " + objectiveText(s.RTO)
}

func objectiveText(o holdfast.Objective) string {
	if o.Stated() {
		return o.Limit.String()
	}
	return "none"
}

func causeText(p holdfast.Posture) string {
	switch {
	case p.Cause != nil:
		return p.Cause.Reason
	case p.State == holdfast.NotJudged:
		return "no BIA: set targets to judge this service"
	}
	return ""
}

// shortAge writes a span in its two largest units: "48s", "14m", "1h05m", "3d4h".
func shortAge(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < time.Second:
		return "<1s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		if m, s := int(d.Minutes()), int(d.Seconds())%60; d < 10*time.Minute && s > 0 {
			return fmt.Sprintf("%dm%02ds", m, s)
		}
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
