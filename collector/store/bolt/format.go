package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"

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
	bucketDocuments  = "documents"
)

// keyAnchor is the first key of every bucket. bbolt keeps a small bucket inside its
// parent's page, may copy it to the heap, and then follows a flipped bit to whatever
// lies beside the copy; the runtime does not survive that. The anchor's value is too
// large for it. No other key sorts before it, and no name may be it.
var keyAnchor = []byte{0}

var (
	keyFormat  = []byte("format")
	keyProgram = []byte("program")
)

var buckets = []string{
	bucketMeta, bucketReports, bucketTexts, bucketHistories,
	transitions.log, transitions.index, observed.log, observed.index,
	bucketRecords, bucketAgents, bucketSecrets, bucketCatalogues, bucketFiles, bucketDocuments,
}

// writeFormat makes an empty store.
func writeFormat(tx *bbolt.Tx, program string) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
		if err := put(tx, name, keyAnchor, make([]byte, tx.DB().Info().PageSize/4)); err != nil {
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
	writer, err := get(tx, bucketMeta, keyProgram)
	if err != nil {
		return err
	}
	if found := binary.BigEndian.Uint32(value); found != format {
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

// A bbolt file begins with two pages that point to all others, written in turn,
// one by each commit. After a header of 16 bytes they hold 56 bytes and the
// FNV-1a sum of these.
const (
	headStart = 16
	headSize  = 56
)

// checkHeads says so where one of the two is damaged. bbolt goes on with the
// other, silently. If the damaged one was the newer, the last commit is undone,
// which is less than a restore would lose.
func checkHeads(db *bbolt.DB, file *os.File, log *slog.Logger) {
	for i := range int64(2) {
		head := make([]byte, headSize+8)
		_, err := file.ReadAt(head, i*int64(db.Info().PageSize)+headStart)
		sum := fnv.New64a()
		sum.Write(head[:headSize])
		if err != nil || sum.Sum64() != binary.NativeEndian.Uint64(head[headSize:]) {
			log.Error("store is damaged: the last commit before this start may be undone", "file", db.Path(), "page", i, "err", err)
		}
	}
}
