package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// longestBackoff is the longest time a plugin that keeps failing is left alone.
const longestBackoff = 5 * time.Minute

var errPluginsClosed = errors.New("the agent is ending")

// pluginHost keeps one plugin: starts its process when a call needs it, stops it
// when it is idle, starts it again, ever later, when it fails.
type pluginHost struct {
	name  string
	log   *slog.Logger
	work  *sync.WaitGroup // counts the goroutines below
	start func(*pluginHost) (*pluginProcess, error)

	mu        sync.Mutex
	process   *pluginProcess // nil: not running; guarded by mu, as all below
	starting  *pluginStart   // nil: not being started
	closed    bool
	used      bool
	failures  int       // in a row
	notBefore time.Time // it is not started before
	health    holdfast.PluginHealth
}

// pluginStart is a start that callers wait for.
type pluginStart struct {
	done chan struct{}
	err  error // set before done is closed
}

// acquire returns the running process, started if need be. The caller releases
// it.
func (h *pluginHost) acquire(ctx context.Context) (*pluginProcess, error) {
	for {
		h.mu.Lock()
		if h.process != nil {
			process := h.process
			process.users++
			h.mu.Unlock()
			return process, nil
		}
		start, err := h.startLocked()
		h.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-start.done:
			if start.err != nil {
				return nil, start.err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("did not start in time: %w", ctx.Err())
		}
	}
}

// startLocked begins a start, or joins one that is under way.
func (h *pluginHost) startLocked() (*pluginStart, error) {
	switch wait := time.Until(h.notBefore); {
	case h.closed:
		return nil, errPluginsClosed
	case h.starting != nil:
		return h.starting, nil
	case wait > 0:
		return nil, fmt.Errorf("is left alone for another %v, it failed %d times in a row: %s", wait.Round(time.Second), h.failures, h.health.Problem)
	}
	start := &pluginStart{done: make(chan struct{})}
	h.starting, h.used = start, true
	h.work.Go(func() { h.run(start) })
	return start, nil
}

// run starts the process and watches it until it is gone.
func (h *pluginHost) run(start *pluginStart) {
	process, err := h.start(h)
	h.mu.Lock()
	h.starting, start.err = nil, err
	switch {
	case err != nil:
		h.failedLocked(err.Error())
	case h.closed:
		start.err = errPluginsClosed
	default:
		if h.failures > 0 {
			h.health.Restarts++
		}
		h.process = process
		// Who asked for it may be gone by now; then nobody ever releases it.
		process.reap = time.AfterFunc(time.Second, func() { h.reap(process) })
	}
	adopted := h.process == process && process != nil
	close(start.done)
	h.mu.Unlock()

	if process == nil {
		return
	}
	if adopted {
		select {
		case <-process.runner.exited:
		case <-process.flooded:
			h.fail(process, "flooded its error output")
		}
	}
	process.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == process {
		h.process = nil
		h.failedLocked("died: " + process.death())
	}
}

// release gives back what acquire returned; the process stays for that long.
func (h *pluginHost) release(process *pluginProcess, stay time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	process.users--
	if until := time.Now().Add(stay); until.After(process.keep) {
		process.keep = until
	}
	if process.users == 0 && h.process == process {
		process.reap.Reset(time.Until(process.keep))
	}
}

// reap stops a process that is not in use and was kept long enough.
func (h *pluginHost) reap(process *pluginProcess) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == process && process.users == 0 && !time.Now().Before(process.keep) {
		h.dropLocked()
	}
}

// dropLocked lets the process go; run then sees it end.
func (h *pluginHost) dropLocked() {
	process := h.process
	h.process = nil
	process.reap.Stop()
	h.work.Go(process.stop)
}

// fail kills a process that must not go on.
func (h *pluginHost) fail(process *pluginProcess, problem string) {
	h.mu.Lock()
	if h.process == process {
		h.process = nil
		h.failedLocked(problem)
	}
	h.mu.Unlock()
	process.runner.kill()
}

// failedLocked notes a failure. The first one is forgiven at once: most crashes
// are not repeated, and a check should not wait for its next turn.
func (h *pluginHost) failedLocked(problem string) {
	if h.closed {
		return
	}
	h.failures++
	var wait time.Duration
	if h.failures > 1 {
		wait = min(time.Second<<min(h.failures-2, 20), longestBackoff)
	}
	now := time.Now()
	h.notBefore = now.Add(wait)
	h.health.Failed, h.health.Problem = now.UTC(), problem
	h.log.Warn("plugin failed", "problem", problem, "in_a_row", h.failures, "wait", wait)
}

// succeeded forgets earlier failures.
func (h *pluginHost) succeeded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures, h.notBefore, h.health.Problem = 0, time.Time{}, ""
}

// fares returns the plugin's health, and whether it was ever started.
func (h *pluginHost) fares() (holdfast.PluginHealth, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	health := h.health
	health.Name, health.Running = h.name, h.process != nil
	return health, h.used
}

// close stops the process for good; Plugins waits for it.
func (h *pluginHost) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.process != nil {
		h.dropLocked()
	}
}
