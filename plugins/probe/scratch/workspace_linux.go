package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Workspace is a folder of one restore's own inside scratch. Its owner holds a
// lock (flock(2)) on the marker file in it, which the kernel lets go however the
// owner ends; so a later run can tell a folder left behind from one in use.
type Workspace struct {
	dir    string
	marker *os.File
}

const (
	workspacePrefix = "holdfast-restore-"
	markerName      = "holdfast-owner"
)

// New makes a workspace, after it has removed those in the same folder
// whose owners are dead.
func New(scratch, check string) (*Workspace, error) {
	if _, err := Sweep(scratch); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(scratch, workspacePrefix)
	if err != nil {
		return nil, err
	}
	w := &Workspace{dir: dir}
	if err := w.mark(check); err != nil {
		return nil, errors.Join(err, w.Remove())
	}
	return w, nil
}

// mark puts the locked marker in place; under its name it is never seen unlocked.
func (w *Workspace) mark(check string) error {
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

// Data is where to restore to; it does not exist yet.
func (w *Workspace) Data() string { return filepath.Join(w.dir, "data") }

// Remove removes the folder and all in it, the marker last.
func (w *Workspace) Remove() error {
	err := removeAll(w.dir)
	if w.marker != nil {
		w.marker.Close()
	}
	return err
}

// InWorkspace reports whether a path lies in the workspace of a restore test, by its
// name.
func InWorkspace(path string) bool { return strings.Contains(path, "/"+workspacePrefix) }

// Sweep removes the workspaces in a folder whose owner is dead, and reports whether
// none is left: others are in use. One without a marker is being made just now, or
// its owner died in that instant; it is empty then, or somebody else's. No such folder
// holds none.
func Sweep(scratch string) (empty bool, err error) {
	entries, err := os.ReadDir(scratch)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	empty = true
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
		} else {
			empty = false
		}
		marker.Close()
		if err != nil {
			return false, fmt.Errorf("remove what a dead owner left: %w", err)
		}
	}
	return empty, nil
}

// removeAll is os.RemoveAll for a tree with folders that may not be written: the
// restored data first and the marker last, so that whoever is killed halfway
// leaves a folder that the next sweep still knows.
func removeAll(dir string) error {
	data := filepath.Join(dir, "data")
	if _, err := os.Lstat(data); err == nil {
		if err := LetIn(data); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.RemoveAll(data); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}
