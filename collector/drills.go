package collector

import (
	"context"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/drill"
)

// newDrills opens what was stored of drills; those under way go on when the
// collector runs.
func (c *Collector) newDrills(ctx context.Context) (err error) {
	c.drills, err = drill.New(ctx, drill.Config{
		Documents: c.store, Source: c, Runner: runner{c}, Enter: c.enterExercise, Changed: c.estate.announce, Log: c.log, Now: c.now,
	})
	return err
}

// runner is the collector as drills run checks with it. It implements drill.Runner.
type runner struct{ c *Collector }

// RunCheck asks for a check at once.
func (r runner) RunCheck(ctx context.Context, check, by string) (holdfast.Run, error) {
	return r.c.RunCheck(ctx, check, by)
}

// Run returns a run that is remembered.
func (r runner) Run(id string) (holdfast.Run, bool) {
	x := r.c.runs.one(id)
	return x, x.ID != ""
}

// StopRun asks for the end of a run.
func (r runner) StopRun(id, by string) error { return r.c.StopRun(id, by) }

// enterExercise takes the record of a drill in. A drill that was cut off between its
// record and its own end asks again and gets the record it has.
func (c *Collector) enterExercise(ctx context.Context, r holdfast.Record) (holdfast.Record, error) {
	for _, known := range c.book.about(aboutService + r.Service) {
		if known.Drill == r.Drill {
			return known, nil
		}
	}
	return c.record(ctx, r)
}

// PlanDrill says what a drill would do, without doing any of it.
func (c *Collector) PlanDrill(o holdfast.DrillOrder) (holdfast.DrillPlan, error) {
	return c.drills.Plan(o)
}

// StartDrill begins a drill in somebody's name.
func (c *Collector) StartDrill(ctx context.Context, o holdfast.DrillOrder, by holdfast.Who) (holdfast.Drill, error) {
	return c.drills.Start(ctx, o, by)
}

// AnswerDrill says how a step went that people do.
func (c *Collector) AnswerDrill(ctx context.Context, id, step string, a holdfast.DrillAnswer, by holdfast.Who) (holdfast.Drill, error) {
	return c.drills.Answer(ctx, id, step, a, by)
}

// CancelDrill aborts a drill.
func (c *Collector) CancelDrill(ctx context.Context, id, reason string, by holdfast.Who) (holdfast.Drill, error) {
	return c.drills.Cancel(ctx, id, reason, by)
}

// Drills returns every drill that is kept, the latest first.
func (c *Collector) Drills() []holdfast.Drill { return c.drills.Drills() }

// RunningDrills returns the drills under way, the first to begin first.
func (c *Collector) RunningDrills() []holdfast.Drill { return c.drills.Running() }

// Drill returns one drill.
func (c *Collector) Drill(id string) (holdfast.Drill, bool) { return c.drills.Drill(id) }

// DrillBookings returns every appointment, the first to come first.
func (c *Collector) DrillBookings() []holdfast.DrillBooking { return c.drills.Bookings() }

// BookDrill makes an appointment, and says what it overlaps with.
func (c *Collector) BookDrill(ctx context.Context, b holdfast.DrillBooking, by holdfast.Who) (holdfast.DrillBooking, []string, error) {
	return c.drills.Book(ctx, b, by)
}

// UnbookDrill ends an appointment.
func (c *Collector) UnbookDrill(ctx context.Context, id string, by holdfast.Who) error {
	return c.drills.Unbook(ctx, id, by)
}
