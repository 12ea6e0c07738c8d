package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// entriesMax bounds how many files of a directory are looked at.
const entriesMax = 100_000

// archive is one finished file of the directory.
type archive struct {
	name    string
	size    int64
	changed time.Time // last change
	time    time.Time // as of when its data is
}

// listing is what a directory holds, archives newest first.
type listing struct {
	entries  int       // of every kind
	timeless int       // match the pattern, and their name has no time
	writing  int       // still being written
	archives []archive // finished
}

// list reads the directory. Names that vanish meanwhile are left out.
func (s settings) list(ctx context.Context, root *os.Root, now time.Time) (listing, error) {
	var l listing
	directory, err := root.Open(".")
	if err != nil {
		return l, err
	}
	defer directory.Close()
	for {
		if ctx.Err() != nil {
			return l, ctx.Err()
		}
		entries, err := directory.ReadDir(1024)
		if err == io.EOF {
			break
		}
		if err != nil {
			return l, err
		}
		if l.entries += len(entries); l.entries > entriesMax {
			return l, fmt.Errorf("more than %d files: move old ones away", entriesMax)
		}
		for _, e := range entries {
			if err := s.add(&l, e, now); err != nil {
				return l, err
			}
		}
	}
	slices.SortFunc(l.archives, func(a, b archive) int {
		return cmp.Or(b.time.Compare(a.time), b.changed.Compare(a.changed), strings.Compare(b.name, a.name))
	})
	return l, nil
}

// add counts one entry where it belongs.
func (s settings) add(l *listing, e fs.DirEntry, now time.Time) error {
	if !e.Type().IsRegular() || !s.matches(e.Name()) {
		return nil
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	a := archive{name: e.Name(), size: info.Size(), changed: info.ModTime(), time: info.ModTime()}
	if s.nameTime != nil {
		began, ok := s.nameTime.in(a.name)
		if !ok {
			l.timeless++
			return nil
		}
		if began.Before(a.time) {
			a.time = began
		}
	}
	if age := now.Sub(a.changed); age >= 0 && age < s.settle {
		l.writing++
		return nil
	}
	l.archives = append(l.archives, a)
	return nil
}

// matches reports whether a name is that of an archive.
func (s settings) matches(name string) bool {
	if name[0] == '.' && s.Pattern[0] != '.' || s.isManifest(name) {
		return false
	}
	ok, _ := filepath.Match(s.Pattern, name) // the pattern was tried when it was decoded
	return ok
}

// isManifest reports whether a name is that of a manifest.
func (s settings) isManifest(name string) bool {
	before, after, perFile := strings.Cut(s.Manifest, "{file}")
	if !perFile {
		return name == s.Manifest
	}
	return len(name) > len(before)+len(after) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after)
}

// points returns the recovery points: the newest four and the oldest.
func points(archives []archive) []holdfast.RecoveryPoint {
	var all []holdfast.RecoveryPoint
	for i, a := range archives {
		if i < 4 || i == len(archives)-1 {
			p := holdfast.RecoveryPoint{Time: a.time.UTC(), ID: probe.OneLine(a.name)}
			if formatByName(a.name) == plain {
				p.Bytes, p.Files = holdfast.Bytes(a.size), 1
			}
			all = append(all, p)
		}
	}
	return all
}

// median is the middle size of some archives.
func median(archives []archive) float64 {
	sizes := make([]int64, len(archives))
	for i, a := range archives {
		sizes[i] = a.size
	}
	slices.Sort(sizes)
	n := len(sizes)
	return (float64(sizes[(n-1)/2]) + float64(sizes[n/2])) / 2
}
