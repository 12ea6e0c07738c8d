package files

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// source reads a file of an archive: it stops when ctx ends, adds what is read in
// order to a sum, and remembers an error of the file system, which says something
// else than an error in the content.
type source struct {
	ctx    context.Context
	file   *os.File
	sum    hash.Hash // nil: no sum
	read   int64
	budget int64 // of bytes ReadAt may still read; below 0: no limit
	fault  error // of the file system
}

// forgetEvery is how much is read before the kernel is told to drop it from its
// cache, so that a long read does not push out what the host works with.
const forgetEvery = 16 << 20

// errBudget says that ReadAt was asked for more than it may read.
var errBudget = errors.New("too large to look at")

// Read reads on in order.
func (s *source) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.file.Read(b)
	if s.sum != nil {
		s.sum.Write(b[:n])
	}
	if (s.read+int64(n))/forgetEvery > s.read/forgetEvery {
		_ = unix.Fadvise(int(s.file.Fd()), 0, s.read, unix.FADV_DONTNEED) // advice only
	}
	s.read += int64(n)
	return n, s.note(err)
}

// ReadAt reads anywhere, and leaves the sum alone.
func (s *source) ReadAt(b []byte, offset int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if s.budget >= 0 {
		if s.budget -= int64(len(b)); s.budget < 0 {
			s.budget = 0
			return 0, errBudget
		}
	}
	n, err := s.file.ReadAt(b, offset)
	return n, s.note(err)
}

func (s *source) note(err error) error {
	if err != nil && err != io.EOF {
		s.fault = err
	}
	return err
}

// drain reads r to its end and counts. It heeds ctx even where r makes much out
// of little and seldom asks the file.
func drain(ctx context.Context, r io.Reader) (n int64, err error) {
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
