package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Alerts returns every alert: firing ones first, then pending, then those that
// ended within the last seven days; within these the most urgent first, the
// newest end first. What they hold is never changed afterwards.
func (m *Manager) Alerts() []holdfast.Alert {
	m.mu.Lock()
	list := make([]holdfast.Alert, 0, len(m.records))
	for _, r := range m.records {
		list = append(list, r.Alert)
	}
	m.mu.Unlock()
	rank := []holdfast.AlertStatus{holdfast.AlertFiring, holdfast.AlertPending, holdfast.AlertResolved}
	slices.SortFunc(list, func(a, b holdfast.Alert) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, a.Status), slices.Index(rank, b.Status)), b.Resolved.Compare(a.Resolved),
			cmp.Compare(severityRank(a.Severity), severityRank(b.Severity)), cmp.Compare(a.Tier, b.Tier), a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Alert returns one alert.
func (m *Manager) Alert(id string) (holdfast.Alert, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[id]; r != nil {
		return r.Alert, true
	}
	return holdfast.Alert{}, false
}

// Routes returns every route and how its receivers do, in the order of the routes
// file.
func (m *Manager) Routes() []holdfast.RouteState {
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting, dead := m.counts()
	list := make([]holdfast.RouteState, 0, len(m.routes.Routes))
	for _, rt := range m.routes.Routes {
		s := holdfast.RouteState{Name: rt.Name, Owners: rt.Owners, Tiers: rt.Tiers, Kinds: rt.Kinds, Remind: holdfast.Duration(rt.Remind), Receivers: []holdfast.ReceiverState{}}
		for _, rc := range rt.Receivers {
			name := laneOf(rt.Name, rc.Name)
			t := m.outbox.target(name)
			s.Receivers = append(s.Receivers, holdfast.ReceiverState{
				Name: rc.Name, Type: rc.Type, Target: rc.Target, Delivered: t.delivered, Failed: t.failed, Problem: t.problem,
				Waiting: waiting[name], Dead: dead[name],
			})
		}
		list = append(list, s)
	}
	return list
}

// counts returns the waiting and the dead notices of each receiver. The caller
// holds mu.
func (m *Manager) counts() (waiting, dead map[string]int) {
	waiting, dead = map[string]int{}, map[string]int{}
	for _, l := range m.outbox.lanes {
		waiting[l.target] += len(l.list)
	}
	for _, d := range m.outbox.dead {
		dead[laneOf(d.Route, d.Receiver)]++
	}
	return waiting, dead
}

