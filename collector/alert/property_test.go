package alert_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// ledger is a receiver that complains when it hears of an end twice, of an end it
// never heard the begin of, or of a begin twice. A delivery that comes again under
// its own ID is one it has; a try may fail after it was taken, as a network may.
type ledger struct {
	mu     sync.Mutex
	random func(int) bool // of hundred
	seen   map[string]bool
	open   map[string]bool // alerts it was told fire
	faults []string
}

func (l *ledger) Send(_ context.Context, n alert.Notice) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.random(20) {
		return errors.New("reset before it was taken")
	}
	if !l.seen[n.ID] {
		l.seen[n.ID] = true
		l.take(n)
	}
	if l.random(10) {
		return errors.New("reset after it was taken")
	}
	return nil
}

func (l *ledger) take(n alert.Notice) {
	fires := n.Status == holdfast.AlertFiring
	switch {
	case fires && l.open[n.Alert.ID] && !n.Worse && !n.Reminder:
		l.faults = append(l.faults, fmt.Sprintf("told twice that %s fires", n.Alert.Kind))
	case !fires && !l.open[n.Alert.ID]:
		l.faults = append(l.faults, fmt.Sprintf("told that %s ended, which never fired", n.Alert.Kind))
	}
	l.open[n.Alert.ID] = fires
}

// No sequence of judgements, silences, acknowledgements, refused writes and
// restarts loses an end or tells one thing twice: once all is calm, nobody believes
// that something fires which does not, and whatever fires and is not quiet is
// known.
func TestNothingLostNothingTwice(t *testing.T) {
	const steps = 25
	rapid.Check(t, func(r *rapid.T) {
		what := rapid.SliceOfN(rapid.IntRange(0, 13), steps, steps).Draw(r, "steps")
		waits := rapid.SliceOfN(rapid.IntRange(0, 100_000), steps, steps).Draw(r, "milliseconds")
		luck := rapid.SliceOfN(rapid.IntRange(0, 99), 64, 64).Draw(r, "luck")
		var faults []string
		synctest.Test(t, func(t *testing.T) { faults = play(t, what, waits, luck) })
		for _, f := range faults {
			r.Error(f)
		}
	})
}

func play(t *testing.T, what, waits, luck []int) []string {
	w := newWorld(t, small, start)
	calm, n := false, 0
	random := func(of int) bool {
		n++
		return !calm && luck[n%len(luck)] < of
	}
	l := &ledger{random: random, seen: map[string]bool{}, open: map[string]bool{}}
	w.routes.Routes = []alert.Route{{Name: "all", Receivers: []alert.Receiver{{Name: "ledger", Sender: l}}}}
	var full atomic.Bool
	w.breaks = func() error {
		if full.Load() {
			return errors.New("no space left")
		}
		return nil
	}
	w.good()
	w.start()
	w.judge()
	for i, step := range what {
		w.act(step, &full)
		time.Sleep(time.Duration(waits[i]) * time.Millisecond)
		synctest.Wait()
	}
	full.Store(false)
	for _, s := range w.manager.Silences() {
		w.manager.EndSilence(t.Context(), s.ID, holdfast.Who{Name: "bob"})
	}
	l.mu.Lock()
	calm = true
	l.mu.Unlock()
	time.Sleep(15 * time.Minute) // retries and calm after flapping
	w.judge()
	time.Sleep(15 * time.Minute)
	synctest.Wait()
	alerts := w.manager.Alerts()
	w.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	fires := map[string]bool{}
	for _, a := range alerts {
		fires[a.ID] = a.Status == holdfast.AlertFiring
		if a.Status == holdfast.AlertFiring && a.Quiet == "" && !l.open[a.ID] {
			l.faults = append(l.faults, fmt.Sprintf("%s fires and nobody was told", a.Kind))
		}
	}
	for id, open := range l.open {
		if open && !fires[id] {
			l.faults = append(l.faults, fmt.Sprintf("%s ended and nobody was told", id))
		}
	}
	return l.faults
}

// act is one step: something becomes bad or good, somebody asks for quiet, the
// store refuses, the collector starts again.
func (w *world) act(step int, full *atomic.Bool) {
	ann := holdfast.Who{Name: "ann"}
	switch step {
	case 0, 1:
		w.copyIs(holdfast.Failed, holdfast.Damaged)
	case 2, 3:
		w.copyIs(holdfast.OK, "")
	case 4:
		w.roomIs(holdfast.Failed)
	case 5:
		w.roomIs(holdfast.OK)
	case 6:
		w.hush("dr1", w.now())
	case 7:
		w.wakes("dr1")
	case 8:
		w.manager.AddSilence(w.t.Context(), holdfast.Silence{Service: "archive", Reason: "work", Until: w.now().Add(time.Minute)}, ann)
	case 9:
		for _, a := range w.open() {
			w.manager.Acknowledge(w.t.Context(), a.ID, "", w.now().Add(time.Minute), ann)
		}
	case 10:
		full.Store(true)
	case 11:
		full.Store(false)
	case 12:
		full.Store(false) // what is not stored is lost with the process: that is what the next judgement is for
		w.again()
	case 13:
		w.stop()
		w.copyIs(holdfast.OK, "")
		w.start()
	}
	w.judge()
}
