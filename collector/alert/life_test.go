package alert_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// estate of the tests of life: one service with one copy, one prerequisite, one
// path, on one agent.
const small = `site: fra
---
site: ams
---
service: archive
owner: ops
tier: 4
site: fra
host: files1
bia: {rto: 8h, rpo: 10d, reviewed: 2026-01-15}
data:
  docs:
    copies:
      nightly: {probe: restic.repository, on: dr1, site: ams, host: nas1, every: 1h, timeout: 1m, with: {repository: /srv/restic/docs}}
paths:
  restore:
    covers: [data-corruption]
    at: ams
    from: [docs/nightly]
    needs:
      - {name: room, probe: host.capacity, on: dr1, every: 1h, timeout: 1m}
    tests:
      restored: {probe: restic.restore, on: dr1, every: 30d}
`

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// desk is a receiver: it notes what it took, and refuses when told to.
type desk struct {
	mu     sync.Mutex
	fails  error
	took   []alert.Notice
	tries  int
	opened chan struct{} // not nil: Send waits for it
}

func (d *desk) Send(ctx context.Context, n alert.Notice) error {
	d.mu.Lock()
	gate := d.opened
	d.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries++
	if d.fails != nil {
		return d.fails
	}
	d.took = append(d.took, n)
	return nil
}

func (d *desk) refuse(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = err
}

// said returns and forgets what was taken, in words.
func (d *desk) said() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	for _, n := range d.took {
		s := fmt.Sprintf("%s %s", n.Status, n.Alert.Kind)
		if n.Worse {
			s += " worse"
		}
		if n.Reminder {
			s += " reminder"
		}
		list = append(list, s)
	}
	d.took = nil
	return list
}

func (d *desk) wants(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, d.said()); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

// lives runs a test in a bubble on the small estate with one route to a desk.
func lives(t *testing.T, change func(*alert.Route), test func(t *testing.T, w *world, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, small, start)
		d := &desk{}
		route := alert.Route{Name: "all", Receivers: []alert.Receiver{{Name: "desk", Type: "webhook", Target: "https://desk.example", Sender: d}}}
		if change != nil {
			change(&route)
		}
		w.routes.Routes = []alert.Route{route}
		w.good()
		w.start()
		w.judge()
		d.wants(t)
		test(t, w, d)
		w.stop()
	})
}

func (w *world) good() {
	w.copyIs(holdfast.OK, "")
	w.roomIs(holdfast.OK)
	w.see(holdfast.Observation{Check: "archive/restore/restored", Agent: "dr1", Outcome: holdfast.OK, At: w.now(), Restoration: &holdfast.Restoration{
		Started: w.now().Add(-time.Hour), Duration: holdfast.Duration(40 * time.Minute), Bytes: 1 << 30, Coverage: 1, Checks: 3, Point: w.now().Add(-2 * time.Hour), Site: "ams",
	}})
}

func (w *world) copyIs(outcome holdfast.Outcome, reason holdfast.Reason) {
	o := holdfast.Observation{Check: "archive/docs/nightly", Agent: "dr1", Outcome: outcome, Reason: reason}
	if outcome == holdfast.OK {
		o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: w.now().Add(-time.Hour), Bytes: 1 << 30}}
	}
	w.see(o)
}

func (w *world) roomIs(outcome holdfast.Outcome) {
	w.see(holdfast.Observation{Check: "archive/restore/room", Agent: "dr1", Outcome: outcome, Capacity: &holdfast.Capacity{Free: 1 << 40}})
}

// after lets time pass, then the judge work.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	w.judge()
	synctest.Wait()
}

const copyFailed, needFailed = "firing recovery-point-failed", "firing prerequisite-failed"

func TestFiresAndResolves(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		d.wants(t, copyFailed)
		w.after(time.Hour)
		d.wants(t)
		w.copyIs(holdfast.OK, "")
		w.judge()
		d.wants(t, "resolved recovery-point-failed")
		w.after(time.Hour)
		d.wants(t)
		if got := w.manager.Alerts(); len(got) != 1 || got[0].Status != holdfast.AlertResolved || !got[0].Resolved.Equal(start.Add(time.Hour)) {
			t.Errorf("alerts %+v", got)
		}
		w.after(8 * 24 * time.Hour)
		w.good()
		w.after(time.Hour)
		for _, a := range w.manager.Alerts() {
			if a.Kind == holdfast.PointFailed {
				t.Errorf("an alert that ended eight days ago is still there: %+v", a)
			}
		}
	})
}

