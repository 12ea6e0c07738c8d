package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

// maxDocument is the largest value of a document, in bytes.
const maxDocument = 1 << 20

func documentKey(k store.DocumentKey) []byte { return append(lengthLed(k.Kind), k.Name...) }

// PutDocuments stores and deletes documents as one step.
func (s *Store) PutDocuments(ctx context.Context, put []store.Document, remove ...store.DocumentKey) error {
	if err := s.putDocuments(ctx, put, remove); err != nil {
		return fmt.Errorf("put documents: %w", err)
	}
	return nil
}

func (s *Store) putDocuments(ctx context.Context, documents []store.Document, gone []store.DocumentKey) error {
	named := map[store.DocumentKey]bool{}
	check := func(k store.DocumentKey) error {
		if named[k] {
			return fmt.Errorf("%s %q is named twice", k.Kind, k.Name)
		}
		named[k] = true
		return errors.Join(checkName("document's kind", k.Kind), checkName("document", k.Name))
	}
	for _, d := range documents {
		if err := check(d.DocumentKey); err != nil {
			return err
		}
		if len(d.Value) > maxDocument {
			return fmt.Errorf("%s %q: %d bytes, the most is %d", d.Kind, d.Name, len(d.Value), maxDocument)
		}
	}
	for _, k := range gone {
		if err := check(k); err != nil {
			return err
		}
	}
	if len(named) == 0 {
		return ctx.Err()
	}
	return s.update(ctx, func(tx *bbolt.Tx) error {
		for _, d := range documents {
			if err := put(tx, bucketDocuments, documentKey(d.DocumentKey), d.Value); err != nil {
				return err
			}
		}
		for _, k := range gone {
			if err := remove(tx, bucketDocuments, documentKey(k)); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

// Document returns one.
func (s *Store) Document(ctx context.Context, key store.DocumentKey) (store.Document, error) {
	d := store.Document{DocumentKey: key}
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		content, err := get(tx, bucketDocuments, documentKey(key))
		d.Value = append([]byte{}, content...)
		return err
	})
	if err != nil {
		return store.Document{}, fmt.Errorf("%s %q: %w", key.Kind, key.Name, err)
	}
	return d, nil
}

// Documents yields every document of a kind.
func (s *Store) Documents(ctx context.Context, kind string) iter.Seq2[store.Document, error] {
	prefix := lengthLed(kind)
	return mapped(s.scan(ctx, bucketDocuments, span{from: prefix, to: after(prefix)}), func(p pair) (store.Document, error) {
		key := store.DocumentKey{Kind: kind, Name: string(p.key[len(prefix):])}
		return store.Document{DocumentKey: key, Value: p.content}, nil
	})
}
