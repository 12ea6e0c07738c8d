package alert_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// again stops the manager and starts another on the same store, as a restart does.
func (w *world) again() {
	w.t.Helper()
	w.stop()
	w.start()
	w.judge()
	synctest.Wait()
}

func TestRestart(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		d.wants(t, copyFailed)
		id := w.open()[0].ID
		if _, err := w.manager.Acknowledge(t.Context(), id, "on it", w.now().Add(time.Hour), holdfast.Who{Name: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.again()
		d.wants(t) // what was firing stays firing, no duplicate
		if a := w.open(); len(a) != 1 || a[0].ID != id || a[0].Status != holdfast.AlertFiring || a[0].Ack == nil {
			t.Errorf("after a restart: %+v", a)
		}
		w.stop()
		w.copyIs(holdfast.OK, "") // while the collector is down
		time.Sleep(time.Hour)
		w.start()
		d.wants(t) // nothing ends before everything was judged
		w.judge()
		d.wants(t, "resolved recovery-point-failed")
		w.again()
		d.wants(t)
	})
}

// What is pending is not sent by a restart: its hold-off begins again.
func TestRestartWhilePending(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		w.roomIs(holdfast.Failed)
		w.judge()
		time.Sleep(10 * time.Second)
		w.again()
		time.Sleep(14 * time.Second)
		d.wants(t)
		time.Sleep(2 * time.Second)
		d.wants(t, needFailed)
	})
}

// A collector that was down has not heard anybody for a while. Nobody is missed
// before they had the time to report.
func TestNothingOfSilenceAfterAStart(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		w.stop()
		time.Sleep(24 * time.Hour) // everything ran out meanwhile
		w.hush("dr1", w.now().Add(-24*time.Hour))
		w.start()
		w.judge()
		time.Sleep(2 * time.Hour) // the shortest validity is 2 × 1h + 1m
		d.wants(t)
		time.Sleep(time.Minute + time.Second)
		d.wants(t, "firing agent-silent")
		w.again() // and one that fires goes on firing
		time.Sleep(time.Minute)
		d.wants(t)
		w.wakes("dr1")
		w.good()
		w.judge()
		d.wants(t, "resolved agent-silent")
	})
}

func TestAgentThatComesBackInTimeIsNotMissed(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		w.stop()
		time.Sleep(24 * time.Hour)
		w.hush("dr1", w.now().Add(-24*time.Hour))
		w.start()
		w.judge()
		time.Sleep(time.Minute)
		w.wakes("dr1")
		time.Sleep(time.Minute)
		w.good()
		w.judge()
		time.Sleep(5 * time.Hour)
		d.wants(t)
		w.hush("dr1", w.now()) // met since the start: missed at once
		time.Sleep(31 * time.Second)
		d.wants(t, "firing agent-silent")
	})
}

// What cannot be stored is not sent, and is sent once it can be.
func TestStoreRefuses(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		var full atomic.Bool
		full.Store(true)
		w.breaks = func() error {
			if full.Load() {
				return errors.New("no space left")
			}
			return nil
		}
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		time.Sleep(10 * time.Second)
		d.wants(t)
		if got := w.manager.Trouble(); len(got) != 1 {
			t.Errorf("trouble %+v; want the store named", got)
		}
		full.Store(false)
		time.Sleep(2 * time.Second)
		d.wants(t, copyFailed)
		if got := w.manager.Trouble(); len(got) != 0 {
			t.Errorf("trouble %+v", got)
		}
	})
}

