package pgbackrest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Layout of PostgreSQL's log, the same from version 9.5 on, on a machine that is
// little-endian (access/xlog_internal.h, access/xlogrecord.h, access/xact.h).
const (
	shortHeader  = 24 // XLogPageHeaderData, of every page
	longHeader   = 40 // XLogLongPageHeaderData, of a file's first page
	recordHeader = 24 // XLogRecord

	pageContinues  = 0x0001 // XLP_FIRST_IS_CONTRECORD
	pageLong       = 0x0002 // XLP_LONG_HEADER
	pageOverwrites = 0x0008 // XLP_FIRST_IS_OVERWRITE_CONTRECORD: the record before was given up

	transactionRecords = 1 // RM_XACT_ID
	tablespaceRecords  = 5 // RM_TBLSPC_ID

	blockIDMax      = 32  // XLR_MAX_BLOCK_ID
	idDataShort     = 255 // XLR_BLOCK_ID_DATA_SHORT
	idDataLong      = 254 // XLR_BLOCK_ID_DATA_LONG
	idOrigin        = 253 // XLR_BLOCK_ID_ORIGIN
	idTopLevel      = 252 // XLR_BLOCK_ID_TOPLEVEL_XID
	recordKept      = 64  // of a record; the time of a commit stands within
	recordMax       = 1 << 30
	pageMin, perLog = 1 << 10, 1 << 32
)

// errLog is the error of what is no log of PostgreSQL.
var errLog = errors.New("it is no write-ahead log")

// logReader reads files of the log one after the other, in their order, so that a
// record may begin in one and end in the next.
type logReader struct {
	newest      time.Time // of all commits and aborts seen; zero: none
	tablespaces int       // made by what was read
	segment     int64     // bytes of a file, as its first page says

	pending []byte // the begin of a record, at most recordKept of it
	missing int64  // bytes of that record that are still to come; 0: none is open
}

// read reads one file.
func (l *logReader) read(file io.Reader) error {
	page := make([]byte, longHeader)
	if _, err := io.ReadFull(file, page); err != nil {
		return notLog(err)
	}
	size := int(binary.LittleEndian.Uint32(page[36:]))
	l.segment = int64(binary.LittleEndian.Uint32(page[32:]))
	start := binary.LittleEndian.Uint64(page[8:])
	if binary.LittleEndian.Uint16(page[2:])&pageLong == 0 || size < pageMin || size > 1<<16 || l.segment < int64(size) || l.segment > 1<<30 ||
		size&(size-1) != 0 || l.segment&(l.segment-1) != 0 {
		return errLog
	}
	page = append(page, make([]byte, size-longHeader)...)
	if _, err := io.ReadFull(file, page[longHeader:]); err != nil {
		return notLog(err)
	}
	for at := uint64(0); ; at += uint64(size) {
		if more := l.page(page, start+at); !more || at+uint64(size) >= uint64(l.segment) {
			_, err := io.Copy(io.Discard, file) // so that its checksum is that of all of it
			return err
		}
		if _, err := io.ReadFull(file, page); err != nil {
			return notLog(err)
		}
	}
}

func notLog(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut off: %w", errLog)
	}
	return err
}

// page reads the records of one page. False: the log of this file ends in it.
func (l *logReader) page(page []byte, address uint64) bool {
	info := binary.LittleEndian.Uint16(page[2:])
	if binary.LittleEndian.Uint64(page[8:]) != address {
		l.missing = 0
		return false // zeros, or what the file held before it was used again
	}
	header := shortHeader
	if info&pageLong != 0 {
		header = longHeader
	}
	rest := int64(binary.LittleEndian.Uint32(page[16:]))
	body := page[header:]
	switch {
	case info&pageOverwrites != 0:
		l.missing = 0
	case info&pageContinues != 0 && l.missing != rest: // its begin was not read
		l.pending, l.missing = nil, rest
	case info&pageContinues == 0:
		l.missing = 0
	}
	body = l.take(body)
	for len(body) >= 8 {
		length := int64(binary.LittleEndian.Uint32(body))
		if length == 0 {
			return false // after a switch of files
		}
		if length < recordHeader || length > recordMax {
			return false
		}
		l.pending, l.missing = []byte{}, length
		body = l.take(body)
	}
	return true
}

// take adds to the open record what a page holds of it, and returns what follows that.
func (l *logReader) take(body []byte) []byte {
	if l.missing == 0 {
		return body
	}
	n := min(l.missing, int64(len(body)))
	if l.pending != nil {
		l.pending = append(l.pending, body[:min(n, int64(recordKept-len(l.pending)))]...)
	}
	l.missing -= n
	if l.missing == 0 && l.pending != nil {
		l.record(l.pending)
	}
	return body[min(int64(len(body)), (n+7)&^7):] // records begin at multiples of eight
}

// record looks at one record's begin.
func (l *logReader) record(b []byte) {
	if len(b) < recordHeader {
		return
	}
	info, manager := b[16], b[17]
	switch manager {
	case tablespaceRecords:
		if info&0xf0 == 0 { // XLOG_TBLSPC_CREATE
			l.tablespaces++
		}
	case transactionRecords:
		switch info & 0x70 { // XLOG_XACT_OPMASK
		case 0x00, 0x20, 0x30, 0x40: // commits and aborts, prepared ones too: all begin with their time
			if at, ok := timeOf(b[recordHeader:]); ok && at.After(l.newest) {
				l.newest = at
			}
		}
	}
}

// timeOf reads the time that a record's data begins with.
func timeOf(b []byte) (time.Time, bool) {
	for len(b) > 0 {
		skip := 0
		switch id := b[0]; {
		case id <= blockIDMax:
			return time.Time{}, false // transactions have no blocks
		case id == idOrigin:
			skip = 3
		case id == idTopLevel:
			skip = 5
		case id == idDataShort, id == idDataLong:
			at := 2
			if id == idDataLong {
				at = 5
			}
			if len(b) < at+8 {
				return time.Time{}, false
			}
			// Microseconds since the begin of 2000 (TimestampTz).
			micros := int64(binary.LittleEndian.Uint64(b[at:]))
			return time.Unix(946684800, 0).Add(time.Duration(micros) * time.Microsecond).UTC(), micros > 0
		default:
			return time.Time{}, false
		}
		b = b[min(skip, len(b)):]
	}
	return time.Time{}, false
}
