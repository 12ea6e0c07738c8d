package probetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

type settings struct {
	Path string `json:"path" jsonschema:"where to look"`
}

// sample is a probe that keeps the contract, or breaks it in one way.
type sample struct{ breaks string }

func (s sample) Describe() probe.Description {
	d := probe.Description{
		Name: "sample.thing", Observes: "Nothing.", Settings: probe.Schema[settings](), Cost: holdfast.Cheap,
		Reasons: []holdfast.Reason{holdfast.Missing}, Privileges: holdfast.Privileges{Writes: true, Tools: []string{"env"}},
	}
	switch s.breaks {
	case "name":
		d.Name = "Sample"
	case "cost":
		d.Cost = "free"
	case "list":
		d.Reasons = []holdfast.Reason{"because"}
	case "schema":
		d.Settings = `{"type":7}`
	case "unexplained":
		d.Settings = `{"type":"object","properties":{"path":{"type":"string"}}}`
	case "unstable":
		d.Observes = time.Now().String()
	}
	return d
}

func (s sample) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	o := probe.Observation{Outcome: holdfast.OK, Summary: "fine"}
	if _, err := probe.Decode[settings](r.Settings); err != nil && s.breaks != "lenient" {
		return probe.Observation{}, err
	}
	if r.Scratch == "" || r.Tools["env"] == "" {
		return probe.Observation{}, errors.New("no scratch, or no tool")
	}
	switch s.breaks {
	case "both":
		return o, errors.New("no idea")
	case "reason":
		o.Outcome, o.Reason = holdfast.Failed, holdfast.Damaged
	case "no reason":
		o.Outcome = holdfast.Failed
	case "unknown":
		o.Outcome = holdfast.OutcomeUnknown
	case "summary":
		o.Summary = ""
	case "number":
		o.Capacity = &holdfast.Capacity{Free: -1}
	case "slow":
		if ctx.Err() != nil {
			<-time.After(3 * time.Second)
		}
	}
	return o, nil
}

func TestKept(t *testing.T) {
	probetest.Run(t, sample{}, probe.Request{Settings: `{"path":"/srv"}`})
}

// TestBroken runs this test program once for every way to break the contract,
// and wants it to fail.
func TestBroken(t *testing.T) {
	if breaks := os.Getenv("HOLDFAST_TEST_BREAKS"); breaks != "" {
		r := probe.Request{Settings: `{"path":"/srv"}`}
		if breaks == "settings" {
			r.Settings = `{"path":7}`
		}
		probetest.Run(t, sample{breaks}, r)
		return
	}
	for breaks, want := range map[string]string{
		"name": "want PLUGIN.THING", "cost": "want cheap, io or heavy", "list": "not in holdfast.Reasons", "schema": "not a JSON Schema",
		"unexplained": "has no description", "unstable": "changes between calls", "both": "an error and an observation",
		"reason": "not among those", "no reason": "without a Reason", "unknown": "want an error", "summary": "Summary is empty",
		"number": "less than nothing", "slow": "after its context was done", "lenient": "want an error", "settings": "the schema refuses",
	} {
		t.Run(breaks, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestBroken$")
			cmd.Env = append(os.Environ(), "HOLDFAST_TEST_BREAKS="+breaks)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("got %v, want a failure with %q:\n%s", err, want, out)
			}
		})
	}
}
