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
