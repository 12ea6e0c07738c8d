package host_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/host"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// find returns the probe of a name.
func find(t *testing.T, name string) probe.Probe {
	t.Helper()
	for _, p := range host.Probes() {
		if p.Describe().Name == name {
			return p
		}
	}
	t.Fatalf("no probe is named %q", name)
	return nil
}

// settings writes a JSON object from pairs of key and value.
func settings(t *testing.T, pairs ...any) holdfast.Settings {
	t.Helper()
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return holdfast.Settings(b)
}

// observe asks the probe of a name and fails the test where it could not tell.
func observe(t *testing.T, name string, pairs ...any) probe.Observation {
	t.Helper()
	o, err := find(t, name).Observe(t.Context(), probe.Request{Settings: settings(t, pairs...)})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return o
}

// wantOutcome compares outcome and reason.
func wantOutcome(t *testing.T, o probe.Observation, outcome holdfast.Outcome, reason holdfast.Reason) {
	t.Helper()
	if o.Outcome != outcome || o.Reason != reason {
		t.Errorf("got %s %q (%s), want %s %q", o.Outcome, o.Reason, o.Summary, outcome, reason)
	}
}

// measure returns the value of a measure.
func measure(t *testing.T, o probe.Observation, name string) float64 {
	t.Helper()
	for _, m := range o.Measures {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("no measure %q among %v", name, o.Measures)
	return 0
}

func TestContract(t *testing.T) {
	requests := map[string][]probe.Request{
		"host.resources": {{Settings: `{}`}, {Settings: `{"cpu":"100%","memory":"99.5%","swap":"50%","load":64}`}},
		"host.disk":      {{Settings: `{"path":"/"}`}, {Settings: `{"path":"/proc","free":"10%","inodes":1}`}, {Settings: `{"path":"/none","free":4096}`}},
		"host.process":   {{Settings: `{"name":"no-such-program"}`}, {Settings: `{"name":"x","count":2}`}},
		"host.mount":     {{Settings: `{"path":"/proc"}`}, {Settings: `{"path":"/none"}`}},
		"host.capacity":  {{Settings: `{"path":"/","free":"1MiB","memory":1024,"cores":1}`}},
		"host.time":      {{Settings: `{}`}, {Settings: `{"offset":"50ms"}`}},
		"host.facts":     {{Settings: `{}`}},
	}
	for _, p := range host.Probes() {
		name := p.Describe().Name
		t.Run(name, func(t *testing.T) {
			if len(requests[name]) == 0 {
				t.Fatal("no requests for this probe")
			}
			probetest.Run(t, p, requests[name]...)
			if !p.Describe().Privileges.Safe() {
				t.Error("not safe, want every probe of this package to need no privilege")
			}
		})
	}
}

func TestBadSettings(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings holdfast.Settings
		want     string
	}{
		{"host.resources", `{"cpu":0.9}`, `setting "cpu"`},
		{"host.resources", `{"cpu":"90"}`, `"90" is not a share: write it like 90%`},
		{"host.resources", `{"memory":"0%"}`, `is not a share`},
		{"host.resources", `{"swap":"101%"}`, `is not a share`},
		{"host.resources", `{"load":-1}`, `setting "load": -1 is below 0`},
		{"host.disk", `{}`, `setting "path" is required`},
		{"host.disk", `{"path":""}`, `setting "path": empty`},
		{"host.disk", `{"path":"srv"}`, `"srv" is relative: name an absolute path`},
		{"host.disk", `{"path":"/","free":"lots"}`, `"lots" is not a size: write it like 200GiB, 1.5TB or 4096, or as a share like 10%`},
		{"host.disk", `{"path":"/","free":"-5%"}`, `is not a share`},
		{"host.disk", `{"path":"/","free":true}`, `setting "free"`},
		{"host.disk", `{"path":"/","inodes":"5GiB"}`, `"5GiB" is not a count`},
		{"host.disk", `{"path":"/","fre":"5GiB"}`, `did you mean "free"?`},
		{"host.process", `{}`, `setting "name" is required`},
		{"host.process", `{"name":""}`, `name must be given`},
		{"host.process", `{"name":"x","count":-1}`, `count cannot be below 0`},
		{"host.mount", `{"path":"mnt"}`, `is relative`},
		{"host.capacity", `{"path":"/","cores":-2}`, `cannot be below 0`},
		{"host.time", `{"offset":"-1s"}`, `cannot be below 0`},
		{"host.facts", `{"x":1}`, `unknown setting "x"`},
	} {
		_, err := find(t, c.name).Observe(t.Context(), probe.Request{Settings: c.settings})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want an error with %q", c.name, c.settings, err, c.want)
		}
	}
}

func TestResources(t *testing.T) {
	o := observe(t, "host.resources")
	wantOutcome(t, o, holdfast.OK, "")
	if used := measure(t, o, "memory_used_ratio"); used <= 0 || used >= 1 {
		t.Errorf("memory_used_ratio is %v, want a share of a running host", used)
	}
	if cores := measure(t, o, "cores"); cores < 1 {
		t.Errorf("cores is %v, want at least one", cores)
	}
	o = observe(t, "host.resources", "memory", "0.001%")
	wantOutcome(t, o, holdfast.OutcomeDegraded, holdfast.TooSmall)
	if !strings.Contains(o.Summary, "memory") || !strings.Contains(o.Summary, "over 0.001%") {
		t.Errorf("summary is %q, want it to name memory and the limit", o.Summary)
	}
}

func TestResourcesCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := find(t, "host.resources").Observe(ctx, probe.Request{Settings: `{}`})
	if got := probe.ReasonOf(err); got != holdfast.Timeout {
		t.Errorf("got reason %q (%v), want timeout", got, err)
	}
}

func TestCapacity(t *testing.T) {
	o := observe(t, "host.capacity", "path", "/", "free", "1KiB", "memory", "1MiB", "cores", 1)
	wantOutcome(t, o, holdfast.OK, "")
	if o.Capacity == nil || o.Capacity.Needed != 1024 || o.Capacity.Free <= 1024 {
		t.Errorf("capacity is %+v, want 1024 needed and what is free", o.Capacity)
	}
	for key, huge := range map[string]any{"free": "4PiB", "memory": "4PiB", "cores": 1 << 20} {
		o := observe(t, "host.capacity", "path", "/", key, huge)
		wantOutcome(t, o, holdfast.Failed, holdfast.TooSmall)
		if o.Capacity == nil || !strings.Contains(o.Summary, "the path needs") {
			t.Errorf("%s: got %+v, want the capacity and what the path needs", key, o)
		}
	}
	o = observe(t, "host.capacity", "path", "/", "free", "4PiB", "cores", 1<<20)
	if !strings.Contains(o.Summary, "free at /") || !strings.Contains(o.Summary, "cores") {
		t.Errorf("summary is %q, want both shortages", o.Summary)
	}
	wantOutcome(t, observe(t, "host.capacity", "path", "/no/such/place"), holdfast.Failed, holdfast.Missing)
}
