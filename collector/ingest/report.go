package ingest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
)

// Report is what an agent said at once, on its way to the core. It and all its
// slices belong to the core until it calls Done, which it does exactly once.
type Report struct {
	wire.Report // Assignment is not to be used: Assigned is what the numbers refer to

	Agent    string
	Epoch    uint64
	Received time.Time
	Offset   holdfast.Duration    // agent clock − collector clock, to be taken off; 0 within a second
	Assigned *holdfast.Assignment // as the core gave it; every result's Check is a place in it

	answer func(seq uint64, err error)
	buf    []byte // what came over the wire
}

// The answers of a core to a report, besides nil for durable. Any other error
// ends the session, and the agent tries again later.
var (
	// ErrResend asks for the report once more, with every body and numbered by the
	// present assignment: a body is not known, or a check no longer assigned.
	ErrResend = errors.New("send this report again with every body")
	// ErrRefused matches errors of a report that breaks the rules and never will be
	// taken: the agent gives it up.
	ErrRefused = errors.New("report refused")
	// ErrScattered says that the agent's settled reports lie in too many runs.
	ErrScattered = fmt.Errorf("more than %d gaps between the reports of an agent", holdfast.MaxRanges)
)

// Settle returns what is settled once this report is, and whether it is news: a
// report that is not is answered with Done(nil) and otherwise passed over.
func (r *Report) Settle(p holdfast.Progress) (next holdfast.Progress, news bool, err error) {
	p = p.Above(r.Epoch, r.Oldest)
	if p.Has(r.Epoch, r.Seq) {
		return p, false, nil
	}
	next, ok := p.With(r.Epoch, r.Seq)
	if !ok {
		return p, false, ErrScattered
	}
	return next, true, nil
}

// Observation decodes the i-th result, which has a body, into a whole observation
// with the agent's own times corrected. Errors match ErrRefused.
func (r *Report) Observation(i int) (holdfast.Observation, error) {
	o, err := wire.ReadBody(r.Results[i].Body)
	if err != nil {
		return o, fmt.Errorf("%w: check %s: %w", ErrRefused, r.Assigned.Checks[r.Results[i].Check].ID, err)
	}
	Correct(&o, r.Offset)
	return o, r.Update(i, &o)
}

// Correct takes an agent's clock offset off the times that are its own: when it
// verified and restored. Times of recovery points are the tool's.
func Correct(o *holdfast.Observation, offset holdfast.Duration) {
	if o.Verification != nil {
		o.Verification.Time = o.Verification.Time.Add(-offset.Std())
	}
	if o.Restoration != nil {
		o.Restoration.Started = o.Restoration.Started.Add(-offset.Std())
	}
}

// Update brings an observation that came with the same body up to the i-th
// result: its time, order and numbers. Copies of o made before stay as they were.
// Errors match ErrRefused.
func (r *Report) Update(i int, o *holdfast.Observation) error {
	res := &r.Results[i]
	check := r.Assigned.Checks[res.Check].ID
	if err := wire.SetNumbers(o, res.Counts, res.Measures); err != nil {
		return fmt.Errorf("%w: check %s: %w", ErrRefused, check, err)
	}
	o.Check, o.Agent, o.Seq = check, r.Agent, res.Order
	o.At, o.Received, o.Offset = r.At(i), r.Received, r.Offset
	return nil
}

// At returns when the i-th result's probe began to look, by the collector's clock
// and never after the report was received.
func (r *Report) At(i int) time.Time {
	at := time.Unix(0, r.Results[i].At).Add(-r.Offset.Std()).UTC()
	if at.After(r.Received) {
		return r.Received
	}
	return at
}

// Done answers the report: nil says that it is durable. It does not block, and
// the report is not to be touched afterwards.
func (r *Report) Done(err error) {
	answer, seq := r.answer, r.Seq
	r.release()
	answer(seq, err)
}

// NewReport returns a report as a session hands it to a core, for the tests and
// benchmarks of a core. Done calls answer.
func NewReport(said wire.Report, agent string, epoch uint64, received time.Time, assigned *holdfast.Assignment, answer func(error)) *Report {
	return &Report{Report: said, Agent: agent, Epoch: epoch, Received: received, Assigned: assigned,
		answer: func(_ uint64, err error) { answer(err) }}
}

var reports = sync.Pool{New: func() any { return new(Report) }}

// maxKept is the largest buffer that is kept for the next report.
const maxKept = 64 << 10

func newReport() *Report { return reports.Get().(*Report) }

// release gives a report's memory to the next one.
func (r *Report) release() {
	r.answer, r.Assigned = nil, nil
	if cap(r.buf) > maxKept {
		r.buf = nil
		clear(r.Results[:cap(r.Results)])
	}
	reports.Put(r)
}

// codec receives what agents send as bytes, and everything else as protobuf.
type codec struct{ encoding.CodecV2 }

// Unmarshal copies the bytes of a report's message into its own buffer.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*Report)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	n := data.Len()
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	data.CopyTo(r.buf)
	return nil
}