func TestRetriesAndDeadLetters(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		d.refuse(errors.New("connection refused"))
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		synctest.Wait()
		before := w.manager.Deliveries()
		time.Sleep(2 * time.Minute)
		w.again()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		got := w.manager.Deliveries()
		if len(got) != 1 || got[0].ID != before[0].ID || got[0].Tries < 3 || got[0].Problem != "connection refused" {
			t.Errorf("deliveries %+v; want the one of %s, tried often", got, before[0].ID)
		}
		if got := w.manager.Trouble(); len(got) != 1 {
			t.Errorf("trouble %+v; want the receiver named", got)
		}
		w.copyIs(holdfast.OK, "")
		w.judge()
		time.Sleep(time.Hour)
		d.wants(t)
		d.refuse(nil)
		time.Sleep(2 * time.Minute)
		d.wants(t, copyFailed, "resolved recovery-point-failed") // in order, each once
		if got := w.manager.Deliveries(); len(got) != 0 {
			t.Errorf("deliveries %+v", got)
		}

		d.refuse(errors.New("connection refused"))
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		time.Sleep(25 * time.Hour) // given up
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		synctest.Wait()
		got = w.manager.Deliveries()
		if len(got) != 1 || got[0].Dead.IsZero() {
			t.Fatalf("deliveries %+v; want one dead", got)
		}
		w.again()
		d.refuse(nil)
		time.Sleep(time.Hour)
		d.wants(t)
		if err := w.manager.Retry(t.Context(), got[0].ID); err != nil {
			t.Fatal(err)
		}
		d.wants(t, copyFailed)
		if err := w.manager.Retry(t.Context(), got[0].ID); !errors.Is(err, holdfast.ErrInvalid) {
			t.Errorf("retry of what was taken: %v", err)
		}
	})
}

func TestRefusedForGood(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		d.refuse(errors.Join(alert.ErrPermanent, errors.New("400 Bad Request")))
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.manager.Deliveries(); len(got) != 1 || got[0].Dead.IsZero() || got[0].Tries != 1 {
			t.Errorf("deliveries %+v; want one dead after one try", got)
		}
		if got := w.manager.Trouble(); len(got) != 1 {
			t.Errorf("trouble %+v", got)
		}
	})
}

// An Alertmanager hears of an alert again and again until it ends.
func TestRefresh(t *testing.T) {
	refresh := func(r *alert.Route) { r.Receivers[0].Refresh = time.Minute }
	lives(t, refresh, func(t *testing.T, w *world, d *desk) {
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		d.wants(t, copyFailed)
		time.Sleep(2*time.Minute + time.Second)
		d.wants(t, copyFailed+" reminder", copyFailed+" reminder")
		d.refuse(errors.New("down"))
		time.Sleep(10 * time.Minute)
		d.refuse(nil)
		time.Sleep(2 * time.Minute)
		if got := d.said(); len(got) == 0 {
			t.Error("nothing is said after the receiver came back")
		}
		w.again()
		if got := d.said(); len(got) != 1 {
			t.Errorf("after a restart %v; want it said again at once", got)
		}
		w.copyIs(holdfast.OK, "")
		w.judge()
		d.wants(t, "resolved recovery-point-failed")
		time.Sleep(time.Hour)
		d.wants(t)
	})
}

// A slow receiver keeps no other waiting, and what is under way when the collector
// stops comes again.
func TestSlowReceiver(t *testing.T) {
	slow := &desk{}
	two := func(r *alert.Route) { r.Receivers = append(r.Receivers, alert.Receiver{Name: "slow", Sender: slow}) }
	lives(t, two, func(t *testing.T, w *world, d *desk) {
		slow.opened = make(chan struct{})
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		d.wants(t, copyFailed)
		w.again()
		close(slow.opened)
		slow.wants(t, copyFailed)
		d.wants(t)
	})
}

// Who comes anew hears what fires; who is gone is told no more.
func TestOtherRoutes(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		d.wants(t, copyFailed)
		other := &desk{}
		never := &desk{}
		w.routes.Routes = []alert.Route{
			{Name: "new", Owners: []string{"ops"}, Tiers: []int{4}, Kinds: []holdfast.AlertKind{holdfast.PointFailed}, Receivers: []alert.Receiver{{Name: "desk", Sender: other}}},
			{Name: "others", Owners: []string{"dev"}, Receivers: []alert.Receiver{{Name: "desk", Sender: never}}},
		}
		w.manager.SetRoutes(w.routes)
		other.wants(t, copyFailed)
		w.copyIs(holdfast.OK, "")
		w.judge()
		other.wants(t, "resolved recovery-point-failed")
		d.wants(t)
		never.wants(t)
		if err := w.manager.TestRoute(t.Context(), "new"); err != nil || len(other.said()) != 1 {
			t.Errorf("test of a route: %v", err)
		}
		if err := w.manager.TestRoute(t.Context(), "none"); !errors.Is(err, holdfast.ErrInvalid) {
			t.Errorf("test of no route: %v", err)
		}
		other.refuse(errors.New("no"))
		if err := w.manager.TestRoute(t.Context(), "new"); err == nil {
			t.Error("a receiver that refuses passes the test")
		}
	})
}
