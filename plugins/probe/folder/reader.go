package folder

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Reader reads a file: it stops when its context ends, adds what is read in order
// to a sum, and remembers an error of the file system, which says something else
// than an error in the content.
type Reader struct {
	Sum    hash.Hash // nil: no sum
	Budget int64     // of bytes ReadAt may still read; below 0: no limit
	Fault  error     // of the file system

	ctx  context.Context
	file *os.File
	read int64
}

// NewReader reads file from where it stands, without a budget.
func NewReader(ctx context.Context, file *os.File) *Reader {
	return &Reader{ctx: ctx, file: file, Budget: -1}
}

// forgetEvery is how much is read before the kernel is told to drop it from its
// cache, so that a long read does not push out what the host works with.
const forgetEvery = 16 << 20

// ErrBudget says that ReadAt was asked for more than it may read.
var ErrBudget = errors.New("too large to look at")

// Read reads on in order.
func (s *Reader) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.file.Read(b)
	if s.Sum != nil {
		s.Sum.Write(b[:n])
	}
	if (s.read+int64(n))/forgetEvery > s.read/forgetEvery {
		_ = unix.Fadvise(int(s.file.Fd()), 0, s.read, unix.FADV_DONTNEED) // advice only
	}
	s.read += int64(n)
	return n, s.note(err)
}

// ReadAt reads anywhere, and leaves the sum alone.
func (s *Reader) ReadAt(b []byte, offset int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if s.Budget >= 0 {
		if s.Budget -= int64(len(b)); s.Budget < 0 {
			s.Budget = 0
			return 0, ErrBudget
		}
	}
	n, err := s.file.ReadAt(b, offset)
	return n, s.note(err)
}

func (s *Reader) note(err error) error {
	if err != nil && err != io.EOF {
		s.Fault = err
	}
	return err
}

// Drain reads r to its end and counts. It heeds ctx even where r makes much out
// of little and seldom asks the file.
func Drain(ctx context.Context, r io.Reader) (n int64, err error) {
	buffer := make([]byte, 64<<10)
	for ctx.Err() == nil {
		m, err := r.Read(buffer)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("after %d bytes: %w", n, err)
		}
	}
	return n, ctx.Err()
}
