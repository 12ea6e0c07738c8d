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

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

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
	if line[0] != '{' {
		return errors.New("not a JSON object")
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
	err := d.Decode(v)
	if bad := (*time.ParseError)(nil); errors.As(err, &bad) {
		return fmt.Errorf("%s is not a time: write it like 2026-03-01T09:00:00Z", bad.Value)
	}
	return err
}
