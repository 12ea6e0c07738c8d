package drill_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	room     = "shop/restore/room"
	key      = "shop/restore/key"
	vault    = "shop/files/vault"
	restored = "shop/restore/restored"
	mbco     = "shop/restore/mbco"
)

// TestDrillPasses walks a path from its first step to its last: in order, people
// included, and ends in an exercise that lifts the path's rung.
func TestDrillPasses(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		if p, _ := w.Posture("shop"); rung(p) == holdfast.Proven {
			t.Fatal("the rung is proven before anything was walked")
		}
		w.does[restored] = w.passes(25 * time.Minute)
		d := w.goes()
		after(5 * time.Minute)
		if diff := cmp.Diff([]string{
			"1 person declare asked", "2 need " + room + " planned", "3 credential " + key + " planned", "4 paper plan/move planned",
			"5 need plan/move/ams planned", "6 paper shop/restore/crew planned", "7 copy " + vault + " planned", "8 restore " + restored + " planned",
			"9 person switch planned", "10 mbco " + mbco + " planned",
		}, words(w.is(d.ID))); diff != "" {
			t.Errorf("the first step waits for people (-want +got):\n%s", diff)
		}
		if _, err := w.Answer(t.Context(), d.ID, "switch", holdfast.DrillAnswer{}, ops); !errors.Is(err, holdfast.ErrConflict) {
			t.Errorf("a step that is not asked for yet: got %v, want a conflict", err)
		}
		w.says(d.ID, "declare", holdfast.DrillAnswer{By: "bob"})
		after(10 * time.Minute)
		if got := w.is(d.ID).Steps[7]; got.State != holdfast.StepRunning {
			t.Errorf("the restore: got %+v, want it running", got)
		}
		after(20 * time.Minute)
		w.says(d.ID, "9", holdfast.DrillAnswer{Note: "low TTL helped"})
		after(time.Minute)

		got := w.is(d.ID)
		if got.Verdict != holdfast.DrillPassed || got.Point != start.Add(-time.Hour) || got.Loss != holdfast.Duration(time.Hour) || got.Bytes != 1<<30 {
			t.Errorf("got %+v, want it passed, with an hour lost", got)
		}
		if took := got.Took.Std(); took < 35*time.Minute || took > 36*time.Minute {
			t.Errorf("took %s, want the whole with what people did: a little over 35 m", took)
		}
		if diff := cmp.Diff([]string{"late 8 " + restored + " took 25m, 20m expected"}, lates(gaps(got))); diff != "" {
			t.Errorf("gaps (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{room, key, "plan/move/ams", vault, restored, mbco}, w.asked); diff != "" {
			t.Errorf("ran (-want +got):\n%s", diff)
		}
		r := w.records[0]
		if len(w.records) != 1 || r.Drill != d.ID || r.ID != got.Record || r.Outcome != holdfast.OK || r.Plan != "move" || r.Version != "3" || r.Site != "ams" {
			t.Errorf("record %+v, want one exercise of this drill", w.records)
		}
		if diff := cmp.Diff([]string{"bob", "ops"}, r.People); diff != "" {
			t.Errorf("people (-want +got):\n%s", diff)
		}
		if p, _ := w.Posture("shop"); rung(p) != holdfast.Proven {
			t.Errorf("the rung exercised is %s after a drill that passed", rung(p))
		}
	})
}

func rung(p holdfast.Posture) holdfast.State {
	for _, x := range p.Paths {
		if x.Name == "restore" {
			return x.Rungs[holdfast.Exercised].State
		}
	}
	return ""
}

// lates leaves out seconds that the test's own agents take.
func lates(list []string) (out []string) {
	for _, g := range list {
		if g[:4] == "late" && g[5] != '0' {
			out = append(out, g)
		}
	}
	return out
}

