package alert_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// herald gives what it took to whoever waits.
type herald chan alert.Notice

func (h herald) Send(ctx context.Context, n alert.Notice) error {
	select {
	case h <- n:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// estateOf writes a catalogue of n services, of which each group of so many lies in
// one repository.
func estateOf(n, group int) string {
	var b strings.Builder
	b.WriteString("site: fra\n---\nsite: ams\n")
	for i := range n {
		repository := fmt.Sprintf("/srv/restic/%d", i/group)
		fmt.Fprintf(&b, `---
service: s%05d
owner: o%d
tier: 4
site: fra
host: h%d
bia: {rto: 8h, rpo: 10d, reviewed: 2026-01-15}
data:
  docs:
    copies:
      nightly: {probe: restic.repository, on: dr%d, site: ams, host: nas1, every: 1h, timeout: 1m, with: {repository: %s, tag: s%d}}
paths:
  restore:
    covers: [data-corruption]
    at: ams
    from: [docs/nightly]
    needs:
      - {name: room, probe: host.capacity, on: dr%d, every: 1h, timeout: 1m}
    tests:
      restored: {probe: restic.restore, on: dr%d, every: 30d}
`, i, i%50, i, i%100, repository, i, i%100, i%100)
	}
	return b.String()
}

// One damaged repository takes 500 services down: one alert with all of them, and
// one end, although the judge works in turns. How fast that is at 10,000 services,
// `holdfast bench alert` measures; here it is bounded for a busy machine.
func TestFiveHundredDown(t *testing.T) {
	const services, group = 2_000, 500
	w := newWorld(t, estateOf(services, group), time.Now().UTC())
	told := make(herald, 100)
	w.routes.Routes = []alert.Route{{Name: "all", Receivers: []alert.Receiver{{Name: "herald", Sender: told}}}}
	see := func(i int, outcome holdfast.Outcome, reason holdfast.Reason) {
		o := holdfast.Observation{Check: fmt.Sprintf("s%05d/docs/nightly", i), Agent: fmt.Sprintf("dr%d", i%100), Outcome: outcome, Reason: reason}
		if outcome == holdfast.OK {
			o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: w.now().Add(-time.Hour), Bytes: 1 << 30}}
		}
		w.see(o)
	}
	for i := range services {
		see(i, holdfast.OK, "")
		agent := fmt.Sprintf("dr%d", i%100)
		w.see(holdfast.Observation{Check: fmt.Sprintf("s%05d/restore/room", i), Agent: agent, Outcome: holdfast.OK, Capacity: &holdfast.Capacity{Free: 1 << 50}})
		w.see(holdfast.Observation{Check: fmt.Sprintf("s%05d/restore/restored", i), Agent: agent, Outcome: holdfast.OK, Restoration: &holdfast.Restoration{
			Started: w.now().Add(-time.Hour), Duration: holdfast.Duration(time.Hour / 2), Bytes: 1 << 30, Coverage: 1, Checks: 3, Point: w.now().Add(-2 * time.Hour), Site: "ams",
		}})
	}
	w.start()
	defer func() { w.stop() }()
	began := time.Now()
	w.judge()
	for _, status := range []holdfast.AlertStatus{holdfast.AlertFiring, holdfast.AlertResolved} {
		var concerned []holdfast.Posture
		for i := range group {
			if status == holdfast.AlertFiring {
				see(3*group+i, holdfast.Failed, holdfast.Damaged)
			} else {
				see(3*group+i, holdfast.OK, "")
			}
		}
		for i := range group {
			concerned = append(concerned, w.model.JudgeService(w.facts, fmt.Sprintf("s%05d", 3*group+i), w.now()))
		}
		began := time.Now()
		w.manager.Judged(concerned[:group/2], true) // the judge works in turns
		w.manager.Judged(concerned[group/2:], false)
		n := <-told
		took := time.Since(began)
		t.Logf("%s after %s: %s", n.Status, took, n.Alert.Effect)
		if n.Status != status || n.Alert.Kind != holdfast.PointFailed || len(n.Alert.Services) != group || len(n.Alert.Paths) != group {
			t.Errorf("got %s of %s with %d services; want %s with %d", n.Status, n.Alert.Kind, len(n.Alert.Services), status, group)
		}
	}
	t.Logf("all in %s", time.Since(began))
	if len(told) > 0 {
		t.Errorf("told besides: %+v", <-told)
	}
}
