package web

import (
	"context"
	"iter"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Past is what a service and its checks were like, and what was said of them.
type Past interface {
	// RecordsOn returns the records a service's posture may rest on, oldest first:
	// those that name it or one of its needs, and the reviews and trainings of these
	// plans and teams.
	RecordsOn(ctx context.Context, service string, plans, teams []string) ([]holdfast.Record, error)
	// ObservedIn yields what was notable of a check's observations received within
	// [from, until), newest first: changes of outcome, tests, and of recovery points
	// the first of a day and those that end a long gap. A zero instant is no bound.
	ObservedIn(ctx context.Context, check string, from, until time.Time) iter.Seq2[holdfast.Observation, error]
	// StandingsIn yields how a service stood within [from, until), newest first; the
	// last one holds since before from, if it was judged then.
	StandingsIn(ctx context.Context, service string, from, until time.Time) iter.Seq2[holdfast.PastStanding, error]
}
