package wire_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

var instant = time.Date(2026, 11, 21, 12, 0, 0, 7, time.UTC).UnixNano()

// TestResultEveryField sends an observation with every field set through body and
// numbers.
func TestResultEveryField(t *testing.T) {
	var want holdfast.Observation
	var n int64
	fill(reflect.ValueOf(&want).Elem(), &n)
	want.Outcome, want.Reason = holdfast.OutcomeDegraded, holdfast.TooSmall
	want.RecoveryPoints[1].Time = want.RecoveryPoints[0].Time.Add(-time.Hour)
	kept := want.Measures[0].Value

	m, err := wire.FromResult(&want)
	if err != nil {
		t.Fatal(err)
	}
	if want.Measures[0].Value != kept || want.Replication.Lag == 0 || want.Capacity.Free == 0 {
		t.Error("taking an observation apart changed it")
	}
	got, err := wire.ReadBody(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.SetNumbers(&got, m.Counts, m.Measures); err != nil {
		t.Fatal(err)
	}
	got.At = time.Unix(0, m.At).UTC()
	want.Check, want.Agent, want.Seq, want.Received, want.Offset = "", "", 0, time.Time{}, 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a result changes on the wire (-want +got):\n%s", diff)
	}

	want.At = want.At.Add(time.Minute)
	want.Replication.Lag, want.Capacity.Free, want.Measures[1].Value = 99, 98, 97
	again, err := wire.FromResult(&want)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest != m.Digest {
		t.Error("new times and numbers changed the digest: unchanged results would carry their texts every time")
	}
	want.Summary += "!"
	if again, err = wire.FromResult(&want); err != nil || again.Digest == m.Digest {
		t.Errorf("a new summary kept the digest (%v)", err)
	}
}

func TestSetNumbersRefusesWrongCounts(t *testing.T) {
	o := holdfast.Observation{Outcome: holdfast.OK, Capacity: &holdfast.Capacity{Free: 5}, Measures: []holdfast.Measure{{Name: "a", Value: 1}}}
	for _, c := range []struct {
		counts   []int64
		measures []float64
	}{{nil, []float64{1}}, {[]int64{1, 2, 3, 4}, []float64{1}}, {[]int64{1, 2}, nil}, {[]int64{1, -2}, []float64{1}}} {
		if err := wire.SetNumbers(&o, c.counts, c.measures); err == nil {
			t.Errorf("took counts %v and measures %v", c.counts, c.measures)
		}
	}
	if o.Capacity.Free != 5 || o.Measures[0].Value != 1 {
		t.Errorf("a refused set of numbers changed the observation: %+v", o)
	}
}

func TestFromResultFitsTheBound(t *testing.T) {
	o := holdfast.Observation{Outcome: holdfast.OK, Summary: "kept", Raw: strings.Repeat("r", holdfast.MaxRaw), Facts: map[string]string{}}
	for i := range holdfast.MaxFacts {
		o.Facts[fmt.Sprint(i)] = strings.Repeat("f", holdfast.MaxText)
	}
	m, err := wire.FromResult(&o)
	if err != nil || len(m.Body) > wire.MaxBody {
		t.Fatalf("body of %d bytes, %v; want at most %d", len(m.GetBody()), err, wire.MaxBody)
	}
	if got, err := wire.ReadBody(m.Body); err != nil || got.Summary != "kept" {
		t.Errorf("what is left of it: %+v, %v", got, err)
	}
}

