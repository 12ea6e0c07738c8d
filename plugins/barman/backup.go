package barman

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// The states of a backup that Barman writes.
const (
	done    = "DONE"
	waiting = "WAITING_FOR_WALS" // copied, its log is still to come
	started = "STARTED"
	failed  = "FAILED"
	empty   = "EMPTY"
	syncing = "SYNCING"
)

// backup is a base backup as its backup.info says.
type backup struct {
	id, dir            string
	status, failure    string
	method, compressed string
	parent             string // the backup an incremental one builds on
	keep               string // "standalone": its log is kept only as far as it needs
	system             string
	version            int
	size               int64 // bytes of its files
	info               int64 // bytes of backup.info
	snapshot           bool  // its files lie elsewhere
	began, ended       time.Time
	from, to           segment
	segmentSize        int64

	restored int64 // bytes, 0: not known
	files    int64
}

// copied reports whether Barman has finished copying it.
func (b *backup) copied() bool { return b.status == done || b.status == waiting }

// backupsMax bounds the backups of a server.
const backupsMax = 10_000

// readBackups reads what the catalogue says of every backup, the oldest first, as
// Barman sorts them. A fault is damaged; the others are returned beside it. Barman
// itself gives up over one backup.info that it cannot read.
func (c config) readBackups(ctx context.Context, look looker) ([]*backup, error) {
	entries, err := os.ReadDir(c.backups)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, look.fault(ctx, c.backups, err)
	}
	if len(entries) > backupsMax {
		return nil, probe.Unable("", "%s holds more than %d backups", c.backups, backupsMax)
	}
	var all []*backup
	var broken error
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b, err := readBackup(filepath.Join(c.backups, e.Name()))
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, look.fault(ctx, c.backups, err)
		case err != nil && c.held(e.Name()):
			continue // Barman removes it at the moment
		case errors.Is(err, fs.ErrNotExist):
			broken = cmp.Or(broken, error(probe.Faulty(holdfast.Damaged, "backup %s has no backup.info: Barman does not know it any more", probe.OneLine(e.Name()))))
		case err != nil:
			broken = cmp.Or(broken, error(probe.Faulty(holdfast.Damaged, "backup.info of backup %s cannot be read: %v", probe.OneLine(e.Name()), err)))
		default:
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b *backup) int { return strings.Compare(a.id, b.id) })
	return all, broken
}

// readBackup reads one backup.info. It says nothing of what the values are, which
// come from elsewhere.
func readBackup(dir string) (*backup, error) {
	path := filepath.Join(dir, "backup.info")
	content, err := readFile(path, fileMax)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(content) {
		return nil, errors.New("it is no text")
	}
	fields := map[string]string{}
	for line := range bytes.Lines(content) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, errors.New("a line of it is no name=value")
		}
		if value = strings.TrimSpace(value); value != "None" {
			fields[strings.TrimSpace(name)] = value
		}
	}
	b := &backup{id: filepath.Base(dir), dir: dir, status: fields["status"], failure: fields["error"], method: fields["mode"],
		compressed: fields["compression"], parent: fields["parent_backup_id"], system: fields["systemid"], info: int64(len(content)),
		snapshot: fields["snapshots_info"] != ""}
	if keep, err := readFile(filepath.Join(dir, "annotations", "keep"), 64); err == nil {
		b.keep = strings.TrimSpace(string(keep))
	}
	switch {
	case len(fields) == 0:
		return nil, errors.New("it is empty")
	case !slices.Contains([]string{done, waiting, started, failed, empty, syncing}, b.status):
		return nil, errors.New("its status is none of Barman's")
	}
	return b, b.parse(fields)
}

// parse reads the fields that have a form.
func (b *backup) parse(fields map[string]string) error {
	var faults []error
	number := func(name string) int64 {
		if fields[name] == "" {
			return 0
		}
		n, err := strconv.ParseInt(fields[name], 10, 64)
		if err != nil || n < 0 {
			faults = append(faults, fmt.Errorf("%s is no number", name))
		}
		return n
	}
	moment := func(name string) time.Time {
		if fields[name] == "" {
			return time.Time{}
		}
		for _, form := range []string{"2006-01-02 15:04:05.999999-07:00", "2006-01-02 15:04:05.999999"} {
			// Without an offset it is the wall clock of this host, as Barman takes it.
			if at, err := time.ParseInLocation(form, fields[name], time.Local); err == nil {
				return at.UTC()
			}
		}
		faults = append(faults, fmt.Errorf("%s is no time", name))
		return time.Time{}
	}
	place := func(name string) segment {
		if fields[name] == "" {
			return segment{}
		}
		s, err := parseSegment(fields[name], b.segmentSize)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s is no file of the log", name))
		}
		return s
	}
	b.version, b.size = int(number("version")), number("size")
	if b.segmentSize = number("xlog_segment_size"); b.segmentSize == 0 {
		b.segmentSize = 16 << 20
	}
	if b.segmentSize < 1<<20 || b.segmentSize > 1<<30 || b.segmentSize&(b.segmentSize-1) != 0 {
		return errors.New("xlog_segment_size is none of PostgreSQL's")
	}
	b.began, b.ended = moment("begin_time"), moment("end_time")
	b.from, b.to = place("begin_wal"), place("end_wal")
	if b.copied() && (b.ended.IsZero() || b.from.timeline == 0 || b.to.timeline != b.from.timeline || b.to.number < b.from.number) {
		faults = append(faults, errors.New("it lacks when the backup ended or which log it needs"))
	}
	return errors.Join(faults...)
}
