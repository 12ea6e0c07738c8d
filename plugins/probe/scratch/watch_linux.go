package scratch

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Watch returns a context that ends where a restore finds or takes more room than
// it should: at the start, where a fifth more than expected does not fit into
// nine tenths of the free space; later, where it has written more than that and a
// little beside. The cause says too-small: a scratch disk that is full is no test of
// the backup. What was written is told as progress while the last word on it is that
// phase "restore" has begun; whoever tells how far it is knows better. From phase
// "compare" on nothing is written, and what is there too much is for the comparison to
// say. stop ends the watching and waits for it.
func Watch(ctx context.Context, dir string, expect Tally) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	// Each entry may take a block beyond its bytes.
	limit := expect.Bytes + expect.Bytes/5 + 4096*expect.Entries()
	free, err := freeBytes(dir)
	switch {
	case err != nil:
		cancel(probe.Unable("", "free space of scratch: %w", err))
		return ctx, func() {}
	case limit > free-free/10:
		cancel(probe.Unable(holdfast.TooSmall, "scratch has %v free, a restore of %v needs %v and a tenth to spare", holdfast.Bytes(free), holdfast.Bytes(expect.Bytes), holdfast.Bytes(limit)))
		return ctx, func() {}
	}
	var restoring, comparing atomic.Bool
	guarded := probe.WithProgress(ctx, func(p holdfast.Phase) {
		restoring.Store(p.Name == restorePhase && p.Done == 0)
		comparing.Store(comparing.Load() || p.Name == comparePhase)
		probe.Progress(ctx, p.Name, p.Done, p.Total)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause := 50 * time.Millisecond; ; { // what is quick is looked at too
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			began := time.Now()
			used, err := Count(dir)
			if err == nil && restoring.Load() {
				probe.Progress(ctx, restorePhase, used.OnceBytes, expect.Bytes)
			}
			if comparing.Load() {
				return
			}
			if err == nil && used.OnceBytes > limit+beside {
				cancel(probe.Unable(holdfast.TooSmall, "the restore has written %v, %v were expected", holdfast.Bytes(used.OnceBytes), holdfast.Bytes(expect.Bytes)))
			}
			pause = max(min(2*pause, time.Second), 20*time.Since(began)) // a large tree takes long to count
		}
	}()
	return guarded, func() {
		cancel(nil)
		<-done
	}
}

// beside is what a small restore may write over its expectation: a tool's own files.
const beside = 1 << 20

// The phases that mean something here.
const (
	restorePhase = "restore"
	comparePhase = "compare"
)

// freeBytes is the room a user without privileges has on dir's file system.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}
