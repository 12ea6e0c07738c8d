package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// Commit applies a batch in one transaction.
func (s *Store) Commit(ctx context.Context, b store.Batch) error {
	if err := checkBatch(b); err != nil {
		return fmt.Errorf("commit batch: %w", err)
	}
	// Neighbours share pages: going through the tree in order touches each once.
	reports := slices.SortedStableFunc(slices.Values(b.Reports), func(a, b store.AgentReport) int {
		return strings.Compare(a.Agent, b.Agent)
	})
	histories := slices.SortedStableFunc(slices.Values(b.Histories), func(a, b store.History) int {
		return strings.Compare(a.Check, b.Check)
	})
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		for _, r := range reports {
			if err := s.putReport(tx, r); err != nil {
				return err
			}
		}
		for _, h := range histories {
			if err := putHistory(tx, h); err != nil {
				return err
			}
		}
		for _, t := range b.Transitions {
			if err := transitions.append(tx, t.At, t.Service, encodeTransition(t)); err != nil {
				return err
			}
		}
		for _, o := range b.Observed {
			if err := observed.append(tx, o.At, o.Check, o.Value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit batch: %w", err)
	}
	return nil
}

func checkBatch(b store.Batch) error {
	for _, r := range b.Reports {
		if err := errors.Join(checkName("report of an agent", r.Agent), checkTime("report of", r.Agent, r.Received),
			checkValue("report of", r.Agent, r.Hot), checkValue("texts of", r.Agent, r.Texts)); err != nil {
			return err
		}
	}
	for _, h := range b.Histories {
		if err := errors.Join(checkName("history of a check", h.Check), checkValue("history of", h.Check, h.Value)); err != nil {
			return err
		}
	}
	for _, t := range b.Transitions {
		if err := errors.Join(checkName("transition of a service", t.Service), checkTime("transition of", t.Service, t.At),
			checkValue("transition of", t.Service, t.Value)); err != nil {
			return err
		}
	}
	for _, o := range b.Observed {
		if err := errors.Join(checkName("change of a check", o.Check), checkTime("change of", o.Check, o.At),
			checkValue("change of", o.Check, o.Value)); err != nil {
			return err
		}
	}
	return nil
}

// putReport stores a report unless a newer one of its agent is there.
func (s *Store) putReport(tx *bbolt.Tx, r store.AgentReport) error {
	key := []byte(r.Agent)
	stored, err := get(tx, bucketReports, key)
	switch {
	case errors.Is(err, store.ErrDamaged):
		// Nobody can tell how old it was, and what replaces it is good.
		s.log.Warn("stored report is damaged: taking the new one", "agent", r.Agent, "err", err)
	case err == nil && older(r, stored):
		return nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	}
	if err := put(tx, bucketReports, key, encodeHead(r), r.Hot); err != nil {
		return err
	}
	if r.Texts == nil {
		return nil
	}
	return put(tx, bucketTexts, key, r.Texts)
}

// older reports whether r comes before the stored report.
func older(r store.AgentReport, stored []byte) bool {
	if len(stored) < 16 {
		return false
	}
	epoch, seq := binary.BigEndian.Uint64(stored), binary.BigEndian.Uint64(stored[8:])
	return r.Epoch < epoch || r.Epoch == epoch && r.Seq < seq
}

func putHistory(tx *bbolt.Tx, h store.History) error {
	if h.Value != nil {
		return put(tx, bucketHistories, []byte(h.Check), h.Value)
	}
	if err := remove(tx, bucketHistories, []byte(h.Check)); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// encodeHead writes what stands before hot: epoch, seq, received, what is settled
// (its epoch and through, the number of runs, the runs).
func encodeHead(r store.AgentReport) []byte {
	head := make([]byte, 0, 48)
	head = binary.BigEndian.AppendUint64(head, r.Epoch)
	head = binary.BigEndian.AppendUint64(head, r.Seq)
	head = binary.BigEndian.AppendUint64(head, uint64(r.Received.UnixNano()))
	head = binary.AppendUvarint(head, r.Settled.Epoch)
	head = binary.AppendUvarint(head, r.Settled.Through)
	head = binary.AppendUvarint(head, uint64(len(r.Settled.Beyond)))
	for _, run := range r.Settled.Beyond {
		head = binary.AppendUvarint(head, run.First)
		head = binary.AppendUvarint(head, run.Last)
	}
	return head
}

// decodeReport reads what encodeHead wrote and the hot part behind it.
func decodeReport(agent string, content []byte) (store.AgentReport, error) {
	r := store.AgentReport{Agent: agent}
	if len(content) < 24 {
		return r, errFields
	}
	r.Epoch = binary.BigEndian.Uint64(content)
	r.Seq = binary.BigEndian.Uint64(content[8:])
	r.Received = time.Unix(0, int64(binary.BigEndian.Uint64(content[16:]))).UTC()
	content = content[24:]
	var runs uint64
	content, err := cutNumbers(content, &r.Settled.Epoch, &r.Settled.Through, &runs)
	for ; err == nil && runs > 0; runs-- {
		var run holdfast.SeqRange
		content, err = cutNumbers(content, &run.First, &run.Last)
		r.Settled.Beyond = append(r.Settled.Beyond, run)
	}
	r.Hot = content
	return r, err
}

// AgentReports yields the latest report of every agent.
func (s *Store) AgentReports(ctx context.Context) iter.Seq2[store.AgentReport, error] {
	return mapped(s.scanBoth(ctx, bucketReports, bucketTexts, span{}), func(p pair) (store.AgentReport, error) {
		r, err := decodeReport(string(p.key), p.content)
		if err != nil {
			return r, s.senseless(bucketReports, p.key)
		}
		r.Texts = p.beside
		return r, nil
	})
}

// Histories yields the history of every check.
func (s *Store) Histories(ctx context.Context) iter.Seq2[store.History, error] {
	return mapped(s.scan(ctx, bucketHistories, span{}), func(p pair) (store.History, error) {
		return store.History{Check: string(p.key), Value: p.content}, nil
	})
}

// senseless is the error of a record whose checksum is right and whose content is
// not: another program wrote it, or this one is wrong.
func (s *Store) senseless(bucket string, key []byte) error {
	return &store.DamageError{Place: fmt.Sprintf("%s: %s %s", s.path, bucket, spell(bucket, key)), Problem: errFields.Error()}
}