// TestTestsAfterSilence: an agent that was silent longer than its restore test's
// interval runs it once it is back. It is not missed before the agent had the time to.
func TestTestsAfterSilence(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		missing := func() bool {
			return slices.ContainsFunc(w.open(), func(a holdfast.Alert) bool { return a.Kind == holdfast.RestoreNotRun })
		}
		w.hush("dr1", start)
		w.after(70 * 24 * time.Hour)
		w.wakes("dr1")
		w.copyIs(holdfast.OK, "")
		w.roomIs(holdfast.OK)
		w.after(time.Minute)
		if missing() {
			t.Error("the test is missed a minute after its agent is back")
		}
		w.after(31 * 24 * time.Hour)
		if !missing() {
			t.Error("the test is not missed although its agent reports again for more than its interval")
		}
	})
}

// TestNewCheckHasTime: of a check that was assigned just now nobody can know anything.
// That it is unknown is told once it had the time to report, and did not.
func TestNewCheckHasTime(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		room := "      - {name: room, probe: host.capacity, on: dr1, every: 1h, timeout: 1m}\n"
		w.setCatalogue(strings.Replace(small, room, room+"      - {name: gate, probe: net.tcp, on: dr1, every: 1h, timeout: 1m}\n", 1))
		w.judge()
		w.after(5 * time.Minute)
		d.wants(t)
		for range 5 {
			w.after(time.Hour)
			w.copyIs(holdfast.OK, "")
			w.roomIs(holdfast.OK)
		}
		d.wants(t, "firing prerequisite-unknown")
	})
}

func TestBlipIsHeldOff(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		w.roomIs(holdfast.Failed)
		w.judge()
		w.after(14 * time.Second)
		if got := w.open(); len(got) != 1 || got[0].Status != holdfast.AlertPending {
			t.Errorf("alerts %+v; want one pending", got)
		}
		w.roomIs(holdfast.OK)
		w.judge()
		w.after(time.Hour)
		d.wants(t)
		if got := w.manager.Alerts(); len(got) != 0 {
			t.Errorf("a blip left %+v", got)
		}
		w.roomIs(holdfast.Failed)
		w.judge()
		time.Sleep(15*time.Second + time.Millisecond)
		d.wants(t, needFailed)
	})
}

func TestRoutesFileHoldsOff(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		r := w.routes
		r.HoldOff = map[holdfast.AlertKind]time.Duration{holdfast.PointFailed: time.Minute}
		w.manager.SetRoutes(r)
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		time.Sleep(59 * time.Second)
		d.wants(t)
		time.Sleep(2 * time.Second)
		d.wants(t, copyFailed)
	})
}

// An alert that comes and goes is held open: it is not sent again and again.
func TestFlappingIsDamped(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		turn := func(o holdfast.Outcome, r holdfast.Reason) {
			w.copyIs(o, r)
			w.after(time.Minute)
		}
		for range 10 {
			turn(holdfast.Failed, holdfast.Locked)
			turn(holdfast.OK, "")
		}
		d.wants(t, copyFailed, "resolved recovery-point-failed", copyFailed, "resolved recovery-point-failed", copyFailed)
		w.after(9 * time.Minute)
		d.wants(t)
		w.after(2 * time.Minute)
		d.wants(t, "resolved recovery-point-failed")
	})
}

func TestReminders(t *testing.T) {
	remind := func(r *alert.Route) { r.Remind = time.Hour }
	lives(t, remind, func(t *testing.T, w *world, d *desk) {
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		d.wants(t, copyFailed)
		time.Sleep(2*time.Hour + time.Minute)
		d.wants(t, copyFailed+" reminder", copyFailed+" reminder")
		a := w.open()[0]
		if _, err := w.manager.Acknowledge(t.Context(), a.ID, "on it", w.now().Add(3*time.Hour), holdfast.Who{Name: "ann"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Hour + 30*time.Minute)
		d.wants(t)
		if a := w.open()[0]; a.Ack == nil || a.Ack.By != "ann" || !strings.HasPrefix(a.Quiet, "acknowledged by ann until") {
			t.Errorf("ack %+v, quiet %q", a.Ack, a.Quiet)
		}
		time.Sleep(time.Hour)
		d.wants(t, copyFailed+" reminder")
		if a := w.open()[0]; a.Ack != nil || a.Quiet != "" {
			t.Errorf("ack %+v, quiet %q after its end", a.Ack, a.Quiet)
		}
	})
}

// What gets worse is told, though somebody has it.
func TestWorseIsToldAlthoughAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, small+strings.ReplaceAll(strings.TrimPrefix(small, "site: fra\n---\nsite: ams\n"), "archive", "web"), start)
		d := &desk{}
		w.routes.Routes = []alert.Route{{Name: "all", Receivers: []alert.Receiver{{Name: "desk", Sender: d}}}}
		w.good()
		for _, o := range maps.Clone(w.latest) {
			o.Check = strings.Replace(o.Check, "archive", "web", 1)
			w.see(o)
		}
		w.start()
		w.judge()
		fails := func(service string) {
			w.see(holdfast.Observation{Check: service + "/docs/nightly", Agent: "dr1", Outcome: holdfast.Failed, Reason: holdfast.Damaged})
			w.judge()
		}
		fails("archive")
		d.wants(t, copyFailed)
		if _, err := w.manager.Acknowledge(t.Context(), w.open()[0].ID, "", w.now().Add(time.Hour), holdfast.Who{Name: "ann"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		fails("web") // lies in the same repository
		d.wants(t)   // at most once a minute
		time.Sleep(time.Minute)
		d.wants(t, copyFailed+" worse")
		if got := w.open(); len(got) != 1 || len(got[0].Paths) != 2 {
			t.Errorf("alerts %+v; want one with two paths", got)
		}
		time.Sleep(10 * time.Minute)
		d.wants(t)
		w.stop()
	})
}

