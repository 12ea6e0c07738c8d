package bolt

import (
	"cmp"

	"go.etcd.io/bbolt"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

// bucket returns a bucket, which is there since the store was made.
func bucket(tx *bbolt.Tx, name string) (*bbolt.Bucket, error) {
	b := tx.Bucket([]byte(name))
	if b == nil {
		return nil, &store.DamageError{Place: tx.DB().Path() + ": bucket " + name, Problem: "it is missing"}
	}
	return b, nil
}

// get returns the checked content of a record, or store.ErrNotFound.
// It is valid until the transaction ends.
func get(tx *bbolt.Tx, name string, key []byte) ([]byte, error) {
	b, err := bucket(tx, name)
	if err != nil {
		return nil, err
	}
	sealed := b.Get(key)
	if sealed == nil {
		return nil, cmp.Or(wholeAround(tx, b, name, key), store.ErrNotFound)
	}
	return unseal(tx, name, key, sealed)
}

// wholeAround checks the records on both sides of a place in the order of keys. A
// search that goes wrong because of a damaged key ends beside that key: only
// between whole neighbours is a record that was not found really missing.
func wholeAround(tx *bbolt.Tx, b *bbolt.Bucket, name string, place []byte) error {
	c := b.Cursor()
	next, sealed := c.Seek(place)
	if next != nil {
		if _, err := unseal(tx, name, next, sealed); err != nil {
			return err
		}
	}
	before, sealed := c.Prev()
	if next == nil {
		before, sealed = c.Last()
	}
	if before == nil {
		return nil
	}
	_, err := unseal(tx, name, before, sealed)
	return err
}

// put stores parts as one record. The parts may be reused after it returns.
func put(tx *bbolt.Tx, name string, key []byte, parts ...[]byte) error {
	b, err := bucket(tx, name)
	if err != nil {
		return err
	}
	return b.Put(key, seal(name, key, parts...))
}

// remove deletes a record, or answers store.ErrNotFound.
func remove(tx *bbolt.Tx, name string, key []byte) error {
	b, err := bucket(tx, name)
	if err != nil {
		return err
	}
	if b.Get(key) == nil {
		return cmp.Or(wholeAround(tx, b, name, key), store.ErrNotFound)
	}
	return b.Delete(key)
}
