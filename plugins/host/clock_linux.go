package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// clock is the probe host.time. It asks the kernel, which every time daemon
// (chrony, ntpd, systemd-timesyncd) tells how well the clock is kept.
type clock struct{}

type clockSettings struct {
	Offset holdfast.Duration `json:"offset,omitempty" jsonschema:"how far the clock may be off, estimated error included; 1s by default"`
}

func (clock) Describe() probe.Description {
	return probe.Description{
		Name:     "host.time",
		Observes: "Whether the host's clock is kept in time, and how far it is off, as the kernel knows from its time daemon.",
		Settings: probe.Schema[clockSettings](),
		Cost:     holdfast.Cheap,
		Reasons:  []holdfast.Reason{holdfast.Assertion, holdfast.Refused},
	}
}

func (clock) Observe(_ context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[clockSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if s.Offset < 0 {
		return probe.Observation{}, errors.New(`setting "offset": cannot be below 0`)
	}
	if s.Offset == 0 {
		s.Offset = holdfast.Duration(time.Second)
	}
	var t unix.Timex // modes 0: read only
	if _, err := unix.Adjtimex(&t); err != nil {
		return probe.Observation{}, probe.Unable(holdfast.Refused, "ask the kernel for its clock: %w", err)
	}
	return s.observation(t), nil
}

// observation reads t as adjtimex(2) gives it: offset in microseconds, or
// nanoseconds with STA_NANO; errors always in microseconds. The largest possible
// error is a fact only: between two polls of a sound time daemon it may pass 1 s.
func (s clockSettings) observation(t unix.Timex) probe.Observation {
	unit := time.Microsecond
	if t.Status&unix.STA_NANO != 0 {
		unit = time.Nanosecond
	}
	offset := time.Duration(t.Offset) * unit
	estimated := time.Duration(t.Esterror) * time.Microsecond
	off := offset.Abs() + estimated
	o := probe.OK("the clock is kept, off by at most about %v", off)
	o.Measures = []holdfast.Measure{
		{Name: "offset_seconds", Value: offset.Seconds(), Unit: "seconds"},
		{Name: "estimated_error_seconds", Value: estimated.Seconds(), Unit: "seconds"},
		{Name: "largest_error_seconds", Value: (time.Duration(t.Maxerror) * time.Microsecond).Seconds(), Unit: "seconds"},
	}
	switch {
	case t.Status&unix.STA_UNSYNC != 0:
		o.Outcome, o.Reason = holdfast.OutcomeDegraded, holdfast.Assertion
		o.Summary = "no time daemon keeps the clock: how far it is off is not known"
	case off > s.Offset.Std():
		o.Outcome, o.Reason = holdfast.OutcomeDegraded, holdfast.Assertion
		o.Summary = fmt.Sprintf("the clock may be off by %v, more than %v", off, s.Offset)
	}
	return o
}
