package postgres

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// packed reads a file and unpacks it where it is gzip or zstd, told by its first
// bytes.
type packed struct {
	squeeze string // "gzip", "zstd" or ""
	checked bool   // the packing has checksums

	ctx   context.Context
	file  *os.File
	read  int64
	fault error // of the file system or of ctx, not of the content
	bad   error // of the content
	ahead *bufio.Reader
	close func()
}

// forgetEvery is how much is read before the kernel is told to drop it from its
// cache, so that a long read does not push out what the host works with.
const forgetEvery = 16 << 20

// windowMax is the largest zstd window; the zstd program's own limit.
const windowMax = 128 << 20

func openPacked(ctx context.Context, path string) (*packed, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hold us
	if err != nil {
		return nil, err
	}
	p := &packed{ctx: ctx, file: f, close: func() {}}
	raw := bufio.NewReaderSize(rawReader{p}, 64<<10)
	magic, _ := raw.Peek(4)
	var unpacked io.Reader = raw
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		p.squeeze, p.checked = "gzip", true
		unpacked = &lazy{open: func() (io.Reader, error) { return gzip.NewReader(raw) }}
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		head, _ := raw.Peek(32)
		var h zstd.Header
		p.squeeze, p.checked = "zstd", h.Decode(head) == nil && h.HasCheckSum
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowMax))
		if err != nil {
			f.Close()
			return nil, err
		}
		unpacked, p.close = z, z.Close
	}
	p.ahead = bufio.NewReaderSize(unpacked, 64<<10)
	return p, nil
}

// Read reads the content.
func (p *packed) Read(b []byte) (int, error) {
	n, err := p.ahead.Read(b)
	if err != nil && err != io.EOF && p.fault == nil {
		p.bad = err
	}
	return n, err
}

// peek returns the first bytes of the content, n where there are as many.
func (p *packed) peek(n int) ([]byte, error) {
	head, err := p.ahead.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head, err
}

// Close closes the file.
func (p *packed) Close() {
	p.close()
	p.file.Close()
}

// rawReader reads the file itself.
type rawReader struct{ *packed }

func (r rawReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		r.fault = err
		return 0, err
	}
	n, err := r.file.Read(b)
	if (r.read+int64(n))/forgetEvery > r.read/forgetEvery {
		_ = unix.Fadvise(int(r.file.Fd()), 0, r.read, unix.FADV_DONTNEED) // advice only
	}
	r.read += int64(n)
	if err != nil && err != io.EOF {
		r.fault = err
	}
	return n, err
}

// lazy opens a reader when it is first read.
type lazy struct {
	open func() (io.Reader, error)
	r    io.Reader
}

func (l *lazy) Read(b []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(b)
}