// Deliveries returns the notices that wait and the dead letters, those made last
// first.
func (m *Manager) Deliveries() []holdfast.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]holdfast.Delivery, 0, m.outbox.waiting+len(m.outbox.dead))
	for _, l := range m.outbox.lanes {
		for _, d := range l.list {
			list = append(list, d.Delivery)
		}
	}
	for _, d := range m.outbox.dead {
		list = append(list, d.Delivery)
	}
	slices.SortFunc(list, func(a, b holdfast.Delivery) int { return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Retry has a notice tried again at once, a dead letter too; one of an alert that
// has ended meanwhile is thrown away. An error that matches holdfast.ErrInvalid
// says that there is no such notice.
func (m *Manager) Retry(ctx context.Context, id string) error {
	m.mu.Lock()
	now := m.cfg.Now().UTC()
	d := m.outbox.dead[id]
	switch {
	case d == nil && m.hasten(id, now):
	case d == nil:
		m.mu.Unlock()
		return fmt.Errorf("%w delivery: no notice %q waits or is dead", holdfast.ErrInvalid, id)
	case d.Status == holdfast.AlertFiring && !m.fires(d.Alert):
		delete(m.outbox.dead, id)
		m.drop(kindNotice, id)
	default:
		delete(m.outbox.dead, id)
		d.Dead, d.Tries, d.Made, d.Next = time.Time{}, 0, now, now
		m.outbox.add(d)
		m.outbox.target(laneOf(d.Route, d.Receiver)).until = time.Time{}
		m.outbox.arm(d.lane)
		m.put(kindNotice, d.ID, d)
	}
	m.mu.Unlock()
	m.rouse()
	return m.commit(ctx)
}

func (m *Manager) fires(id string) bool {
	r := m.records[id]
	return r != nil && r.Alert.Status == holdfast.AlertFiring
}

// hasten makes a waiting notice due.
func (m *Manager) hasten(id string, now time.Time) bool {
	for _, l := range m.outbox.lanes {
		for _, d := range l.list {
			if d.ID == id {
				d.Next = now
				m.outbox.targets[l.target].until = time.Time{}
				m.outbox.arm(l)
				return true
			}
		}
	}
	return false
}

// TestRoute sends a notice that says it is a test to every receiver of a route,
// once, and waits for the answers. An error that matches holdfast.ErrInvalid says
// that there is no such route; others say which receivers did not take it, and
// why.
func (m *Manager) TestRoute(ctx context.Context, name string) error {
	m.mu.Lock()
	i := slices.IndexFunc(m.routes.Routes, func(r Route) bool { return r.Name == name })
	if i < 0 {
		m.mu.Unlock()
		return fmt.Errorf("%w route: there is no %q", holdfast.ErrInvalid, name)
	}
	receivers := m.routes.Routes[i].Receivers
	m.mu.Unlock()
	now := m.cfg.Now().UTC()
	a := holdfast.Alert{
		ID: alertID("test", name), Kind: "test", Cause: "test", Severity: holdfast.Info, Status: holdfast.AlertFiring, Tier: 4,
		What: "This is a test of route " + name + ".", Effect: "Nothing is wrong.", Next: "Nothing is to be done.", Link: "/alerts",
		Owners: []string{}, Services: []string{}, Paths: []holdfast.AlertPath{}, Since: now, Fired: now, Changed: now,
	}
	faults := make([]error, len(receivers))
	var all sync.WaitGroup
	for i, rc := range receivers {
		n := Notice{ID: fmt.Sprintf("test-%d-%d", now.UnixNano(), i), Alert: a, Status: holdfast.AlertFiring, Test: true, Route: name, URL: m.cfg.URL(), At: now}
		all.Go(func() {
			try, cancel := context.WithTimeout(ctx, sendTimeout)
			defer cancel()
			if err := rc.Sender.Send(try, n); err != nil {
				faults[i] = fmt.Errorf("receiver %s (%s): %s", rc.Name, rc.Target, clip(err.Error(), maxLine))
			}
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

// troubleAfter is how long a receiver takes nothing before every page says so.
const troubleAfter = time.Minute

// Trouble says what people should know of alerting itself: notices that do not
// arrive, alerts that cannot be stored.
func (m *Manager) Trouble() []holdfast.Notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []holdfast.Notice{}
	if m.problem != "" {
		list = append(list, holdfast.Notice{Text: "Alerts cannot be stored, and none is sent before they are: " + m.problem})
	}
	for _, h := range m.routes.Heartbeats {
		if n, yes := h.Trouble(m.cfg.Now()); yes {
			list = append(list, n)
		}
	}
	waiting, dead := m.counts()
	oldest := map[string]time.Time{}
	for _, d := range m.outbox.dead {
		name := laneOf(d.Route, d.Receiver)
		oldest[name] = sooner(oldest[name], d.Made)
	}
	for name, t := range m.outbox.targets {
		late := !t.troubled.IsZero() && m.cfg.Now().Sub(t.troubled) >= troubleAfter
		if dead[name] == 0 && !late {
			continue
		}
		text := fmt.Sprintf("Alerts do not reach receiver %s of route %s", t.Name, t.route)
		if t.Target != "" {
			text += " (" + t.Target + ")"
		}
		text += fmt.Sprintf(": %d waiting, %d given up", waiting[name], dead[name])
		if t.problem != "" {
			text += "\n" + t.problem
		}
		list = append(list, holdfast.Notice{Text: text, Since: sooner(t.troubled, oldest[name])})
	}
	slices.SortFunc(list, func(a, b holdfast.Notice) int { return cmp.Compare(a.Text, b.Text) })
	return list
}

// Tally counts alerts by kind and status, and notices on their way and given up.
type Tally struct {
	Alerts        map[holdfast.AlertKind]map[holdfast.AlertStatus]int // pending and firing
	Waiting, Dead int
}

// Tally returns the counts.
func (m *Manager) Tally() Tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := Tally{Alerts: map[holdfast.AlertKind]map[holdfast.AlertStatus]int{}, Waiting: m.outbox.waiting, Dead: len(m.outbox.dead)}
	for _, k := range holdfast.AlertKinds {
		t.Alerts[k] = map[holdfast.AlertStatus]int{}
	}
	for _, r := range m.records {
		if r.Alert.Status != holdfast.AlertResolved {
			t.Alerts[r.Alert.Kind][r.Alert.Status]++
		}
	}
	return t
}