// TestDrillGoesWrong: whatever goes wrong, a drill never passes, names what it was,
// and only what was seen to be bad makes the rung fail.
func TestDrillGoesWrong(t *testing.T) {
	unable := func(reason holdfast.Reason) func(*holdfast.Observation) {
		return func(o *holdfast.Observation) {
			o.Outcome, o.Reason, o.Summary, o.Restoration = holdfast.OutcomeUnknown, reason, "could not look", nil
		}
	}
	bad := func(o *holdfast.Observation) {
		o.Outcome, o.Reason, o.Summary, o.Restoration = holdfast.Failed, holdfast.Damaged, "a pack is damaged", nil
	}
	for _, x := range []struct {
		name    string
		set     func(w *world)
		answer  func(w *world, id string) // after the restore
		outcome holdfast.Outcome
		gap     string
		steps   int // that were not walked
	}{
		{name: "restore failed", set: func(w *world) { w.does[restored] = w.sees(time.Minute, bad) }, outcome: holdfast.Failed,
			gap: "step 8 " + restored + " failed: a pack is damaged", steps: 2},
		{name: "restore timed out", set: func(w *world) { w.does[restored] = w.sees(time.Minute, unable(holdfast.Timeout)) }, outcome: holdfast.OutcomeUnknown,
			gap: "step 8 " + restored + " could not tell: could not look", steps: 2},
		{name: "restore refused", set: func(w *world) { w.does[restored] = w.sees(time.Minute, unable(holdfast.Refused)) }, outcome: holdfast.OutcomeUnknown,
			gap: "step 8 " + restored + " was refused: could not look", steps: 2},
		{name: "half restored", set: func(w *world) {
			w.does[restored] = w.sees(time.Minute, func(o *holdfast.Observation) { o.Restoration.Coverage = .5 })
		}, outcome: holdfast.OutcomeUnknown, gap: "not-restored 0 dataset files was not restored"},
		{name: "agent lost", set: func(w *world) {
			w.does[restored] = func(r *holdfast.Run) {
				w.tell(r, func(r *holdfast.Run) { r.State, r.Started = holdfast.RunRunning, w.now() })
				pause(time.Minute)
				w.tell(r, func(r *holdfast.Run) {
					r.State, r.Ended, r.Summary = holdfast.RunLost, w.now(), "agent dr1 went away"
				})
			}
		}, outcome: holdfast.OutcomeUnknown, gap: "step 8 " + restored + " was lost: agent dr1 went away", steps: 2},
		{name: "agent not there", set: func(w *world) { w.agents["dr1"].Connected = false }, outcome: holdfast.OutcomeUnknown,
			gap: "step 2 " + room + " was lost: agent dr1 is not connected", steps: 2},
		{name: "a need failed, the rest is walked", set: func(w *world) {
			w.does[room] = w.sees(time.Second, func(o *holdfast.Observation) { o.Outcome, o.Summary = holdfast.Failed, "disk full" })
		}, outcome: holdfast.Failed, gap: "step 2 " + room + " failed: disk full"},
		{name: "the minimum level is not reached", set: func(w *world) {
			w.does[mbco] = w.sees(time.Second, func(o *holdfast.Observation) { o.Outcome, o.Summary = holdfast.Failed, "HTTP 500" })
		}, outcome: holdfast.Failed, gap: "step 10 " + mbco + " failed: HTTP 500"},
		{name: "people could not", set: func(*world) {}, answer: func(w *world, id string) {
			w.says(id, "switch", holdfast.DrillAnswer{Failed: true, Note: "no access to the registrar"})
		}, outcome: holdfast.Failed, gap: "step 9 switch failed: no access to the registrar", steps: 1},
		{name: "people did not answer", set: func(*world) {}, answer: func(*world, string) {}, outcome: holdfast.OutcomeUnknown,
			gap: "step 9 switch was not answered: nobody said that it was done", steps: 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			try(t, func(t *testing.T, w *world) {
				x.set(w)
				d := w.goes()
				after(time.Second)
				w.says(d.ID, "declare", holdfast.DrillAnswer{})
				after(3 * time.Minute)
				switch {
				case x.answer != nil:
					x.answer(w, d.ID)
				case w.is(d.ID).Verdict == "":
					w.says(d.ID, "switch", holdfast.DrillAnswer{})
				}
				after(2 * time.Hour)
				got := w.is(d.ID)
				if got.Verdict != holdfast.DrillFailed || len(w.records) != 1 || w.records[0].Outcome != x.outcome {
					t.Errorf("got %s and %+v, want it failed and an outcome %s", got.Verdict, w.records, x.outcome)
				}
				found := false
				for _, g := range gaps(got) {
					found = found || g == x.gap
				}
				if !found {
					t.Errorf("gaps %q, want %q", gaps(got), x.gap)
				}
				skipped := 0
				for _, s := range got.Steps {
					if s.State == holdfast.StepSkipped {
						skipped++
					}
				}
				if skipped != x.steps {
					t.Errorf("%d steps were not walked, want %d: %q", skipped, x.steps, words(got))
				}
				p, _ := w.Posture("shop")
				if state := rung(p); state == holdfast.Proven || (state == holdfast.Broken) != (x.outcome == holdfast.Failed) {
					t.Errorf("the rung is %s after outcome %s", state, x.outcome)
				}
			})
		})
	}
}

