package agenda_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-monitor/holdfast/collector/agenda"
)

// The heap gives what a plain map would, in order, however instants move.
func TestAgenda(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d agenda.Agenda
		want := map[string]time.Time{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			name := string(rune('a' + rapid.IntRange(0, 9).Draw(t, "name")))
			var at time.Time
			if n := rapid.IntRange(0, 50).Draw(t, "at"); n > 0 {
				at = time.Unix(int64(n), 0)
				want[name] = at
			} else {
				delete(want, name)
			}
			d.Set(name, at)
			if rapid.IntRange(0, 9).Draw(t, "look") > 0 {
				continue
			}
			now := time.Unix(int64(rapid.IntRange(0, 50).Draw(t, "now")), 0)
			var due []string
			for n, at := range want {
				if !at.After(now) {
					due = append(due, n)
					delete(want, n)
				}
			}
			got := d.Due(now)
			slices.Sort(due)
			slices.Sort(got)
			if diff := cmp.Diff(due, got); diff != "" {
				t.Fatalf("due at %v (-want +got):\n%s", now, diff)
			}
		}
		var next time.Time
		for _, at := range want {
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
		if got := d.Next(); !got.Equal(next) {
			t.Fatalf("next: got %v, want %v of %d", got, next, len(want))
		}
	})
}
