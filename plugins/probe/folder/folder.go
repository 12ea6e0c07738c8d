// Package folder is a folder into which backups are written one after the other,
// as files: which of them are finished, as of when their data is, and reading one
// to its end. It never writes and follows no link out of the folder.
//
// A file that was changed less than settle ago, or changes while it is read, is
// still being written. A file's time is when it was last changed, which is when
// its backup ended; where the name says when that began, the earlier counts.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Settings are the part of a probe's settings that names the folder and its files.
// Complete must be called before anything else.
type Settings struct {
	Directory string             `json:"directory" jsonschema:"where the files lie; folders below it are not searched"`
	Pattern   string             `json:"pattern,omitempty" jsonschema:"which files count, as a shell matches names, like *.gz; * by default"`
	Settle    *holdfast.Duration `json:"settle,omitempty" jsonschema:"a file changed less than this ago is still being written; 10s by default"`
	NameTime  string             `json:"name_time,omitempty" jsonschema:"where the name says when the backup began, like %Y%m%dT%H%M%S (%Y %m %d %H %M %S) or %s"`
	NameZone  string             `json:"name_zone,omitempty" jsonschema:"time zone of name_time, like Europe/Berlin; UTC by default"`

	settle   time.Duration
	nameTime *nameTime // nil: the time of the last change
}

// Complete checks the settings and fills in what they leave open.
func (s *Settings) Complete() error {
	if !filepath.IsAbs(s.Directory) {
		return fmt.Errorf("setting \"directory\": %q is not an absolute path: write it like /srv/backup", s.Directory)
	}
	if s.Pattern == "" {
		s.Pattern = "*"
	}
	if _, err := filepath.Match(s.Pattern, ""); err != nil || strings.Contains(s.Pattern, "/") {
		return fmt.Errorf("setting \"pattern\": %q is not a pattern for a name: write it like *.tar.gz", s.Pattern)
	}
	s.settle = 10 * time.Second
	if s.Settle != nil {
		s.settle = s.Settle.Std()
	}
	if s.settle < 0 {
		return errors.New(`setting "settle": cannot be below 0`)
	}
	if s.NameTime != "" {
		var err error
		if s.nameTime, err = parseNameTime(s.NameTime, s.NameZone); err != nil {
			return err
		}
	}
	return nil
}

// Open opens the folder. It is asked first and apart, as a folder on a dead network
// mount holds for ever whoever opens it; held keeps at most one such call. Errors
// are for Fault.
func (s Settings) Open(ctx context.Context, held *probe.Held[struct{}]) (*os.Root, error) {
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	if _, err := held.Do(patience, s.Directory, s.knock); err != nil {
		return nil, err
	}
	return os.OpenRoot(s.Directory)
}

// knock asks the file system, past what the kernel remembers of it, and wants a
// directory.
func (s Settings) knock() (none struct{}, err error) {
	if err := unix.Statfs(s.Directory, new(unix.Statfs_t)); err != nil {
		return none, err
	}
	info, err := os.Stat(s.Directory)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	return none, err
}

// Fault says what an error of the file system means: a *probe.Fault where the copy
// is broken, else that nobody can tell. A fault, and what is unable already, stays.
func (s Settings) Fault(ctx context.Context, err error) error {
	var known *probe.Fault
	switch {
	case err == nil, errors.As(err, &known), probe.ReasonOf(err) != "" && !errors.Is(err, context.DeadlineExceeded):
		return err
	case ctx.Err() != nil:
		return probe.Unable(holdfast.Timeout, "read %s: %w: give the check a longer timeout", s.Directory, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		return fault(holdfast.Timeout, "%s: the file system does not answer", s.Directory)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fault(holdfast.Missing, "there is no directory %s", s.Directory)
	case errors.Is(err, fs.ErrPermission):
		return probe.Unable(holdfast.Refused, "read %s: %w: let the agent's user read it", s.Directory, err)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ETIMEDOUT):
		return fault(holdfast.Unreachable, "%s: the file system gives an error: %v", s.Directory, err)
	}
	return fmt.Errorf("read %s: %w", s.Directory, err)
}

// fault is a fault whose text may hold names from elsewhere.
func fault(reason holdfast.Reason, format string, args ...any) *probe.Fault {
	return &probe.Fault{Reason: reason, Text: probe.OneLine(fmt.Sprintf(format, args...))}
}
