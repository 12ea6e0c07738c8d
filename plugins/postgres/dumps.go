package postgres

import (
	"bytes"
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

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Source is the part of the settings that says where dumps lie.
type Source struct {
	Directory string             `json:"directory" jsonschema:"where the dumps lie"`
	Pattern   string             `json:"pattern,omitempty" jsonschema:"which files and folders in it are dumps, as a shell matches names, like ledger-*.dump; * by default"`
	Zone      string             `json:"zone,omitempty" jsonschema:"time zone of the host that made the dumps, like Europe/Berlin: their headers hold its wall clock; default: that of the agent's host"`
	Settle    *holdfast.Duration `json:"settle,omitempty" jsonschema:"a dump changed less than this ago is still being written; 1m by default"`

	zone   *time.Location
	settle time.Duration
}

func (s *Source) prepare() error {
	if !filepath.IsAbs(s.Directory) {
		return fmt.Errorf("setting \"directory\": %q is not an absolute path: write it like /srv/dumps", s.Directory)
	}
	s.Pattern = cmp.Or(s.Pattern, "*")
	if _, err := filepath.Match(s.Pattern, ""); err != nil || strings.Contains(s.Pattern, "/") {
		return fmt.Errorf("setting \"pattern\": %q is not a pattern for a name: write it like ledger-*.dump", s.Pattern)
	}
	var err error
	if s.zone, err = time.LoadLocation(cmp.Or(s.Zone, "Local")); err != nil {
		return fmt.Errorf("setting \"zone\": %w", err)
	}
	s.settle = time.Minute
	if s.Settle != nil {
		s.settle = s.Settle.Std()
	}
	if s.settle < 0 {
		return errors.New(`setting "settle": cannot be below 0`)
	}
	return nil
}

// knock asks the file system, past what the kernel remembers of it: one whose
// server is gone holds for ever whoever opens the directory.
func (s *Source) knock(ctx context.Context, held *probe.Held[struct{}]) error {
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	_, err := held.Do(patience, s.Directory, func() (none struct{}, err error) {
		err = unix.Statfs(s.Directory, new(unix.Statfs_t))
		if err == nil {
			var info os.FileInfo
			if info, err = os.Stat(s.Directory); err == nil && !info.IsDir() {
				err = syscall.ENOTDIR
			}
		}
		return none, err
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return probe.Faulty(holdfast.Timeout, "%s: the file system does not answer", s.Directory)
	}
	return fileFault(s.Directory, err)
}

// fileFault says what an error of the file system means.
func fileFault(path string, err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return probe.Unable(holdfast.Timeout, "read %s: %w: give the check a longer timeout", path, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return probe.Faulty(holdfast.Missing, "there is no %s", path)
	case errors.Is(err, fs.ErrPermission):
		return probe.Unable(holdfast.Refused, "read %s: %w: let the agent's user read it", path, err)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ETIMEDOUT):
		return probe.Faulty(holdfast.Unreachable, "%s: the file system gives an error: %v", path, err)
	}
	return probe.Unable("", "read %s: %w", path, err)
}

// dump is one finished dump.
type dump struct {
	name, path string
	folder     bool      // in directory format
	size       int64     // of all its files
	changed    time.Time // last change

	format     string // "custom", "directory", "tar", "plain", then how it is packed
	squeeze    string // "gzip", "zstd" or ""
	compressed bool   // by pg_dump itself
	began      time.Time
	timeFrom   string
	from, by   string       // versions of server and pg_dump; "" where it does not say
	fault      *probe.Fault // what is wrong with its header
}

const (
	entriesMax = 100_000 // of a directory
	headersMax = 16      // of the newest dumps, and of the oldest until one is good
)

// list returns the finished dumps, the newest first: of many the newest and the
// oldest. The fault is missing, empty or no-match.
func (s *Source) list(ctx context.Context, now time.Time) ([]dump, error) {
	entries, err := readFolder(s.Directory)
	if err != nil {
		return nil, fileFault(s.Directory, err)
	}
	var all []dump
	writing := 0
	for _, e := range entries {
		name := e.Name()
		if ok, _ := filepath.Match(s.Pattern, name); !ok || name[0] == '.' && s.Pattern[0] != '.' || !e.IsDir() && !e.Type().IsRegular() {
			continue
		}
		d := dump{name: name, path: filepath.Join(s.Directory, name), folder: e.IsDir()}
		if d.size, d.changed, err = extent(d.path); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fileFault(d.path, err)
		}
		if age := now.Sub(d.changed); age >= 0 && age < s.settle {
			writing++
			continue
		}
		all = append(all, d)
	}
	switch {
	case len(all) > 0:
	case writing > 0:
		return nil, probe.Faulty(holdfast.Empty, "%s: no dump is finished, %d being written", s.Directory, writing)
	case len(entries) > 0:
		return nil, probe.Faulty(holdfast.NoMatch, "%s: none of %d names matches %s", s.Directory, len(entries), s.Pattern)
	default:
		return nil, probe.Faulty(holdfast.Empty, "%s is empty", s.Directory)
	}
	slices.SortFunc(all, func(a, b dump) int { return cmp.Or(b.changed.Compare(a.changed), strings.Compare(b.name, a.name)) })
	older := all[min(headersMax, len(all)):]
	all = slices.Clip(all[:len(all)-len(older)])
	for i := range all {
		if err := s.head(ctx, &all[i]); err != nil {
			return nil, err
		}
	}
	for i := len(older) - 1; i >= max(0, len(older)-headersMax); i-- {
		if err := s.head(ctx, &older[i]); err != nil {
			return nil, err
		}
		all = append(all, older[i])
		if older[i].fault == nil {
			break // the oldest that can be used
		}
	}
	slices.SortStableFunc(all, func(a, b dump) int { return b.began.Compare(a.began) })
	return all, nil
}

