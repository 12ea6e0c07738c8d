package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Fault is what is wrong with the thing itself, as against an error, which means
// that nobody could tell. Verdict makes it a failed observation.
type Fault struct {
	Reason holdfast.Reason
	Text   string // one line for people
	Raw    string // the tool's own words
}

func (f *Fault) Error() string { return f.Text }

// Faulty is a fault with a text formatted as by fmt.Sprintf.
func Faulty(reason holdfast.Reason, format string, args ...any) *Fault {
	return &Fault{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// IsFault reports whether err is a fault of this reason.
func IsFault(err error, reason holdfast.Reason) bool {
	var f *Fault
	return errors.As(err, &f) && f.Reason == reason
}

// Look looks once at a thing. The observation is used with a fault too: it holds
// what was seen in spite of it.
type Look func(context.Context) (Observation, error)

// Confirm looks, and where it sees a fault looks once more: without a lock a single
// failure may be the trace of somebody at work on the thing.
func Confirm(ctx context.Context, once Look) (Observation, error) {
	first, err := Verdict(once(ctx))
	if err != nil || first.Outcome != holdfast.Failed {
		return first, err
	}
	second, err := Verdict(once(ctx))
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return Observation{}, err
	case err != nil: // the failure was seen, and must not get lost because time ran out
		if first.Facts == nil {
			first.Facts = map[string]string{}
		}
		first.Facts["second_look"] = Clip(err.Error(), holdfast.MaxText)
		return first, nil
	}
	return second, nil
}

// Verdict turns a fault into a failed observation.
func Verdict(o Observation, err error) (Observation, error) {
	var f *Fault
	switch {
	case errors.As(err, &f):
		o.Outcome, o.Reason, o.Summary = holdfast.Failed, f.Reason, Clip(f.Text, 300)
		o.Raw = Clip(f.Raw, holdfast.MaxRaw)
		return o, nil
	case err != nil:
		return Observation{}, err
	}
	return o, nil
}

// Clip makes a tool's words fit an observation: valid text of at most limit bytes.
func Clip(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