func TestSilences(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		ann := holdfast.Who{Name: "ann"}
		s, err := w.manager.AddSilence(t.Context(), holdfast.Silence{Host: "nas1", Reason: "new disks", Until: w.now().Add(time.Hour), Maintenance: true}, ann)
		if err != nil {
			t.Fatal(err)
		}
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		d.wants(t)
		a := w.open()[0]
		if a.Status != holdfast.AlertFiring || a.Quiet != "maintenance by ann until 2026-03-01 10:00 UTC: new disks" || !slices.Equal(a.Silenced, []string{s.ID}) {
			t.Errorf("status %s, quiet %q, silenced %v", a.Status, a.Quiet, a.Silenced)
		}
		time.Sleep(time.Hour + time.Second)
		d.wants(t, copyFailed) // it outlasted the window
		if _, err := w.manager.AddSilence(t.Context(), holdfast.Silence{Service: "archive", Reason: "known", Until: w.now().Add(time.Hour)}, ann); err != nil {
			t.Fatal(err)
		}
		w.copyIs(holdfast.OK, "")
		w.judge()
		d.wants(t, "resolved recovery-point-failed") // who was told hears the end, silence or not
		w.copyIs(holdfast.Failed, holdfast.Damaged)
		w.judge()
		d.wants(t)
		s = w.manager.Silences()[len(w.manager.Silences())-1]
		if _, err := w.manager.EndSilence(t.Context(), s.ID, ann); err != nil {
			t.Fatal(err)
		}
		d.wants(t, copyFailed)
		if _, err := w.manager.EndSilence(t.Context(), s.ID, ann); !errors.Is(err, holdfast.ErrInvalid) {
			t.Errorf("ended twice: %v", err)
		}
	})
}

func TestSilenceFaults(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		for _, c := range []struct {
			name string
			s    holdfast.Silence
			want []string
		}{
			{"nothing", holdfast.Silence{}, []string{"service:", "reason: say why", "until: say when it ends"}},
			{"past", holdfast.Silence{Service: "x", Reason: "r", Until: start.Add(-time.Hour)}, []string{"until: 2026-03-01 08:00 UTC has passed"}},
			{"for ever", holdfast.Silence{Service: "x", Reason: "r", Until: start.AddDate(2, 0, 0)}, []string{"accept the risk instead"}},
			{"kind", holdfast.Silence{Kind: "x", Reason: "r", Until: start.Add(time.Hour)}, []string{`kind: there is no "x"`}},
			{"long", holdfast.Silence{Cause: "x", Reason: strings.Repeat("x", 3000), Until: start.Add(time.Hour)}, []string{"reason: 3000 bytes"}},
			{"turned round", holdfast.Silence{Cause: "x", Reason: "r", From: start.Add(2 * time.Hour), Until: start.Add(time.Hour)}, []string{"is not after from"}},
		} {
			_, err := w.manager.AddSilence(t.Context(), c.s, holdfast.Who{Name: "ann"})
			if !errors.Is(err, holdfast.ErrInvalid) {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %q, want %q in it", c.name, err, want)
				}
			}
		}
	})
}

func TestMaintenanceRecords(t *testing.T) {
	lives(t, nil, func(t *testing.T, w *world, d *desk) {
		w.manager.SetMaintenance([]holdfast.Record{{Kind: holdfast.Maintenance, Host: "dr1", By: "ann", Reason: "kernel", At: start, Until: start.Add(time.Hour)}})
		w.hush("dr1", start)
		time.Sleep(10 * time.Minute)
		d.wants(t)
		if a := w.open()[0]; a.Kind != holdfast.AgentSilent || !strings.HasPrefix(a.Quiet, "maintenance by ann") {
			t.Errorf("%+v", a)
		}
		time.Sleep(time.Hour)
		d.wants(t, "firing agent-silent")
		w.wakes("dr1")
		d.wants(t, "resolved agent-silent")
	})
}
