package probe

import (
	"context"

	holdfast "github.com/holdfast-monitor/holdfast"
)

type progressKey struct{}

// WithProgress has tell hear what Progress is told below ctx. It may be called from
// several goroutines at once.
func WithProgress(ctx context.Context, tell func(holdfast.Phase)) context.Context {
	return context.WithValue(ctx, progressKey{}, tell)
}

// Progress says how far a long look has come: the phase in a word or two, like
// "restore", and how much of it is done in any unit; a total of 0 is not known. It
// costs little, may be called often, and does nothing where nobody listens.
func Progress(ctx context.Context, phase string, done, total int64) {
	if tell, ok := ctx.Value(progressKey{}).(func(holdfast.Phase)); ok {
		tell(holdfast.Phase{Name: OneLine(phase), Done: done, Total: total})
	}
}
