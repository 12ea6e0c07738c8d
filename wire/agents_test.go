package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

func TestAssignmentEveryField(t *testing.T) {
	var want holdfast.Assignment
	var n int64
	fill(reflect.ValueOf(&want).Elem(), &n)
	for i := range want.Checks {
		want.Checks[i].On = "db1"
	}
	m := wire.FromAssignment(&want)
	allSet(t, m.ProtoReflect())
	got, err := wire.ToAssignment(m, "db1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("an assignment changes on the wire (-want +got):\n%s", diff)
	}
	m.Checks[0], m.Checks[1] = m.Checks[1], m.Checks[0]
	if _, err := wire.ToAssignment(m, "db1"); err == nil {
		t.Error("an assignment out of order was taken: its numbers would mean other checks")
	}
}

func TestHealthEveryField(t *testing.T) {
	var all, want, got holdfast.AgentState
	var n int64
	fill(reflect.ValueOf(&all).Elem(), &n)
	want.Refused, want.Spooled, want.Plugins = all.Refused, all.Spooled, all.Plugins
	m := wire.FromHealth(all)
	allSet(t, m.ProtoReflect())
	wire.ToHealth(m, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("health changes on the wire (-want +got):\n%s", diff)
	}
}

func TestProgressEveryField(t *testing.T) {
	var want holdfast.Progress
	var n int64
	fill(reflect.ValueOf(&want).Elem(), &n)
	var m wirepb.Welcome
	wire.FromProgress(want, &m)
	if diff := cmp.Diff(want, wire.ToProgress(&m)); diff != "" {
		t.Errorf("progress changes on the wire (-want +got):\n%s", diff)
	}
}

func TestRunningEveryField(t *testing.T) {
	var want holdfast.Running
	var n int64
	fill(reflect.ValueOf(&want).Elem(), &n)
	want.Outcome = holdfast.Failed
	for _, want.State = range []holdfast.RunState{holdfast.RunWaiting, holdfast.RunRunning, holdfast.RunDone, holdfast.RunDropped} {
		m := wire.FromRunning(want)
		allSet(t, m.ProtoReflect())
		got, err := wire.ToRunning(m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("word of a run changes on the wire (-want +got):\n%s", diff)
		}
	}
}

func TestRunningIsBounded(t *testing.T) {
	for name, m := range map[string]*wirepb.Running{
		"a long check":   {Check: strings.Repeat("x", holdfast.MaxText+1)},
		"a long summary": {Summary: strings.Repeat("x", holdfast.MaxText+1)},
		"a long phase":   {Phase: &wirepb.Phase{Name: strings.Repeat("x", holdfast.MaxText+1)}},
		"no outcome":     {Outcome: "splendid"},
	} {
		if r, err := wire.ToRunning(m); err == nil {
			t.Errorf("%s was taken: %+v", name, r)
		}
	}
	if r, err := wire.ToRunning(&wirepb.Running{Check: "a", State: 77}); err != nil || r.State != "" {
		t.Errorf("a state of a later version: got %q, %v, want none", r.State, err)
	}
}
