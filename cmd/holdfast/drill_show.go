package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// writeDrills lists drills.
func writeDrills(w io.Writer, list web.Drills) error {
	if len(list.Drills) == 0 {
		_, err := fmt.Fprintln(w, "No drills. Walk a path: holdfast drill start SERVICE --path PATH")
		return err
	}
	var t table
	t.row("DRILL", "SERVICE", "PATH", "STARTED", "VERDICT", "TOOK", "EXPECTED", "RTO", "LOSS", "RPO", "GAPS", "BY")
	for i := range list.Drills {
		d := &list.Drills[i]
		verdict, took := string(d.Verdict), brief(d.Took)
		if d.Running() {
			verdict, took = "running", brief(holdfast.Duration(list.At.Sub(d.Started)))
		}
		t.row(d.ID, d.Service, d.Path, d.Started.Format(time.RFC3339), verdict, took, brief(d.Terms.Total()), objective(d.Terms.RTO),
			loss(d), objective(d.Terms.RPO), fmt.Sprint(len(d.Gaps)), d.By)
	}
	_, err := t.WriteTo(w)
	return err
}

// brief writes a time without what nobody reads; "-" is none.
func brief(d holdfast.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d >= holdfast.Duration(10*time.Second):
		return holdfast.Duration(d.Std().Round(time.Second)).String()
	case d >= holdfast.Duration(time.Second):
		return holdfast.Duration(d.Std().Round(100 * time.Millisecond)).String()
	}
	return holdfast.Duration(max(d.Std().Round(time.Millisecond), time.Millisecond)).String()
}

func objective(o holdfast.Objective) string {
	if o.Stated() {
		return o.Limit.String()
	}
	return "-"
}

// loss is what data would be lost; "-" is not known.
func loss(d *holdfast.Drill) string {
	if d.Point.IsZero() {
		return "-"
	}
	if d.Loss == 0 {
		return "0s"
	}
	return brief(d.Loss)
}

// heading is what is walked and what it is measured by.
func heading(d *holdfast.Drill) string {
	text := fmt.Sprintf("%s/%s at %s, with plan %s version %s\n", clean(d.Service), clean(d.Path), clean(d.Site), clean(d.Plan), clean(d.Version))
	expected := "expected: not known, never measured"
	if total := d.Terms.Total(); total > 0 {
		expected = "expected: " + brief(total)
		if d.Terms.RestoreOnly && d.Terms.People > 0 {
			expected += fmt.Sprintf(" (%s to restore, %s by people)", brief(d.Terms.Expected), brief(d.Terms.People))
		}
	}
	return text + expected + "; RTO " + objective(d.Terms.RTO) + ", RPO " + objective(d.Terms.RPO) + "\n"
}

