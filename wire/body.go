package wire

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// apart takes an observation apart into what seldom changes and the numbers that
// do: counts are the replication's lag and bytes, then the capacity's needed and
// free, as far as it has these parts. It leaves o's own parts as they are.
func apart(o holdfast.Observation) (still holdfast.Observation, counts []int64, measures []float64) {
	o.At = time.Time{}
	if r := o.Replication; r != nil {
		counts = append(counts, int64(r.Lag), int64(r.Bytes))
		o.Replication = &holdfast.Replication{PrimarySeen: r.PrimarySeen}
	}
	if c := o.Capacity; c != nil {
		counts = append(counts, int64(c.Needed), int64(c.Free))
		o.Capacity = &holdfast.Capacity{}
	}
	o.Measures = slices.Clone(o.Measures)
	for i := range o.Measures {
		measures = append(measures, o.Measures[i].Value)
		o.Measures[i].Value = 0
	}
	return o, counts, measures
}

// marshalBody encodes always in the same way, so that equal bodies have equal digests.
func marshalBody(o *holdfast.Observation) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(FromObservation(o))
}

// ReadBody decodes and validates a result's body. Its At and numbers are zero:
// SetNumbers puts them in.
func ReadBody(body []byte) (holdfast.Observation, error) {
	if len(body) > MaxBody {
		return holdfast.Observation{}, fmt.Errorf("body of %d bytes, at most %d", len(body), MaxBody)
	}
	var m wirepb.Observation
	if err := proto.Unmarshal(body, &m); err != nil {
		return holdfast.Observation{}, fmt.Errorf("body: %w", err)
	}
	o := ToObservation(&m)
	if err := o.Validate(); err != nil {
		return holdfast.Observation{}, fmt.Errorf("body: %w", err)
	}
	return o, nil
}

// SetNumbers puts the numbers of a result into the observation its body gave. The
// parts that hold them are new: copies of o made before stay as they were. On an
// error it has changed nothing.
func SetNumbers(o *holdfast.Observation, counts []int64, measures []float64) error {
	want := 0
	if o.Replication != nil {
		want += 2
	}
	if o.Capacity != nil {
		want += 2
	}
	if len(counts) != want || len(measures) != len(o.Measures) {
		return fmt.Errorf("%d counts and %d measures, the body has %d and %d", len(counts), len(measures), want, len(o.Measures))
	}
	if slices.ContainsFunc(counts, func(n int64) bool { return n < 0 }) {
		return errors.New("a count is negative")
	}
	if r := o.Replication; r != nil {
		o.Replication = &holdfast.Replication{Lag: holdfast.Duration(counts[0]), Bytes: holdfast.Bytes(counts[1]), PrimarySeen: r.PrimarySeen}
		counts = counts[2:]
	}
	if o.Capacity != nil {
		o.Capacity = &holdfast.Capacity{Needed: holdfast.Bytes(counts[0]), Free: holdfast.Bytes(counts[1])}
	}
	o.Measures = slices.Clone(o.Measures)
	for i := range o.Measures {
		o.Measures[i].Value = measures[i]
	}
	return nil
}
