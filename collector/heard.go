package collector

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Heard returns when each check looked last; zero: never by the agent it is placed
// on, or there is no such check.
func (c *Collector) Heard(checks []string) []time.Time {
	catalogue := c.Catalogue()
	on := make([]string, len(checks))
	for i, id := range checks {
		if k := catalogue.Check(id); k != nil {
			on[i] = k.On
		}
	}
	times := make([]time.Time, len(checks))
	c.estate.mu.RLock()
	defer c.estate.mu.RUnlock()
	for i, id := range checks {
		times[i] = c.intake.rosters[on[i]].heard(id)
	}
	return times
}

// heard returns when a check looked last; a nil roster never did.
func (r *roster) heard(check string) time.Time {
	if r == nil {
		return time.Time{}
	}
	i, ok := r.place[check]
	if !ok || r.slots[i].order == 0 {
		return time.Time{}
	}
	return time.Unix(0, r.slots[i].at).UTC()
}

// Target names what a check looks at, as its probe says; of a probe nobody knows
// here, its name and settings.
func (c *Collector) Target(k *holdfast.Check) string {
	if d, known := c.probes[k.Probe]; known {
		return d.TargetOf(k.With)
	}
	return k.Probe + " " + string(k.With)
}