// writePlan prints what a drill would do.
func writePlan(w io.Writer, p holdfast.DrillPlan) error {
	var b strings.Builder
	d := p.Drill()
	b.WriteString("dry run: nothing is run, nothing recorded\n" + heading(&d))
	if len(p.Depends) > 0 {
		what := "waits for, not walked"
		if p.Dependencies {
			what = "walks first"
		}
		b.WriteString(what + ": " + clean(strings.Join(p.Depends, ", ")) + "\n")
	}
	b.WriteString("\n")
	var t table
	t.row("STEP", "KIND", "NAME", "WHO", "EXPECTED")
	for i := range p.Steps {
		x := &p.Steps[i]
		who := "agent " + x.Agent
		switch {
		case x.Kind == holdfast.StepPaper:
			who = "as judged"
		case x.Agent == "":
			who = x.Who
		}
		name := x.Name
		if x.Of != "" {
			name += " (of " + x.Of + ")"
		}
		t.row(fmt.Sprint(x.Number), string(x.Kind), name, who, brief(x.Expect))
	}
	if _, err := t.WriteTo(&b); err != nil {
		return err
	}
	b.WriteString("\n")
	for _, r := range p.Refusals {
		b.WriteString("would not start: " + clean(r) + "\n")
	}
	for _, r := range p.Warnings {
		b.WriteString("warning: " + clean(r) + "\n")
	}
	if len(p.Refusals) == 0 {
		b.WriteString("would start\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// stepLine says how far a step is.
func stepLine(d *holdfast.Drill, x *holdfast.DrillStep, now time.Time) string {
	line := fmt.Sprintf("%*d/%d %-10s %s: ", len(fmt.Sprint(len(d.Steps))), x.Number, len(d.Steps), x.Kind, x.Name)
	switch x.State {
	case holdfast.StepAsked:
		line += "asked of " + who(x)
		if x.Expect > 0 {
			line += ", " + brief(x.Expect) + " expected"
		}
	case holdfast.StepRunning, holdfast.StepWaiting, holdfast.StepPlanned, holdfast.StepSkipped:
		line += string(x.State)
	default:
		line += string(x.State)
		if x.By != "" {
			line += " by " + x.By
		}
		if took := x.Took(now); x.Kind != holdfast.StepPaper && took > 0 {
			line += " in " + brief(took)
			if x.Expect > 0 {
				line += " (" + brief(x.Expect) + " expected)"
			}
		}
	}
	if x.Title != "" && x.State == holdfast.StepAsked {
		line += ": " + x.Title
	}
	for _, say := range []string{x.Summary, x.Note} {
		if say != "" {
			line += ": " + say
		}
	}
	return clean(line)
}

// who is asked for a step.
func who(x *holdfast.DrillStep) string {
	if x.Who == "" {
		return "whoever holds the drill"
	}
	return x.Who
}

// phaseText says how far a look has come: "restore 62 %".
func phaseText(p *holdfast.Phase) string {
	text := clean(p.Name)
	if p.Total > 0 {
		text += fmt.Sprintf(" %d %%", 100*min(max(p.Done, 0), p.Total)/p.Total)
	}
	return text
}

// writeDrill prints a drill as it stands.
func writeDrill(w io.Writer, d *holdfast.Drill, now time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "drill %s, started %s by %s\n%s\n", clean(d.ID), d.Started.Format(time.RFC3339), clean(d.By), heading(d))
	for i := range d.Steps {
		x := &d.Steps[i]
		b.WriteString(stepLine(d, x, now))
		if x.Phase != nil {
			b.WriteString(", " + phaseText(x.Phase))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	if d.Running() {
		fmt.Fprintf(&b, "running for %s\n", brief(holdfast.Duration(now.Sub(d.Started))))
	} else if err := writeEnd(&b, d); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeEnd prints how a drill ended.
func writeEnd(w io.Writer, d *holdfast.Drill) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s (expected %s, RTO %s)", clean(string(d.Verdict)), brief(d.Took), brief(d.Terms.Total()), objective(d.Terms.RTO))
	if !d.Point.IsZero() {
		fmt.Fprintf(&b, "; %s of data lost (RPO %s)", loss(d), objective(d.Terms.RPO))
	}
	if d.Stopped != "" {
		b.WriteString("; aborted by " + clean(d.Stopped))
	}
	if d.Reason != "" {
		b.WriteString(": " + clean(d.Reason))
	}
	b.WriteString("\n")
	if d.Away >= holdfast.Duration(10*time.Second) {
		fmt.Fprintf(&b, "the collector was away for %s meanwhile; the clock went on\n", brief(d.Away))
	}
	for _, g := range d.Gaps {
		b.WriteString("  gap: " + clean(g.Text))
		if g.Late > 0 {
			b.WriteString(", late by " + brief(g.Late))
		}
		b.WriteString("\n")
	}
	if d.Record != "" {
		fmt.Fprintf(&b, "exercise %s, with %s\n", clean(d.Record), clean(strings.Join(d.People, ", ")))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeBookings lists appointments.
func writeBookings(w io.Writer, list web.Bookings) error {
	if len(list.Bookings) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is booked. Book one: holdfast drill schedule SERVICE --path PATH --at TIME")
		return err
	}
	var t table
	t.row("BOOKING", "SERVICE", "PATH", "AT", "EVERY", "BY", "LAST", "MISSED")
	for _, b := range list.Bookings {
		at, every, last, missed := "-", "once", "-", "-"
		if !b.At.IsZero() {
			at = b.At.Format(time.RFC3339)
		}
		if b.Every > 0 {
			every = b.Every.String()
		}
		if b.Last != "" {
			last = b.Last
		}
		if !b.Missed.IsZero() {
			missed = b.Missed.Format(time.RFC3339) + ": " + b.Problem
		}
		t.row(b.ID, b.Service, b.Path, at, every, b.By, last, missed)
	}
	_, err := t.WriteTo(w)
	return err
}
