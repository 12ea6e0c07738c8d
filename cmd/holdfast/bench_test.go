package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast-monitor/holdfast/cmd/holdfast/bench"
)

// TestKilledUnderLoad runs the ingest benchmark with a collector that is killed
// again and again while reports pour in, small as it is here. After every kill all
// that was acknowledged is looked up in the store.
func TestKilledUnderLoad(t *testing.T) {
	cmd := exec.Command("holdfast", "bench", "ingest", "--data", filepath.Join(t.TempDir(), "data"), "--kills", "15",
		"--agents", "8", "--services", "40", "--outstanding", "64", "--duration", "1s", "--output", "json")
	var out, progress bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &progress
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &progress, &out)
	}
	var r bench.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	switch {
	case r.Schema != bench.Schema || r.Agents != 8 || r.Kills != 15:
		t.Errorf("got %+v", r)
	case r.Acknowledged == 0 || r.Found != r.Acknowledged || r.Sent != r.Acknowledged:
		t.Errorf("sent %d, acknowledged %d, found %d: want the same, and some", r.Sent, r.Acknowledged, r.Found)
	case r.ResultsPerSecond <= 0 || r.P99 < r.P50 || r.CPUPerResult <= 0 || r.RSS <= 0 || r.FsyncsPerSecond <= 0:
		t.Errorf("something was not measured: %+v", r)
	}
	t.Logf("%d kills, %d reports", r.Kills, r.Acknowledged)
}
