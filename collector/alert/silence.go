package alert

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// Bounds of what people ask for.
const (
	maxSilence  = 366 * 24 * time.Hour // a silence or acknowledgement that lasts longer is forgotten, not meant
	maxSilences = 10_000
	maxWords    = 2000 // bytes of a reason or note
)

// covers reports whether a silence matches a signal. What it leaves empty matches
// everything; a site is that of the thing at fault.
func covers(s *holdfast.Silence, g *signal) bool {
	match := func(want, is string) bool { return want == "" || want == is }
	return match(s.Service, g.service) && match(s.Site, g.site) && match(s.Host, g.host) && match(s.Agent, g.agent) &&
		match(s.Owner, g.owner) && match(s.Cause, g.cause) && match(string(s.Kind), string(g.kind))
}

// inForce reports whether a silence holds at an instant.
func inForce(s *holdfast.Silence, at time.Time) bool {
	return !at.Before(s.From) && at.Before(s.Until) && s.Ended.IsZero()
}

func silenceText(s *holdfast.Silence) string {
	what := "silenced"
	if s.Maintenance {
		what = "maintenance"
	}
	return fmt.Sprintf("%s by %s until %s: %s", what, s.By, moment(s.Until), s.Reason)
}

// checkSilence says every fault of a silence at once.
func checkSilence(s *holdfast.Silence, now time.Time) error {
	var faults []error
	if s.Service == "" && s.Site == "" && s.Host == "" && s.Agent == "" && s.Owner == "" && s.Kind == "" && s.Cause == "" {
		faults = append(faults, errors.New("service: a silence that names nothing would keep everything quiet: name a service, site, host, agent, owner, kind or cause"))
	}
	if s.Kind != "" && !slices.Contains(holdfast.AlertKinds, s.Kind) {
		faults = append(faults, fmt.Errorf("kind: there is no %q; the kinds are %v", s.Kind, holdfast.AlertKinds))
	}
	if s.Reason == "" {
		faults = append(faults, errors.New("reason: say why"))
	}
	if s.By == "" {
		faults = append(faults, errors.New("by: say who"))
	}
	faults = append(faults, words("reason", s.Reason), checkEnd(s.Until, now))
	if !s.From.IsZero() && !s.Until.After(s.From) {
		faults = append(faults, fmt.Errorf("until: %s is not after from, %s", moment(s.Until), moment(s.From)))
	}
	for field, v := range map[string]string{"service": s.Service, "site": s.Site, "host": s.Host, "agent": s.Agent, "owner": s.Owner, "cause": s.Cause} {
		faults = append(faults, words(field, v))
	}
	return errors.Join(faults...)
}

func words(field, s string) error {
	if len(s) > maxWords {
		return fmt.Errorf("%s: %d bytes long, at most %d", field, len(s), maxWords)
	}
	return nil
}

func checkEnd(until, now time.Time) error {
	switch {
	case until.IsZero():
		return errors.New("until: say when it ends")
	case !until.After(now):
		return fmt.Errorf("until: %s has passed", moment(until))
	case until.After(now.Add(maxSilence)):
		return fmt.Errorf("until: %s is more than a year away: accept the risk instead (holdfast record acceptance)", moment(until))
	}
	return nil
}

// Silences returns every silence that holds, will hold, or ended within the last
// seven days; those that end first come first.
func (m *Manager) Silences() []holdfast.Silence {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]holdfast.Silence, 0, len(m.silences))
	for _, s := range m.silences {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b holdfast.Silence) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// AddSilence keeps what it matches quiet. By is who asks; From is now where it is
// not stated. Errors that match holdfast.ErrInvalid say what is wrong with it. It
// is durable when AddSilence returns nil.
func (m *Manager) AddSilence(ctx context.Context, s holdfast.Silence, by holdfast.Who) (holdfast.Silence, error) {
	now := m.cfg.Now().UTC()
	s.By, s.Ended, s.EndedBy = by.Name, time.Time{}, ""
	if s.From.IsZero() {
		s.From = now
	}
	if err := checkSilence(&s, now); err != nil {
		return s, fmt.Errorf("%w silence: %w", holdfast.ErrInvalid, err)
	}
	id := make([]byte, 8)
	rand.Read(id)
	s.ID = hex.EncodeToString(id)
	s.From, s.Until = s.From.UTC(), s.Until.UTC()
	m.mu.Lock()
	if len(m.silences) >= maxSilences {
		m.mu.Unlock()
		return s, fmt.Errorf("%w silence: there are %d silences: end some", holdfast.ErrInvalid, maxSilences)
	}
	m.putSilence(&s)
	m.mu.Unlock()
	return s, m.commit(ctx)
}

