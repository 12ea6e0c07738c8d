package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// judgeAnswer is what `judge --output json` writes.
type judgeAnswer struct {
	Schema   string             `json:"schema"`
	At       time.Time          `json:"at"`
	Services []holdfast.Posture `json:"services"`
}

func judgeCommand() *cobra.Command {
	var output, facts, at string
	cmd := &cobra.Command{
		Use:   "judge DIR --facts FILE --at TIME",
		Short: "Judge a catalogue by a file of facts, without a collector",
		Long: `Judge the catalogue in DIR by a file of facts as they stood at one instant. It
needs no collector: for CI, for "what would we be if", for learning the rules.

Facts are JSON lines, observations and records:

  {"at":"2026-03-01T09:00:00Z","check":"payments/ledger/offsite","outcome":"ok",
   "recovery_points":[{"time":"2026-03-01T08:55:00Z"}]}
  {"at":"2026-02-01T09:00:00Z","record":"review","plan":"payments-scp","by":"ada"}

Equal inputs give equal output, byte for byte.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			instant := time.Now().UTC().Truncate(time.Second)
			if at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return usageError(cmd, fmt.Errorf("--at %q: write it like 2026-03-01T09:00:00Z", at))
				}
				instant = t.UTC()
			}
			answer, err := judge(cmd, args[0], facts, instant)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), answer)
			}
			return writeStatus(cmd.OutOrStdout(), web.Status{At: instant, Sentence: score.CountEstate(answer.Services).String(), Services: answer.Services})
		},
	}
	addOutput(cmd, &output)
	cmd.Flags().StringVar(&facts, "facts", "", "`file` of facts, JSON lines; - reads standard input, none judges what nothing is known of")
	cmd.Flags().StringVar(&at, "at", "", "the judged `instant`, RFC 3339 (default now)")
	return cmd
}

func judge(cmd *cobra.Command, dir, file string, at time.Time) (judgeAnswer, error) {
	k, err := catalog.Load(dir, catalog.Options{Probes: probesByName(), Costs: score.Codes()})
	if err != nil {
		return judgeAnswer{}, placed(err, dir)
	}
	r := factReader{name: file, model: score.NewModel(k), facts: score.NewFacts(), remarks: cmd.ErrOrStderr()}
	switch file {
	case "":
	case "-":
		r.name = "stdin"
		err = r.read(cmd.InOrStdin())
	default:
		err = r.readFile()
	}
	if err != nil {
		return judgeAnswer{}, err
	}
	return judgeAnswer{"holdfast.posture/v1", at, r.model.Judge(r.facts, at)}, nil
}
