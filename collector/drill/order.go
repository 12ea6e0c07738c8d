package drill

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// maxWords bounds what people write.
const maxWords = 1000

// Start begins a drill, in somebody's name. An error matches holdfast.ErrInvalid
// where there is no such path, holdfast.ErrConflict where it cannot be walked now.
// The drill is durable when nil comes back.
func (m *Manager) Start(ctx context.Context, o holdfast.DrillOrder, by holdfast.Who) (holdfast.Drill, error) {
	m.walking.Lock()
	defer m.walking.Unlock()
	return m.start(ctx, o, by.Name, "")
}

// start begins a drill. The caller holds walking.
func (m *Manager) start(ctx context.Context, o holdfast.DrillOrder, by, booking string) (holdfast.Drill, error) {
	plan, err := m.Plan(o)
	if err != nil {
		return holdfast.Drill{}, err
	}
	if len(plan.Refusals) > 0 {
		return holdfast.Drill{}, fmt.Errorf("%w: %s", holdfast.ErrConflict, strings.Join(plan.Refusals, "; "))
	}
	d := plan.Drill()
	d.Started = m.cfg.Now().UTC()
	d.ID, d.By, d.Booking = d.Started.Format("20060102")+"-"+random(), by, booking
	if err := m.save(ctx, &d); err != nil {
		return holdfast.Drill{}, err
	}
	m.cfg.Log.Info("drill begins", "drill", d.ID, "service", d.Service, "path", d.Path, "by", by, "steps", len(d.Steps))
	m.rouse()
	return d, nil
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// Answer says of a step that people do how it went. Step is its number or its name.
// An error matches holdfast.ErrInvalid where the answer is none, holdfast.ErrUnknown
// where there is no such drill or step, holdfast.ErrConflict where the step is not
// asked for now.
func (m *Manager) Answer(ctx context.Context, id, step string, a holdfast.DrillAnswer, by holdfast.Who) (holdfast.Drill, error) {
	m.walking.Lock()
	defer m.walking.Unlock()
	d, ok := m.Drill(id)
	if !ok {
		return d, fmt.Errorf("%w: there is no drill %q", holdfast.ErrUnknown, id)
	}
	x := stepOf(&d, step)
	switch {
	case x == nil:
		return d, fmt.Errorf("%w: drill %s has no step %q", holdfast.ErrUnknown, id, step)
	case x.Kind != holdfast.StepPerson:
		return d, fmt.Errorf("%w: step %s runs by itself: only what people do is answered", holdfast.ErrConflict, x.Name)
	case !d.Running():
		return d, fmt.Errorf("%w: drill %s is over: it %s", holdfast.ErrConflict, id, d.Verdict)
	case x.State != holdfast.StepAsked:
		return d, fmt.Errorf("%w: step %s is %s: nobody is asked for it", holdfast.ErrConflict, x.Name, x.State)
	}
	now := m.cfg.Now().UTC()
	if a.By == "" {
		a.By = by.Name
	}
	switch {
	case a.At.IsZero():
		a.At = now
	case a.At.Before(x.Asked) && a.At.After(x.Asked.Add(-time.Minute)): // people write minutes
		a.At = x.Asked
	}
	if err := checkAnswer(&d, x, &a, now); err != nil {
		return d, fmt.Errorf("%w answer: %w", holdfast.ErrInvalid, err)
	}
	x.State, x.Ended, x.By, x.EnteredBy, x.Note, x.Summary = holdfast.StepDone, a.At.UTC(), a.By, by.Name, a.Note, ""
	if a.Failed {
		x.State = holdfast.StepFailed
	} else {
		x.Point = a.Point
	}
	if err := m.save(ctx, &d); err != nil {
		return d, err
	}
	m.cfg.Log.Info("step of a drill answered", "drill", id, "step", x.Name, "state", x.State, "by", a.By, "entered_by", by.Name)
	m.rouse()
	return d, nil
}

// stepOf finds a step by its number or name; nil: there is none.
func stepOf(d *holdfast.Drill, step string) *holdfast.DrillStep {
	n, _ := strconv.Atoi(step)
	for i := range d.Steps {
		if x := &d.Steps[i]; x.Name == step && x.Kind == holdfast.StepPerson || x.Number == n {
			return x
		}
	}
	return nil
}

// checkAnswer says every fault of an answer at once.
func checkAnswer(d *holdfast.Drill, x *holdfast.DrillStep, a *holdfast.DrillAnswer, now time.Time) error {
	var faults []error
	if len(a.By) > holdfast.MaxName {
		faults = append(faults, fmt.Errorf("by: %d bytes long, at most %d", len(a.By), holdfast.MaxName))
	}
	if len(a.Note) > maxWords {
		faults = append(faults, fmt.Errorf("note: %d bytes long, at most %d", len(a.Note), maxWords))
	}
	switch {
	case a.At.After(now):
		faults = append(faults, fmt.Errorf("at: %s lies in the future", a.At.UTC().Format(time.RFC3339)))
	case a.At.Before(x.Asked):
		faults = append(faults, fmt.Errorf("at: %s lies before %s, when the step was asked for", a.At.UTC().Format(time.RFC3339), x.Asked.Format(time.RFC3339)))
	}
	if a.Point.After(d.Started) {
		faults = append(faults, fmt.Errorf("recovery_point: %s lies after the start of the drill, %s", a.Point.UTC().Format(time.RFC3339), d.Started.Format(time.RFC3339)))
	}
	return errors.Join(faults...)
}

// Cancel aborts a drill: what runs is stopped, nothing more is asked. Errors as of
// Answer.
func (m *Manager) Cancel(ctx context.Context, id, reason string, by holdfast.Who) (holdfast.Drill, error) {
	m.walking.Lock()
	defer m.walking.Unlock()
	d, ok := m.Drill(id)
	switch {
	case !ok:
		return d, fmt.Errorf("%w: there is no drill %q", holdfast.ErrUnknown, id)
	case !d.Running():
		return d, fmt.Errorf("%w: drill %s is over: it %s", holdfast.ErrConflict, id, d.Verdict)
	case len(reason) > maxWords:
		return d, fmt.Errorf("%w answer: reason: %d bytes long, at most %d", holdfast.ErrInvalid, len(reason), maxWords)
	}
	for i := range d.Steps {
		x := &d.Steps[i]
		if x.Run == "" || !x.State.Open() {
			continue
		}
		if err := m.cfg.Runner.StopRun(x.Run, by.Name); err != nil && !errors.Is(err, holdfast.ErrInvalid) {
			m.cfg.Log.Warn("run of an aborted drill goes on", "drill", id, "check", x.Check, "err", err)
		}
		m.over(x, holdfast.StepStopped, "stopped by "+by.Name)
	}
	d.Stopped, d.Reason = by.Name, reason
	m.cfg.Log.Info("drill aborted", "drill", id, "by", by.Name, "reason", reason)
	return d, m.finish(ctx, &d, holdfast.DrillAborted)
}