// EndSilence ends a silence early; holdfast.ErrInvalid: there is none that holds.
func (m *Manager) EndSilence(ctx context.Context, id string, by holdfast.Who) (holdfast.Silence, error) {
	m.mu.Lock()
	was := m.silences[id]
	now := m.cfg.Now().UTC()
	if was == nil || !was.Ended.IsZero() || !now.Before(was.Until) {
		m.mu.Unlock()
		return holdfast.Silence{}, fmt.Errorf("%w silence: no silence %q holds", holdfast.ErrInvalid, id)
	}
	s := *was
	s.Ended, s.EndedBy = now, by.Name
	m.putSilence(&s)
	m.mu.Unlock()
	return s, m.commit(ctx)
}

// putSilence takes a silence in. The caller holds mu.
func (m *Manager) putSilence(s *holdfast.Silence) {
	m.silences[s.ID] = s
	m.put(kindSilence, s.ID, s)
	m.lookAtSilences()
	m.rouse()
}

// lookAtSilences looks at all open alerts again, at once and whenever a silence
// begins or ends. Silences long gone are forgotten. The caller holds mu.
func (m *Manager) lookAtSilences() {
	now := m.cfg.Now()
	var next time.Time
	m.active = m.active[:0]
	look := func(s *holdfast.Silence) {
		if inForce(s, now) {
			m.active = append(m.active, s)
		}
		for _, at := range []time.Time{s.From, s.Until} {
			if at.After(now) {
				next = sooner(next, at)
			}
		}
	}
	for id, s := range m.silences {
		if now.After(s.Until.Add(keepEnded)) || !s.Ended.IsZero() && now.After(s.Ended.Add(keepEnded)) {
			delete(m.silences, id)
			m.drop(kindSilence, id)
			continue
		}
		look(s)
	}
	for i := range m.maintenance {
		look(&m.maintenance[i])
	}
	slices.SortFunc(m.active, func(a, b *holdfast.Silence) int {
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.ID, b.ID))
	})
	m.silencesTurn = next
	for id, r := range m.records {
		if r.Alert.Status != holdfast.AlertResolved {
			m.board.dirty[id] = true
		}
	}
}

// muted returns the silence or maintenance window that keeps a signal quiet now,
// of several the one that ends last; nil: none does. The caller holds mu.
func (m *Manager) muted(g *signal) *holdfast.Silence {
	for _, s := range m.active {
		if covers(s, g) {
			return s
		}
	}
	return nil
}

// SetMaintenance says which maintenance windows are recorded: they keep alerts of
// what they are on quiet.
func (m *Manager) SetMaintenance(records []holdfast.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.maintenance = m.maintenance[:0]
	for _, r := range records {
		from := r.At
		if !r.Started.IsZero() {
			from = r.Started
		}
		if r.Kind != holdfast.Maintenance || !r.Until.After(m.cfg.Now()) {
			continue
		}
		m.maintenance = append(m.maintenance, holdfast.Silence{
			ID: r.ID, Maintenance: true, Service: r.Service, Site: r.Site, Host: r.Host, By: r.By, Reason: r.Reason, From: from, Until: r.Until,
		})
	}
	m.lookAtSilences()
	m.rouse()
}

// Acknowledge says that somebody has an alert: nobody is reminded of it until
// then. One that gets worse is sent all the same. Errors that match
// holdfast.ErrInvalid say what is wrong; it is durable when nil comes back.
func (m *Manager) Acknowledge(ctx context.Context, id, note string, until time.Time, by holdfast.Who) (holdfast.Alert, error) {
	now := m.cfg.Now().UTC()
	if err := errors.Join(words("note", note), checkEnd(until, now)); err != nil {
		return holdfast.Alert{}, fmt.Errorf("%w acknowledgement: %w", holdfast.ErrInvalid, err)
	}
	m.mu.Lock()
	r := m.records[id]
	if r == nil || r.Alert.Status == holdfast.AlertResolved {
		m.mu.Unlock()
		return holdfast.Alert{}, fmt.Errorf("%w acknowledgement: no alert %q is open", holdfast.ErrInvalid, id)
	}
	r.Alert.Ack = &holdfast.Acknowledgement{By: by.Name, Note: note, At: now, Until: until.UTC()}
	r.Alert.Changed = now
	m.keep(r)
	m.board.dirty[id] = true
	a := r.Alert
	m.mu.Unlock()
	m.rouse()
	return a, m.commit(ctx)
}

func (m *Manager) recallSilence(d store.Document, err error) error {
	s := &holdfast.Silence{}
	if err == nil {
		err = json.Unmarshal(d.Value, s)
	}
	if err != nil {
		return fmt.Errorf("read silence %s: %w", d.Name, err)
	}
	m.silences[s.ID] = s
	return nil
}
