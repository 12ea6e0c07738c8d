package host

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	psdisk "github.com/shirou/gopsutil/v3/disk"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// storage asks file systems for their room, one question a path at a time.
type storage struct{ held probe.Held[*psdisk.UsageStat] }

// errSilent says that a file system did not answer in time.
var errSilent = errors.New("the file system does not answer")

// usage returns the room on the file system that holds path. Its errors are
// errSilent, that of ctx, and those of statfs(2).
func (s *storage) usage(ctx context.Context, path string) (*psdisk.UsageStat, error) {
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	u, err := s.held.Do(patience, path, func() (*psdisk.UsageStat, error) { return psdisk.Usage(path) })
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case patience.Err() != nil:
		return nil, errSilent
	}
	return u, err
}

// storageFault says what an error of usage means for the path: the file system is
// broken, which is an observation, or nobody can tell, which is an error.
func storageFault(path string, err error) (probe.Observation, error) {
	switch {
	case errors.Is(err, errSilent):
		return probe.Failed(holdfast.Timeout, "%s: the file system does not answer", path), nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return probe.Observation{}, probe.Unable(holdfast.Timeout, "look at %s: %w", path, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return probe.Failed(holdfast.Missing, "%s does not exist", path), nil
	case errors.Is(err, fs.ErrPermission):
		return probe.Observation{}, probe.Unable(holdfast.Refused, "look at %s: %w: the agent's user needs execute permission on its parents", path, err)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ETIMEDOUT):
		return probe.Failed(holdfast.Unreachable, "%s: the file system gives an error: %v", path, err), nil
	}
	return probe.Observation{}, probe.Unable("", "look at %s: %w", path, err)
}
