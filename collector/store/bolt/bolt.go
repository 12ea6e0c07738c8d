package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/holdfast-monitor/holdfast/collector/store"
)

// FileName is the name of the store within its folder.
const FileName = "holdfast.db"

// DefaultMaxSize is how large the file may grow, in bytes, where Options do not
// say: some ten million agents' reports, or decades of history.
const DefaultMaxSize = 64 << 30

// Options of a store. The zero value is good.
type Options struct {
	MaxSize int64        // largest size of the file in bytes; beyond it writes answer store.ErrFull
	Program string       // version of the running program, for messages and the file's own note
	Logger  *slog.Logger // hears what no caller is told; nil: nobody
}

// Store is a store in a bbolt file. It implements [store.Store].
type Store struct {
	path string
	db   *bbolt.DB
	dir  *os.File // holds the lock on the folder
	log  *slog.Logger

	agents sync.Mutex // held from reading an identity to writing it back

	writing sync.Mutex // one writer at a time, until its outcome is known
	refused error      // why no more is written; guarded by writing
	stuck   bool       // bbolt's own writer lock may never come free; guarded by writing
	closed  atomic.Bool
}

var _ store.Store = (*Store)(nil)

// Open opens the store in a folder, and makes folder and store where there are
// none. It answers store.ErrInUse while another process has it open,
// store.ErrNewer where a newer version wrote it, and a *store.DamageError where
// the file makes no sense.
func Open(dir string, o Options) (*Store, error) {
	s, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func open(dir string, o Options) (_ *Store, err error) {
	o = o.withDefaults()
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unlockFolder(lock))
		}
	}()
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(dir, o.Program); err != nil {
			return nil, err
		}
	}
	db, err := openFile(path, o, false)
	if err != nil {
		return nil, err
	}
	return &Store{path: path, db: db, dir: lock, log: o.Logger}, nil
}

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.Program == "" {
		o.Program = "unknown version"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Close waits for methods under way and closes the file.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return store.ErrClosed
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	var err error
	if !s.stuck {
		err = guard(s.path, s.db.Close)
	}
	if err := errors.Join(err, unlockFolder(s.dir)); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// view runs a reading transaction. Nothing fn takes from it outlives it.
func (s *Store) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := guard(s.path, func() error { return s.db.View(fn) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// update runs a writing transaction and returns nil once it is on disk.
func (s *Store) update(ctx context.Context, fn func(*bbolt.Tx) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return store.ErrClosed
	}
	if s.refused != nil {
		return s.refused
	}
	done := false
	err := guard(s.path, func() error {
		err := s.transact(fn)
		done = true
		return err
	})
	if !done { // a panic: bbolt's view of the file can no longer be trusted
		s.stuck, s.refused = true, err
	}
	if err != nil && !errors.Is(err, store.ErrUncertain) && isFull(err) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// transact writes and commits. Called with s.writing held.
func (s *Store) transact(fn func(*bbolt.Tx) error) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	number := tx.ID()
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	err = tx.Commit()
	if err == nil {
		return nil
	}
	// Where the write of the last page went through and its sync did not, bbolt goes
	// on as if committed, and the disk may know nothing of it.
	last := 0
	if err := s.db.View(func(tx *bbolt.Tx) error { last = tx.ID(); return nil }); err != nil {
		return err
	}
	if last >= number {
		s.refused = fmt.Errorf("%w: %w", store.ErrUncertain, err)
		return s.refused
	}
	return err
}

// guard runs fn with faults of the mapped file and panics of bbolt turned into
// errors. Nothing but bbolt and this package may run inside.
func guard(path string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &store.DamageError{Place: path, Problem: fmt.Sprint(p)}
		}
	}()
	return fn()
}

// isFull reports whether a write failed for want of space. Errors of growing the
// file come from bbolt as text alone.
func isFull(err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) || strings.Contains(err.Error(), full.Error()) {
			return true
		}
	}
	return errors.Is(err, bolterrors.ErrMaxSizeReached)
}

// openFile opens a bbolt file that exists and checks that it is a whole store of a
// format this program knows.
func openFile(path string, o Options, readOnly bool) (*bbolt.DB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 { // bbolt would make it a store
		return nil, &store.DamageError{Place: path, Problem: "the file is empty"}
	}
	var file *os.File
	options := &bbolt.Options{
		Timeout:         time.Second,
		FreelistType:    bbolt.FreelistMapType,
		MaxSize:         int(o.MaxSize),
		InitialMmapSize: int(max(o.MaxSize, info.Size())),
		NoStatistics:    true,
		ReadOnly:        readOnly,
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	}
	var db *bbolt.DB
	err = guard(path, func() (err error) {
		if db, err = bbolt.Open(path, 0o600, options); err != nil {
			return refusal(path, err)
		}
		checkHeads(db, file, o.Logger)
		return db.View(func(tx *bbolt.Tx) error { return checkFormat(tx, path, info.Size(), o.Program) })
	})
	if err == nil {
		return db, nil
	}
	letGo(path, db, file)
	return nil, err
}

// refusal is bbolt's error from opening a file, in the store's words. What the
// system did not refuse, bbolt did, for what is in the file.
func refusal(path string, err error) error {
	var system syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("another program has %s open: %w", path, store.ErrInUse)
	case errors.As(err, &system):
		return err
	}
	return &store.DamageError{Place: path, Problem: err.Error()}
}

// letGo ends what a failed opening began. Nothing was written, so what goes wrong
// here is of no interest beside the error that led here.
func letGo(path string, db *bbolt.DB, file *os.File) {
	switch {
	case db != nil:
		guard(path, db.Close)
	case file != nil: // a panic left it open, and its map in memory would keep the lock
		syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
		file.Close()
	}
}

// create makes an empty store under a temporary name and moves it into place.
// The caller holds the folder.
func create(dir, program string) error {
	temporary := filepath.Join(dir, FileName+".new")
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // left by a crash
	}
	db, err := bbolt.Open(temporary, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = errors.Join(db.Update(func(tx *bbolt.Tx) error { return writeFormat(tx, program) }), db.Sync(), db.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("create %s: %w", temporary, err), os.Remove(temporary))
	}
	return moveIntoPlace(temporary, filepath.Join(dir, FileName))
}

// moveIntoPlace renames a synced file and makes the new name durable.
func moveIntoPlace(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockFolder makes the folder where it is missing and takes its lock, which ends
// with the process at the latest.
func lockFolder(dir string) (*os.File, error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if err := syncFolder(filepath.Dir(dir)); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("another collector uses %s: %w", dir, store.ErrInUse)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unlockFolder gives the lock back. Closing alone is not enough at once: a child
// just forked shares the open folder until it runs its program.
func unlockFolder(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}
