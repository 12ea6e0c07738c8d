package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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
		return judgeAnswer{}, err
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

const (
	maxFact  = 1 << 20 // bytes of one line of facts
	mostTold = 20      // faults, and remarks, that are told one by one
)

// factReader reads JSON lines of facts. What cannot be read is an error, what
// counts for nothing is remarked on.
type factReader struct {
	name    string // of the file, as errors say it
	model   *score.Model
	facts   *score.Facts
	remarks io.Writer
	line    int
	told    int
}

func (r *factReader) readFile() error {
	f, err := os.Open(r.name)
	if err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	defer f.Close()
	return r.read(f)
}

// read takes every line in. The error names each line that cannot be read.
func (r *factReader) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxFact)
	var faults []error
	for r.line = 1; lines.Scan(); r.line++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := r.take(line); err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", r.name, r.line, err))
		}
		if len(faults) == mostTold {
			return errors.Join(append(faults, fmt.Errorf("%s: more lines were not read", r.name))...)
		}
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("%s:%d: %w: a line holds at most %d bytes", r.name, r.line, err, maxFact))
	}
	return errors.Join(faults...)
}

func (r *factReader) take(line []byte) error {
	var kind struct {
		Check  string `json:"check"`
		Record string `json:"record"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	switch {
	case kind.Check != "" && kind.Record == "":
		return r.observation(line)
	case kind.Record != "" && kind.Check == "":
		return r.record(line)
	}
	return errors.New(`neither an observation ("check") nor a record ("record")`)
}

func (r *factReader) observation(line []byte) error {
	var o holdfast.Observation
	if err := strictJSON(line, &o); err != nil {
		return fmt.Errorf("observation: %w", err)
	}
	if o.At.IsZero() {
		return errors.New("observation: at: say when it was seen")
	}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("observation: %w", err)
	}
	if len(r.model.Concerned(o.Check)) == 0 {
		r.remark("the catalogue has no check %s", o.Check)
	}
	r.facts.Observe(o)
	return nil
}

// record takes a record in. What a kind needs to count is for the judgement to
// say: an incomplete exercise that failed counts, one that passed does not.
func (r *factReader) record(line []byte) error {
	var rec holdfast.Record
	if err := strictJSON(line, &rec); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	switch {
	case !slices.Contains(holdfast.RecordKinds, rec.Kind):
		return fmt.Errorf("record: %q is no kind of record: use one of %v", rec.Kind, holdfast.RecordKinds)
	case rec.At.IsZero():
		return errors.New("record: at: say when it happened")
	case rec.Outcome != "" && !slices.Contains(holdfast.Outcomes, rec.Outcome):
		return fmt.Errorf("record: outcome %q is none of %v", rec.Outcome, holdfast.Outcomes)
	case rec.Duration < 0:
		return fmt.Errorf("record: duration %s is negative", rec.Duration)
	}
	if !rec.Received.IsZero() && rec.At.After(rec.Received) {
		r.remark("the record is dated %s, after its receipt at %s", rec.At.Format(time.RFC3339), rec.Received.Format(time.RFC3339))
	}
	r.facts.Record(rec)
	return nil
}

// remark says of the line at hand why it counts for nothing.
func (r *factReader) remark(format string, args ...any) {
	if r.told++; r.told <= mostTold {
		fmt.Fprintf(r.remarks, "holdfast: %s:%d counts for nothing: %s\n", clean(r.name), r.line, clean(fmt.Sprintf(format, args...)))
	}
}

// strictJSON decodes and refuses fields it does not know.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
