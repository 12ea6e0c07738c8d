package drill

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// The kinds of document.
const (
	kindDrill   = "drill"
	kindBooking = "booking"
)

const (
	maxDrills  = 1000             // that are kept; their records are kept for ever
	aliveEvery = 30 * time.Second // how often a drill under way is stored although nothing happened
)

// save stores a drill and shows it to readers. How far a look has come is shown and
// not stored.
func (m *Manager) save(ctx context.Context, d *holdfast.Drill) error {
	m.mu.Lock()
	was := m.drills[d.ID]
	m.mu.Unlock()
	now := m.cfg.Now().UTC()
	if reflect.DeepEqual(was, d) && now.Sub(d.Alive) < aliveEvery {
		return nil
	}
	worth := was == nil || !bytes.Equal(stored(was), stored(d))
	if worth || now.Sub(d.Alive) >= aliveEvery {
		d.Alive = now
		if err := m.cfg.Documents.PutDocuments(ctx, []store.Document{{DocumentKey: store.DocumentKey{Kind: kindDrill, Name: d.ID}, Value: encode(d)}}, m.oldest(d.ID)...); err != nil {
			return fmt.Errorf("store drill %s: %w", d.ID, err)
		}
	}
	m.mu.Lock()
	m.drills[d.ID] = clone(d)
	m.mu.Unlock()
	m.cfg.Changed()
	return nil
}

// oldest names the drill to be forgotten when one more is kept, and forgets it.
func (m *Manager) oldest(more string) []store.DocumentKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drills[more] != nil || len(m.drills) < maxDrills {
		return nil
	}
	var old *holdfast.Drill
	for _, d := range m.drills {
		if !d.Running() && (old == nil || d.Started.Before(old.Started)) {
			old = d
		}
	}
	if old == nil {
		return nil
	}
	delete(m.drills, old.ID)
	return []store.DocumentKey{{Kind: kindDrill, Name: old.ID}}
}

// stored is what of a drill is worth storing at once.
func stored(d *holdfast.Drill) []byte {
	d = clone(d)
	d.Alive = time.Time{}
	for i := range d.Steps {
		d.Steps[i].Phase = nil
	}
	return encode(d)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("%T cannot be written as JSON: %v", v, err)) // plain structs
	}
	return b
}

// clone copies what a walk changes.
func clone(d *holdfast.Drill) *holdfast.Drill {
	c := *d
	c.Steps, c.Gaps, c.People = slices.Clone(d.Steps), slices.Clone(d.Gaps), slices.Clone(d.People)
	return &c
}

// recall reads what was stored. The collector does not remember runs of before: a
// step under way is taken up anew.
func (m *Manager) recall(ctx context.Context) error {
	for doc, err := range m.cfg.Documents.Documents(ctx, kindDrill) {
		d := &holdfast.Drill{}
		if err == nil {
			err = json.Unmarshal(doc.Value, d)
		}
		if err != nil {
			return fmt.Errorf("read drill %s: %w", doc.Name, err)
		}
		for i := range d.Steps {
			d.Steps[i].Run = ""
		}
		if d.Running() {
			m.resume(d)
		}
		m.drills[d.ID] = d
	}
	for doc, err := range m.cfg.Documents.Documents(ctx, kindBooking) {
		b := &holdfast.DrillBooking{}
		if err == nil {
			err = json.Unmarshal(doc.Value, b)
		}
		if err != nil {
			return fmt.Errorf("read booking %s: %w", doc.Name, err)
		}
		m.bookings[b.ID] = b
	}
	return nil
}

// Drills returns every drill that is kept, the latest first.
func (m *Manager) Drills() []holdfast.Drill {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]holdfast.Drill, 0, len(m.drills))
	for _, d := range m.drills {
		list = append(list, *clone(d))
	}
	slices.SortFunc(list, func(a, b holdfast.Drill) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Running returns the drills under way, the first to begin first.
func (m *Manager) Running() []holdfast.Drill {
	list := []holdfast.Drill{}
	for _, d := range m.underWay() {
		list = append(list, *d)
	}
	return list
}

// underWay returns copies of the drills under way, the first to begin first.
func (m *Manager) underWay() (list []*holdfast.Drill) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.drills {
		if d.Running() {
			list = append(list, clone(d))
		}
	}
	slices.SortFunc(list, func(a, b *holdfast.Drill) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Drill returns one drill.
func (m *Manager) Drill(id string) (holdfast.Drill, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.drills[id]; d != nil {
		return *clone(d), true
	}
	return holdfast.Drill{}, false
}