// TestDrillReservations: objectives that were missed are named, by how much, and the
// drill passes with a reservation.
func TestDrillReservations(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		w.does[restored] = w.sees(50*time.Minute, func(o *holdfast.Observation) { o.Restoration.Point = start.Add(-5 * time.Hour) })
		w.does[vault] = w.sees(time.Second, func(o *holdfast.Observation) { o.Outcome, o.Summary = holdfast.OutcomeDegraded, "slow" })
		d := w.goes()
		after(15 * time.Minute)
		w.says(d.ID, "declare", holdfast.DrillAnswer{})
		after(time.Hour)
		w.says(d.ID, "switch", holdfast.DrillAnswer{})
		after(time.Minute)
		got := w.is(d.ID)
		if got.Verdict != holdfast.DrillPassed || w.records[0].Outcome != holdfast.OutcomeDegraded {
			t.Errorf("got %s and %+v, want it passed with a reservation", got.Verdict, w.records)
		}
		kinds := map[holdfast.DrillGapKind]holdfast.Duration{}
		for _, g := range got.Gaps {
			kinds[g.Kind] = g.Late
		}
		if kinds[holdfast.GapRPO] != holdfast.Duration(3*time.Hour) || kinds[holdfast.GapRTO] < holdfast.Duration(15*time.Minute) {
			t.Errorf("gaps %+v, want RPO missed by 3 h and RTO by a quarter of an hour", got.Gaps)
		}
		if _, said := kinds[holdfast.GapReservation]; !said {
			t.Errorf("gaps %+v, want the degraded copy named", got.Gaps)
		}
	})
}

// TestDrillAborted: what runs is stopped, nothing more is asked, the rung stays as it
// was.
func TestDrillAborted(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		w.does[restored] = w.passes(time.Hour)
		d := w.goes()
		after(time.Second)
		w.says(d.ID, "declare", holdfast.DrillAnswer{})
		after(time.Minute)
		if _, err := w.Start(t.Context(), holdfast.DrillOrder{Service: "shop", Path: "restore"}, ops); !errors.Is(err, holdfast.ErrConflict) {
			t.Errorf("a second drill of the path: got %v, want a conflict", err)
		}
		before, _ := w.Posture("shop")
		if _, err := w.Cancel(t.Context(), d.ID, "wrong day", ops); err != nil {
			t.Fatal(err)
		}
		got := w.is(d.ID)
		if got.Verdict != holdfast.DrillAborted || got.Stopped != "ops" || got.Reason != "wrong day" || w.records[0].Outcome != holdfast.OutcomeUnknown {
			t.Errorf("got %+v and %+v, want it aborted by ops, no test", got, w.records)
		}
		if diff := cmp.Diff([]string{restored}, w.stopped); diff != "" {
			t.Errorf("stopped (-want +got):\n%s", diff)
		}
		if now, _ := w.Posture("shop"); rung(now) != rung(before) {
			t.Errorf("the rung went from %s to %s", rung(before), rung(now))
		}
		if _, err := w.Cancel(t.Context(), d.ID, "", ops); !errors.Is(err, holdfast.ErrConflict) {
			t.Errorf("aborted again: got %v, want a conflict", err)
		}
		if _, err := w.Answer(t.Context(), d.ID, "switch", holdfast.DrillAnswer{}, ops); !errors.Is(err, holdfast.ErrConflict) {
			t.Errorf("answered when over: got %v, want a conflict", err)
		}
		if again := w.goes(); again.ID == d.ID {
			t.Error("the next drill has the same ID")
		}
		after(2 * time.Hour)
	})
}

