package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// TestRunsTellWhatChanged: only what was asked for, each change once, how far it has
// come at most every second, and everything again where a session begins.
func TestRunsTellWhatChanged(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	r := newRuns(func() time.Time { return now })
	told := func(all bool) (list []string) {
		for _, x := range r.tell(all) {
			text := fmt.Sprintf("%s %s", x.Check, x.State)
			if x.Phase != nil {
				text += fmt.Sprintf(" %s %d/%d", x.Phase.Name, x.Phase.Done, x.Phase.Total)
			}
			if x.Outcome != "" {
				text += " " + string(x.Outcome)
			}
			list = append(list, text)
		}
		return list
	}
	expect := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, told(false)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	r.stands("b", holdfast.RunRunning, now)
	r.comes("b", holdfast.Phase{Name: "restore"})
	expect("nobody asked for b")
	r.ask("a")
	r.stands("a", holdfast.RunWaiting, time.Time{})
	r.comes("a", holdfast.Phase{Name: "too early"})
	expect("it waits", "a waiting")
	expect("told once")
	r.stands("a", holdfast.RunRunning, now)
	r.comes("a", holdfast.Phase{Name: "restore", Done: 1, Total: 9})
	r.comes("a", holdfast.Phase{Name: "restore", Done: 2, Total: 9})
	expect("it runs", "a running restore 1/9")
	now = now.Add(phaseEach)
	r.comes("a", holdfast.Phase{Name: "restore", Done: 8, Total: 9})
	r.comes("a", holdfast.Phase{Name: "compare", Done: 0, Total: 9})
	if diff := cmp.Diff([]string{"a running compare 0/9"}, told(true)); diff != "" {
		t.Errorf("a session begins (-want +got):\n%s", diff)
	}
	r.saw(&holdfast.Observation{Check: "a", Outcome: holdfast.OK})
	expect("seen, not over")
	r.stands("a", holdfast.RunDone, now)
	expect("over", "a done ok")
	if got := told(true); got != nil {
		t.Errorf("what is over is told again: %q", got)
	}

	r.ask("a")
	r.stands("a", holdfast.RunRunning, now)
	r.stands("a", holdfast.RunDone, now)
	expect("stopped before it saw anything", "a dropped")
	for i := range 2 * maxAsked {
		r.ask(fmt.Sprint(i))
	}
	if n := len(r.list); n != maxAsked {
		t.Errorf("%d runs are kept, want %d", n, maxAsked)
	}
}
