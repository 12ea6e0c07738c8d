package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// archives is the probe files.archive.
type archives struct{ held probe.Held[struct{}] }

// Describe says what the probe is. It is of class io although it reads whole
// archives: heavy checks wait for each other, and how fresh a copy is must not
// wait for an hour of reading elsewhere. A large archive needs a longer timeout.
func (*archives) Describe() probe.Description {
	return probe.Description{
		Name:     "files.archive",
		Observes: "The newest archive in a directory: its age and size, its SHA-256, and that it can be read to its end.",
		Settings: probe.Schema[settings](),
		Cost:     holdfast.IO,
		Target:   []string{"directory"},
		Reasons: []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Damaged, holdfast.Missing, holdfast.Unreachable,
			holdfast.TooSmall, holdfast.Assertion, holdfast.Timeout, holdfast.Refused},
	}
}

func (p *archives) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := decode(r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	// Asked first and apart, as a directory on a dead network mount holds for
	// ever whoever opens it.
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	if _, err := p.held.Do(patience, s.Directory, s.knock); err != nil {
		return s.fault(ctx, err)
	}
	root, err := os.OpenRoot(s.Directory)
	if err != nil {
		return s.fault(ctx, err)
	}
	defer root.Close()
	o, err := s.look(ctx, root)
	if err != nil {
		return s.fault(ctx, err)
	}
	return o, nil
}

// knock asks the file system, past what the kernel remembers of it, and wants a
// directory.
func (s settings) knock() (none struct{}, err error) {
	if err := unix.Statfs(s.Directory, new(unix.Statfs_t)); err != nil {
		return none, err
	}
	info, err := os.Stat(s.Directory)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	return none, err
}

// fault says what an error of the file system means: the copy is broken, which is
// an observation, or nobody can tell, which is an error.
func (s settings) fault(ctx context.Context, err error) (probe.Observation, error) {
	switch {
	case ctx.Err() != nil:
		return probe.Observation{}, probe.Unable(holdfast.Timeout, "read %s: %w: give the check a longer timeout", s.Directory, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		return probe.Failed(holdfast.Timeout, "%s: the file system does not answer", s.Directory), nil
	case errors.Is(err, errManifest):
		return probe.Failed(holdfast.Damaged, "%v", err), nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return probe.Failed(holdfast.Missing, "there is no directory %s", s.Directory), nil
	case errors.Is(err, fs.ErrPermission):
		return probe.Observation{}, probe.Unable(holdfast.Refused, "read %s: %w: let the agent's user read it", s.Directory, err)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ETIMEDOUT):
		return probe.Failed(holdfast.Unreachable, "%s: the file system gives an error: %v", s.Directory, err), nil
	}
	return probe.Observation{}, fmt.Errorf("read %s: %w", s.Directory, err)
}