// TestDrillRunUnderWay: a restore that began before the drill says nothing of it; its
// own follows.
func TestDrillRunUnderWay(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		w.does[restored] = w.passes(30 * time.Minute)
		if _, err := w.RunCheck(t.Context(), restored, "somebody"); err != nil {
			t.Fatal(err)
		}
		d := w.goes()
		after(5 * time.Minute)
		w.says(d.ID, "declare", holdfast.DrillAnswer{})
		after(time.Minute)
		if x := w.is(d.ID).Steps[7]; x.State != holdfast.StepRunning || x.Summary == "" {
			t.Errorf("the restore: got %+v, want it said that another is waited for", x)
		}
		after(time.Hour)
		w.says(d.ID, "switch", holdfast.DrillAnswer{})
		after(time.Minute)
		got := w.is(d.ID)
		if x := got.Steps[7]; got.Verdict != holdfast.DrillPassed || x.Began.Before(start.Add(30*time.Minute)) {
			t.Errorf("got %s, restore %+v, want it passed by a restore of its own", got.Verdict, x)
		}
	})
}

// TestDrillPlan says what would be walked, what would go wrong, and does none of it.
func TestDrillPlan(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		w.agents["dr1"].Refused = []string{restored}
		p, err := w.Plan(holdfast.DrillOrder{Service: "shop", Path: "restore", Scenario: "ransomware", Dependencies: true})
		if err != nil {
			t.Fatal(err)
		}
		if p.Terms.RTO.Limit != holdfast.Duration(8*time.Hour) || p.Terms.Expected != holdfast.Duration(20*time.Minute) || !p.Terms.RestoreOnly || p.Terms.Total() != holdfast.Duration(35*time.Minute) {
			t.Errorf("terms %+v, want those of ransomware and 20 m + 15 m of people expected", p.Terms)
		}
		if p.Steps[1].Of != "dns/second" || p.Steps[1].Check != "dns/second/answers" || len(p.Depends) != 1 {
			t.Errorf("steps %q of %v, want the dependency's first", words(p.Drill()), p.Depends)
		}
		if diff := cmp.Diff([]string{restored + ": agent dr1 refuses it by its own policy"}, p.Warnings); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
		for _, x := range []struct {
			o    holdfast.DrillOrder
			want error
		}{
			{holdfast.DrillOrder{Service: "shop", Path: "no-plan"}, holdfast.ErrConflict},
			{holdfast.DrillOrder{Service: "shop", Path: "nowhere"}, holdfast.ErrInvalid},
			{holdfast.DrillOrder{Service: "nobody"}, holdfast.ErrInvalid},
			{holdfast.DrillOrder{Service: "shop", Path: "restore", Scenario: "flood"}, holdfast.ErrInvalid},
		} {
			if _, err := w.Start(t.Context(), x.o, ops); !errors.Is(err, x.want) {
				t.Errorf("%+v: got %v, want %v", x.o, err, x.want)
			}
		}
		after(time.Hour)
		if len(w.Drills())+len(w.asked)+len(w.records) != 0 {
			t.Errorf("%d drills, asked %q, %d records: planning does nothing", len(w.Drills()), w.asked, len(w.records))
		}
	})
}

