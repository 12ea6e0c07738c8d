package collector

import (
	"context"
	"fmt"
	"iter"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// ChangesIn yields the changes of a service's standing within [from, until),
// newest first. A zero instant is no bound, "" stands for every service.
func (c *Collector) ChangesIn(ctx context.Context, service string, from, until time.Time) iter.Seq2[holdfast.StandingChange, error] {
	return func(yield func(holdfast.StandingChange, error) bool) {
		for t, err := range c.store.Transitions(ctx, service, store.Window{From: from, To: until}) {
			if err != nil {
				yield(holdfast.StandingChange{}, fmt.Errorf("read history: %w", err))
				return
			}
			if !yield(holdfast.StandingChange{At: t.At, Service: t.Service, From: t.From, To: t.To, Score: t.Score, Cause: t.Cause}, nil) {
				return
			}
		}
	}
}
