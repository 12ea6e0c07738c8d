package bolt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

// catalogueEntry is an accepted catalogue without the content of its files, which
// are kept once however many catalogues hold them.
type catalogueEntry struct {
	At      time.Time         `json:"at"`
	Hash    string            `json:"hash"`
	Files   map[string]string `json:"files"` // path → SHA-256, hex
	Summary string            `json:"summary,omitempty"`
	Terms   []byte            `json:"terms,omitempty"`
}

// PutCatalogue adds an accepted catalogue and the files no earlier one had.
func (s *Store) PutCatalogue(ctx context.Context, c store.AcceptedCatalogue) error {
	if err := s.putCatalogue(ctx, c); err != nil {
		return fmt.Errorf("put catalogue: %w", err)
	}
	return nil
}

func (s *Store) putCatalogue(ctx context.Context, c store.AcceptedCatalogue) error {
	entry := catalogueEntry{At: c.At, Hash: c.Hash, Files: map[string]string{}, Summary: c.Summary, Terms: c.Terms}
	for path, content := range c.Files {
		if err := errors.Join(checkName("file", path), checkValue("file", path, content)); err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		entry.Files[path] = hex.EncodeToString(sum[:])
	}
	return s.update(ctx, func(tx *bbolt.Tx) error {
		for _, content := range c.Files {
			sum := sha256.Sum256(content)
			if _, err := get(tx, bucketFiles, sum[:]); err == nil {
				continue
			}
			// Missing, or damaged and mended by this.
			if err := put(tx, bucketFiles, sum[:], content); err != nil {
				return err
			}
		}
		b, err := bucket(tx, bucketCatalogues)
		if err != nil {
			return err
		}
		number, err := b.NextSequence()
		if err != nil {
			return err
		}
		return putJSON(tx, bucketCatalogues, binary.BigEndian.AppendUint64(nil, number), entry)
	})
}

// Catalogue returns the catalogue put last.
func (s *Store) Catalogue(ctx context.Context) (store.AcceptedCatalogue, error) {
	for c, err := range s.Catalogues(ctx) {
		if err != nil {
			return store.AcceptedCatalogue{}, fmt.Errorf("catalogue: %w", err)
		}
		return c, nil
	}
	return store.AcceptedCatalogue{}, fmt.Errorf("catalogue: %w", store.ErrNotFound)
}

// Catalogues yields every catalogue, the one put last first.
func (s *Store) Catalogues(ctx context.Context) iter.Seq2[store.AcceptedCatalogue, error] {
	entries := mapped(s.scan(ctx, bucketCatalogues, span{backwards: true}), fromJSON[catalogueEntry](s, bucketCatalogues))
	return mapped(entries, func(e catalogueEntry) (store.AcceptedCatalogue, error) {
		c := store.AcceptedCatalogue{At: e.At, Hash: e.Hash, Files: map[string][]byte{}, Summary: e.Summary, Terms: e.Terms}
		err := s.view(ctx, func(tx *bbolt.Tx) error {
			for path, sum := range e.Files {
				key, err := hex.DecodeString(sum)
				if err != nil {
					return damaged(tx, bucketCatalogues, []byte(path), errFields.Error())
				}
				content, err := get(tx, bucketFiles, key)
				if errors.Is(err, store.ErrNotFound) {
					return damaged(tx, bucketFiles, key, "the catalogue's file "+path+" is missing")
				}
				if err != nil {
					return err
				}
				c.Files[path] = bytes.Clone(content)
			}
			return nil
		})
		return c, err
	})
}
