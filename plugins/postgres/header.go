package postgres

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// header is the beginning of an archive of pg_dump: of a file in custom format, and
// of toc.dat in the directory and tar formats (pg_backup_archiver.c, ReadHead).
type header struct {
	version    string // of the format: "1.14"
	compressed bool
	wall       string // when the dump began, by the wall clock of the host that made it
	database   string
	from, by   string // versions of server and pg_dump
}

var versionForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*\S*( \(.*\))?$`)

// readHeader reads a header. An error says that it is none, or damaged.
func readHeader(r io.Reader) (header, error) {
	in := headerReader{in: bufio.NewReaderSize(r, 512)}
	var magic [5]byte
	_, _ = io.ReadFull(in.in, magic[:])
	if string(magic[:]) != "PGDMP" {
		return header{}, errors.New("it does not begin as a dump does")
	}
	major, minor, _ := in.byte(), in.byte(), in.byte()
	in.intSize = in.byte()
	_, _ = in.byte(), in.byte() // size of an offset, format
	h := header{version: fmt.Sprintf("%d.%d", major, minor)}
	if major != 1 || minor < 10 || in.intSize < 1 || in.intSize > 8 {
		return h, fmt.Errorf("its header is of no known version (%s)", h.version)
	}
	if minor >= 15 { // PostgreSQL 16
		h.compressed = in.byte() != 0
	} else {
		h.compressed = in.int() != 0
	}
	second, minute, hour, day, month, year := in.int(), in.int(), in.int(), in.int(), in.int(), in.int()
	in.int() // summer time
	h.wall = fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d", year+1900, month+1, day, hour, minute, second)
	h.database, h.from, h.by = in.text(), in.text(), in.text()
	if _, ok := wallClock(h.wall, time.UTC); in.err != nil || !ok || !versionForm.MatchString(h.from) || !versionForm.MatchString(h.by) {
		return h, errors.New("its header is damaged")
	}
	return h, nil
}

// headerReader reads the words of a header; after a failure they are zero.
type headerReader struct {
	in      *bufio.Reader
	intSize int
	err     error
}

func (r *headerReader) byte() int {
	b, err := r.in.ReadByte()
	r.err = errors.Join(r.err, err)
	return int(b)
}

// int reads a sign and then the bytes of a number, the lowest first.
func (r *headerReader) int() int {
	negative, n := r.byte() != 0, 0
	for i := range r.intSize {
		n |= r.byte() << (8 * i)
	}
	if negative {
		return -n
	}
	return n
}

// textMax bounds a text of the header; real ones are names and versions.
const textMax = 1 << 10

func (r *headerReader) text() string {
	n := r.int()
	if n < 0 || n > textMax || r.err != nil {
		r.err = errors.Join(r.err, errors.New("a text has an impossible length"))
		return ""
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r.in, b)
	r.err = errors.Join(r.err, err)
	return string(b)
}
