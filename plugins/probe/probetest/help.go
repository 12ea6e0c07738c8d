package probetest

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// What the tests of most plugins need.

// Find returns the probe of a name.
func Find(t testing.TB, probes []probe.Probe, name string) probe.Probe {
	t.Helper()
	for _, p := range probes {
		if p.Describe().Name == name {
			return p
		}
	}
	t.Fatalf("no probe %s", name)
	return nil
}

// Expect tests what a probe answered: an outcome and a reason. An error is the outcome
// unknown.
func Expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason {
		t.Errorf("got %s %q: %s %v\nwant %s %q\nraw %s", o.Outcome, o.Reason, o.Summary, o.Facts, outcome, reason, o.Raw)
	}
}

// WantEmpty tests that a folder holds nothing.
func WantEmpty(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	Must(t, err)
	if len(left) > 0 {
		t.Errorf("scratch: got %v left in it, want nothing", left)
	}
}

// Must fails the test on an error of its own doing.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Write writes a file and the folders above it.
func Write(t testing.TB, path, content string) {
	t.Helper()
	Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	Must(t, os.WriteFile(path, []byte(content), 0o600))
}

// Noise is content that does not compress, the same for the same seed.
func Noise(seed byte, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

// FakeTool writes a shell script that stands where a tool would.
func FakeTool(t testing.TB, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tool")
	Must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	return path
}

// WaitFor asks until what another process does has happened; how soon does not matter.
func WaitFor(t testing.TB, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it did not happen in two minutes")
		}
	}
}
