package folder

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
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// entriesMax bounds how many files of a directory are looked at.
const entriesMax = 100_000

// ErrWriting says that a file is still being written, or gone: pass it over.
var ErrWriting = errors.New("still being written")

// File is one finished file.
type File struct {
	Name    string
	Size    int64
	Changed time.Time // last change
	Time    time.Time // as of when its data is
}

// Listing is what a folder holds, files newest first.
type Listing struct {
	Entries  int    // of every kind
	Timeless int    // match the pattern, and their name has no time
	Writing  int    // still being written
	Files    []File // finished
}

// List reads the folder. Names that skip says (nil: none) are not looked at; those
// that vanish meanwhile are left out.
func (s Settings) List(ctx context.Context, root *os.Root, now time.Time, skip func(name string) bool) (Listing, error) {
	var l Listing
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
		if l.Entries += len(entries); l.Entries > entriesMax {
			return l, fmt.Errorf("more than %d files: move old ones away", entriesMax)
		}
		for _, e := range entries {
			if skip != nil && skip(e.Name()) {
				continue
			}
			if err := s.add(&l, e, now); err != nil {
				return l, err
			}
		}
	}
	slices.SortFunc(l.Files, func(a, b File) int {
		return cmp.Or(b.Time.Compare(a.Time), b.Changed.Compare(a.Changed), strings.Compare(b.Name, a.Name))
	})
	return l, nil
}

// add counts one entry where it belongs.
func (s Settings) add(l *Listing, e fs.DirEntry, now time.Time) error {
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
	f := File{Name: e.Name(), Size: info.Size(), Changed: info.ModTime(), Time: info.ModTime()}
	if s.nameTime != nil {
		began, ok := s.nameTime.in(f.Name)
		if !ok {
			l.Timeless++
			return nil
		}
		if began.Before(f.Time) {
			f.Time = began
		}
	}
	if age := now.Sub(f.Changed); age >= 0 && age < s.settle {
		l.Writing++
		return nil
	}
	l.Files = append(l.Files, f)
	return nil
}

// matches reports whether a file of this name counts.
func (s Settings) matches(name string) bool {
	if name[0] == '.' && s.Pattern[0] != '.' {
		return false
	}
	ok, _ := filepath.Match(s.Pattern, name) // the pattern was tried by Complete
	return ok
}

// Nothing says why a listing has no file that could be judged.
func (s Settings) Nothing(l Listing, what string) *probe.Fault {
	switch {
	case l.Writing > 0:
		return fault(holdfast.Empty, "%s: no %s is finished, %d being written", s.Directory, what, l.Writing)
	case l.Timeless > 0:
		return fault(holdfast.NoMatch, "%s: none of %d names has a time like %s", s.Directory, l.Timeless, s.NameTime)
	case l.Entries > 0:
		return fault(holdfast.NoMatch, "%s: none of %d names matches %s", s.Directory, l.Entries, s.Pattern)
	}
	return fault(holdfast.Empty, "%s is empty", s.Directory)
}

// Dated says how the files' times are known, for people.
func (s Settings) Dated() string {
	if s.nameTime == nil {
		return "when it was last changed: the end of the backup"
	}
	return "the time in its name, or its last change where that is earlier"
}

// Points returns the recovery points of files: the newest four and the oldest.
func Points(files []File) []holdfast.RecoveryPoint {
	var all []holdfast.RecoveryPoint
	for i, f := range files {
		if i < 4 || i == len(files)-1 {
			all = append(all, holdfast.RecoveryPoint{Time: f.Time.UTC(), ID: probe.OneLine(f.Name)})
		}
	}
	return all
}

// Open opens a listed file. It gives ErrWriting where that is gone or no longer as
// it was listed.
func (f File) Open(root *os.Root) (*os.File, error) {
	file, err := root.OpenFile(f.Name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hold us
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrWriting
	}
	if err != nil {
		return nil, err
	}
	if err := f.Unchanged(file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Unchanged returns ErrWriting where the file is no longer as it was listed.
func (f File) Unchanged(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != f.Size || !info.ModTime().Equal(f.Changed) {
		return ErrWriting
	}
	return nil
}
