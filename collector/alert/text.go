package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Bounds of what is sent, in characters: people read it on a phone, and texts of
// alerts come from hosts and catalogues.
const (
	maxLine  = 500
	maxNames = 5 // services named; the page has them all
)

// clip makes one line of at most most characters of a text: nothing in it drives a
// terminal, breaks a header, hides text or turns its direction.
func clip(s string, most int) string {
	var b strings.Builder
	count := 0
	space := false
	for _, r := range s {
		switch {
		case r == '\n', r == '\r', r == '\t', r == '\u2028', r == '\u2029', r == '\u0085':
			r = ' '
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			r = '\uFFFD'
		}
		if r == ' ' && space {
			continue // a run of line ends is one gap
		}
		space = r == ' '
		if count++; count > most {
			return strings.TrimRight(b.String(), " ") + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Subject says a notice in one line: "critical: the copy payments/ledger/offsite is
// damaged".
func Subject(n Notice) string {
	what := clip(n.Alert.What, 200)
	switch {
	case n.Test:
		return "test of route " + clip(n.Route, 100) + ": nothing is wrong"
	case n.Status == holdfast.AlertResolved:
		return "resolved: " + what
	case n.Worse:
		return string(n.Alert.Severity) + ", got worse: " + what
	case n.Reminder:
		return string(n.Alert.Severity) + ", still: " + what
	}
	return string(n.Alert.Severity) + ": " + what
}

// Text says a notice in a few plain lines: what, its effect against the target,
// since when, one next step, one link; then whom it concerns.
func Text(n Notice) string {
	return text(n, func(s string) string { return s })
}

// text lets chat change what comes from alerts before it is put in.
func text(n Notice, foreign func(string) string) string {
	a := n.Alert
	var b strings.Builder
	line := func(label, s string) {
		if s != "" {
			fmt.Fprintf(&b, "%s%s\n", label, s)
		}
	}
	line("", foreign(clip(a.What, maxLine)))
	line("Effect: ", foreign(clip(a.Effect, maxLine)))
	line("Since: ", since(n))
	if n.Status == holdfast.AlertFiring {
		line("Next: ", foreign(clip(a.Next, maxLine)))
	}
	line("", Link(n))
	b.WriteString("\n")
	line("Services: ", foreign(names(a.Services)))
	line("Owner: ", foreign(names(a.Owners)))
	if n.Status == holdfast.AlertFiring && a.Ack != nil {
		line("Acknowledged by: ", foreign(clip(a.Ack.By, 100)))
	}
	fmt.Fprintf(&b, "Holdfast alert %s, route %s\n", foreign(clip(a.ID, 100)), foreign(clip(n.Route, 100)))
	return b.String()
}

// Link is where people read on.
func Link(n Notice) string {
	if n.URL == "" {
		return ""
	}
	path := n.Alert.Link
	if !strings.HasPrefix(path, "/") {
		path = "/alerts"
	}
	return clip(n.URL+path, 2000)
}

func since(n Notice) string {
	const layout = "Mon 2 Jan 2006 15:04 UTC"
	a := n.Alert
	if a.Since.IsZero() {
		return ""
	}
	if n.Status == holdfast.AlertResolved && !a.Resolved.IsZero() {
		return fmt.Sprintf("%s, ended %s after %s", a.Since.UTC().Format(layout), a.Resolved.UTC().Format(layout), age(a.Resolved.Sub(a.Since)))
	}
	return fmt.Sprintf("%s (%s)", a.Since.UTC().Format(layout), age(n.At.Sub(a.Since)))
}

// age writes how long something lasts as people say it: "48 s", "14 min",
// "1 h 05 min", "3 d".
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d", int(d.Hours())/24)
}

// names lists the first few names and counts the others.
func names(list []string) string {
	shown := slices.Clone(list[:min(len(list), maxNames)])
	for i := range shown {
		shown[i] = clip(shown[i], 80)
	}
	s := strings.Join(shown, ", ")
	if more := len(list) - len(shown); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// unmarked takes from a text what chat services would act on: mentions, links and
// markup. What stays reads the same.
var unmarked = strings.NewReplacer("@", "＠", "<", "‹", ">", "›", "](", "] (", "://", ": //", "`", "'", "*", "∗", "~~", "~ ~", "||", "| |")
