package alert_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

func TestText(t *testing.T) {
	n := damaged(holdfast.AlertFiring)
	n.Alert.Since = time.Date(2026, 11, 20, 22, 10, 0, 0, time.UTC)
	n.At = n.Alert.Since.Add(4*time.Hour + 5*time.Minute)
	n.Alert.Services = []string{"a", "b", "c", "d", "e", "f", "g"}
	want := `The copy payments/ledger/offsite is damaged
Effect: takes 3 paths of 3 services down; 14 min of data at risk, 5 min agreed
Since: Fri 20 Nov 2026 22:10 UTC (4 h 05 min)
Next: Run restic check --read-data on dr1 and repair or replace the repository
https://holdfast.example.org/services/payments

Services: a, b, c, d, e and 2 more
Owner: payments-team
Holdfast alert a1b2c3, route everything
`
	if diff := cmp.Diff(alert.Text(n), want); diff != "" {
		t.Errorf("text (-got +want):\n%s", diff)
	}
	n.Status, n.Alert.Resolved = holdfast.AlertResolved, n.At
	if got := alert.Text(n); !strings.Contains(got, "Since: Fri 20 Nov 2026 22:10 UTC, ended Sat 21 Nov 2026 02:15 UTC after 4 h 05 min\n") || strings.Contains(got, "Next:") {
		t.Errorf("resolved: %s", got)
	}
}

func TestSubject(t *testing.T) {
	for want, change := range map[string]func(*alert.Notice){
		"critical: The copy payments/ledger/offsite is damaged":            func(*alert.Notice) {},
		"critical, still: The copy payments/ledger/offsite is damaged":     func(n *alert.Notice) { n.Reminder = true },
		"critical, got worse: The copy payments/ledger/offsite is damaged": func(n *alert.Notice) { n.Worse = true },
		"resolved: The copy payments/ledger/offsite is damaged":            func(n *alert.Notice) { n.Status = holdfast.AlertResolved },
		"test of route everything: nothing is wrong":                       func(n *alert.Notice) { n.Test = true },
	} {
		n := damaged(holdfast.AlertFiring)
		change(&n)
		if got := alert.Subject(n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Texts come from hosts, catalogues and people: in no field can they do anything
// but be read.
func TestHostileText(t *testing.T) {
	hostile := "\x1b]0;x\x07\x1b[31m<b>\r\nBcc: x\x00\u202e\u2066\u200b\u2028@everyone <!channel> [a](http://evil.example) " + strings.Repeat("A", 1<<20)
	n := damaged(holdfast.AlertFiring)
	n.Route = hostile
	n.Alert.What, n.Alert.Effect, n.Alert.Next, n.Alert.Cause, n.Alert.ID, n.Alert.Link = hostile, hostile, hostile, hostile, hostile, "/"+hostile
	n.Alert.Services, n.Alert.Owners = []string{hostile, hostile}, []string{hostile}
	n.Alert.Ack = &holdfast.Acknowledgement{By: hostile}
	for _, s := range []string{alert.Subject(n), alert.Text(n), alert.Link(n)} {
		if len(s) > 10_000 {
			t.Errorf("%d bytes", len(s))
		}
		for line := range strings.SplitSeq(s, "\n") {
			if i := strings.IndexFunc(line, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' }); i >= 0 {
				t.Errorf("%q at %d of %.80q", line[i], i, line)
			}
		}
	}
	if strings.Contains(alert.Subject(n), "\n") || strings.Contains(alert.Text(n), "\nBcc") {
		t.Error("a text breaks its line")
	}
}
