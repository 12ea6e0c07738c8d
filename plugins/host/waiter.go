package host

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"time"

	psdisk "github.com/shirou/gopsutil/v3/disk"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// waiter asks file systems that may never answer, such as a network mount whose
// server is gone: the kernel then holds the call, and nothing can cancel it.
// It leaves at most one such call behind for each path.
type waiter struct {
	mu   sync.Mutex
	held map[string]bool // guarded by mu: paths with a call under way
}

// errSilent says that a file system did not answer in time.
var errSilent = errors.New("the file system does not answer")

// usage returns the room on the file system that holds path. Its errors are
// errSilent, that of ctx, and those of statfs(2).
func (w *waiter) usage(ctx context.Context, path string) (*psdisk.UsageStat, error) {
	type answer struct {
		usage *psdisk.UsageStat
		err   error
	}
	if !w.take(path) {
		return nil, errSilent
	}
	answers := make(chan answer, 1)
	go func() {
		// Its owner is w: it cannot be waited for while the kernel holds it.
		defer w.release(path)
		u, err := psdisk.UsageWithContext(ctx, path)
		answers <- answer{u, err}
	}()
	patience, cancel := answerTime(ctx)
	defer cancel()
	select {
	case a := <-answers:
		return a.usage, a.err
	case <-patience.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errSilent
	}
}

func (w *waiter) take(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[path] {
		return false
	}
	if w.held == nil {
		w.held = map[string]bool{}
	}
	w.held[path] = true
	return true
}

func (w *waiter) release(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, path)
}

// answerTime ends a little before ctx, so that silence of what is asked (failed,
// timeout) can be told from our own time running out (cannot tell).
func answerTime(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := 9 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline) * 9 / 10
	}
	return context.WithTimeout(ctx, limit)
}

// storageFault says what an error of usage means for the path: the file system is
// broken, which is an observation, or nobody can tell, which is an error.
func storageFault(path string, err error) (probe.Observation, error) {
	switch {
	case errors.Is(err, errSilent):
		return failed(holdfast.Timeout, "%s: the file system does not answer", path), nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return probe.Observation{}, probe.Unable(holdfast.Timeout, "look at %s: %w", path, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return failed(holdfast.Missing, "%s does not exist", path), nil
	case errors.Is(err, fs.ErrPermission):
		return probe.Observation{}, probe.Unable(holdfast.Refused, "look at %s: %w: the agent's user needs execute permission on its parents", path, err)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ETIMEDOUT):
		return failed(holdfast.Unreachable, "%s: the file system gives an error: %v", path, err), nil
	}
	return probe.Observation{}, probe.Unable("", "look at %s: %w", path, err)
}
