package alert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	// A notice is tried again after a random time below retryFirst, twice that, and
	// so on up to retryMost (exponential backoff with full jitter), and given up
	// giveUp after it was made: it is then a dead letter, shown until somebody has it
	// tried again or it is older than keepEnded.
	retryFirst = time.Second
	retryMost  = time.Minute
	giveUp     = 24 * time.Hour
	// sendTimeout bounds one try; atOnce is how many notices go to one receiver at
	// the same time, batchMost how many of them a receiver that takes many gets in one
	// request.
	sendTimeout = 30 * time.Second
	atOnce      = 4
	batchMost   = 100
	// Of more than maxWaiting notices new ones are given up at once, those that tell
	// of an end excepted; of more than maxDead dead letters the oldest are forgotten.
	maxWaiting = 20_000
	maxDead    = 1_000
)

// send has a receiver told. The caller holds mu.
func (m *Manager) send(r *record, n Notice, receiver string, now time.Time) {
	r.Number++
	n.Alert, n.At, n.URL = r.Alert, now, m.cfg.URL()
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%s", r.Alert.ID, r.Number, n.Route, receiver))
	n.ID = hex.EncodeToString(h[:12])
	d := &delivery{Notice: n, Number: r.Number, Delivery: holdfast.Delivery{
		ID: n.ID, Alert: r.Alert.ID, What: r.Alert.What, Status: n.Status, Route: n.Route, Receiver: receiver, Made: now, Next: now,
	}}
	o := &m.outbox
	l := o.lane(laneOf(n.Route, receiver), r.Alert.ID)
	if last := len(l.list) - 1; n.Status == holdfast.AlertFiring && last >= 0 && !(last == 0 && l.flying) && l.list[last].Status == holdfast.AlertFiring {
		old := l.list[last] // not sent yet: the newer says it all
		d.Notice.Reminder = n.Reminder && old.Notice.Reminder
		d.Notice.Worse = n.Worse && (old.Notice.Worse || old.Notice.Reminder)
		d.Tries, d.Next, d.Problem, d.Made = old.Tries, old.Next, old.Problem, old.Made
		l.list = l.list[:last]
		o.waiting--
		m.drop(kindNotice, old.ID)
	}
	most := maxWaiting
	if r.Alert.Severity == holdfast.Critical {
		most *= 2 // what matters most is not given up for what matters less
	}
	if o.waiting >= most && n.Status == holdfast.AlertFiring {
		d.Dead, d.Problem = now, fmt.Sprintf("not tried: %d notices wait already", most)
	}
	o.add(d)
	o.fresh = append(o.fresh, d)
	m.put(kindNotice, d.ID, d)
	if !d.Dead.IsZero() {
		m.tidy(now)
	}
}

// tidy keeps the dead letters bounded.
func (m *Manager) tidy(now time.Time) {
	var oldest *delivery
	for id, d := range m.outbox.dead {
		if now.After(d.Dead.Add(keepEnded)) {
			delete(m.outbox.dead, id)
			m.drop(kindNotice, id)
		} else if oldest == nil || d.Dead.Before(oldest.Dead) {
			oldest = d
		}
	}
	if len(m.outbox.dead) > maxDead {
		delete(m.outbox.dead, oldest.ID)
		m.drop(kindNotice, oldest.ID)
	}
}

// refreshAll has an alert that fires said again to receivers that forget what
// they do not hear.
func (m *Manager) refreshAll(r *record) {
	if r.Alert.Status != holdfast.AlertFiring {
		return
	}
	for name := range r.Told {
		l := m.outbox.lane(name, r.Alert.ID)
		if len(l.list) == 0 {
			m.outbox.due.Set(l.name, m.cfg.Now())
		}
	}
}

// dispatch starts every send that is due. Senders waits for them.
func (m *Manager) dispatch(ctx context.Context, senders *sync.WaitGroup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cfg.Now()
	o := &m.outbox
	for _, name := range o.due.Due(now) {
		l := o.lanes[name]
		t := o.targets[l.target]
		switch {
		case l.flying || l.ready:
		case len(l.list) > 0 && !now.Before(l.list[0].Made.Add(giveUp)):
			m.bury(l.list[0], now, cmp.Or(l.list[0].Problem, "no receiver "+t.Name+" in route "+t.route+" any more"))
			o.arm(l)
		case !t.known:
			o.arm(l)
		case len(l.list) > 0 || m.refreshes(l, t):
			l.ready = true
			t.queue(l)
		default:
			delete(o.lanes, name)
		}
	}
	for _, t := range o.targets {
		for t.known && t.first() != nil && t.flying < t.most() && !now.Before(t.until) && ctx.Err() == nil {
			m.launch(ctx, senders, t, t.batch(), now)
		}
	}
}

// refreshes reports whether a receiver has to hear again of an alert that fires.
func (m *Manager) refreshes(l *lane, t *target) bool {
	r := m.records[l.alert]
	if t.Refresh <= 0 || r == nil || r.Alert.Status != holdfast.AlertFiring {
		return false
	}
	_, told := r.Told[l.target]
	return told
}

// flight is what goes out of a lane: a delivery, or that its alert still fires.
type flight struct {
	lane     *lane
	delivery *delivery // nil: said again
	notice   Notice
}

