package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// marker is the file that tells a demo's folder from any other.
const marker = "holdfast-demo"

// parts are what a demo puts into its folder, and clears away before it builds it
// anew. Anything else there is left alone.
var parts = []string{"catalog", "estate", "collector", "agents", "tmp", "client.env", "alerts.yaml", "desk.secret", "collector.log", "fra1.log", "ams1.log", "jobs.log"}

// folder is the one folder a demo writes to, held for this process alone.
type folder struct {
	path    string // absolute
	rebuilt bool   // it held an earlier demo
	lock    *os.File
}

// openFolder makes the folder, or takes over that of an earlier demo: what that
// one left is cleared away, since nobody knows in which state it was left. A
// folder with anything else in it is refused.
func openFolder(dir string) (*folder, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	// A socket's address has 108 bytes, the last of them zero.
	if n := len(filepath.Join(f.collector(), "admin.sock")); n > 107 {
		return nil, fmt.Errorf("--data %s: the path is too long by %d bytes for a socket in it\nhint: choose a shorter one", dir, n-107)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	f.path = path
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	_, err = os.Lstat(filepath.Join(path, marker))
	f.rebuilt = err == nil
	if errors.Is(err, fs.ErrNotExist) && len(entries) > 0 {
		return nil, fmt.Errorf("--data %s: the folder is not empty, and not a demo's\nhint: name one that does not exist yet", dir)
	}
	if err := f.take(); err != nil {
		return nil, err
	}
	if err := f.clear(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// take locks the folder. The lock ends with the process, however that ends.
func (f *folder) take() (err error) {
	f.lock, err = os.OpenFile(filepath.Join(f.path, marker), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if err := unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("--data %s: another demo runs on this folder\nhint: stop it, or choose another folder", f.path), f.lock.Close())
	}
	_, err = f.lock.WriteAt([]byte("Everything in this folder belongs to holdfast demo, and is built anew when it starts.\n"), 0)
	return err
}

func (f *folder) clear() error {
	for _, name := range parts {
		if err := os.RemoveAll(filepath.Join(f.path, name)); err != nil {
			return fmt.Errorf("clear what an earlier demo left: %w", err)
		}
	}
	for _, name := range []string{f.catalogue(), f.tmp(), filepath.Join(f.path, "agents")} {
		if err := os.Mkdir(name, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// close lets go of the folder and empties its scratch.
func (f *folder) close() error {
	return errors.Join(os.RemoveAll(f.tmp()), f.lock.Close())
}

func (f *folder) catalogue() string      { return filepath.Join(f.path, "catalog") }
func (f *folder) collector() string      { return filepath.Join(f.path, "collector") }
func (f *folder) client() string         { return filepath.Join(f.path, "client.env") }
func (f *folder) tmp() string            { return filepath.Join(f.path, "tmp") }
func (f *folder) log(name string) string { return filepath.Join(f.path, name+".log") }

// agent returns the agent's data folder, or with a suffix a file beside it.
func (f *folder) agent(name, suffix string) string {
	return filepath.Join(f.path, "agents", name+suffix)
}

// tail returns the last lines of a log, for a message about what wrote it.
func tail(file string, lines int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
