//go:build soak

package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// TestDemoRound watches a whole round of the live demo: every state appears, and
// all is well in the end. It takes some six minutes: make soak.
func TestDemoRound(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	d := startDemo(t, filepath.Join(t.TempDir(), "demo"), t.TempDir(), "--scenario", "live", "--hold", "2s")
	d.until(ctx, t, "Round 1.")
	seen := map[holdfast.State]bool{}
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for round := 1; round == 1; {
		select {
		case line, more := <-d.lines:
			if !more {
				t.Fatalf("the demo ended; its logs:\n%s", d.logs())
			}
			t.Log(line)
			if strings.Contains(line, "did not show") || strings.Contains(line, "could not do") {
				t.Errorf("got %q", line)
			}
			if strings.HasPrefix(line, "Round 2.") {
				round++
			}
		case <-again.C:
			var status struct{ Services []holdfast.Posture }
			d.ask(t, &status, "status")
			for _, s := range status.Services {
				seen[s.State] = true
			}
		case <-ctx.Done():
			t.Fatalf("the round did not end; its logs:\n%s", d.logs())
		}
	}
	for _, s := range holdfast.States {
		if !seen[s] && s != holdfast.NotJudged {
			t.Errorf("no service was %s", s)
		}
	}
	var status struct{ Services []holdfast.Posture }
	d.ask(t, &status, "status")
	if i := slices.IndexFunc(status.Services, func(s holdfast.Posture) bool { return s.State != holdfast.Proven }); i >= 0 {
		t.Errorf("after the round %s is %s: %v", status.Services[i].Name, status.Services[i].State, status.Services[i].Cause)
	}
}
