package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

// Backup writes an image of the file as of now; Restore reads it back. The pages
// of that instant are not reused before it returns.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.view(ctx, func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(untilDone{ctx, w})
		return err
	}); err != nil {
		return fmt.Errorf("back up store: %w", err)
	}
	return nil
}

// untilDone writes until the context ends.
type untilDone struct {
	ctx context.Context
	w   io.Writer
}

func (u untilDone) Write(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(b)
}

// Restore fills an empty folder, made where it is missing, with the store that a
// backup holds. Every record is checked before the store gets its name; where one
// is damaged, or a newer version made the backup, the folder is left empty.
func Restore(ctx context.Context, src io.Reader, dir string, o Options) error {
	if err := restore(ctx, src, dir, o.withDefaults()); err != nil {
		return fmt.Errorf("restore store: %w", err)
	}
	return nil
}

func restore(ctx context.Context, src io.Reader, dir string, o Options) (err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlockFolder(lock)) }()
	if found, err := os.ReadDir(dir); err != nil {
		return err
	} else if len(found) > 0 {
		return fmt.Errorf("%s is not empty: it holds %s; name a folder that is empty or does not exist", dir, found[0].Name())
	}
	image := filepath.Join(dir, FileName+".backup")
	fresh := filepath.Join(dir, FileName+".new")
	defer func() {
		for _, path := range []string{image, fresh} {
			if e := os.Remove(path); !errors.Is(e, os.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}()
	if err := copyTo(ctx, image, src); err != nil {
		return err
	}
	if err := rewrite(ctx, image, fresh, o); err != nil {
		return err
	}
	return moveIntoPlace(fresh, filepath.Join(dir, FileName))
}

func copyTo(ctx context.Context, path string, src io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(untilDone{ctx, f}, src)
	return errors.Join(err, f.Close())
}

// rewrite copies a store record by record, checking each, into a new file, so that
// nothing but checked records is taken over: no page, no list of free pages.
func rewrite(ctx context.Context, from, to string, o Options) (err error) {
	src, err := openFile(from, o, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := bbolt.Open(to, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	return guard(from, func() error {
		if err := src.View(func(tx *bbolt.Tx) error { return verify(ctx, tx) }); err != nil {
			return err
		}
		if err := bbolt.Compact(dst, src, 16<<20); err != nil {
			return err
		}
		return dst.Sync()
	})
}

// verify reads every record of the store and answers the first one that is not as
// it was written.
func verify(ctx context.Context, tx *bbolt.Tx) error {
	err := tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		if !slices.Contains(buckets, string(name)) {
			return &store.DamageError{Place: fmt.Sprintf("%s: bucket %q", tx.DB().Path(), name), Problem: "this format has none of that name"}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range buckets {
		if err := verifyBucket(ctx, tx, name); err != nil {
			return err
		}
	}
	return errors.Join(verifyIndex(tx, transitions), verifyIndex(tx, observed))
}

func verifyBucket(ctx context.Context, tx *bbolt.Tx, name string) error {
	b, err := bucket(tx, name)
	if err != nil {
		return err
	}
	var last []byte
	return b.ForEach(func(key, sealed []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if last != nil && bytes.Compare(last, key) >= 0 {
			return damaged(tx, name, key, "it stands out of order")
		}
		last = key
		_, err := unseal(tx, name, key, sealed)
		return err
	})
}

// verifyIndex checks that a timeline and its index say the same. Both have been
// verified by themselves.
func verifyIndex(tx *bbolt.Tx, l timeline) error {
	log, err := bucket(tx, l.log)
	if err != nil {
		return err
	}
	index, err := bucket(tx, l.index)
	if err != nil {
		return err
	}
	entries := 0
	if err := index.ForEach(func(key, _ []byte) error {
		if bytes.Equal(key, keyAnchor) {
			return nil
		}
		entries++
		if len(key) < instantSize || log.Get(key[len(key)-instantSize:]) == nil {
			return damaged(tx, l.index, key, "what it points to is missing")
		}
		return nil
	}); err != nil {
		return err
	}
	return log.ForEach(func(key, _ []byte) error {
		if bytes.Equal(key, keyAnchor) {
			return nil
		}
		if entries--; entries < 0 {
			return damaged(tx, l.index, key, "an entry is missing")
		}
		return nil
	})
}
