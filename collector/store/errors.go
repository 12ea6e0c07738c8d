package store

import (
	"errors"
	"fmt"
)

// The errors a caller can act on. Test with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrUsed     = errors.New("used before")
	ErrExpired  = errors.New("expired")
	ErrClosed   = errors.New("store is closed")

	// ErrFull says that there is no space for a write. Nothing was written, reading
	// goes on, and the same write succeeds once there is space: retry later.
	ErrFull = errors.New("no space left for the store")

	// ErrUncertain says that the disk refused to confirm a write, which may or may
	// not be there after a restart. The store takes no more writes; reads go on.
	ErrUncertain = errors.New("the disk did not confirm a write: writing stopped until a restart")

	// ErrInUse says that another process has the store open.
	ErrInUse = errors.New("in use by another process")

	// ErrNewer says that a newer version of the program wrote the store.
	ErrNewer = errors.New("written by a newer version")

	// ErrDamaged matches every *DamageError.
	ErrDamaged = errors.New("store is damaged")
)

// DamageError names a stored record that is not what was written.
type DamageError struct {
	Place   string // where: file, bucket, key
	Problem string // what is wrong with it
}

// Error names the place and the way back.
func (e *DamageError) Error() string {
	return fmt.Sprintf("store is damaged: %s: %s; keep the file for study and put the last good backup into an empty data folder: holdfast collector restore FILE",
		e.Place, e.Problem)
}

// Is reports whether target is ErrDamaged.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }
