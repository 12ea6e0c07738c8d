package barman

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"syscall"
)

// segment is a file of the log: a timeline, and its place among the files of one
// size that the log consists of. The zero segment is none.
type segment struct {
	timeline uint32
	number   uint64
}

var segmentForm = regexp.MustCompile(`^[0-9A-F]{24}$`)

// parseSegment reads a name like 000000010000000A000000FE.
func parseSegment(name string, size int64) (segment, error) {
	if !segmentForm.MatchString(name) {
		return segment{}, errors.New("not the name of a log file")
	}
	timeline, _ := strconv.ParseUint(name[:8], 16, 32)
	high, _ := strconv.ParseUint(name[8:16], 16, 32)
	low, _ := strconv.ParseUint(name[16:], 16, 32)
	each := uint64(1<<32) / uint64(size)
	if low >= each || timeline == 0 {
		return segment{}, errors.New("not the name of a log file of this size")
	}
	return segment{uint32(timeline), high*each + low}, nil
}

// name is the file's name.
func (s segment) name(size int64) string {
	each := uint64(1<<32) / uint64(size)
	return fmt.Sprintf("%08X%08X%08X", s.timeline, s.number/each, s.number%each)
}

var (
	// errPage is a first page that is not that of its file.
	errPage = errors.New("its first page is not that of this file")
	// errBlank is a first page of zeros: one that is still to be written.
	errBlank = errors.New("its first page is empty")
)

// readPage checks the header of a log file's first page (XLogLongPageHeaderData,
// src/include/access/xlog_internal.h of PostgreSQL): its place in the log, its
// cluster, the size of a file.
func (s segment) readPage(path, system string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var head [40]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return errPage
	}
	if head == [40]byte{} {
		return errBlank
	}
	var order binary.ByteOrder = binary.LittleEndian // as the source's processor is
	if head[1] != 0xD0 && head[1] != 0xD1 {
		order = binary.BigEndian
	}
	const longHeader = 2
	magic, info := order.Uint16(head[:]), order.Uint16(head[2:])
	if magic>>8 != 0xD0 && magic>>8 != 0xD1 || info&longHeader == 0 || order.Uint64(head[8:]) != s.number*uint64(size) ||
		int64(order.Uint32(head[32:])) != size {
		return errPage
	}
	if own := strconv.FormatUint(order.Uint64(head[24:]), 10); system != "" && own != system {
		return fmt.Errorf("it belongs to another cluster, %s", own)
	}
	return nil
}
