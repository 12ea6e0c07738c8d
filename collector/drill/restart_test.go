package drill_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// again ends the manager, lets time pass and starts another on the same store.
func (w *world) again(away time.Duration) {
	w.t.Helper()
	w.end()
	after(away)
	w.begin()
	after(time.Second)
}

// TestDrillRestart: a drill outlives its collector. What its agent saw meanwhile
// counts, what it has forgotten is asked again, people may still answer.
func TestDrillRestart(t *testing.T) {
	for _, x := range []struct {
		name string
		take time.Duration // of the restore
		away time.Duration
		runs int // of the restore
	}{
		{"the restore ended meanwhile", 10 * time.Minute, 20 * time.Minute, 1},
		{"the restore is forgotten", 30 * time.Minute, 5 * time.Minute, 2},
	} {
		t.Run(x.name, func(t *testing.T) {
			try(t, func(t *testing.T, w *world) {
				w.does[restored] = w.passes(x.take)
				d := w.goes()
				after(time.Second)
				w.says(d.ID, "declare", holdfast.DrillAnswer{})
				after(time.Minute)
				w.again(x.away)
				after(40 * time.Minute)
				w.again(time.Minute) // while people are asked
				w.says(d.ID, "switch", holdfast.DrillAnswer{})
				after(time.Minute)
				got := w.is(d.ID)
				if got.Verdict != holdfast.DrillPassed || len(w.records) != 1 {
					t.Errorf("got %s with gaps %q and %d records, want it passed", got.Verdict, gaps(got), len(w.records))
				}
				if away := got.Away.Std(); away < x.away+time.Minute || away > x.away+2*time.Minute+time.Second {
					t.Errorf("the collector was away for %s, want %s and a little", away, x.away+time.Minute)
				}
				runs := 0
				for _, check := range w.asked {
					if check == restored {
						runs++
					}
				}
				if runs != x.runs {
					t.Errorf("the restore was asked for %d times, want %d", runs, x.runs)
				}
			})
		})
	}
}

// TestDrillInterrupted: a collector that was gone for too long says so, and passes
// nothing.
func TestDrillInterrupted(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		d := w.goes()
		after(time.Minute)
		w.again(3 * time.Hour)
		got := w.is(d.ID)
		if got.Verdict != holdfast.DrillInterrupted || !strings.Contains(got.Reason, "away") || len(w.records) != 1 || w.records[0].Outcome != holdfast.OutcomeUnknown {
			t.Errorf("got %+v and %+v, want it interrupted and no test", got, w.records)
		}
		w.again(time.Minute)
		if len(w.records) != 1 || w.is(d.ID).Verdict != holdfast.DrillInterrupted {
			t.Errorf("after another start: %s, %d records", w.is(d.ID).Verdict, len(w.records))
		}
	})
}

// TestDrillRecordCannotBeStored: a drill whose record the store does not take is not
// over; it enters one when it can.
func TestDrillRecordCannotBeStored(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		w.breaks = errors.New("disk full")
		d := w.goes()
		after(time.Second)
		w.says(d.ID, "declare", holdfast.DrillAnswer{})
		after(time.Minute)
		w.says(d.ID, "switch", holdfast.DrillAnswer{})
		after(time.Minute)
		if got := w.is(d.ID); got.Verdict != "" {
			t.Errorf("without its record: got %s, want it under way", got.Verdict)
		}
		w.mu.Lock()
		w.breaks = nil
		w.mu.Unlock()
		after(time.Minute)
		if got := w.is(d.ID); got.Verdict != holdfast.DrillPassed || got.Record != "1" || got.Took > holdfast.Duration(2*time.Minute) {
			t.Errorf("got %s, record %q, took %s: want it passed, its clock at the last step", got.Verdict, got.Record, got.Took)
		}
	})
}

// TestDrillAfterStart: a drill that begins just after its collector waits for agents
// to come back.
func TestDrillAfterStart(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		w.books(holdfast.DrillBooking{At: start.Add(time.Hour)})
		w.agents["dr1"].Connected = false
		w.again(time.Hour + time.Minute)
		d := w.Drills()[0]
		w.says(d.ID, "declare", holdfast.DrillAnswer{})
		after(30 * time.Second)
		if x := w.is(d.ID).Steps[1]; x.State != holdfast.StepWaiting || !strings.Contains(x.Summary, "waited for") {
			t.Errorf("the first need: got %+v, want its agent waited for", x)
		}
		w.mu.Lock()
		w.agents["dr1"].Connected = true
		w.mu.Unlock()
		w.publish()
		after(time.Minute)
		w.says(d.ID, "switch", holdfast.DrillAnswer{})
		after(time.Minute)
		if got := w.is(d.ID); got.Verdict != holdfast.DrillPassed {
			t.Errorf("got %s with gaps %q, want it passed", got.Verdict, gaps(got))
		}
	})
}
