package files

import (
	"archive/tar"
	"context"
	"errors"
	"hash/maphash"
	"io"

	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// members counts what a tar holds.
type members struct {
	tally     scratch.Tally // hard links not among its files
	hardLinks int64
	odd       int64 // kinds that nothing here compares
}

func (m *members) add(kind byte, size int64) {
	switch kind {
	case tar.TypeReg:
		m.tally.Add("file", size)
	case tar.TypeLink:
		m.hardLinks++
	case tar.TypeDir:
		m.tally.Add("dir", 0)
	case tar.TypeSymlink:
		m.tally.Add("symlink", 0)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		m.tally.Add("", 0)
	case tar.TypeXGlobalHeader:
	default:
		m.odd++
	}
}

// namedTwice reports whether a tar holds a name twice, as one that was appended to
// does: then the later member counts, and comparing with the earlier says nothing.
func namedTwice(ctx context.Context, archive io.Reader) (bool, error) {
	seed, seen := maphash.MakeSeed(), map[uint64]bool{}
	in := tar.NewReader(archive)
	for ctx.Err() == nil {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		name := maphash.String(seed, h.Name)
		if seen[name] && h.Typeflag != tar.TypeDir {
			return true, nil
		}
		seen[name] = true
	}
	return false, ctx.Err()
}
