package barman

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// fork is where a timeline was left for the next.
type fork struct {
	timeline uint32
	at       uint64 // position in the log
}

var historyForm = regexp.MustCompile(`^([0-9A-F]{8})\.history$`)

// historyMax bounds a history; a real one has a line for each promotion.
const historyMax = 64 << 10

// addHistory reads a file that says where a timeline comes from.
func (a *archive) addHistory(dir, name string) error {
	m := historyForm.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	content, err := readFile(filepath.Join(dir, name), historyMax)
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	if content, err = unpack(content); err != nil {
		return probe.Unable("", "%s: %w", name, err)
	}
	own, _ := strconv.ParseUint(m[1], 16, 32)
	a.histories[uint32(own)] = parseHistory(uint32(own), content)
	return nil
}

// parseHistory returns where the timelines before this one were left, the oldest
// first, and this one last; nil where that cannot be read.
func parseHistory(own uint32, content []byte) []fork {
	var forks []fork
	for line := range strings.Lines(string(content)) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 2 {
			return nil
		}
		timeline, err := strconv.ParseUint(f[0], 10, 32)
		high, low, _ := strings.Cut(f[1], "/")
		h, errHigh := strconv.ParseUint(high, 16, 32)
		l, errLow := strconv.ParseUint(low, 16, 32)
		if errors.Join(err, errHigh, errLow) != nil {
			return nil
		}
		forks = append(forks, fork{uint32(timeline), h<<32 | l})
	}
	if forks == nil {
		return nil
	}
	return append(forks, fork{own, math.MaxUint64})
}

// unpack undoes the compression that Barman gave a history; of what is damaged
// nothing comes back. An error means a compression not known here.
func unpack(content []byte) ([]byte, error) {
	var from io.Reader
	switch {
	case bytes.HasPrefix(content, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return nil, nil
		}
		from = z
	case bytes.HasPrefix(content, []byte("BZh")):
		from = bzip2.NewReader(bytes.NewReader(content))
	case bytes.HasPrefix(content, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(bytes.NewReader(content), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(8<<20))
		if err != nil {
			return nil, nil
		}
		defer z.Close()
		from = z
	case bytes.HasPrefix(content, []byte("\xfd7zXZ")), bytes.HasPrefix(content, []byte{0x04, 0x22, 0x4d, 0x18}), bytes.HasPrefix(content, []byte("\xff\x06\x00\x00sNaPpY")):
		return nil, errors.New("its compression is not known here: use gzip, bzip2 or zstd")
	default:
		return content, nil
	}
	content, err := io.ReadAll(io.LimitReader(from, historyMax))
	if err != nil {
		return nil, nil
	}
	return content, nil
}
