package alert

import (
	"fmt"
	"maps"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// record is an alert and what has to survive a restart for its life to go on.
type record struct {
	Alert holdfast.Alert `json:"alert"`
	// Seen is since when its cause is seen: the hold-off counts from here.
	Seen time.Time `json:"seen"`
	// Gone is since when its cause is gone although it is held open: it flaps.
	Gone time.Time `json:"gone,omitzero"`
	// Fires is when it fired lately, oldest first.
	Fires []time.Time `json:"fires,omitempty"`
	// Told is who was told that it fires, by route and receiver, and when last. They
	// are told when it ends.
	Told map[string]time.Time `json:"told,omitempty"`
	// Said is what they were told last.
	Said said `json:"said,omitzero"`
	// Number counts its notices, so that each has its own ID.
	Number uint64 `json:"number,omitempty"`

	down         []string       // paths it takes down now, sorted
	acknowledged bool           // nothing but an acknowledgement keeps it quiet
	fires        time.Time      // pending: when it fires, or when that is looked at again
	shown        holdfast.Alert // as readers saw it last
	stored       []byte         // its life as the store has it, or will; nil: it is not stored
}

// said is how bad an alert was when it was told last.
type said struct {
	At       time.Time         `json:"at"`
	Severity holdfast.Severity `json:"severity"`
	Down     []string          `json:"down,omitempty"` // paths that could not be walked
}

const (
	// An alert that fired flapCount times within flapWithin flaps: it ends only once
	// its cause has been gone for flapCalm.
	flapCount  = 3
	flapWithin = time.Hour
	flapCalm   = 10 * time.Minute
	// updateEvery is how often an alert that goes on getting worse is told at most. A
	// higher severity is told at once.
	updateEvery = time.Minute
	// keepEnded is how long what has ended is shown, and a dead letter is kept.
	keepEnded = 7 * 24 * time.Hour
	// reconnect is how long agents may take to come back after a restart.
	reconnect = 90 * time.Second
)

// evaluate brings an alert's life up to what gives rise to it now, and says
// whether readers see a difference. The caller holds mu.
func (m *Manager) evaluate(id string, now time.Time) (changed bool) {
	is, down, there := m.board.compose(id, m.muted)
	r := m.records[id]
	if r == nil && !there {
		return false
	}
	if there {
		r = m.lasts(r, is, now)
		r.down = down
	} else if !m.ends(r, now) {
		return true
	}
	m.news(r, now)
	m.lives.Set(id, m.nextLook(r, now))
	return m.keep(r)
}

// lasts takes in that an alert's cause is there.
func (m *Manager) lasts(r *record, is holdfast.Alert, now time.Time) *record {
	now = now.UTC()
	if r == nil || r.Alert.Status == holdfast.AlertResolved {
		next := &record{Seen: now}
		if r != nil { // it happens again: its flapping and its numbers go on
			next.Fires, next.Number, next.stored = r.Fires, r.Number, r.stored
		}
		r = next
		m.records[is.ID] = r
		is.Status = holdfast.AlertPending
	} else {
		was := &r.Alert
		is.Status, is.Fired, is.Ack = was.Status, was.Fired, was.Ack
		// Whose check shows it first stays: receivers know an alert by it.
		is.Check, is.Agent, is.Host, is.Site = was.Check, was.Agent, was.Host, was.Site
		if is.Since.IsZero() || was.Since.Before(is.Since) {
			is.Since = was.Since
		}
		is.Changed = was.Changed
	}
	if is.Since.IsZero() {
		is.Since = now
	}
	if is.Ack != nil && !now.Before(is.Ack.Until) {
		is.Ack = nil
	}
	r.Gone = time.Time{}
	if is.Status == holdfast.AlertPending {
		r.fires = m.firesAt(r, &is, now)
	}
	if is.Status == holdfast.AlertPending && !now.Before(r.fires) {
		is.Status, is.Fired = holdfast.AlertFiring, now
		r.Fires = append(slices.DeleteFunc(r.Fires, func(t time.Time) bool { return now.Sub(t) > flapWithin }), now)
		r.Fires = r.Fires[max(0, len(r.Fires)-flapCount):]
	}
	if r.acknowledged = is.Quiet == "" && is.Ack != nil; r.acknowledged {
		is.Quiet = fmt.Sprintf("acknowledged by %s until %s", is.Ack.By, moment(is.Ack.Until))
	}
	r.Alert = is
	return r
}

// firesAt is when a pending alert fires if its cause stays: after its kind's
// hold-off, and then nothing about silence before who is missed had the time to
// report since the start.
func (m *Manager) firesAt(r *record, a *holdfast.Alert, now time.Time) time.Time {
	hold, stated := m.routes.HoldOff[a.Kind]
	if !stated {
		hold = DefaultHoldOff(a.Kind)
	}
	at := r.Seen.Add(hold)
	if now.Before(at) {
		return at
	}
	if grace := m.grace(a); grace.After(at) {
		return grace
	}
	return at
}

// grace is until when nothing is said about what an agent did not tell.
func (m *Manager) grace(a *holdfast.Alert) time.Time {
	switch a.Kind {
	case holdfast.AgentSilent:
		if m.met[a.Agent] {
			return time.Time{}
		}
		return m.started.Add(max(m.index.validity[a.Agent], reconnect))
	case holdfast.NeedUnknown, holdfast.PointMissed, holdfast.RPODue, holdfast.RPOBreached, holdfast.RestoreNotRun:
		var until time.Time
		m.cfg.Source.Read(func(latest Latest) {
			for _, l := range m.rests(a) {
				began := m.began(l)
				if o, ok := latest(l.ID); !ok || o.Received.Before(began) {
					until = last(until, began.Add(max(l.validity, reconnect)))
				}
			}
		})
		return until
	}
	return time.Time{}
}

// rests returns the checks an alert speaks of: its own, or where nobody can tell
// although no check is to blame, those of its services' copies and needs.
func (m *Manager) rests(a *holdfast.Alert) (list []*lookout) {
	if a.Check != "" {
		if l := m.index.checks[a.Check]; l != nil {
			list = append(list, l)
		}
		return list
	}
	for _, name := range a.Services {
		for i := range m.index.services[name] {
			p := &m.index.services[name][i]
			for _, l := range p.checks {
				if !slices.ContainsFunc(p.tests, func(t holdfast.Test) bool { return t.Check.ID == l.ID }) {
					list = append(list, l)
				}
			}
		}
	}
	return list
}

// began is since when a check can have reported to us: since it was assigned, since
// its agent is back, and no longer than we listen.
func (m *Manager) began(l *lookout) time.Time {
	return last(last(m.started, m.assigned[l.ID]), m.agents[l.On].back)
}

func last(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ends takes in that an alert's cause is gone; it answers false where the alert
// leaves no trace: it was never sent, or ended long ago.
func (m *Manager) ends(r *record, now time.Time) (stays bool) {
	a := &r.Alert
	switch {
	case a.Status == holdfast.AlertPending && len(r.Fires) == 0,
		a.Status == holdfast.AlertResolved && !now.Before(a.Resolved.Add(keepEnded)):
		m.forget(r)
		return false
	case a.Status == holdfast.AlertPending: // it ended, came back, and went before it was sent
		a.Status, a.Resolved, a.Quiet = holdfast.AlertResolved, now.UTC(), ""
	case a.Status == holdfast.AlertFiring:
		if r.Gone.IsZero() {
			r.Gone = now.UTC()
		}
		if m.flaps(r, now) && now.Before(r.Gone.Add(flapCalm)) {
			break
		}
		a.Status, a.Resolved, a.Ack, a.Quiet, a.Silenced = holdfast.AlertResolved, r.Gone, nil, "", nil
		r.Gone = time.Time{}
	}
	return true
}

func (m *Manager) flaps(r *record, now time.Time) bool {
	return len(r.Fires) >= flapCount && now.Sub(r.Fires[len(r.Fires)-flapCount]) <= flapWithin
}

func (m *Manager) forget(r *record) {
	delete(m.records, r.Alert.ID)
	m.lives.Set(r.Alert.ID, time.Time{})
	if r.stored != nil {
		m.drop(kindAlert, r.Alert.ID)
	}
}

// nextLook is when something about an alert changes by time alone.
func (m *Manager) nextLook(r *record, now time.Time) (next time.Time) {
	look := func(at time.Time) {
		if at.After(now) {
			next = sooner(next, at)
		}
	}
	a := &r.Alert
	switch a.Status {
	case holdfast.AlertPending:
		look(r.fires)
	case holdfast.AlertResolved:
		look(a.Resolved.Add(keepEnded))
	case holdfast.AlertFiring:
		if a.Ack != nil {
			look(a.Ack.Until)
		}
		if !r.Gone.IsZero() {
			look(r.Gone.Add(flapCalm))
		}
		if !r.Said.At.IsZero() {
			look(r.Said.At.Add(updateEvery))
		}
		for i := range m.routes.Routes {
			rt := &m.routes.Routes[i]
			for j := range rt.Receivers {
				if at, told := r.Told[laneOf(rt.Name, rt.Receivers[j].Name)]; told && rt.Remind > 0 {
					look(at.Add(rt.Remind))
				}
			}
		}
	}
	return next
}

// news makes the notices that an alert's life calls for.
func (m *Manager) news(r *record, now time.Time) {
	now = now.UTC()
	switch r.Alert.Status {
	case holdfast.AlertResolved:
		m.tellEnd(r, now)
	case holdfast.AlertFiring:
		if !r.Gone.IsZero() {
			return // nothing new is known of it
		}
		worse := r.worse(now)
		if r.Alert.Quiet != "" && !(worse && r.acknowledged) {
			return
		}
		for i := range m.routes.Routes {
			if rt := &m.routes.Routes[i]; matches(rt, &r.Alert) {
				m.tell(r, rt, worse, now)
			}
		}
		if worse || r.Said.At.IsZero() && len(r.Told) > 0 {
			r.Said = said{now, r.Alert.Severity, r.down}
		}
	}
}

// worse reports whether an alert got worse since it was told: a higher severity,
// or another path that cannot be walked, the latter at most every updateEvery.
func (r *record) worse(now time.Time) bool {
	if r.Said.At.IsZero() {
		return false
	}
	if severityRank(r.Alert.Severity) < severityRank(r.Said.Severity) {
		return true
	}
	if now.Before(r.Said.At.Add(updateEvery)) {
		return false
	}
	for _, p := range r.down {
		if _, known := slices.BinarySearch(r.Said.Down, p); !known {
			return true
		}
	}
	return false
}

// matches reports whether a route wants an alert.
func matches(rt *Route, a *holdfast.Alert) bool {
	return (len(rt.Owners) == 0 || slices.ContainsFunc(a.Owners, func(o string) bool { return slices.Contains(rt.Owners, o) })) &&
		(len(rt.Tiers) == 0 || slices.Contains(rt.Tiers, a.Tier)) &&
		(len(rt.Kinds) == 0 || slices.Contains(rt.Kinds, a.Kind))
}

// tell makes notices for the receivers of a route that have something new to
// hear.
func (m *Manager) tell(r *record, rt *Route, worse bool, now time.Time) {
	for i := range rt.Receivers {
		lane := laneOf(rt.Name, rt.Receivers[i].Name)
		last, told := r.Told[lane]
		reminder := told && !worse && rt.Remind > 0 && !now.Before(last.Add(rt.Remind))
		if told && !worse && !reminder {
			continue
		}
		if r.Told == nil {
			r.Told = map[string]time.Time{}
		}
		r.Told[lane] = now
		m.send(r, Notice{Status: holdfast.AlertFiring, Reminder: reminder, Worse: told && worse, Route: rt.Name}, rt.Receivers[i].Name, now)
	}
}

// tellEnd tells everyone who heard of an alert that it ended, but for receivers
// that the routes in force do not have any more.
func (m *Manager) tellEnd(r *record, now time.Time) {
	for _, lane := range slices.Sorted(maps.Keys(r.Told)) {
		if m.routed && !m.outbox.target(lane).known {
			continue
		}
		route, receiver := splitLane(lane)
		m.send(r, Notice{Status: holdfast.AlertResolved, Route: route}, receiver, now)
	}
	r.Told, r.Said = nil, said{}
}
