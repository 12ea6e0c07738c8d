package bolt

import (
	"bytes"
	"context"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// SetFormat writes the number of another format into the store.
func SetFormat(s *Store, number uint32) error {
	return s.update(context.Background(), func(tx *bbolt.Tx) error {
		return put(tx, bucketMeta, keyFormat, binary.BigEndian.AppendUint32(nil, number))
	})
}

// StoredPart is a key or a value as it stands in the file.
type StoredPart struct {
	Bucket, Part string
	Bytes        []byte
}

// Places lists every key and value of the store.
func Places(s *Store) (all []StoredPart, err error) {
	err = s.view(context.Background(), func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(key, value []byte) error {
				if bytes.Equal(key, keyAnchor) {
					return nil
				}
				all = append(all, StoredPart{string(name), "value", bytes.Clone(value)},
					StoredPart{string(name), "key", append(bytes.Clone(key), value...)})
				return nil
			})
		})
	})
	return all, err
}
