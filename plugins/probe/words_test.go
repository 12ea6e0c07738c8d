package probe_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"für 12 €":               "für 12 €",
		"two\nlines\ttab":        "two?lines?tab",
		"\x1b]0;owned\x07":       "?]0;owned?",
		"\xff\xfe":               "??",
		"right\u202eto left":     "right?to left",
		strings.Repeat("x", 500): strings.Repeat("x", 500),
		strings.Repeat("x", 501): strings.Repeat("x", 497) + "…",
		strings.Repeat("ü", 300): strings.Repeat("ü", 248) + "…",
	} {
		got := probe.OneLine(in)
		if got != want {
			t.Errorf("OneLine(%q): got %q, want %q", in, got, want)
		}
		if len(got) > 500 || len(got) > len(in) || !utf8.ValidString(got) {
			t.Errorf("OneLine(%q): got %d bytes, want UTF-8 that is no longer than it was", in, len(got))
		}
	}
}

func TestObservations(t *testing.T) {
	got := []probe.Observation{probe.OK("%d\n", 1), probe.Degraded(holdfast.Locked, "%d", 2), probe.Failed(holdfast.Empty, "%d", 3)}
	want := []probe.Observation{
		{Outcome: "ok", Summary: "1?"}, {Outcome: "degraded", Reason: "locked", Summary: "2"}, {Outcome: "failed", Reason: "empty", Summary: "3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("observations (-want +got):\n%s", diff)
	}
}
