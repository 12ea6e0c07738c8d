package bolt

import (
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
