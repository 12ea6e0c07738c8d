package discover

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// subvolumeInode is the inode of the root of every btrfs subvolume.
const subvolumeInode = 256

// isSnapshot reports whether a folder is a read-only subvolume of btrfs: writing
// into it is refused by the file system itself, whoever asks.
func (f *finder) isSnapshot(p string, e fs.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Ino != subvolumeInode {
		return false
	}
	here, err := f.here(p)
	if err != nil {
		return false
	}
	var fs unix.Statfs_t
	if unix.Statfs(here, &fs) != nil || int64(fs.Type) != unix.BTRFS_SUPER_MAGIC || fs.Flags&unix.ST_RDONLY != 0 {
		return false
	}
	return unix.Access(here, unix.W_OK) == unix.EROFS
}
