package pgbackrest

import (
	"io"
	"time"
)

// ReadLog reads one file of the log.
func ReadLog(file io.Reader) (newest time.Time, tablespaces int, err error) {
	var l logReader
	err = l.read(file)
	return l.newest, l.tablespaces, err
}

// ParseVerify returns the faults that the text of verify tells.
func ParseVerify(text []byte) ([]string, error) {
	v, err := parseVerify(text)
	return v.faults, err
}

// SegmentSize reads the answer of info, and how large files of the log are by it.
func SegmentSize(info []byte) (uint64, error) {
	i, err := parseInfo(info)
	if err != nil {
		return 0, err
	}
	return i.segmentSize(1), nil
}

// ParseHistory returns timelines and the first segment of each.
func ParseHistory(text []byte, timeline uint32, size uint64) (all [][2]uint64, err error) {
	way, err := parseHistory(text, timeline, size)
	for _, b := range way {
		all = append(all, [2]uint64{uint64(b.timeline), b.first})
	}
	return all, err
}
