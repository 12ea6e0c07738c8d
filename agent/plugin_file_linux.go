package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openTrusted opens a program that only root can have put there: it and every
// folder above it belong to root, nobody else may write to them, and none is a
// symbolic link. Each step is taken from the folder just checked, so that nothing
// can be exchanged between check and use.
func openTrusted(path string) (*os.File, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return nil, fmt.Errorf("%s: want an absolute path, and no . or .. in it", path)
	}
	dir, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /: %w", err)
	}
	at := "/"
	parts := strings.Split(path[1:], "/")
	for i := 0; ; i++ {
		if err := ownedByRoot(dir, at); err != nil {
			_ = unix.Close(dir)
			return nil, err
		}
		if i == len(parts) {
			break
		}
		at = filepath.Join(at, parts[i])
		flags := unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK // a FIFO must not hold us up
		if i < len(parts)-1 {
			flags |= unix.O_PATH
		}
		next, err := unix.Openat(dir, parts[i], flags, 0)
		_ = unix.Close(dir)
		if err == unix.ELOOP {
			return nil, fmt.Errorf("%s is a symbolic link\nhint: give the path it leads to", at)
		}
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", at, err)
		}
		dir = next
	}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(dir)
		return nil, fmt.Errorf("%s is not a file", path)
	}
	return os.NewFile(uintptr(dir), path), nil
}

// ownedByRoot reports why an open file is not root's alone.
func ownedByRoot(fd int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return fmt.Errorf("%s is a symbolic link\nhint: give the path it leads to", name)
	case st.Uid != 0:
		return fmt.Errorf("%s does not belong to root, so its owner could run programs through the agent\nhint: chown root %s", name, name)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written to by others than root, who could run programs through the agent\nhint: chmod go-w %s", name, name)
	}
	return nil
}