// readFolder reads a bounded folder.
func readFolder(path string) ([]fs.DirEntry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(entriesMax + 1)
	if err == io.EOF {
		err = nil
	}
	if len(entries) > entriesMax {
		err = fmt.Errorf("more than %d files: move old ones away", entriesMax)
	}
	return entries, err
}

// extent returns the size and last change of a file, or of the files of a folder.
func extent(path string) (size int64, changed time.Time, err error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		if err == nil {
			size, changed = info.Size(), info.ModTime()
		}
		return size, changed, err
	}
	changed = info.ModTime()
	entries, err := readFolder(path)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, changed, err
		}
		size += info.Size()
		if info.ModTime().After(changed) {
			changed = info.ModTime()
		}
	}
	return size, changed, err
}

// head fills in what a dump's header says. Its time is that of its header; a time
// after the last change cannot be right and counts as the last change.
func (s *Source) head(ctx context.Context, d *dump) error {
	d.began, d.timeFrom = d.changed.UTC(), "the last change of the file: its header has no time; dump with --verbose"
	path := d.path
	if d.folder {
		path = filepath.Join(d.path, "toc.dat")
	}
	f, err := openPacked(ctx, path)
	if errors.Is(err, fs.ErrNotExist) && d.folder {
		d.fault = probe.Faulty(holdfast.Damaged, "%.200s has no toc.dat, which pg_dump writes last", d.name)
		return nil
	}
	if err != nil {
		return fileFault(path, err)
	}
	defer f.Close()
	head, err := f.peek(8 << 10)
	if f.fault != nil {
		return fileFault(path, f.fault)
	}
	d.squeeze = f.squeeze
	switch {
	case d.size == 0:
		d.fault = probe.Faulty(holdfast.Empty, "%.200s holds nothing", d.name)
		return nil
	case err != nil:
		d.fault = probe.Faulty(holdfast.Damaged, "%.200s cannot be unpacked: %v", d.name, err)
		return nil
	}
	d.begin(head, s.zone)
	if d.squeeze != "" {
		d.format += ", " + d.squeeze
	}
	return nil
}

// begin reads the first bytes of a dump's content.
func (d *dump) begin(head []byte, zone *time.Location) {
	wall := ""
	switch isTar := len(head) > 512 && string(head[257:262]) == "ustar" && bytes.HasPrefix(head, []byte("toc.dat\x00")); {
	case isTar, d.folder, bytes.HasPrefix(head, []byte("PGDMP")):
		d.format = "custom"
		if isTar {
			d.format, head = "tar", head[512:]
		} else if d.folder {
			d.format = "directory"
		}
		h, err := readHeader(bytes.NewReader(head))
		if err != nil {
			d.fault = probe.Faulty(holdfast.Damaged, "%.200s: %v", d.name, err)
			return
		}
		d.compressed, d.from, d.by, wall = h.compressed && !isTar, h.from, h.by, h.wall
	default:
		d.format = "plain"
		start := newScript()
		_, _ = start.Write(head)
		if start.kind == "" || !bytes.HasPrefix(head, []byte("--\n-- "+start.kind+"\n")) {
			d.fault = probe.Faulty(holdfast.Damaged, "%.200s is no dump: it begins neither as an archive of pg_dump nor as its SQL (damaged, encrypted, or something else: see the setting pattern)", d.name)
			return
		}
		d.from, d.by, wall = start.from, start.by, start.began
	}
	if at, ok := wallClock(wall, zone); ok && at.After(d.began) {
		d.timeFrom = "the last change of the file: its header says later, so the setting zone is wrong"
	} else if ok {
		d.began, d.timeFrom = at, "its header"
	}
}
