package restic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// A workspace is a folder of one restore's own inside scratch. Its owner holds a
// lock (flock(2)) on the marker file in it, which the kernel lets go however the
// owner ends; so a later run can tell a folder left behind from one in use.
type workspace struct {
	dir    string
	marker *os.File
}

const (
	workspacePrefix = "holdfast-restore-"
	markerName      = "holdfast-owner"
)

// newWorkspace makes a workspace, after it has removed those in the same folder
// whose owners are dead.
func newWorkspace(scratch, check string) (*workspace, error) {
	if err := sweep(scratch); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(scratch, workspacePrefix)
	if err != nil {
		return nil, err
	}
	w := &workspace{dir: dir}
	if err := w.mark(check); err != nil {
		return nil, errors.Join(err, w.remove())
	}
	return w, nil
}

// mark puts the locked marker in place; under its name it is never seen unlocked.
func (w *workspace) mark(check string) error {
	name := filepath.Join(w.dir, markerName)
	marker, err := os.OpenFile(name+".new", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	w.marker = marker
	if err := unix.Flock(int(marker.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(marker, "restore test %s; the next test removes this folder once its owner is dead\n", check); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// data is where to restore to; it does not exist yet.
func (w *workspace) data() string { return filepath.Join(w.dir, "data") }

// remove removes the folder and all in it, the marker last.
func (w *workspace) remove() error {
	err := removeAll(w.dir)
	if w.marker != nil {
		w.marker.Close()
	}
	return err
}

// sweep removes workspaces whose owner is dead. One without a marker is being
// made just now, or its owner died in that instant; it is empty then.
func sweep(scratch string) error {
	entries, err := os.ReadDir(scratch)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), workspacePrefix) {
			continue
		}
		dir := filepath.Join(scratch, e.Name())
		marker, err := os.OpenFile(filepath.Join(dir, markerName), os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(marker.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = removeAll(dir)
		}
		marker.Close()
		if err != nil {
			return fmt.Errorf("remove what a dead owner left: %w", err)
		}
	}
	return nil
}

// removeAll is os.RemoveAll for a tree with folders that may not be written: the
// restored data first and the marker last, so that whoever is killed halfway
// leaves a folder that the next sweep still knows.
func removeAll(dir string) error {
	data := filepath.Join(dir, "data")
	if _, err := os.Lstat(data); err == nil {
		if err := letIn(data); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.RemoveAll(data); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// watch returns a context that ends where a restore finds or takes more room than
// it should: at the start, where a fifth more than expected does not fit into
// nine tenths of the free space; later, where it has written more than that. stop
// ends the watching and waits for it. The cause says too-small: a scratch disk that
// is full is no test of the backup.
func watch(ctx context.Context, dir string, expect tally) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	// Each entry may take a block beyond its bytes.
	limit := expect.bytes + expect.bytes/5 + 4096*expect.entries()
	free, err := freeBytes(dir)
	switch {
	case err != nil:
		cancel(probe.Unable("", "free space of scratch: %w", err))
		return ctx, func() {}
	case limit > free-free/10:
		cancel(probe.Unable(holdfast.TooSmall, "scratch has %v free, a restore of %v needs %v and a tenth to spare", holdfast.Bytes(free), holdfast.Bytes(expect.bytes), holdfast.Bytes(limit)))
		return ctx, func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause := time.Second; ; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			began := time.Now()
			if used, err := count(dir); err == nil && used.onceBytes > limit {
				cancel(probe.Unable(holdfast.TooSmall, "the restore has written %v, %v were expected", holdfast.Bytes(used.onceBytes), holdfast.Bytes(expect.bytes)))
			}
			pause = max(time.Second, 20*time.Since(began)) // a large tree takes long to count
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
