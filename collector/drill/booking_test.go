package drill_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func (w *world) books(b holdfast.DrillBooking) holdfast.DrillBooking {
	w.t.Helper()
	b.DrillOrder = holdfast.DrillOrder{Service: "shop", Path: "restore"}
	b, _, err := w.Book(w.t.Context(), b, holdfast.Who{Name: "mara"})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// TestBookingStarts: a booked drill starts at its time, once, also when the collector
// was gone for a moment; a row goes on.
func TestBookingStarts(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		once := w.books(holdfast.DrillBooking{At: start.Add(24 * time.Hour)})
		after(24*time.Hour - time.Minute)
		if len(w.Drills()) != 0 {
			t.Fatal("it began too early")
		}
		w.again(5 * time.Minute)
		list := w.Drills()
		if len(list) != 1 || list[0].Booking != once.ID || list[0].By != "mara" || len(w.Bookings()) != 0 {
			t.Fatalf("got %+v and %+v, want one drill of mara's booking, which is over", list, w.Bookings())
		}
		if _, err := w.Cancel(t.Context(), list[0].ID, "", ops); err != nil {
			t.Fatal(err)
		}
		row := w.books(holdfast.DrillBooking{Every: 90 * holdfast.Day})
		after(90*24*time.Hour + time.Minute)
		next := w.Bookings()
		if len(w.Drills()) != 2 || len(next) != 1 || next[0].At != row.At.Add(90*24*time.Hour) || next[0].Last != w.Drills()[0].ID {
			t.Errorf("got %d drills and %+v, want a second one and the next in 90 d", len(w.Drills()), next)
		}
		after(2 * time.Hour) // nobody answers
		if d := w.Drills()[0]; d.Verdict != holdfast.DrillFailed {
			t.Errorf("nobody answered: got %s, want it failed", d.Verdict)
		}
	})
}

// TestBookingMissed: what could not start is told, and what passed meanwhile is not
// run all at once.
func TestBookingMissed(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		row := w.books(holdfast.DrillBooking{At: start.Add(time.Hour), Every: holdfast.Day})
		w.again(5*24*time.Hour + 3*time.Hour)
		b := w.Bookings()[0]
		if len(w.Drills()) != 0 || b.At != row.At.Add(6*24*time.Hour) || b.Missed.IsZero() || !strings.Contains(b.Problem, "collector") {
			t.Errorf("got %d drills and %+v, want none, told as missed, the next to come", len(w.Drills()), b)
		}
		if list := w.Trouble(); len(list) != 1 || !strings.Contains(list[0].Text, "shop/restore") {
			t.Errorf("told %+v, want what was missed", list)
		}
		d := w.goes() // made up for
		if list := w.Trouble(); len(list) != 0 {
			t.Errorf("told %+v after it was made up for", list)
		}
		if _, err := w.Cancel(t.Context(), d.ID, "", ops); err != nil {
			t.Fatal(err)
		}
		if err := w.Unbook(t.Context(), row.ID, ops); err != nil {
			t.Fatal(err)
		}
		if err := w.Unbook(t.Context(), row.ID, ops); !errors.Is(err, holdfast.ErrUnknown) {
			t.Errorf("ended twice: got %v", err)
		}
	})
}

// TestBookingConflict: a drill of the path is under way at the time, and stays so.
func TestBookingConflict(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		w.books(holdfast.DrillBooking{At: start.Add(10 * time.Minute)})
		first := w.goes()
		after(40 * time.Minute)
		b := w.Bookings()
		if len(w.Drills()) != 1 || len(b) != 1 || b[0].Missed.IsZero() || !strings.Contains(b[0].Problem, first.ID) {
			t.Errorf("got %d drills and %+v, want it missed and why", len(w.Drills()), b)
		}
		if len(w.Trouble()) != 1 {
			t.Errorf("told %+v, want what was missed", w.Trouble())
		}
		if _, err := w.Cancel(t.Context(), first.ID, "", ops); err != nil {
			t.Fatal(err)
		}
		after(time.Hour)
		if len(w.Drills()) != 1 {
			t.Error("what was missed began later")
		}
		_, warnings, err := w.Book(t.Context(), holdfast.DrillBooking{DrillOrder: holdfast.DrillOrder{Service: "shop", Path: "restore"}, At: w.now().Add(2 * time.Hour)}, ops)
		if err != nil || len(warnings) != 0 {
			t.Fatalf("got %q, %v", warnings, err)
		}
		_, warnings, err = w.Book(t.Context(), holdfast.DrillBooking{DrillOrder: holdfast.DrillOrder{Service: "shop", Path: "by-hand"}, At: w.now().Add(3 * time.Hour)}, ops)
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "shop/restore") {
			t.Errorf("got %q, %v, want the other drill at the site named", warnings, err)
		}
		for _, bad := range []holdfast.DrillBooking{{}, {At: start}, {At: w.now().AddDate(9, 0, 0)}, {Every: holdfast.Duration(time.Hour)}} {
			bad.DrillOrder = holdfast.DrillOrder{Service: "shop", Path: "restore"}
			if _, _, err := w.Book(t.Context(), bad, ops); !errors.Is(err, holdfast.ErrInvalid) {
				t.Errorf("%+v: got %v, want it refused", bad, err)
			}
		}
	})
}
