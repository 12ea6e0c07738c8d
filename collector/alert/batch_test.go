package alert_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// crowdDesk takes many notices at once, and refuses every request that holds a
// notice of one service for good.
type crowdDesk struct {
	mu       sync.Mutex
	poison   string
	requests int
	took     map[string]int // by service and status
}

func (d *crowdDesk) Send(ctx context.Context, n alert.Notice) error {
	return d.SendAll(ctx, []alert.Notice{n})
}

func (d *crowdDesk) SendAll(_ context.Context, list []alert.Notice) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	for _, n := range list {
		if n.Alert.Services[0] == d.poison {
			return fmt.Errorf("%w: one of %d is not to be read", alert.ErrPermanent, len(list))
		}
	}
	for _, n := range list {
		d.took[n.Alert.Services[0]+" "+string(n.Status)]++
	}
	return nil
}

// TestStormGoesInFewRequests: three hundred alerts at once reach a receiver that takes
// many in a few requests, and one that it refuses takes no other down.
func TestStormGoesInFewRequests(t *testing.T) {
	const services = 300
	catalogue := "site: fra\n"
	name := func(i int) string { return fmt.Sprintf("s%03d", i) }
	for i := range services {
		catalogue += fmt.Sprintf(`---
service: %[1]s
owner: ops
tier: 4
site: fra
host: %[1]s
bia: {rto: 8h, rpo: 10d, reviewed: 2026-01-15}
data:
  docs:
    copies:
      nightly: {probe: restic.repository, on: dr1, site: fra, host: nas, every: 1h, timeout: 1m, with: {repository: /srv/%[1]s}}
paths:
  restore: {covers: [data-corruption], at: fra, from: [docs/nightly]}
`, name(i))
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, catalogue, start)
		d := &crowdDesk{poison: name(17), took: map[string]int{}}
		w.routes.Routes = []alert.Route{{Name: "all", Kinds: []holdfast.AlertKind{holdfast.PointFailed},
			Receivers: []alert.Receiver{{Name: "am", Type: "alertmanager", Target: "http://am.example", Sender: d}}}}
		all := func(outcome holdfast.Outcome, reason holdfast.Reason) {
			for i := range services {
				o := holdfast.Observation{Check: name(i) + "/docs/nightly", Agent: "dr1", Outcome: outcome, Reason: reason}
				if outcome == holdfast.OK {
					o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: w.now().Add(-time.Hour), Bytes: 1 << 30}}
				}
				w.see(o)
			}
			w.judge()
			synctest.Wait()
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		w.start()
		all(holdfast.OK, "")
		all(holdfast.Failed, holdfast.Damaged)
		all(holdfast.OK, "")
		w.stop()
		for i := range services {
			for _, status := range []holdfast.AlertStatus{holdfast.AlertFiring, holdfast.AlertResolved} {
				want := 1
				if name(i) == d.poison {
					want = 0
				}
				if got := d.took[name(i)+" "+string(status)]; got != want {
					t.Errorf("%s: told %s %d times, want %d", name(i), status, got, want)
				}
			}
		}
		// Two storms of 300 in requests of up to 100; the 100 around the refused one by one.
		if d.requests > 2*(services/100+101)+10 {
			t.Errorf("%d requests for %d notices", d.requests, 2*services)
		}
	})
}
