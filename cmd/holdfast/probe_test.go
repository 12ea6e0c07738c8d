package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

func TestSettingsFrom(t *testing.T) {
	type settings struct {
		Name  string            `json:"name,omitempty"`
		Count int               `json:"count,omitempty"`
		Exact bool              `json:"exact,omitempty"`
		Free  holdfast.Bytes    `json:"free,omitempty"`
		Age   holdfast.Duration `json:"age,omitempty"`
		Tags  []string          `json:"tags,omitempty"`
		Ports []int             `json:"ports,omitempty"`
		Map   map[string]string `json:"map,omitempty"`
	}
	for _, c := range []struct {
		args []string
		want holdfast.Settings
		err  string
	}{
		{nil, `{}`, ""},
		{[]string{"name=x=y", "count=3", "exact=true", "age=15m"}, `{"age":"15m","count":3,"exact":true,"name":"x=y"}`, ""},
		{[]string{"name=7"}, `{"name":"7"}`, ""},
		{[]string{"free=200GiB"}, `{"free":"200GiB"}`, ""},
		{[]string{"free=4096"}, `{"free":4096}`, ""},
		{[]string{"free=9007199254740993"}, `{"free":9007199254740993}`, ""},
		{[]string{"tags=a, b"}, `{"tags":["a","b"]}`, ""},
		{[]string{"tags=a", "tags=b"}, `{"tags":["a","b"]}`, ""},
		{[]string{`tags=["a,b"]`}, `{"tags":["a,b"]}`, ""},
		{[]string{"ports=1,2"}, `{"ports":[1,2]}`, ""},
		{[]string{`map={"a":"b"}`}, `{"map":{"a":"b"}}`, ""},
		{[]string{"nmae=x"}, `{"nmae":"x"}`, ""},
		{[]string{"count=many"}, "", `--set count: "many" is not of type integer`},
		{[]string{"exact=1"}, "", `--set exact: "1" is not of type boolean`},
		{[]string{"ports=1,x"}, "", `--set ports: "x" is not of type integer`},
		{[]string{"map=x"}, "", `--set map: "x" is not a JSON object`},
		{[]string{"tags=[x"}, "", `--set tags: "[x" is not a JSON list`},
		{[]string{"name=a", "name=b"}, "", `--set name is given twice`},
		{[]string{"name"}, "", `--set "name": write it like key=value`},
	} {
		got, err := settingsFrom(probe.Schema[settings](), c.args)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: got error %v, want %s", c.args, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%q: got %s, %v, want %s", c.args, got, err, c.want)
		}
	}
}

func TestObservationTable(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	yes := true
	o := holdfast.Observation{
		Outcome: holdfast.OutcomeDegraded, Reason: holdfast.Locked, Summary: "two snapshots\x1b[31m",
		RecoveryPoints: []holdfast.RecoveryPoint{{Time: now.Add(-15 * time.Minute), ID: "4fe2", Bytes: 3 << 30, Files: 12, Changed: new(holdfast.Bytes(1 << 20))}, {Time: now.Add(-50 * time.Hour)}},
		Verification:   &holdfast.Verification{Time: now.Add(-time.Hour), Scope: 0.5, Errors: 1},
		Restoration:    &holdfast.Restoration{Started: now.Add(-time.Hour), Duration: holdfast.Duration(time.Minute), Bytes: 1 << 20, Coverage: 1, Checks: 2, Point: now.Add(-2 * time.Hour)},
		Replication:    &holdfast.Replication{Lag: holdfast.Duration(5 * time.Second), Bytes: 1 << 20, PrimarySeen: true},
		Capacity:       &holdfast.Capacity{Needed: 2 << 30, Free: 1 << 30},
		Expiry:         now.Add(21 * 24 * time.Hour),
		Immutable:      &yes,
		Fingerprint:    map[string]string{"tool": "restic 0.16"},
		Measures:       []holdfast.Measure{{Name: "size", Value: 1 << 20, Unit: "bytes"}, {Name: "used", Value: 0.255, Unit: "ratio"}, {Name: "count", Value: 16301100}, {Name: "took", Value: 1.23456, Unit: "seconds"}},
		Facts:          map[string]string{"host": "db1"},
		Raw:            "line 1\nline 2\n",
	}
	const want = `outcome         degraded
reason          locked
summary         two snapshots?[31m
recovery point  2026-11-20 11:45:00Z (15m ago), 3GiB in 12 files, 1MiB changed, 4fe2
recovery point  2026-11-18 10:00:00Z (2d2h ago)
verification    2026-11-20 11:00:00Z (1h ago), 50% of the data, 1 errors
restoration     2026-11-20 11:00:00Z (1h ago), 100% of the point in 1m, 1MiB, 2 checks passed
restored point  2026-11-20 10:00:00Z (2h ago)
replication     5s behind the primary, 1MiB
capacity        1GiB free, 2GiB needed
expiry          2026-12-11 12:00:00Z (in 3w)
immutable       true
tool            restic 0.16
size            1MiB
used            25.5%
count           16301100
took            1.235 seconds
host            db1
raw             line 1
raw             line 2
`
	var got strings.Builder
	if err := observationTable(&got, o, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// TestProbeRunExitCodes checks that a mistake is never taken for a verdict.
func TestProbeRunExitCodes(t *testing.T) {
	for _, args := range [][]string{
		{"probe", "run"}, {"probe", "run", "a.b", "c"}, {"probe", "run", "--nope"}, {"probe", "run", "host.facts", "-o", "xml"},
		{"probe", "run", "no.such"}, {"probe", "run", "host.facts", "--set", "x"}, {"probe", "run", "host.facts", "--tool", "x"},
		{"probe", "run", "host.facts", "--timeout", "soon"}, {"probe", "run", "host.facts", "--scratch", "/no/such/folder"},
	} {
		var out bytes.Buffer
		if got := run(t.Context(), args, strings.NewReader(""), &out, &out); got != exitCouldNotTell {
			t.Errorf("%q: exit code %d, want %d\n%s", args, got, exitCouldNotTell, out.String())
		}
	}
}
