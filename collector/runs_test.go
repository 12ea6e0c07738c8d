package collector

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/wire"
)

// runsWorld is a table of runs with a clock of its own.
type runsWorld struct {
	*runs
	now     time.Time
	changed int
}

func newRunsWorld() *runsWorld {
	w := &runsWorld{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	w.runs = newRuns(func() time.Time { return w.now }, func() { w.changed++ })
	return w
}

var weekly = &holdfast.Check{ID: "shop/restore/restored", Probe: "restic.restore", On: "dr1", Timeout: holdfast.Duration(time.Hour)}

// state is the state of the latest run, and what it says.
func (w *runsWorld) state() string {
	x := w.all()[0]
	return fmt.Sprintf("%s %s %s", x.State, x.Outcome, x.Summary)
}

func TestRunsFromAskToEnd(t *testing.T) {
	w := newRunsWorld()
	asked, fresh := w.ask(weekly, "ada")
	if again, twice := w.ask(weekly, "bob"); !fresh || twice || again.ID != asked.ID || again.By != "ada" {
		t.Errorf("asked again: got %+v, fresh %v, want the run that is under way", again, twice)
	}
	began := w.now.Add(time.Second)
	for _, said := range []struct {
		word  holdfast.Running
		state string
	}{
		{holdfast.Running{State: holdfast.RunWaiting}, "waiting  "},
		{holdfast.Running{State: holdfast.RunRunning, Started: began}, "running  "},
		{holdfast.Running{State: holdfast.RunRunning, Started: began, Phase: &holdfast.Phase{Name: "restore", Done: 1, Total: 2}}, "running  "},
		{holdfast.Running{State: holdfast.RunDone, Outcome: holdfast.OK, Summary: "all restored"}, "done ok all restored"},
		{holdfast.Running{State: holdfast.RunRunning}, "done ok all restored"}, // what is over is over
	} {
		w.now = w.now.Add(time.Second)
		said.word.Check = weekly.ID
		w.told("somebody-else", said.word)
		before := w.changed
		w.told("dr1", said.word)
		if got := w.state(); got != said.state {
			t.Errorf("after %+v: got %q, want %q", said.word, got, said.state)
		}
		if said.word.State == holdfast.RunWaiting && w.changed == before {
			t.Error("nobody heard of the change")
		}
	}
	want := holdfast.Run{ID: asked.ID, Check: weekly.ID, Agent: "dr1", By: "ada", State: holdfast.RunDone, Asked: asked.Asked,
		Started: began, Ended: asked.Asked.Add(4 * time.Second), Outcome: holdfast.OK, Summary: "all restored"}
	if diff := cmp.Diff([]holdfast.Run{want}, w.all()); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	if next, fresh := w.ask(weekly, "bob"); !fresh || next.ID == asked.ID {
		t.Errorf("asked once it was over: got %+v, want another run", next)
	}
}

func TestRunsThatDoNotRun(t *testing.T) {
	w := newRunsWorld()
	w.ask(weekly, "ada")
	w.told("dr1", holdfast.Running{Check: weekly.ID, State: holdfast.RunDone, Outcome: holdfast.OutcomeUnknown, Reason: holdfast.Refused, Summary: "this host does not allow restic.restore"})
	if got, want := w.state(), "refused unknown this host does not allow restic.restore"; got != want {
		t.Errorf("forbidden by the host: got %q, want %q", got, want)
	}
	x, _ := w.ask(weekly, "ada")
	w.failed(x.ID, errors.New("agent is not connected"))
	if got, want := w.state(), "lost  agent is not connected"; got != want {
		t.Errorf("nobody to ask: got %q, want %q", got, want)
	}
	w.ask(weekly, "ada")
	w.now = w.now.Add(61 * time.Minute)
	if got := w.state(); got != "sent  " {
		t.Errorf("within its time: got %q", got)
	}
	w.now = w.now.Add(time.Second)
	if got, want := w.state(), "lost  agent dr1 said nothing of it"; got != want {
		t.Errorf("a minute after its time: got %q, want %q", got, want)
	}
	w.ask(weekly, "ada")
	w.told("dr1", holdfast.Running{Check: weekly.ID, State: holdfast.RunDropped})
	if got := w.all()[0].State; got != holdfast.RunDropped {
		t.Errorf("the agent has it no more: got %s", got)
	}
}

// TestRunsOfAnAgentThatWentAway: the run is lost to sight, and found again when the
// agent is back, or when its report comes.
func TestRunsOfAnAgentThatWentAway(t *testing.T) {
	w := newRunsWorld()
	w.ask(weekly, "ada")
	w.told("dr1", holdfast.Running{Check: weekly.ID, State: holdfast.RunRunning, Started: w.now})
	w.gone("db1")
	if got := w.state(); got != "running  " {
		t.Errorf("another agent went away: got %q", got)
	}
	w.gone("dr1")
	if x := w.all()[0]; x.State != holdfast.RunLost || x.Summary == "" || x.Ended.IsZero() {
		t.Errorf("the agent went away: got %+v", x)
	}
	w.told("dr1", holdfast.Running{Check: weekly.ID, State: holdfast.RunRunning, Started: w.now})
	if x := w.all()[0]; x.State != holdfast.RunRunning || x.Summary != "" || !x.Ended.IsZero() {
		t.Errorf("it is back: got %+v", x)
	}
	w.gone("dr1")
	latest := holdfast.Observation{At: w.now.Add(-time.Minute), Outcome: holdfast.Failed, Summary: "2 files differ", Received: w.now.Add(time.Minute)}
	report := ingest.NewReport(wire.Report{Results: []wire.Result{{Check: 1}}}, "dr1", 1, w.now,
		&holdfast.Assignment{Checks: []holdfast.Check{{ID: "a"}, *weekly}}, func(error) {})
	read := func(check, on string) (holdfast.Observation, bool) {
		if check != weekly.ID || on != "dr1" {
			t.Errorf("asked for %s on %s", check, on)
		}
		return latest, true
	}
	w.reported([]*ingest.Report{report}, read)
	if got := w.all()[0].State; got != holdfast.RunLost {
		t.Errorf("a look from before it was asked for: got %s, want still lost", got)
	}
	latest.At = w.now
	w.reported([]*ingest.Report{report}, read)
	if got, want := w.state(), "done failed 2 files differ"; got != want {
		t.Errorf("its report came: got %q, want %q", got, want)
	}
	if n := w.awaited.Load(); n != 0 {
		t.Errorf("%d runs are still awaited", n)
	}
}

func TestRunsAreBounded(t *testing.T) {
	w := newRunsWorld()
	for i := range 3 * maxRuns {
		w.ask(&holdfast.Check{ID: fmt.Sprint(i), On: "dr1"}, "ada")
	}
	if list := w.all(); len(list) != maxRuns || list[0].Check != fmt.Sprint(3*maxRuns-1) {
		t.Errorf("%d runs are kept, the latest %q", len(list), list[0].Check)
	}
}

// TestMarks: of many observations the history keeps the tests, the first point of a
// day, and those that end the longest gaps.
func TestMarks(t *testing.T) {
	m := marks{}
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var kept []string
	see := func(what string, at time.Duration, o holdfast.Observation) {
		o.Check, o.Received, o.At = "a", day.Add(at), day.Add(at)
		if m.note(&o) {
			kept = append(kept, what)
		}
	}
	backup := func(newest, before time.Duration) holdfast.Observation {
		return holdfast.Observation{RecoveryPoints: []holdfast.RecoveryPoint{{Time: day.Add(newest)}, {Time: day.Add(before)}}}
	}
	for i := range 288 { // a backup every five minutes
		at := time.Duration(i) * 5 * time.Minute
		if i == 100 {
			continue // one is missed
		}
		before := at - 5*time.Minute
		if i == 101 {
			before -= 5 * time.Minute
		}
		see(fmt.Sprint("point ", i), at+time.Second, backup(at, before))
		see(fmt.Sprint("same ", i), at+2*time.Second, backup(at, before))
	}
	see("next day", 24*time.Hour+time.Second, backup(24*time.Hour, 24*time.Hour-5*time.Minute))
	verified := holdfast.Observation{Verification: &holdfast.Verification{Time: day}}
	see("verified", time.Hour, verified)
	see("the same verification", time.Hour, verified)
	see("restored", time.Hour, holdfast.Observation{Restoration: &holdfast.Restoration{Started: day}})
	see("nothing of the kind", time.Hour, holdfast.Observation{Capacity: &holdfast.Capacity{Free: 1}})
	if diff := cmp.Diff([]string{"point 0", "point 101", "next day", "verified", "restored"}, kept, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	replica := func(what string, at, lag time.Duration, seen bool) {
		o := holdfast.Observation{Check: "r", At: day.Add(at), Received: day.Add(at), Replication: &holdfast.Replication{Lag: holdfast.Duration(lag), PrimarySeen: seen}}
		if m.note(&o) {
			kept = append(kept, what)
		}
	}
	kept = nil
	replica("blind", 0, 0, false)
	for i := range 100 {
		replica(fmt.Sprint("lag ", i), time.Duration(i+1)*15*time.Second, time.Second, true)
	}
	replica("behind", time.Hour, 10*time.Minute, true)
	replica("in step", 2*time.Hour, time.Second, true)
	if diff := cmp.Diff([]string{"lag 0", "behind"}, kept); diff != "" {
		t.Errorf("of a replica (-want +got):\n%s", diff)
	}
}
