package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// finish ends a drill: what was not walked is skipped, what happened is compared
// with what was agreed, and the exercise is entered. An empty verdict is worked out.
func (m *Manager) finish(ctx context.Context, d *holdfast.Drill, verdict holdfast.DrillVerdict) error {
	m.close(d, verdict)
	r := recordOf(d, verdict)
	r.At = m.cfg.Now().UTC()
	entered, err := m.cfg.Enter(ctx, r)
	switch {
	case err == nil:
		d.Record = entered.ID
	case errors.Is(err, holdfast.ErrInvalid): // the catalogue has changed meanwhile
		m.cfg.Log.Error("drill ends without a record", "drill", d.ID, "err", err)
		d.Reason = strings.TrimPrefix(d.Reason+"; no exercise was recorded: "+err.Error(), "; ")
	default:
		return fmt.Errorf("enter the exercise: %w", err)
	}
	if d.Verdict = verdict; verdict == "" {
		d.Verdict = verdictOf(d)
	}
	for i := range d.Steps {
		delete(m.asks, askKey{d.ID, i})
	}
	m.cfg.Log.Info("drill over", "drill", d.ID, "service", d.Service, "path", d.Path, "verdict", d.Verdict, "took", d.Took, "record", d.Record)
	return m.save(ctx, d)
}

// close measures a drill. It may be asked again, to the same end.
func (m *Manager) close(d *holdfast.Drill, verdict holdfast.DrillVerdict) {
	end := d.Started
	for i := range d.Steps {
		x := &d.Steps[i]
		switch {
		case x.State == holdfast.StepPlanned:
			x.State = holdfast.StepSkipped
		case x.State == holdfast.StepAsked && verdict != "":
			m.over(x, holdfast.StepUnanswered, "nobody said that it was done before the drill ended")
		case x.State.Open():
			m.over(x, holdfast.StepStopped, "it had not ended when the drill did")
		}
		if x.Ended.After(end) {
			end = x.Ended
		}
	}
	d.Ended = end
	if least := d.Started.Add(time.Millisecond); end.Before(least) {
		d.Ended = least
	}
	d.Took = holdfast.Duration(d.Ended.Sub(d.Started))
	d.Point, d.Bytes, d.Loss = time.Time{}, 0, 0
	for i := range d.Steps {
		x := &d.Steps[i]
		if x.Of != "" || x.State != holdfast.StepDone {
			continue
		}
		d.Bytes += x.Bytes
		if !x.Point.IsZero() && (d.Point.IsZero() || x.Point.Before(d.Point)) {
			d.Point = x.Point.UTC()
		}
	}
	if d.Point.After(d.Started) { // a newer point came while it ran
		d.Point = d.Started
	}
	if !d.Point.IsZero() {
		d.Loss = holdfast.Duration(d.Started.Sub(d.Point))
	}
	d.People = people(d)
	d.Gaps = m.gaps(d)
}

// people lists who took part: who did the steps, and who started it, where it was not
// started by an appointment.
func people(d *holdfast.Drill) (list []string) {
	for i := range d.Steps {
		if by := d.Steps[i].By; by != "" && !slices.Contains(list, by) {
			list = append(list, by)
		}
	}
	if d.Booking == "" && !slices.Contains(list, d.By) || len(list) == 0 {
		list = append(list, d.By)
	}
	return list
}

// gaps compares what happened with what was agreed.
func (m *Manager) gaps(d *holdfast.Drill) (list []holdfast.DrillGap) {
	gap := func(kind holdfast.DrillGapKind, step int, late holdfast.Duration, format string, args ...any) {
		list = append(list, holdfast.DrillGap{Kind: kind, Step: step, Late: late, Text: fmt.Sprintf(format, args...)})
	}
	skipped := 0
	for i := range d.Steps {
		x := &d.Steps[i]
		switch {
		case x.State == holdfast.StepSkipped:
			skipped++
		case x.State.Bad():
			gap(holdfast.GapStep, x.Number, 0, "%s %s%s", x.Name, said[x.State], because(x))
		case x.Kind == holdfast.StepPaper && x.Outcome == holdfast.OutcomeDegraded:
			gap(holdfast.GapPaper, x.Number, 0, "%s: %s", x.Name, x.Summary)
		case x.Outcome == holdfast.OutcomeDegraded:
			gap(holdfast.GapReservation, x.Number, 0, "%s passed with a reservation%s", x.Name, because(x))
		}
		took := x.Took(d.Ended)
		if x.Kind == holdfast.StepRestore { // its wait for others is the walk's, not its own
			took = x.Restored
		}
		if x.State == holdfast.StepDone && late(took, x.Expect) {
			gap(holdfast.GapLate, x.Number, took-x.Expect, "%s took %s, %s expected", x.Name, short(took), short(x.Expect))
		}
	}
	if skipped > 0 {
		gap(holdfast.GapStep, 0, 0, "%d of %d steps were not walked", skipped, len(d.Steps))
	}
	for _, dataset := range m.lacking(d) {
		gap(holdfast.GapData, 0, 0, "dataset %s was not restored", dataset)
	}
	if limit := d.Terms.RTO.Limit; limit > 0 && d.Took > limit {
		gap(holdfast.GapRTO, 0, d.Took-limit, "recovery took %s, RTO %s", short(d.Took), limit)
	}
	if limit := d.Terms.RPO.Limit; limit > 0 && d.Loss > limit {
		gap(holdfast.GapRPO, 0, d.Loss-limit, "%s of data would be lost, RPO %s", short(d.Loss), limit)
	}
	if total := d.Terms.Total(); late(d.Took, total) {
		gap(holdfast.GapLate, 0, d.Took-total, "recovery took %s, %s expected", short(d.Took), short(total))
	}
	return list
}

