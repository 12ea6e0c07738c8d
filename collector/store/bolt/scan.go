package bolt

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

// span is a stretch of keys: from included, to not; nil is the end. Reading goes
// from its first key to its last, or back.
type span struct {
	from, to  []byte
	backwards bool
}

type pair struct {
	key     []byte
	content []byte // checked
	beside  []byte // content of the same key in the bucket beside; nil: none there
}

// A reading transaction keeps pages from being reused, so a scan copies a chunk
// at a time and lets go while its consumer works. Chunks begin small, for those
// who want the newest few.
const (
	firstChunk = 32
	largeChunk = 1024
	chunkBytes = 1 << 20
)

// scan yields copies of the records in a stretch of a bucket.
func (s *Store) scan(ctx context.Context, name string, keys span) iter.Seq2[pair, error] {
	return s.scanBoth(ctx, name, "", keys)
}

// scanBoth is scan with what a second bucket holds under the same keys.
func (s *Store) scanBoth(ctx context.Context, name, beside string, keys span) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for n, more := firstChunk, true; more; n = min(2*n, largeChunk) {
			var chunk []pair
			err := s.view(ctx, func(tx *bbolt.Tx) error {
				var err error
				chunk, more, err = readChunk(tx, name, beside, keys, n)
				return err
			})
			for _, p := range chunk {
				if !yield(p, nil) {
					return
				}
			}
			if err != nil {
				yield(pair{}, err)
				return
			}
			if len(chunk) > 0 {
				keys = keys.beyond(chunk[len(chunk)-1].key)
			}
		}
	}
}

// beyond is what remains of a stretch once last was read.
func (k span) beyond(last []byte) span {
	if k.backwards {
		k.to = last
	} else {
		k.from = append(bytes.Clone(last), 0)
	}
	return k
}

// readChunk copies up to n records, and says whether there may be more. With an
// error come the good ones before it.
func readChunk(tx *bbolt.Tx, name, beside string, keys span, n int) (chunk []pair, more bool, err error) {
	b, err := bucket(tx, name)
	if err != nil {
		return nil, false, err
	}
	for _, end := range [][]byte{keys.from, keys.to} {
		if end == nil {
			continue
		}
		if err := wholeAround(tx, b, name, end); err != nil {
			return nil, false, err
		}
	}
	c := b.Cursor()
	key, sealed := keys.first(c)
	for size := 0; key != nil; key, sealed = keys.next(c) {
		if bytes.Equal(key, keyAnchor) {
			if _, err := unseal(tx, name, key, sealed); err != nil {
				return chunk, false, err
			}
			continue
		}
		if len(chunk) == n || size >= chunkBytes {
			return chunk, true, nil
		}
		if len(chunk) > 0 && !keys.inOrder(chunk[len(chunk)-1].key, key) {
			return chunk, false, damaged(tx, name, key, "it stands out of order")
		}
		content, err := unseal(tx, name, key, sealed)
		if err != nil {
			return chunk, false, err
		}
		if !keys.holds(key) { // beyond the end, and no damaged key that only seems to be
			return chunk, false, nil
		}
		p := pair{key: bytes.Clone(key), content: bytes.Clone(content)}
		if beside != "" {
			other, err := get(tx, beside, key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return chunk, false, err
			}
			p.beside = bytes.Clone(other)
		}
		chunk = append(chunk, p)
		size += len(p.key) + len(p.content) + len(p.beside)
	}
	return chunk, false, nil
}

func (k span) first(c *bbolt.Cursor) (key, value []byte) {
	switch {
	case !k.backwards && k.from == nil:
		return c.First()
	case !k.backwards:
		return c.Seek(k.from)
	case k.to == nil:
		return c.Last()
	}
	if key, _ := c.Seek(k.to); key == nil {
		return c.Last() // every key is below the end
	}
	return c.Prev()
}

func (k span) next(c *bbolt.Cursor) (key, value []byte) {
	if k.backwards {
		return c.Prev()
	}
	return c.Next()
}

func (k span) holds(key []byte) bool {
	return bytes.Compare(key, k.from) >= 0 && (k.to == nil || bytes.Compare(key, k.to) < 0)
}

func (k span) inOrder(before, key []byte) bool {
	return bytes.Compare(before, key) < 0 != k.backwards && !bytes.Equal(before, key)
}

// mapped passes what a sequence yields through fn, up to the first error.
func mapped[In, Out any](in iter.Seq2[In, error], fn func(In) (Out, error)) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var none Out
		for v, err := range in {
			if err != nil {
				yield(none, err)
				return
			}
			out, err := fn(v)
			if err != nil {
				yield(none, err)
				return
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}
