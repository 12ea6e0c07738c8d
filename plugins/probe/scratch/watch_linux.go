package scratch

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Watch returns a context that ends where a restore finds or takes more room than
// it should: at the start, where a fifth more than expected does not fit into
// nine tenths of the free space; later, where it has written more than that. Progress
// is told in between. stop ends the watching and waits for it. The cause says
// too-small: a scratch disk that is full is no test of the backup.
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
			if err == nil {
				probe.Progress(ctx, "restore", used.OnceBytes, expect.Bytes)
			}
			if err == nil && used.OnceBytes > limit {
				cancel(probe.Unable(holdfast.TooSmall, "the restore has written %v, %v were expected", holdfast.Bytes(used.OnceBytes), holdfast.Bytes(expect.Bytes)))
			}
			pause = max(min(2*pause, time.Second), 20*time.Since(began)) // a large tree takes long to count
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// freeBytes is the room a user without privileges has on dir's file system.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}
