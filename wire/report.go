package wire

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Report is one batch as a collector takes it apart: bodies stay encoded, and the
// memory of one report serves the next. It is read by hand because this is the
// path every result of every agent takes.
type Report struct {
	Seq        uint64
	Oldest     uint64 // lowest number the agent still holds
	Sent       int64  // agent clock, ns
	Assignment string // version the check numbers refer to
	Backlog    bool
	Results    []Result

	counts   []int64
	measures []float64
}

// Result is what one run of a check saw. Its slices end with the report.
type Result struct {
	Check    int    // place in the assignment
	Order    uint64 // grows with every result of the agent
	At       int64  // agent clock, ns
	Digest   uint64 // of the body, here or before
	Counts   []int64
	Measures []float64
	Body     []byte // nil: the same as before
}

// The earliest and latest instant a report may name, ns: 2000 and 2200. Clocks
// that are merely wrong lie between.
const (
	minTime = 946_684_800 * 1_000_000_000
	maxTime = 7_258_118_400 * 1_000_000_000
)

// maxCounts is the most counts a body has (Numbers).
const maxCounts = 4

// ReportIn returns the bytes of the report in an encoded Up, or false where the
// message is another one. They are part of b.
func ReportIn(b []byte) ([]byte, bool) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != 2 || typ != protowire.BytesType {
		return nil, false
	}
	v, m := protowire.ConsumeBytes(b[n:])
	if m < 0 || n+m != len(b) {
		return nil, false
	}
	return v, true
}

// Decode reads an encoded report and checks everything that can be checked
// without its bodies: bounds, times, finite numbers. Bodies are part of b. The
// error is for the agent that sent it.
func (r *Report) Decode(b []byte) error {
	version := r.Assignment
	*r = Report{Results: r.Results[:0], counts: r.counts[:0], measures: r.measures[:0]}
	order := uint64(0)
	for len(b) > 0 {
		num, typ, v, bytes, n := field(b)
		if n < 0 {
			return fmt.Errorf("report: %w", protowire.ParseError(n))
		}
		b = b[n:]
		switch {
		case num == 1 && typ == protowire.VarintType:
			r.Seq = v
		case num == 2 && typ == protowire.VarintType:
			r.Sent = int64(v)
		case num == 3 && typ == protowire.VarintType:
			r.Oldest = v
		case num == 4 && typ == protowire.BytesType:
			if len(bytes) > holdfast.MaxName {
				return errors.New("report: assignment version too long")
			}
			if version != string(bytes) { // the same text again needs no new memory
				version = string(bytes)
			}
			r.Assignment = version
		case num == 5 && typ == protowire.VarintType:
			r.Backlog = v != 0
		case num == 6 && typ == protowire.VarintType:
			order = v
		case num == 7 && typ == protowire.BytesType:
			if len(r.Results) == MaxResults {
				return fmt.Errorf("report %d: more than %d results", r.Seq, MaxResults)
			}
			if err := r.addResult(bytes); err != nil {
				return fmt.Errorf("report %d: result %d: %w", r.Seq, len(r.Results)+1, err)
			}
		}
	}
	return r.check(order)
}

// field takes the next field apart: v holds a number, bytes what is delimited.
// n is negative where b is malformed.
func field(b []byte) (num protowire.Number, typ protowire.Type, v uint64, bytes []byte, n int) {
	num, typ, n = protowire.ConsumeTag(b)
	if n < 0 {
		return 0, 0, 0, nil, n
	}
	m := 0
	switch typ {
	case protowire.VarintType:
		v, m = protowire.ConsumeVarint(b[n:])
	case protowire.BytesType:
		bytes, m = protowire.ConsumeBytes(b[n:])
	case protowire.Fixed64Type:
		v, m = protowire.ConsumeFixed64(b[n:])
	default:
		m = protowire.ConsumeFieldValue(num, typ, b[n:])
	}
	if m < 0 {
		return 0, 0, 0, nil, m
	}
	return num, typ, v, bytes, n + m
}

