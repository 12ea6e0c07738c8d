package barman

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// archive is the log that is there.
type archive struct {
	size      int64 // of one file
	files     map[segment]*logFile
	partial   map[segment]*logFile // those being received
	histories map[uint32][]fork    // by timeline: where its ancestors end; nil: that cannot be read
	streams   bool                 // it is received as it is written
	waits     int                  // files that Barman has not archived yet
	bytes     int64                // on disk, archived
	refused   int                  // files in the errors folder
	newest    uint64               // number of the newest file
	denied    error                // why a file of it cannot be read here; nil: all can
}

// logFile is one file of the log.
type logFile struct {
	path   string
	size   int64
	at     time.Time // its last change
	packed bool      // compressed or encrypted: its size and its first page say nothing
	read   bool      // its first page was read, and is right where fault is nil
	fault  error     // it is not as the catalogue says
}

func (f *logFile) name() string { return filepath.Base(f.path) }

// listed is a line of xlog.db.
type listed struct {
	size   int64
	at     time.Time
	packed bool
}

// logsMax bounds the files of the log; each takes some 200 bytes.
const logsMax = 500_000

// readArchive lists the log's files. The fault, of the catalogue, is damaged; the
// files are returned beside it.
func (c config) readArchive(ctx context.Context, look looker, size int64) (*archive, error) {
	a := &archive{size: size, files: map[segment]*logFile{}, partial: map[segment]*logFile{}, histories: map[uint32][]fork{}}
	list, broken := c.readCatalogue(ctx, look, size)
	if broken != nil && !damaged(broken) {
		return nil, broken
	}
	folders, err := readFolder(c.wals)
	if err != nil {
		return nil, look.fault(ctx, c.wals, err)
	}
	unlisted := 0
	for _, e := range folders {
		if !e.IsDir() {
			err = a.addHistory(c.wals, e.Name())
		} else if hashForm.MatchString(e.Name()) {
			var n int
			n, err = a.addArchived(ctx, filepath.Join(c.wals, e.Name()), list)
			unlisted += n
		}
		if err != nil {
			return nil, look.fault(ctx, c.wals, err)
		}
	}
	for _, dir := range []string{c.incoming, c.streaming} {
		if err := a.addWaiting(dir, dir == c.streaming); err != nil {
			return nil, look.fault(ctx, dir, err)
		}
	}
	if entries, err := readFolder(c.refused); err == nil {
		a.refused = len(entries)
	}
	for s := range a.files {
		a.newest = max(a.newest, s.number)
	}
	if unlisted > 0 {
		broken = cmp.Or(broken, error(probe.Faulty(holdfast.Damaged, "xlog.db does not list %d files of the log that are there, so Barman restores without them: run barman rebuild-xlogdb %s", unlisted, c.server)))
	}
	return a, broken
}

var hashForm = regexp.MustCompile(`^[0-9A-F]{16}$`)

// readCatalogue reads xlog.db: a line for each archived file with its name, size,
// time and compression, and from 3.14 on its encryption.
func (c config) readCatalogue(ctx context.Context, look looker, size int64) (map[segment]listed, error) {
	var content []byte
	err := fs.ErrNotExist
	for _, path := range c.catalogue {
		if content, err = readFile(path, logsMax*128); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	hint := "run barman rebuild-xlogdb " + c.server
	if errors.Is(err, fs.ErrNotExist) {
		return nil, probe.Faulty(holdfast.Damaged, "xlog.db is gone, so Barman knows no log: %s", hint)
	}
	if err != nil {
		return nil, look.fault(ctx, c.catalogue[len(c.catalogue)-1], err)
	}
	list, n := map[segment]listed{}, 0
	for text := range strings.Lines(string(content)) {
		n++
		name, line, err := parseListed(text)
		if err != nil || len(list) > logsMax {
			return list, probe.Faulty(holdfast.Damaged, "xlog.db is damaged in line %d: %s", n, hint)
		}
		if s, err := parseSegment(name, size); err == nil {
			list[s] = line
		}
	}
	return list, nil
}

// catalogued is a name that may stand in xlog.db.
var catalogued = regexp.MustCompile(`^[0-9A-F]{8}([0-9A-F]{16}(\.[0-9A-F]{8}\.backup|\.partial)?|\.history)$`)

func parseListed(text string) (name string, l listed, err error) {
	f := strings.Fields(text)
	if len(f) < 3 || len(f) > 5 || !catalogued.MatchString(f[0]) {
		return "", l, errors.New("it is no line of a catalogue")
	}
	size, errSize := strconv.ParseInt(f[1], 10, 64)
	at, errAt := strconv.ParseFloat(f[2], 64)
	if err := errors.Join(errSize, errAt); err != nil || size < 0 || at < 0 || at > 1e10 {
		return "", l, errors.New("it is no line of a catalogue")
	}
	whole, part := math.Modf(at)
	l = listed{size: size, at: time.Unix(int64(whole), int64(part*1e9)).UTC()}
	for _, how := range f[3:] {
		l.packed = l.packed || how != "None"
	}
	return f[0], l, nil
}

// addArchived adds a folder of archived files and counts those that the catalogue
// does not list. What the catalogue says of size and time counts where it is worse.
func (a *archive) addArchived(ctx context.Context, dir string, list map[segment]listed) (unlisted int, err error) {
	entries, err := readFolder(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		s, f, err := a.file(dir, e.Name(), e)
		if err != nil || ctx.Err() != nil {
			return 0, cmp.Or(err, ctx.Err())
		}
		if f == nil {
			continue
		}
		l, ok := list[s]
		switch {
		case !ok:
			unlisted++
			f.packed = f.size != a.size
		default:
			f.packed = l.packed
			if l.at.Before(f.at) {
				f.at = l.at
			}
			if l.size != f.size {
				f.fault = fmt.Errorf("it has %d bytes, %d in xlog.db", f.size, l.size)
			}
		}
		if !f.packed && f.size != a.size {
			f.fault = fmt.Errorf("it has %d bytes instead of %d", f.size, a.size)
		}
		a.files[s] = f
		a.bytes += f.size
	}
	return unlisted, nil
}

// addWaiting adds the files of a folder from which Barman archives.
func (a *archive) addWaiting(dir string, streaming bool) error {
	entries, err := readFolder(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := a.addHistory(dir, e.Name()); err != nil {
			return err
		}
		name, partial := strings.CutSuffix(e.Name(), ".partial")
		s, f, err := a.file(dir, name, e)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		f.path = filepath.Join(dir, e.Name())
		if f.size != a.size {
			f.fault = fmt.Errorf("it has %d bytes instead of %d", f.size, a.size)
		}
		a.streams = a.streams || streaming
		switch {
		case partial:
			a.partial[s] = f
		case a.files[s] == nil:
			a.files[s] = f
			a.waits++
		}
	}
	return nil
}

// file returns a file of the log; nil where it is none, or is gone by now.
func (a *archive) file(dir, name string, e fs.DirEntry) (segment, *logFile, error) {
	s, err := parseSegment(name, a.size)
	if err != nil || !e.Type().IsRegular() {
		return s, nil, nil
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil, nil
	}
	if err == nil && len(a.files) >= logsMax {
		err = probe.Unable("", "there are more than %d files of the log", logsMax)
	}
	if err != nil {
		return s, nil, err
	}
	return s, &logFile{path: filepath.Join(dir, name), size: info.Size(), at: info.ModTime().UTC()}, nil
}

// readFolder lists a folder; one that is not there is empty.
func readFolder(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return entries, err
}