// sample returns a report of n results as an agent writes it.
func sample(t testing.TB, n int) *wirepb.Report {
	t.Helper()
	m := &wirepb.Report{Seq: 9, Sent: instant, Oldest: 4, Assignment: "v1", Backlog: true, Order: 7 << 32}
	for i := range n {
		r, err := wire.FromResult(&holdfast.Observation{
			At: time.Unix(0, instant), Outcome: holdfast.OK, Summary: fmt.Sprintf("check %d is fine", i),
			Capacity: &holdfast.Capacity{Needed: 10, Free: holdfast.Bytes(i)},
			Measures: []holdfast.Measure{{Name: "used", Value: float64(i) / 3, Unit: "bytes"}, {Name: "load", Value: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			r.Body = nil
		}
		r.Check, r.Order = uint32(i), uint32(i+1)
		m.Results = append(m.Results, r)
	}
	return m
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares a report read by hand with what the protobuf library reads.
func same(t testing.TB, r *wire.Report, m *wirepb.Report) {
	t.Helper()
	if r.Seq != m.Seq || r.Sent != m.Sent || r.Oldest != m.Oldest || r.Assignment != m.Assignment || r.Backlog != m.Backlog || len(r.Results) != len(m.Results) {
		t.Fatalf("got %+v, want %+v", r, m)
	}
	for i, g := range r.Results {
		w := m.Results[i]
		want := wire.Result{Check: int(min(w.Check, math.MaxInt32)), Order: m.Order + uint64(w.Order), At: w.At, Digest: w.Digest, Counts: w.Counts, Measures: w.Measures, Body: w.Body}
		if diff := cmp.Diff(want, g, cmp.Transformer("length", func(b []byte) string { return string(b) }), cmp.FilterValues(func(a, b []int64) bool { return len(a)+len(b) == 0 }, cmp.Ignore()), cmp.FilterValues(func(a, b []float64) bool { return len(a)+len(b) == 0 }, cmp.Ignore())); diff != "" {
			t.Fatalf("result %d (-protobuf +by hand):\n%s", i, diff)
		}
	}
}

func TestReportByHand(t *testing.T) {
	var r wire.Report
	for _, n := range []int{50, 0, 3, 1000} { // one report's memory serves the next
		m := sample(t, n)
		in, ok := wire.ReportIn(encode(t, &wirepb.Up{Message: &wirepb.Up_Report{Report: m}}))
		if !ok {
			t.Fatal("no report found in Up")
		}
		if err := r.Decode(in); err != nil {
			t.Fatal(err)
		}
		same(t, &r, m)
	}
}

func TestReportIn(t *testing.T) {
	report := encode(t, &wirepb.Up{Message: &wirepb.Up_Report{Report: sample(t, 1)}})
	for name, b := range map[string][]byte{
		"empty":          nil,
		"another":        encode(t, &wirepb.Up{Message: &wirepb.Up_Pong{Pong: &wirepb.Pong{Now: 1}}}),
		"cut off":        report[:len(report)-1],
		"two in one":     append(report[:len(report):len(report)], report...),
		"not a message":  {0x12},
		"a wrong length": {0x12, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if got, ok := wire.ReportIn(b); ok {
			t.Errorf("%s: found a report of %d bytes", name, len(got))
		}
	}
}

func TestReportBounds(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*wirepb.Report)
	}{
		{"no number", "sequence number 0", func(m *wirepb.Report) { m.Seq = 0 }},
		{"huge number", "sequence number", func(m *wirepb.Report) { m.Seq = math.MaxUint64 }},
		{"oldest above", "says that it holds nothing below 10", func(m *wirepb.Report) { m.Oldest = 10 }},
		{"huge order", "order", func(m *wirepb.Report) { m.Order = math.MaxUint64 }},
		{"not sent", "set the agent's clock", func(m *wirepb.Report) { m.Sent = 0 }},
		{"long version", "version too long", func(m *wirepb.Report) { m.Assignment = strings.Repeat("v", 300) }},
		{"too many", "more than 1000 results", func(m *wirepb.Report) { *m = *sample(t, 1001) }},
		{"before 2000", "result 1: time", func(m *wirepb.Report) { m.Results[0].At = 1 }},
		{"after 2200", "result 2: time", func(m *wirepb.Report) { m.Results[1].At = math.MaxInt64 }},
		{"NaN", "not a finite number", func(m *wirepb.Report) { m.Results[0].Measures[0] = math.NaN() }},
		{"infinite", "not a finite number", func(m *wirepb.Report) { m.Results[0].Measures[0] = math.Inf(-1) }},
		{"negative count", "negative", func(m *wirepb.Report) { m.Results[0].Counts[0] = -1 }},
		{"many counts", "5 counts", func(m *wirepb.Report) { m.Results[0].Counts = make([]int64, 5) }},
		{"many measures", "257 measures", func(m *wirepb.Report) { m.Results[0].Measures = make([]float64, 257) }},
		{"large body", "body of", func(m *wirepb.Report) { m.Results[1].Body = make([]byte, wire.MaxBody+1) }},
		{"wrong digest", "digest is not the body's", func(m *wirepb.Report) { m.Results[1].Digest++ }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sample(t, 2)
			c.change(m)
			var r wire.Report
			if err := r.Decode(encode(t, m)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// FuzzReport reads what a hostile agent might send: what is taken is what the
// protobuf library reads, and no body that is taken breaks the rules.
func FuzzReport(f *testing.F) {
	f.Add(encode(f, sample(f, 0)))
	f.Add(encode(f, sample(f, 4)))
	f.Add([]byte{0x08, 0x01, 0x3a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r wire.Report
		if r.Decode(b) != nil {
			return
		}
		var m wirepb.Report
		if proto.Unmarshal(b, &m) == nil {
			same(t, &r, &m)
		}
		for _, res := range r.Results {
			if o, err := wire.ReadBody(res.Body); err == nil {
				if err := wire.SetNumbers(&o, res.Counts, res.Measures); err == nil {
					if err := o.Validate(); err != nil {
						t.Errorf("a body was taken that breaks the rules: %v", err)
					}
				}
			}
		}
	})
}

func BenchmarkReport(b *testing.B) {
	m := sample(b, 50)
	for i := range m.Results {
		m.Results[i].Body = nil
	}
	in := encode(b, m)
	b.Run("by hand", func(b *testing.B) {
		var r wire.Report
		b.ReportAllocs()
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			if err := r.Decode(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			var m wirepb.Report
			if err := proto.Unmarshal(in, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
