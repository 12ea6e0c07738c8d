package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
	"unicode/utf8"

	"go.etcd.io/bbolt"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sumSize = crc32.Size

// checksum covers where a value stands as well as what it is, so that a value in
// the wrong place is found too.
func checksum(bucket string, key, content []byte) uint32 {
	sum := crc32.Checksum([]byte(bucket), castagnoli)
	sum = crc32.Update(sum, castagnoli, binary.BigEndian.AppendUint32(nil, uint32(len(key))))
	sum = crc32.Update(sum, castagnoli, key)
	return crc32.Update(sum, castagnoli, content)
}

// seal joins the parts of a content and puts the checksum before them.
func seal(bucket string, key []byte, parts ...[]byte) []byte {
	size := sumSize
	for _, part := range parts {
		size += len(part)
	}
	sealed := make([]byte, sumSize, size)
	for _, part := range parts {
		sealed = append(sealed, part...)
	}
	binary.BigEndian.PutUint32(sealed, checksum(bucket, key, sealed[sumSize:]))
	return sealed
}

// unseal checks a stored value and returns its content, which points into it.
func unseal(tx *bbolt.Tx, bucket string, key, sealed []byte) ([]byte, error) {
	if len(sealed) < sumSize {
		return nil, damaged(tx, bucket, key, "it is too short for its checksum")
	}
	content := sealed[sumSize:]
	if checksum(bucket, key, content) != binary.BigEndian.Uint32(sealed) {
		return nil, damaged(tx, bucket, key, "its checksum does not match")
	}
	return content, nil
}

// damaged names a record that is not as it was written.
func damaged(tx *bbolt.Tx, bucket string, key []byte, problem string) error {
	return &store.DamageError{Place: fmt.Sprintf("%s: %s %s", tx.DB().Path(), bucket, spell(bucket, key)), Problem: problem}
}

// spell writes a key for people.
func spell(bucket string, key []byte) string {
	if (bucket == transitions.log || bucket == observed.log) && len(key) == instantSize {
		at, number := splitInstant(key)
		return fmt.Sprintf("%s #%d", at.Format(time.RFC3339Nano), number)
	}
	if utf8.Valid(key) && !bytes.ContainsFunc(key, func(r rune) bool { return r < ' ' }) {
		return fmt.Sprintf("%q", key)
	}
	return fmt.Sprintf("%x", key)
}

// instantSize is the bytes of a key part that orders by time, then number.
const instantSize = 16

func instant(at time.Time, number uint64) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, instantSize), uint64(at.UnixNano())^1<<63)
	return binary.BigEndian.AppendUint64(key, number)
}

func splitInstant(key []byte) (time.Time, uint64) {
	nanos := int64(binary.BigEndian.Uint64(key) ^ 1<<63)
	return time.Unix(0, nanos).UTC(), binary.BigEndian.Uint64(key[8:])
}

// lengthLed begins a key with a name, so that no name is the beginning of another.
func lengthLed(name string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(name))), name...)
}

// after is the smallest key above every key with the prefix; nil: there is none.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			next := bytes.Clone(prefix[:i+1])
			next[i]++
			return next
		}
	}
	return nil
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s has no name", what)
	case len(name) > store.MaxName:
		return fmt.Errorf("%s %.40q…: its name is longer than %d bytes", what, name, store.MaxName)
	case name == string(keyAnchor):
		return fmt.Errorf("%s %q: its name is kept for the store itself", what, name)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s %.40q: its name is not UTF-8", what, name)
	}
	return nil
}

func checkValue(what, name string, value []byte) error {
	if len(value) > store.MaxValue {
		return fmt.Errorf("%s %q: its value is longer than %d bytes", what, name, store.MaxValue)
	}
	return nil
}

// checkTime refuses what nanoseconds in 64 bits cannot hold.
func checkTime(what, name string, at time.Time) error {
	if at.Before(time.Unix(0, -1<<63)) || at.After(time.Unix(0, 1<<63-1)) {
		return fmt.Errorf("%s %q: its time %s is outside the years 1678 to 2262", what, name, at)
	}
	return nil
}

// The fields of a record are led by their lengths.
func appendField(b []byte, field string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

var errFields = errors.New("its fields make no sense")

// cutField takes a field off the front of b.
func cutField(b []byte) (field string, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, errFields
	}
	b = b[size:]
	return string(b[:n]), b[n:], nil
}

// cutNumbers takes numbers off the front of b.
func cutNumbers(b []byte, numbers ...*uint64) (rest []byte, err error) {
	for _, number := range numbers {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, errFields
		}
		*number, b = n, b[size:]
	}
	return b, nil
}
