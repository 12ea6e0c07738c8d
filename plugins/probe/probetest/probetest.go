// Package probetest is the contract every probe keeps, as a test suite: call Run
// from a test of your plugin.
package probetest

import (
	"testing"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Run tests that p keeps the contract of probe.Probe. Describe is always tested;
// Observe with every request given, which may come out ok, bad or unable, but
// must be one the probe understands. Requests need settings only: a scratch
// folder is added where the probe writes, and Tools are looked up in /usr/bin and
// /usr/local/bin where they are nil.
func Run(t *testing.T, p probe.Probe, requests ...probe.Request) {
	t.Run("describe", func(t *testing.T) { testDescribe(t, p) })
	for _, r := range requests {
		t.Run("observe "+string(r.Settings), func(t *testing.T) { testObserve(t, p, r) })
	}
}
