package borg

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// proofs are the hashes integrity.N gives: of index and of hints.
type proofs map[string]proof

// proof is how one file's hash is known. Borg hashes the file's name, its content and its
// size; of an index the header first (borg/crypto/file_integrity.py, hashindex).
type proof struct {
	Algorithm string            `json:"algorithm"`
	Digests   map[string]string `json:"digests"`
}

const (
	headerPart  = "HashHeader"
	indexHeader = 18 // bytes: magic, entries, buckets, sizes of key and value
)

// parseIntegrity reads integrity.N: a MessagePack map of "version", and "index" and
// "hints" with JSON in them.
func parseIntegrity(b []byte) (proofs, error) {
	bad := errors.New("it is not what borg writes there")
	if len(b) == 0 || b[0]&0xf0 != 0x80 {
		return nil, bad
	}
	all, entries := proofs{}, int(b[0]&0x0f)
	for b = b[1:]; entries > 0; entries-- {
		key, rest, ok := cutString(b)
		if !ok || len(rest) == 0 {
			return nil, bad
		}
		b = rest
		if string(key) == "version" {
			if b[0] != 2 {
				return nil, fmt.Errorf("its version %d is not known", b[0])
			}
			b = b[1:]
			continue
		}
		var value []byte
		if value, b, ok = cutString(b); !ok {
			return nil, bad
		}
		var p proof
		if err := json.Unmarshal(value, &p); err != nil || p.Algorithm != "XXH64" || p.Digests["final"] == "" {
			return nil, bad
		}
		all[string(key)] = p
	}
	if len(b) > 0 || all["index"].Digests == nil || all["hints"].Digests == nil {
		return nil, bad
	}
	return all, nil
}

// cutString cuts a MessagePack string off b: fixstr, str 8 or str 16.
func cutString(b []byte) (s, rest []byte, ok bool) {
	var size, head int
	switch {
	case len(b) >= 1 && b[0]&0xe0 == 0xa0:
		size, head = int(b[0]&0x1f), 1
	case len(b) >= 2 && b[0] == 0xd9:
		size, head = int(b[1]), 2
	case len(b) >= 3 && b[0] == 0xda:
		size, head = int(binary.BigEndian.Uint16(b[1:])), 3
	default:
		return nil, nil, false
	}
	if len(b) < head+size {
		return nil, nil, false
	}
	return b[head : head+size], b[head+size:], true
}

// holds reads content, which is called name, and reports whether its hash is the
// one that is known.
func (p proof) holds(name string, content io.Reader) (bool, error) {
	sum := xxhash.New()
	part := func(name string) { fmt.Fprintf(sum, "%10d%s", len(name), name) }
	part(name)
	var size int64
	if p.Digests[headerPart] != "" {
		n, err := io.CopyN(sum, content, indexHeader)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		size = n
		part(headerPart)
		fmt.Fprint(sum, size)
	}
	n, err := io.Copy(sum, content)
	if err != nil {
		return false, err
	}
	part("final")
	fmt.Fprint(sum, size+n)
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], sum.Sum64())
	return fmt.Sprintf("%x", be) == p.Digests["final"], nil
}

// commit is the entry that ends a transaction, and so the last bytes of its last
// segment: CRC32, size and tag (LoggedIO.COMMIT).
var commit = []byte{0x40, 0xf4, 0x3c, 0x25, 9, 0, 0, 0, 2}

func endsWithCommit(f io.ReaderAt, size int64) (bool, error) {
	tail := make([]byte, len(commit))
	if size < int64(len(tail)) {
		return false, nil
	}
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return false, err
	}
	return bytes.Equal(tail, commit), nil
}
