package web_test

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func (e *estate) Heard(checks []string) []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	times := make([]time.Time, len(checks))
	for i, id := range checks {
		times[i] = e.latest[id].At
	}
	return times
}

// Target knows which settings name a thing as the probes of the example do.
func (e *estate) Target(k *holdfast.Check) string {
	d := holdfast.Description{Name: k.Probe, Target: []string{"repository", "url", "address", "directory", "server", "path"}}
	return d.TargetOf(k.With)
}