func (r *Report) addResult(b []byte) error {
	var res Result
	counts, measures := len(r.counts), len(r.measures)
	for len(b) > 0 {
		num, typ, v, bytes, n := field(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var err error
		switch {
		case num == 1 && typ == protowire.VarintType:
			res.Check = int(min(v, math.MaxInt32))
		case num == 2 && typ == protowire.VarintType:
			res.At = int64(v)
		case num == 3 && typ == protowire.Fixed64Type:
			res.Digest = v
		case num == 4 && typ == protowire.VarintType:
			r.counts = append(r.counts, protowire.DecodeZigZag(v))
		case num == 4 && typ == protowire.BytesType:
			err = r.addCounts(bytes)
		case num == 5 && typ == protowire.Fixed64Type:
			r.measures = append(r.measures, math.Float64frombits(v))
		case num == 5 && typ == protowire.BytesType:
			err = r.addMeasures(bytes)
		case num == 6 && typ == protowire.BytesType:
			res.Body = bytes
		case num == 7 && typ == protowire.VarintType:
			res.Order = min(v, math.MaxUint32)
		}
		if err != nil {
			return err
		}
	}
	res.Counts, res.Measures = r.counts[counts:len(r.counts):len(r.counts)], r.measures[measures:len(r.measures):len(r.measures)]
	if err := res.check(); err != nil {
		return err
	}
	r.Results = append(r.Results, res)
	return nil
}

func (r *Report) addCounts(b []byte) error {
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		r.counts = append(r.counts, protowire.DecodeZigZag(v))
		b = b[n:]
	}
	return nil
}

func (r *Report) addMeasures(b []byte) error {
	for len(b) > 0 {
		v, n := protowire.ConsumeFixed64(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		r.measures = append(r.measures, math.Float64frombits(v))
		b = b[n:]
	}
	return nil
}

func (res *Result) check() error {
	switch {
	case res.At < minTime || res.At > maxTime:
		return fmt.Errorf("time %d ns is not between the years 2000 and 2200", res.At)
	case len(res.Body) > MaxBody:
		return fmt.Errorf("body of %d bytes, at most %d", len(res.Body), MaxBody)
	case len(res.Counts) > maxCounts:
		return fmt.Errorf("%d counts, at most %d", len(res.Counts), maxCounts)
	case len(res.Measures) > holdfast.MaxMeasures:
		return fmt.Errorf("%d measures, at most %d", len(res.Measures), holdfast.MaxMeasures)
	case len(res.Body) > 0 && Digest(res.Body) != res.Digest:
		return errors.New("digest is not the body's")
	}
	for _, v := range res.Counts {
		if v < 0 {
			return fmt.Errorf("count %d is negative", v)
		}
	}
	for _, v := range res.Measures {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("measure %v is not a finite number", v)
		}
	}
	return nil
}

func (r *Report) check(order uint64) error {
	switch {
	case r.Seq == 0 || r.Seq > math.MaxInt64:
		return fmt.Errorf("report: sequence number %d", r.Seq)
	case r.Oldest > r.Seq:
		return fmt.Errorf("report %d: says that it holds nothing below %d", r.Seq, r.Oldest)
	case r.Sent < minTime || r.Sent > maxTime:
		return fmt.Errorf("report %d: sent at %d ns, not between the years 2000 and 2200: set the agent's clock", r.Seq, r.Sent)
	case order > math.MaxInt64:
		return fmt.Errorf("report %d: order %d", r.Seq, order)
	}
	for i := range r.Results {
		r.Results[i].Order += order
	}
	return nil
}

// Digest names a body: FNV-1a, 64 bit.
func Digest(body []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range body {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// FromResult writes an observation for the wire: the numbers apart from the body
// that seldom changes. The caller numbers the check and sets the order. What
// does not fit MaxBody loses the tool's own words first, then the facts for people.
func FromResult(o *holdfast.Observation) (*wirepb.Result, error) {
	still, counts, measures := apart(*o)
	body, err := marshalBody(&still)
	if err == nil && len(body) > MaxBody {
		still.Raw = ""
		body, err = marshalBody(&still)
	}
	if err == nil && len(body) > MaxBody {
		still.Facts = nil
		body, err = marshalBody(&still)
	}
	if err == nil && len(body) > MaxBody {
		err = fmt.Errorf("%d bytes, at most %d", len(body), MaxBody)
	}
	if err != nil {
		return nil, fmt.Errorf("encode observation of %s: %w", o.Check, err)
	}
	return &wirepb.Result{At: fromTime(o.At), Digest: Digest(body), Counts: counts, Measures: measures, Body: body}, nil
}
