package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// An appointment is kept here and not in the catalogue: how often a path must be
// exercised is policy and stands there already (tiers, exercised), while a day with
// people in it is moved and cancelled by those who hold the drill.

const (
	// tolerance is how late a drill may start; what should have started before that
	// is missed, told, and not run all at once.
	tolerance   = 15 * time.Minute
	maxBookings = 1000
	// Drills that start at one site within this time of each other are flagged.
	together    = 4 * time.Hour
	leastEvery  = holdfast.Day
	maxAhead    = 3 * 366 * 24 * time.Hour
	showsMissed = 30 * 24 * time.Hour
)

// Bookings returns every appointment, the first to come first.
func (m *Manager) Bookings() []holdfast.DrillBooking {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]holdfast.DrillBooking, 0, len(m.bookings))
	for _, b := range m.bookings {
		list = append(list, *b)
	}
	slices.SortFunc(list, func(a, b holdfast.DrillBooking) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Book makes an appointment. It says what it overlaps with; such a one is kept all
// the same. Errors that match holdfast.ErrInvalid say what is wrong with it.
func (m *Manager) Book(ctx context.Context, b holdfast.DrillBooking, by holdfast.Who) (_ holdfast.DrillBooking, warnings []string, err error) {
	m.walking.Lock()
	defer m.walking.Unlock()
	now := m.cfg.Now().UTC()
	plan, err := m.Plan(b.DrillOrder)
	if err != nil {
		return b, nil, err
	}
	b.DrillOrder = plan.DrillOrder
	if b.At.IsZero() && b.Every > 0 {
		b.At = now.Add(b.Every.Std())
	}
	if err := m.checkBooking(&b, now); err != nil {
		return b, nil, fmt.Errorf("%w booking: %w", holdfast.ErrInvalid, err)
	}
	b.ID, b.By, b.Made, b.At = random(), by.Name, now, b.At.UTC()
	b.Last, b.Missed, b.Problem = "", time.Time{}, ""
	if err := m.keepBooking(ctx, &b); err != nil {
		return b, nil, err
	}
	m.cfg.Log.Info("drill booked", "booking", b.ID, "service", b.Service, "path", b.Path, "at", b.At, "every", b.Every, "by", by.Name)
	return b, append(m.overlaps(&b, plan.Site), plan.Refusals...), nil
}

func (m *Manager) checkBooking(b *holdfast.DrillBooking, now time.Time) error {
	var faults []error
	switch {
	case b.At.IsZero():
		faults = append(faults, errors.New("at: say when it is to start, or how often (every)"))
	case !b.At.After(now):
		faults = append(faults, fmt.Errorf("at: %s has passed", b.At.UTC().Format(time.RFC3339)))
	case b.At.After(now.Add(maxAhead)):
		faults = append(faults, fmt.Errorf("at: %s is more than three years away", b.At.UTC().Format(time.RFC3339)))
	}
	if b.Every != 0 && (b.Every < leastEvery || b.Every > holdfast.Duration(maxAhead)) {
		faults = append(faults, fmt.Errorf("every: %s: between %s and 3y", b.Every, leastEvery))
	}
	if len(m.Bookings()) >= maxBookings {
		faults = append(faults, fmt.Errorf("there are %d bookings: end some", maxBookings))
	}
	return errors.Join(faults...)
}

// overlaps says which other appointments lie close by at the same site.
func (m *Manager) overlaps(b *holdfast.DrillBooking, site string) (list []string) {
	k := m.cfg.Source.Catalogue()
	for _, o := range m.Bookings() {
		s := k.Service(o.Service)
		if o.ID == b.ID || s == nil || s.Path(o.Path) == nil || s.Path(o.Path).At != site {
			continue
		}
		if apart := o.At.Sub(b.At).Abs(); apart < together {
			list = append(list, fmt.Sprintf("the drill of %s/%s at %s walks at %s as well: their restores wait for each other", o.Service, o.Path, o.At.Format("2006-01-02 15:04 MST"), site))
		}
	}
	return list
}

// Unbook ends an appointment; holdfast.ErrUnknown: there is none of that ID.
func (m *Manager) Unbook(ctx context.Context, id string, by holdfast.Who) error {
	m.walking.Lock()
	defer m.walking.Unlock()
	m.mu.Lock()
	b := m.bookings[id]
	m.mu.Unlock()
	if b == nil {
		return fmt.Errorf("%w: there is no booking %q", holdfast.ErrUnknown, id)
	}
	m.cfg.Log.Info("drill unbooked", "booking", id, "service", b.Service, "path", b.Path, "by", by.Name)
	return m.dropBooking(ctx, id)
}

func (m *Manager) keepBooking(ctx context.Context, b *holdfast.DrillBooking) error {
	kept := *b
	if err := m.cfg.Documents.PutDocuments(ctx, []store.Document{{DocumentKey: store.DocumentKey{Kind: kindBooking, Name: b.ID}, Value: encode(&kept)}}); err != nil {
		return fmt.Errorf("store booking %s: %w", b.ID, err)
	}
	m.mu.Lock()
	m.bookings[b.ID] = &kept
	m.mu.Unlock()
	m.cfg.Changed()
	m.rouse()
	return nil
}

func (m *Manager) dropBooking(ctx context.Context, id string) error {
	if err := m.cfg.Documents.PutDocuments(ctx, nil, store.DocumentKey{Kind: kindBooking, Name: id}); err != nil {
		return fmt.Errorf("remove booking %s: %w", id, err)
	}
	m.mu.Lock()
	delete(m.bookings, id)
	m.mu.Unlock()
	m.cfg.Changed()
	return nil
}

// startDue starts what is due. The caller holds walking.
func (m *Manager) startDue(ctx context.Context) {
	now := m.cfg.Now().UTC()
	for _, b := range m.Bookings() {
		if b.At.IsZero() || b.At.After(now) {
			continue
		}
		if err := m.startBooked(ctx, &b, now); err != nil && ctx.Err() == nil {
			m.cfg.Log.Error("booked drill waits: it cannot be stored", "booking", b.ID, "err", err)
		}
	}
}

// startBooked starts a drill that is due, or says why it could not; then the next of
// the row is waited for, however many have passed.
func (m *Manager) startBooked(ctx context.Context, b *holdfast.DrillBooking, now time.Time) error {
	late := now.Sub(b.At)
	problem := "the collector was not there"
	if late <= tolerance {
		if d, started := m.drillOf(b); started { // stored, and the booking was not
			b.Last = d.ID
			return m.settle(ctx, b, now, "")
		}
		d, err := m.start(ctx, b.DrillOrder, b.By, b.ID)
		switch {
		case err == nil:
			b.Last = d.ID
			return m.settle(ctx, b, now, "")
		case errors.Is(err, holdfast.ErrConflict) && late < tolerance:
			if b.Problem == err.Error() { // it is tried again until tolerance is over
				return nil
			}
			b.Problem = err.Error()
			return m.keepBooking(ctx, b)
		case errors.Is(err, holdfast.ErrConflict), errors.Is(err, holdfast.ErrInvalid):
			problem = err.Error()
		default:
			return err
		}
	} else if b.Problem != "" {
		problem = b.Problem
	}
	m.cfg.Log.Error("booked drill not started", "booking", b.ID, "service", b.Service, "path", b.Path, "at", b.At, "problem", problem)
	return m.settle(ctx, b, now, problem)
}

// drillOf returns the drill an appointment has started already.
func (m *Manager) drillOf(b *holdfast.DrillBooking) (holdfast.Drill, bool) {
	for _, d := range m.Drills() {
		if d.Booking == b.ID && !d.Started.Before(b.At) {
			return d, true
		}
	}
	return holdfast.Drill{}, false
}

// settle notes what became of an appointment and sets the next one of its row.
func (m *Manager) settle(ctx context.Context, b *holdfast.DrillBooking, now time.Time, problem string) error {
	b.Problem, b.Missed = problem, time.Time{}
	if problem != "" {
		b.Missed = b.At
	}
	if b.Every <= 0 {
		if problem == "" {
			return m.dropBooking(ctx, b.ID)
		}
		b.At = time.Time{}
		return m.keepBooking(ctx, b)
	}
	n := now.Sub(b.At)/b.Every.Std() + 1
	b.At = b.At.Add(n * b.Every.Std())
	return m.keepBooking(ctx, b)
}

// Trouble says which booked drills could not start and were not made up for.
func (m *Manager) Trouble() (list []holdfast.Notice) {
	now := m.cfg.Now()
	for _, b := range m.Bookings() {
		if b.Missed.IsZero() || now.Sub(b.Missed) > showsMissed {
			continue
		}
		if slices.ContainsFunc(m.Drills(), func(d holdfast.Drill) bool {
			return d.Service == b.Service && d.Path == b.Path && d.Started.After(b.Missed)
		}) {
			continue
		}
		list = append(list, holdfast.Notice{
			Text:  fmt.Sprintf("The drill of %s/%s that %s booked for %s could not start: %s", b.Service, b.Path, b.By, b.Missed.Format("2006-01-02 15:04 MST"), b.Problem),
			Since: b.Missed,
		})
	}
	return list
}
