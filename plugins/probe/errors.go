package probe

import (
	"context"
	"errors"
	"fmt"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// unable is the error of a probe that could not tell.
type unable struct {
	reason holdfast.Reason
	err    error
}

func (e *unable) Error() string { return e.err.Error() }

func (e *unable) Unwrap() error { return e.err }

// Unable is the error of a probe that could not tell, and why. The message is
// formatted as by fmt.Errorf, %w included. An empty reason is allowed: the list
// does not name every cause.
func Unable(reason holdfast.Reason, format string, args ...any) error {
	return &unable{reason, fmt.Errorf(format, args...)}
}

// ReasonOf returns the reason an error carries: the outermost of Unable, timeout
// for a deadline that ran out, else "".
func ReasonOf(err error) holdfast.Reason {
	var u *unable
	switch {
	case errors.As(err, &u):
		return u.reason
	case errors.Is(err, context.DeadlineExceeded):
		return holdfast.Timeout
	}
	return ""
}
