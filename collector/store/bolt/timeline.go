package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// timeline is a bucket in the order of time and the index of its names.
type timeline struct {
	log   string // time, number → name, content
	index string // name, time, number → nothing
}

var (
	transitions = timeline{"transitions", "transitions_of"}
	observed    = timeline{"observed", "observed_of"}
)

// append adds what happened to a name at an instant.
func (l timeline) append(tx *bbolt.Tx, at time.Time, name string, content []byte) error {
	b, err := bucket(tx, l.log)
	if err != nil {
		return err
	}
	number, err := b.NextSequence()
	if err != nil {
		return err
	}
	key := instant(at, number)
	b.FillPercent = 0.9 // keys come in order: a page once full is not opened again
	if err := put(tx, l.log, key, lengthLed(name), content); err != nil {
		return err
	}
	return put(tx, l.index, append(lengthLed(name), key...))
}

// event is what a timeline holds.
type event struct {
	at      time.Time
	name    string
	content []byte
	key     []byte
}

func (s *Store) decodeEvent(l timeline, p pair) (event, error) {
	if len(p.key) != instantSize || len(p.content) < 2 {
		return event{}, s.senseless(l.log, p.key)
	}
	n := int(binary.BigEndian.Uint16(p.content))
	if n > len(p.content)-2 {
		return event{}, s.senseless(l.log, p.key)
	}
	at, _ := splitInstant(p.key)
	return event{at: at, name: string(p.content[2 : 2+n]), content: p.content[2+n:], key: p.key}, nil
}

// events yields what happened to a name, or to every name where it is "", within
// a window, newest first.
func (s *Store) events(ctx context.Context, l timeline, name string, w store.Window) iter.Seq2[event, error] {
	decode := func(p pair) (event, error) { return s.decodeEvent(l, p) }
	if name == "" {
		return mapped(s.scan(ctx, l.log, window(nil, w)), decode)
	}
	entries := s.scan(ctx, l.index, window(lengthLed(name), w))
	return mapped(s.entered(ctx, l, entries), decode)
}

// window is the stretch of keys with a prefix that fall into a window, newest
// first.
func window(prefix []byte, w store.Window) span {
	keys := span{from: prefix, to: after(prefix), backwards: true}
	if !w.From.IsZero() {
		keys.from = append(bytes.Clone(prefix), instant(w.From, 0)...)
	}
	if !w.To.IsZero() {
		keys.to = append(bytes.Clone(prefix), instant(w.To, 0)...)
	}
	return keys
}

// entered yields the events that entries of the index point to.
func (s *Store) entered(ctx context.Context, l timeline, entries iter.Seq2[pair, error]) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for entry, err := range entries {
			if err != nil {
				yield(pair{}, err)
				return
			}
			p, found, err := s.enteredOne(ctx, l, entry.key)
			if err != nil {
				yield(pair{}, err)
				return
			}
			if found && !yield(p, nil) {
				return
			}
		}
	}
}

// enteredOne reads the event of one entry. Not found: it was pruned meanwhile.
func (s *Store) enteredOne(ctx context.Context, l timeline, entry []byte) (p pair, found bool, err error) {
	p.key = entry[len(entry)-instantSize:]
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		content, err := get(tx, l.log, p.key)
		if errors.Is(err, store.ErrNotFound) {
			if _, err := get(tx, l.index, entry); err == nil {
				return damaged(tx, l.log, p.key, "it is in the index and nowhere else")
			}
			return nil
		}
		p.content, found = bytes.Clone(content), err == nil
		return err
	})
	return p, found, err
}

// pruneStep is how many events one transaction of Prune deletes.
const pruneStep = 1000

// prune deletes events from before an instant, one step at a time.
func (s *Store) prune(ctx context.Context, l timeline, before time.Time) error {
	for {
		more := false
		err := s.update(ctx, func(tx *bbolt.Tx) error {
			var old []pair
			var err error
			old, more, err = readChunk(tx, l.log, "", span{to: instant(before, 0)}, pruneStep)
			if err != nil {
				return err
			}
			for _, p := range old {
				e, err := s.decodeEvent(l, p)
				if err != nil {
					return err
				}
				entry := append(lengthLed(e.name), e.key...)
				if err := errors.Join(remove(tx, l.log, e.key), remove(tx, l.index, entry)); err != nil {
					return fmt.Errorf("delete %s %s: %w", l.log, spell(l.log, e.key), err)
				}
			}
			return nil
		})
		if err != nil || !more {
			return err
		}
	}
}

// Prune deletes events from before an instant and secrets that ended before it.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	if err := checkTime("prune", "before", before); err != nil {
		return err
	}
	for _, l := range []timeline{transitions, observed} {
		if err := s.prune(ctx, l, before); err != nil {
			return fmt.Errorf("prune %s: %w", l.log, err)
		}
	}
	if err := s.pruneSecrets(ctx, before); err != nil {
		return fmt.Errorf("prune secrets: %w", err)
	}
	return nil
}

func encodeTransition(t store.Transition) []byte {
	b := appendField(nil, string(t.From))
	b = appendField(b, string(t.To))
	b = appendField(b, t.Cause)
	if t.Score == nil {
		b = append(b, 0)
	} else {
		b = binary.AppendVarint(append(b, 1), int64(*t.Score))
	}
	return append(b, t.Value...)
}

func decodeTransition(e event) (store.Transition, error) {
	t := store.Transition{At: e.at, Service: e.name}
	var fields [3]string
	var err error
	b := e.content
	for i := range fields {
		if fields[i], b, err = cutField(b); err != nil {
			return t, err
		}
	}
	t.From, t.To, t.Cause = holdfast.State(fields[0]), holdfast.State(fields[1]), fields[2]
	if len(b) == 0 {
		return t, errFields
	}
	scored, b := b[0] == 1, b[1:]
	if scored {
		score, size := binary.Varint(b)
		if size <= 0 {
			return t, errFields
		}
		n := int(score)
		t.Score, b = &n, b[size:]
	}
	t.Value = b
	return t, nil
}

// Transitions yields a service's transitions, newest first.
func (s *Store) Transitions(ctx context.Context, service string, w store.Window) iter.Seq2[store.Transition, error] {
	return mapped(s.events(ctx, transitions, service, w), func(e event) (store.Transition, error) {
		t, err := decodeTransition(e)
		if err != nil {
			return t, s.senseless(transitions.log, e.key)
		}
		return t, nil
	})
}

// Observed yields a check's changes, newest first.
func (s *Store) Observed(ctx context.Context, check string, w store.Window) iter.Seq2[store.Observed, error] {
	return mapped(s.events(ctx, observed, check, w), func(e event) (store.Observed, error) {
		return store.Observed{At: e.at, Check: e.name, Value: e.content}, nil
	})
}
