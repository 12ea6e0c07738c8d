package rsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// entriesMax bounds how much of a tree is looked at.
const entriesMax = 5_000_000

// counted is what a mirror holds.
type counted struct {
	files, folders, others int64 // others: links, devices, pipes
	bytes                  int64
	newest                 time.Time // change of a file
	future, unfinished     int64     // files dated in the future; files rsync is receiving
}

// receiving is how rsync names a file until it is complete: options.c, --temp-dir.
var receiving = regexp.MustCompile(`^\..+\.[A-Za-z0-9]{6}$`)

// count walks the mirror.
func (s settings) count(ctx context.Context, root *os.Root, now time.Time) (counted, error) {
	var c counted
	err := walk(ctx, root, func(path string, info fs.FileInfo) {
		switch {
		case info.IsDir():
			c.folders++
		case !info.Mode().IsRegular():
			c.others++
		case s.own(path):
		case receiving.MatchString(info.Name()):
			c.unfinished++
		default:
			c.files, c.bytes = c.files+1, c.bytes+info.Size()
			if at := info.ModTime(); at.After(now.Add(skew)) {
				c.future++
			} else if at.After(c.newest) {
				c.newest = at
			}
		}
	})
	return c, err
}

// own reports whether a path is the marker's or the manifest's, which are about the
// mirror and not of it.
func (s settings) own(path string) bool {
	return s.Marker != "" && path == filepath.Clean(s.Marker) || s.Manifest != "" && path == filepath.Clean(s.Manifest)
}

// walk calls each for everything under root. What vanishes meanwhile is left out.
func walk(ctx context.Context, root *os.Root, each func(path string, info fs.FileInfo)) error {
	n := 0
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) && path != "." {
			return nil
		}
		if err != nil || path == "." {
			return err
		}
		if n++; n > entriesMax {
			return fmt.Errorf("more than %d entries: check its parts one by one", entriesMax)
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			each(path, info)
		}
		return err
	})
}

// observation starts one with the numbers.
func (c counted) observation() probe.Observation {
	o := probe.Observation{Outcome: holdfast.OK, Facts: map[string]string{}, Measures: []holdfast.Measure{
		{Name: "files", Value: float64(c.files)},
		{Name: "bytes", Value: float64(c.bytes), Unit: "bytes"},
		{Name: "folders", Value: float64(c.folders)},
		{Name: "other_entries", Value: float64(c.others)},
	}}
	for name, n := range map[string]int64{"receiving": c.unfinished, "dated_in_the_future": c.future} {
		if n > 0 {
			o.Facts[name] = strconv.FormatInt(n, 10) + " files"
		}
	}
	return o
}
