package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/score"
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
			answer, err := judge(cmd.InOrStdin(), args[0], facts, instant)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), answer)
			}
			return writeStatus(cmd.OutOrStdout(), statusAnswer{At: instant, Sentence: score.CountEstate(answer.Services).String(), Services: answer.Services})
		},
	}
	addOutput(cmd, &output)
	cmd.Flags().StringVar(&facts, "facts", "", "`file` of facts, JSON lines; - reads standard input, none judges what nothing is known of")
	cmd.Flags().StringVar(&at, "at", "", "the judged `instant`, RFC 3339 (default now)")
	return cmd
}

func judge(stdin io.Reader, dir, factsFile string, at time.Time) (judgeAnswer, error) {
	k, err := catalog.Load(dir, catalog.Options{Probes: probesByName()})
	if err != nil {
		return judgeAnswer{}, err
	}
	known := score.NewFacts()
	if factsFile != "" {
		in := stdin
		if factsFile != "-" {
			f, err := os.Open(factsFile)
			if err != nil {
				return judgeAnswer{}, fmt.Errorf("facts: %w", err)
			}
			defer f.Close()
			in = f
		}
		if err := readFacts(in, factsFile, known); err != nil {
			return judgeAnswer{}, err
		}
	}
	return judgeAnswer{"holdfast.posture/v1", at, score.NewModel(k).Judge(known, at)}, nil
}

// maxFact bounds one line of facts, bytes.
const maxFact = 1 << 20

// readFacts reads JSON lines. Every line that cannot be read is said, with its
// number; then none counts.
func readFacts(r io.Reader, name string, into *score.Facts) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxFact)
	var faults []error
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := readFact(line, into); err != nil {
			if faults = append(faults, fmt.Errorf("%s:%d: %w", name, n, err)); len(faults) == 20 {
				break
			}
		}
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", name, err))
	}
	return errors.Join(faults...)
}

func readFact(line []byte, into *score.Facts) error {
	var kind struct {
		Check  string              `json:"check"`
		Record holdfast.RecordKind `json:"record"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	switch {
	case kind.Check != "" && kind.Record == "":
		var o holdfast.Observation
		if err := strictJSON(line, &o); err != nil {
			return fmt.Errorf("observation: %w", err)
		}
		if o.At.IsZero() {
			return errors.New("observation: at: say when it was seen")
		}
		into.Observe(o)
	case kind.Record != "" && kind.Check == "":
		var r holdfast.Record
		if err := strictJSON(line, &r); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		if r.At.IsZero() {
			return errors.New("record: at: say when it happened")
		}
		into.Record(r)
	default:
		return errors.New(`neither an observation ("check") nor a record ("record")`)
	}
	return nil
}

// strictJSON decodes and refuses fields it does not know.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