// TestDrillsTogether: two drills that restore on one agent are flagged, and one waits
// for the other there.
func TestDrillsTogether(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		first := w.goes()
		order := holdfast.DrillOrder{Service: "shop", Path: "again"}
		p, err := w.Plan(order)
		if err != nil || len(p.Refusals) > 0 {
			t.Fatalf("got %v, %q: another path may be walked", err, p.Refusals)
		}
		if want := "drill " + first.ID + " of shop/restore restores on dr1 as well: one waits for the other"; !slices.Contains(p.Warnings, want) {
			t.Errorf("warnings %q, want %q", p.Warnings, want)
		}
		second, err := w.Start(t.Context(), order, ops)
		if err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		for _, d := range []holdfast.Drill{first, second} {
			if !slices.ContainsFunc(w.Running(), func(r holdfast.Drill) bool { return r.ID == d.ID }) {
				t.Errorf("drill %s is not under way", d.ID)
			}
			if _, err := w.Cancel(t.Context(), d.ID, "", ops); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestDrillByHand: where no test restores, people do, and say from which point.
func TestDrillByHand(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		walk := func(a holdfast.DrillAnswer) holdfast.Drill {
			d, err := w.Start(t.Context(), holdfast.DrillOrder{Service: "shop", Path: "by-hand"}, ops)
			if err != nil {
				t.Fatal(err)
			}
			after(time.Minute)
			w.says(d.ID, "confirm", a)
			after(time.Second)
			return w.is(d.ID)
		}
		if d := walk(holdfast.DrillAnswer{}); d.Verdict != holdfast.DrillFailed {
			t.Errorf("nothing was restored: got %s with gaps %q, want it failed", d.Verdict, gaps(d))
		}
		if d := walk(holdfast.DrillAnswer{Point: start.Add(-time.Hour)}); d.Verdict != holdfast.DrillPassed || d.Point != start.Add(-time.Hour) {
			t.Errorf("restored by people: got %s with gaps %q, want it passed", d.Verdict, gaps(d))
		}
	})
}

func TestDrillAnswers(t *testing.T) {
	try(t, func(t *testing.T, w *world) {
		d := w.goes()
		after(10 * time.Minute)
		for _, x := range []struct {
			id, step string
			a        holdfast.DrillAnswer
			want     error
		}{
			{"nothing", "declare", holdfast.DrillAnswer{}, holdfast.ErrUnknown},
			{d.ID, "dance", holdfast.DrillAnswer{}, holdfast.ErrUnknown},
			{d.ID, "2", holdfast.DrillAnswer{}, holdfast.ErrConflict},
			{d.ID, "declare", holdfast.DrillAnswer{At: w.now().Add(time.Hour)}, holdfast.ErrInvalid},
			{d.ID, "declare", holdfast.DrillAnswer{At: d.Started.Add(-time.Hour)}, holdfast.ErrInvalid},
			{d.ID, "declare", holdfast.DrillAnswer{Point: w.now()}, holdfast.ErrInvalid},
			{d.ID, "declare", holdfast.DrillAnswer{At: d.Started.Add(-2 * time.Minute)}, holdfast.ErrInvalid},
			{d.ID, "declare", holdfast.DrillAnswer{By: "ada", At: d.Started.Add(5 * time.Minute)}, nil},
			{d.ID, "declare", holdfast.DrillAnswer{}, holdfast.ErrConflict},
		} {
			if _, err := w.Answer(t.Context(), x.id, x.step, x.a, ops); !errors.Is(err, x.want) {
				t.Errorf("%s %s %+v: got %v, want %v", x.id, x.step, x.a, err, x.want)
			}
		}
		if x := w.is(d.ID).Steps[0]; x.By != "ada" || x.EnteredBy != "ops" || x.Took(w.now()) != holdfast.Duration(5*time.Minute) {
			t.Errorf("got %+v, want done by ada after 5 m, entered by ops", x)
		}
		after(time.Minute)
		w.says(d.ID, "switch", holdfast.DrillAnswer{At: w.is(d.ID).Steps[8].Asked.Truncate(time.Minute)}) // as a form writes it
		after(time.Minute)
		if x := w.is(d.ID).Steps[8]; x.State != holdfast.StepDone || x.Took(w.now()) != 0 {
			t.Errorf("got %+v, want it done within the minute it was asked in", x)
		}
	})
}