// launch sends the first notice of each lane, or says again that its alert fires.
func (m *Manager) launch(ctx context.Context, senders *sync.WaitGroup, t *target, lanes []*lane, now time.Time) {
	var flights []flight
	for _, l := range lanes {
		l.ready = false
		switch {
		case len(l.list) > 0 && !l.list[0].saved: // it is armed once it is stored
		case len(l.list) > 0:
			flights = append(flights, flight{l, l.list[0], l.list[0].Notice})
		case m.refreshes(l, t):
			a := m.records[l.alert].Alert
			flights = append(flights, flight{l, nil, Notice{ID: "again-" + a.ID, Alert: a, Status: holdfast.AlertFiring, Reminder: true, Route: t.route, URL: m.cfg.URL(), At: now.UTC()}})
		default:
			delete(m.outbox.lanes, l.name)
		}
	}
	if len(flights) == 0 {
		return
	}
	for _, f := range flights {
		f.lane.flying = true
	}
	t.flying++
	sender, kind := t.Sender, t.Type
	senders.Go(func() {
		try, cancel := context.WithTimeout(ctx, sendTimeout)
		defer cancel()
		err := sendAll(try, sender, flights)
		if err != nil && ctx.Err() != nil {
			err = errStopped
		}
		m.landed(t, flights, err)
		for range flights {
			if err == nil {
				m.cfg.Sent(kind)
			}
		}
	})
}

func sendAll(ctx context.Context, s Sender, flights []flight) error {
	if len(flights) == 1 {
		return s.Send(ctx, flights[0].notice)
	}
	list := make([]Notice, len(flights))
	for i, f := range flights {
		list[i] = f.notice
	}
	return s.(BatchSender).SendAll(ctx, list) // batch makes many only for one
}

// errStopped says that a try was cut short by the collector's own end: it counts
// as none.
var errStopped = errors.New("the collector stops")

// landed takes in what became of a try.
func (m *Manager) landed(t *target, flights []flight, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.rouse()
	now := m.cfg.Now().UTC()
	t.flying--
	switch {
	case err == nil:
		t.fails, t.until, t.delivered, t.troubled, t.problem = 0, time.Time{}, now, time.Time{}, ""
	case err != errStopped:
		m.refused(t, err, now)
	}
	for _, f := range flights {
		f.lane.flying = false
		switch {
		case err == errStopped:
		case len(flights) > 1 && errors.Is(err, ErrPermanent): // one of them is to blame
			f.lane.alone = true
			m.outbox.due.Set(f.lane.name, now)
		default:
			f.lane.alone = false
			m.came(t, f.lane, f.delivery, err, now)
		}
	}
}

// came takes in what became of what went out of a lane.
func (m *Manager) came(t *target, l *lane, d *delivery, err error, now time.Time) {
	o := &m.outbox
	switch {
	case d == nil:
	case err == nil:
		m.takeOut(d)
		m.drop(kindNotice, d.ID)
	default:
		m.failed(d, err, now)
	}
	switch {
	case len(l.list) > 0:
		o.arm(l)
	case err == nil || d == nil:
		again := t.Refresh
		if err != nil {
			again = min(again, backoff(t.fails))
		}
		if m.refreshes(l, t) {
			o.due.Set(l.name, now.Add(again))
		} else {
			delete(o.lanes, l.name)
		}
	default:
		o.due.Set(l.name, now) // dead: the next look removes the lane, or says it again
	}
}

// refused takes in that a receiver did not take what it was sent.
func (m *Manager) refused(t *target, err error, now time.Time) {
	t.failed, t.problem = now, clip(err.Error(), maxLine)
	if t.troubled.IsZero() {
		t.troubled = now
	}
	permanent := errors.Is(err, ErrPermanent)
	if !permanent {
		t.fails++
		t.until = now.Add(backoff(t.fails))
	}
	m.cfg.Log.Warn("notice not taken", "route", t.route, "receiver", t.Name, "for_good", permanent, "err", t.problem)
}

// failed takes in that a notice was not taken. It is not stored: after a restart a
// notice is tried at once, and given up by its age.
func (m *Manager) failed(d *delivery, err error, now time.Time) {
	d.Tries++
	d.Problem, d.Next = clip(err.Error(), maxLine), now.Add(backoff(d.Tries))
	if errors.Is(err, ErrPermanent) || !d.Next.Before(d.Made.Add(giveUp)) {
		m.bury(d, now, d.Problem)
	}
}

// bury gives a notice up.
func (m *Manager) bury(d *delivery, now time.Time, problem string) {
	m.takeOut(d)
	d.Dead, d.Next, d.Problem = now.UTC(), time.Time{}, problem
	m.outbox.dead[d.ID] = d
	m.put(kindNotice, d.ID, d)
	m.cfg.Log.Error("notice given up", "alert", d.Alert, "route", d.Route, "receiver", d.Receiver, "tries", d.Tries, "err", problem)
	m.tidy(now)
}

// takeOut takes a delivery out of its lane.
func (m *Manager) takeOut(d *delivery) {
	if i := slices.Index(d.lane.list, d); i >= 0 {
		d.lane.list = slices.Delete(d.lane.list, i, i+1)
		m.outbox.waiting--
	}
}

// backoff returns a random time below retryFirst doubled with every try, at most
// retryMost.
func backoff(tries int) time.Duration {
	most := retryMost
	if tries < 7 {
		most = min(retryMost, retryFirst<<max(tries-1, 0))
	}
	return rand.N(most) + time.Millisecond
}
