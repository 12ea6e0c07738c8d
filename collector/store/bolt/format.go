package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

// format is the number of the layout drawn in the package comment.
//
//	1  2026-11: the first
const format = 1

const (
	bucketMeta       = "meta"
	bucketReports    = "reports"
	bucketTexts      = "texts"
	bucketHistories  = "histories"
	bucketRecords    = "records"
	bucketAgents     = "agents"
	bucketSecrets    = "secrets"
	bucketCatalogues = "catalogues"
	bucketFiles      = "files"
)

var (
	keyFormat  = []byte("format")
	keyProgram = []byte("program")
)

var buckets = []string{
	bucketMeta, bucketReports, bucketTexts, bucketHistories,
	transitions.log, transitions.index, observed.log, observed.index,
	bucketRecords, bucketAgents, bucketSecrets, bucketCatalogues, bucketFiles,
}

// writeFormat makes an empty store.
func writeFormat(tx *bbolt.Tx, program string) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	if err := put(tx, bucketMeta, keyFormat, binary.BigEndian.AppendUint32(nil, format)); err != nil {
		return err
	}
	return put(tx, bucketMeta, keyProgram, []byte(program))
}

// checkFormat says whether the file, of size bytes, is a whole store this program
// can work on.
func checkFormat(tx *bbolt.Tx, path string, size int64, program string) error {
	if tx.Size() > size {
		return &store.DamageError{Place: path, Problem: fmt.Sprintf("it is cut off: %d bytes of %d", size, tx.Size())}
	}
	value, err := get(tx, bucketMeta, keyFormat)
	if errors.Is(err, store.ErrNotFound) || err == nil && len(value) != 4 {
		return &store.DamageError{Place: path, Problem: "it does not say its format"}
	}
	if err != nil {
		return err
	}
	if found := binary.BigEndian.Uint32(value); found != format {
		writer, err := get(tx, bucketMeta, keyProgram)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: %w: its format is %d, by holdfast %s, and this is holdfast %s, which knows format %d; start the newer version, or restore a backup this one made",
			path, store.ErrNewer, found, writer, program, format)
	}
	for _, name := range buckets {
		if _, err := bucket(tx, name); err != nil {
			return err
		}
	}
	return nil
}
