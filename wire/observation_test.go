package wire_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// fill gives every field reachable from v a value of its own, so that one left
// behind or mixed up with another shows.
func fill(v reflect.Value, n *int64) {
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000+*n, *n).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text " + string(rune('A'+*n)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(*n)
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 1000)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("fill does not know " + v.Type().String())
	}
}

// allSet fails for a field of the message, or of one within, that is not set:
// one the conversion forgot.
func allSet(t *testing.T, m protoreflect.Message) {
	t.Helper()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case !m.Has(f):
			t.Errorf("%s is not set", f.FullName())
		case f.IsMap():
		case f.IsList() && f.Message() != nil:
			for j := range m.Get(f).List().Len() {
				allSet(t, m.Get(f).List().Get(j).Message())
			}
		case f.Message() != nil:
			allSet(t, m.Get(f).Message())
		}
	}
}

// TestObservationEveryField fails when a field is added to either side and the
// conversions do not carry it.
func TestObservationEveryField(t *testing.T) {
	var want holdfast.Observation
	var n int64
	fill(reflect.ValueOf(&want).Elem(), &n)
	// These belong to the way of an observation, not to what the probe saw.
	want.Check, want.Agent, want.Seq, want.Received, want.Offset = "", "", 0, time.Time{}, 0

	m := wire.FromObservation(&want)
	allSet(t, m.ProtoReflect())
	if diff := cmp.Diff(want, wire.ToObservation(m)); diff != "" {
		t.Errorf("an observation changes on the wire (-want +got):\n%s", diff)
	}
}

func TestDescriptionEveryField(t *testing.T) {
	var want holdfast.Description
	var n int64
	fill(reflect.ValueOf(&want).Elem(), &n)
	m := wire.FromDescription(want)
	allSet(t, m.ProtoReflect())
	if diff := cmp.Diff(want, wire.ToDescription(m)); diff != "" {
		t.Errorf("a description changes on the wire (-want +got):\n%s", diff)
	}
}

func TestObservationEdges(t *testing.T) {
	for _, c := range []struct{ in, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Unix(0, 1).UTC()},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Unix(0, math.MaxInt64).UTC()},
		{time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Unix(0, math.MinInt64).UTC()},
		{time.Date(1950, 1, 1, 0, 0, 0, 5, time.UTC), time.Date(1950, 1, 1, 0, 0, 0, 5, time.UTC)},
	} {
		if got := wire.ToObservation(wire.FromObservation(&holdfast.Observation{Expiry: c.in})).Expiry; !got.Equal(c.want) {
			t.Errorf("expiry %v: got %v, want %v", c.in, got, c.want)
		}
	}
	bad := holdfast.Observation{Outcome: holdfast.OK, Raw: "caf\xe9", Facts: map[string]string{"a\xff": "\xfe"}}
	if _, err := proto.Marshal(wire.FromObservation(&bad)); err != nil {
		t.Errorf("text that is not UTF-8: %v, want it replaced", err)
	}
}

// FuzzObservation decodes what a hostile plugin might send: whatever Validate
// lets through comes out the same after another way over the wire.
func FuzzObservation(f *testing.F) {
	var o holdfast.Observation
	var n int64
	fill(reflect.ValueOf(&o).Elem(), &n)
	o.Outcome, o.Reason = holdfast.Failed, holdfast.Damaged
	seed, err := proto.Marshal(wire.FromObservation(&o))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add([]byte("\x0a\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wirepb.Observation
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		o := wire.ToObservation(&m)
		if o.Validate() != nil {
			return
		}
		again := wire.ToObservation(wire.FromObservation(&o))
		if diff := cmp.Diff(o, again); diff != "" {
			t.Errorf("an observation changes on its second way (-first +second):\n%s", diff)
		}
	})
}
