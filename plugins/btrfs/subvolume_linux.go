package btrfs

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// subvolume is what the kernel says of one.
type subvolume struct {
	name     string
	created  time.Time // on this file system
	readOnly bool
	snapshot bool   // of another subvolume, or received
	received string // UUID of what was received, "" where it was taken here
}

// Of linux/btrfs.h: BTRFS_IOC_GET_SUBVOL_INFO, which needs no privilege, and where
// in struct btrfs_ioctl_get_subvol_info_args things lie.
const (
	infoSize     = 504
	getInfo      = 2<<30 | infoSize<<16 | 0x94<<8 | 60
	atFlags      = 288
	atParent     = 312
	atReceived   = 328
	atCreated    = 392
	flagReadOnly = 1
	rootInode    = 256 // of every subvolume: BTRFS_FIRST_FREE_OBJECTID
)

// isBtrfs reports whether an open folder is on btrfs.
func isBtrfs(f *os.File) (bool, error) {
	var st unix.Statfs_t
	err := unix.Fstatfs(int(f.Fd()), &st)
	return st.Type == unix.BTRFS_SUPER_MAGIC, err
}

// isSubvolume reports whether a folder on btrfs is the top of a subvolume.
func isSubvolume(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && st.Ino == rootInode
}

// infoOf asks the kernel of an open subvolume.
func infoOf(f *os.File, name string) (subvolume, error) {
	var b [infoSize]byte
	if _, _, code := unix.Syscall(unix.SYS_IOCTL, f.Fd(), getInfo, uintptr(unsafe.Pointer(&b))); code != 0 {
		return subvolume{}, os.NewSyscallError("btrfs subvolume info", code)
	}
	number := binary.NativeEndian
	s := subvolume{
		name:     name,
		created:  time.Unix(int64(number.Uint64(b[atCreated:])), int64(number.Uint32(b[atCreated+8:]))),
		readOnly: number.Uint64(b[atFlags:])&flagReadOnly != 0,
		received: uuid(b[atReceived:]),
	}
	s.snapshot = uuid(b[atParent:]) != "" || s.received != ""
	return s, nil
}

// uuid writes one; "" where all of it is zero.
func uuid(b []byte) string {
	if [16]byte(b[:16]) == [16]byte{} {
		return ""
	}
	h := hex.EncodeToString(b[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
