package bolt

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// AppendRecord stores a record under an ID that sorts by time of receipt.
func (s *Store) AppendRecord(ctx context.Context, r holdfast.Record) (holdfast.Record, error) {
	if err := s.appendRecord(ctx, &r); err != nil {
		return holdfast.Record{}, fmt.Errorf("append record: %w", err)
	}
	return r, nil
}

func (s *Store) appendRecord(ctx context.Context, r *holdfast.Record) error {
	if r.ID != "" {
		return fmt.Errorf("it has the ID %q already: records are never changed", r.ID)
	}
	received := r.Received
	if received.IsZero() {
		received = r.At
	}
	if year := received.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("its time of receipt, %s, has no year of four digits", received)
	}
	return s.update(ctx, func(tx *bbolt.Tx) error {
		b, err := bucket(tx, bucketRecords)
		if err != nil {
			return err
		}
		number, err := b.NextSequence()
		if err != nil {
			return err
		}
		r.ID = fmt.Sprintf("%s-%08d", received.UTC().Format("20060102T150405Z"), number)
		if b.Get([]byte(r.ID)) != nil {
			return damaged(tx, bucketRecords, []byte(r.ID), "its number was given out before")
		}
		value, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return put(tx, bucketRecords, []byte(r.ID), value)
	})
}

// Records yields every record in the order of IDs.
func (s *Store) Records(ctx context.Context) iter.Seq2[holdfast.Record, error] {
	return mapped(s.scan(ctx, bucketRecords, span{}), fromJSON[holdfast.Record](s, bucketRecords))
}

// fromJSON decodes the records of a bucket.
func fromJSON[T any](s *Store, bucket string) func(pair) (T, error) {
	return func(p pair) (v T, err error) {
		if json.Unmarshal(p.content, &v) != nil {
			return v, s.senseless(bucket, p.key)
		}
		return v, nil
	}
}

// getJSON reads one record; store.ErrNotFound where there is none.
func getJSON[T any](tx *bbolt.Tx, bucket string, key []byte) (v T, err error) {
	content, err := get(tx, bucket, key)
	if err != nil {
		return v, err
	}
	if json.Unmarshal(content, &v) != nil {
		return v, damaged(tx, bucket, key, errFields.Error())
	}
	return v, nil
}

func putJSON(tx *bbolt.Tx, bucket string, key []byte, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return put(tx, bucket, key, value)
}
