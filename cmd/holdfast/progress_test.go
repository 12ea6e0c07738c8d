package main

import (
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func TestProgress(t *testing.T) {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"file", false, "restore 50 %\ncompare\n"},
		{"terminal", true, "\r\x1b[Krestore 10 %\r\x1b[Krestore 50 %\r\x1b[Kcompare\r\x1b[K"},
	} {
		var out strings.Builder
		now := at
		p := &progress{w: &out, terminal: c.terminal, now: func() time.Time { return now }}
		p.next = now.Add(p.pause())
		for _, step := range []struct {
			after time.Duration
			phase holdfast.Phase
		}{
			{500 * time.Millisecond, holdfast.Phase{Name: "list"}},
			{2 * time.Second, holdfast.Phase{Name: "restore", Done: 1, Total: 10}},
			{9 * time.Second, holdfast.Phase{Name: "restore", Done: 5, Total: 10}},
			{10 * time.Second, holdfast.Phase{Name: "compare"}},
		} {
			now = now.Add(step.after)
			p.tell(step.phase)
		}
		p.end()
		if got := out.String(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
