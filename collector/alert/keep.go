package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// The kinds of document. Alerts and the notices they give rise to are stored in
// one call, before any notice is sent: what was decided is told, once, whatever
// happens in between.
const (
	kindAlert   = "alert"
	kindSilence = "silence"
	kindNotice  = "notice"
)

// maxDocument is the most a document may have, well below what a store takes.
const maxDocument = 512 << 10

// put has a document stored with the next commit. The caller holds mu.
func (m *Manager) put(kind, name string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("%s %s cannot be written as JSON: %v", kind, name, err)) // plain structs
	}
	m.unsaved[store.DocumentKey{Kind: kind, Name: name}] = b
}

// drop has a document removed with the next commit. The caller holds mu.
func (m *Manager) drop(kind, name string) {
	m.unsaved[store.DocumentKey{Kind: kind, Name: name}] = nil
}

// keep has an alert stored if its life went on, and says whether readers see a
// difference. What it says can be put together again from what is judged, so it is
// stored as it was then. What is pending was told to nobody and is not stored:
// after a restart its hold-off begins again. The caller holds mu.
func (m *Manager) keep(r *record) (changed bool) {
	r.shown.Changed = r.Alert.Changed
	if changed = !reflect.DeepEqual(r.shown, r.Alert); changed {
		r.Alert.Changed = m.cfg.Now().UTC()
		r.shown = r.Alert
	}
	if r.Alert.Status == holdfast.AlertPending && r.Alert.Ack == nil && r.stored == nil {
		return changed
	}
	if life := lifeOf(r); !bytes.Equal(life, r.stored) {
		r.stored = life
		m.unsaved[store.DocumentKey{Kind: kindAlert, Name: r.Alert.ID}] = encodeRecord(r)
	}
	return changed
}

// lifeOf is what of an alert has to survive a restart.
func lifeOf(r *record) []byte {
	life := *r
	life.Alert = holdfast.Alert{
		Status: r.Alert.Status, Severity: r.Alert.Severity, Fired: r.Alert.Fired, Resolved: r.Alert.Resolved, Ack: r.Alert.Ack,
	}
	b, err := json.Marshal(&life)
	if err != nil {
		panic(fmt.Sprintf("alert %s cannot be written as JSON: %v", r.Alert.ID, err)) // plain structs
	}
	return b
}

// encodeRecord writes an alert. One whose names are too long for a document names
// fewer of its paths and services; its effect tells how many there are.
func encodeRecord(r *record) []byte {
	for {
		b, err := json.Marshal(r)
		if err != nil {
			panic(fmt.Sprintf("alert %s cannot be written as JSON: %v", r.Alert.ID, err)) // plain structs
		}
		if len(b) <= maxDocument {
			return b
		}
		a := &r.Alert
		a.Paths, a.Services, a.Owners = a.Paths[:len(a.Paths)/2], a.Services[:len(a.Services)/2], a.Owners[:len(a.Owners)/2]
		r.Said.Down = r.Said.Down[:len(r.Said.Down)/2]
		a.What, a.Effect, a.Next = clip(a.What, 4*maxLine), clip(a.Effect, 4*maxLine), clip(a.Next, 4*maxLine)
	}
}

// commit stores what changed, all of it or none, and lets notices go that are
// stored. What the store does not take goes with the next commit.
func (m *Manager) commit(ctx context.Context) error {
	m.saving.Lock()
	defer m.saving.Unlock()
	m.mu.Lock()
	batch := m.unsaved
	m.unsaved = map[store.DocumentKey][]byte{}
	fresh := m.outbox.fresh
	m.outbox.fresh = nil
	m.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	var put []store.Document
	var remove []store.DocumentKey
	for key, value := range batch {
		if value == nil {
			remove = append(remove, key)
		} else {
			put = append(put, store.Document{DocumentKey: key, Value: value})
		}
	}
	err := m.cfg.Documents.PutDocuments(ctx, put, remove...)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		maps.Copy(batch, m.unsaved) // what changed meanwhile is newer
		m.unsaved = batch
		m.outbox.fresh = append(fresh, m.outbox.fresh...)
		m.problem = err.Error()
		return fmt.Errorf("store alerts: %w", err)
	}
	m.problem = ""
	for _, d := range fresh {
		d.saved = true
		m.outbox.arm(d.lane)
	}
	if len(fresh) > 0 {
		m.rouse()
	}
	return nil
}

// recall reads what was stored.
func (m *Manager) recall(ctx context.Context) error {
	for d, err := range m.cfg.Documents.Documents(ctx, kindAlert) {
		r := &record{}
		if err == nil {
			err = json.Unmarshal(d.Value, r)
		}
		if err != nil {
			return fmt.Errorf("read alert %s: %w", d.Name, err)
		}
		r.stored, r.shown = lifeOf(r), r.Alert
		m.records[r.Alert.ID] = r
	}
	for d, err := range m.cfg.Documents.Documents(ctx, kindSilence) {
		if err := m.recallSilence(d, err); err != nil {
			return err
		}
	}
	for d, err := range m.cfg.Documents.Documents(ctx, kindNotice) {
		x := &delivery{}
		if err == nil {
			err = json.Unmarshal(d.Value, x)
		}
		if err != nil {
			return fmt.Errorf("read notice %s: %w", d.Name, err)
		}
		x.saved = true
		m.outbox.add(x)
	}
	m.outbox.sortLanes()
	for _, r := range m.records {
		m.refreshAll(r)
	}
	return nil
}