// late reports whether something took longer than expected, by more than two
// measurements of the same always differ.
func late(took, expect holdfast.Duration) bool {
	return expect > 0 && took-expect > max(expect/10, holdfast.Duration(10*time.Second))
}

var said = map[holdfast.DrillStepState]string{
	holdfast.StepFailed: "failed", holdfast.StepUnclear: "could not tell", holdfast.StepRefused: "was refused",
	holdfast.StepLost: "was lost", holdfast.StepUnanswered: "was not answered", holdfast.StepStopped: "was stopped",
}

func because(x *holdfast.DrillStep) string {
	text := x.Summary
	if x.Note != "" {
		text = x.Note
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

// short writes a measured time without what nobody reads.
func short(d holdfast.Duration) string {
	switch {
	case d >= holdfast.Duration(10*time.Second):
		return holdfast.Duration(d.Std().Round(time.Second)).String()
	case d >= holdfast.Duration(time.Second):
		return holdfast.Duration(d.Std().Round(100 * time.Millisecond)).String()
	}
	return holdfast.Duration(max(d.Std().Round(time.Millisecond), time.Millisecond)).String()
}

// lacking lists the datasets that were not restored from a point that is known, by a
// test or by people. A replica counts by the point it stood at.
func (m *Manager) lacking(d *holdfast.Drill) (list []string) {
	k := m.cfg.Source.Catalogue()
	share := k.Policy.RestoredShare
	if share <= 0 || share > 1 {
		share = 1
	}
	byPeople := slices.ContainsFunc(d.Steps, func(x holdfast.DrillStep) bool {
		return x.Kind == holdfast.StepPerson && x.State == holdfast.StepDone && !x.Point.IsZero()
	})
	for i := range d.Steps {
		x := &d.Steps[i]
		if x.Kind != holdfast.StepRestore || x.Of != "" || x.State == holdfast.StepDone && !x.Point.IsZero() && x.Coverage >= share {
			continue
		}
		for _, dataset := range x.Data {
			if !slices.Contains(list, dataset) {
				list = append(list, dataset)
			}
		}
	}
	if byPeople {
		return list
	}
	return append(list, unrestored(d.Steps, k, d.DrillOrder)...)
}

// verdictOf works out how a drill that was walked to its end went.
func verdictOf(d *holdfast.Drill) holdfast.DrillVerdict {
	for _, g := range d.Gaps {
		if g.Kind == holdfast.GapStep || g.Kind == holdfast.GapData {
			return holdfast.DrillFailed
		}
	}
	return holdfast.DrillPassed
}

// outcomeOf says what the drill proves. Only what was seen to be bad is failed: what
// could not be told is no test (JUDGEMENT.md 2).
func outcomeOf(d *holdfast.Drill, verdict holdfast.DrillVerdict) holdfast.Outcome {
	for i := range d.Steps {
		if d.Steps[i].State == holdfast.StepFailed {
			return holdfast.Failed
		}
	}
	if verdict != "" || verdictOf(d) != holdfast.DrillPassed {
		return holdfast.OutcomeUnknown
	}
	for _, g := range d.Gaps {
		if g.Kind == holdfast.GapRTO || g.Kind == holdfast.GapRPO || g.Kind == holdfast.GapReservation {
			return holdfast.OutcomeDegraded
		}
	}
	return holdfast.OK
}

// recordOf is the exercise a drill ends in.
func recordOf(d *holdfast.Drill, verdict holdfast.DrillVerdict) holdfast.Record {
	word := verdict
	if word == "" {
		word = verdictOf(d)
	}
	note := "drill " + d.ID + " " + string(word)
	for _, g := range d.Gaps {
		note += "; " + g.Text
	}
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote], "") + " …"
	}
	return holdfast.Record{
		Kind: holdfast.Exercise, Service: d.Service, Path: d.Path, Scenario: d.Scenario, Plan: d.Plan, Version: d.Version, Site: d.Site,
		By: d.By, EnteredBy: d.By, People: d.People, Outcome: outcomeOf(d, verdict), Started: d.Started, Duration: d.Took,
		Point: d.Point, Bytes: d.Bytes, Note: note, Drill: d.ID,
	}
}

// maxNote bounds what a record says of a drill; the drill itself says all of it.
const maxNote = 1500
