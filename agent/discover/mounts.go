package discover

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mount is a mounted file system.
type mount struct {
	at, kind, source string
}

type mounts []mount // by the length of at, the longest first

// localKinds are the file systems that a walk goes into: they lie on this host's
// own devices. Network ones may hang, and others are no files.
var localKinds = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "ntfs3", "vfat", "exfat", "tmpfs", "overlay"}

// networkKinds are file systems that lie on another host, named by their source.
var networkKinds = []string{"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "9p", "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "afs", "lustre"}

// readMounts reads what this process has mounted (proc(5), mountinfo).
func readMounts() mounts {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	var list mounts
	for lines := bufio.NewScanner(f); lines.Scan(); {
		front, back, ok := strings.Cut(lines.Text(), " - ")
		a, b := strings.Fields(front), strings.Fields(back)
		if ok && len(a) >= 5 && len(b) >= 2 {
			list = append(list, mount{octal(a[4]), b[0], octal(b[1])})
		}
	}
	slices.Reverse(list) // of two at one place the later one is seen
	slices.SortStableFunc(list, func(a, b mount) int { return len(b.at) - len(a.at) })
	return list
}

// octal undoes \040 and the like.
func octal(s string) string {
	for i := 0; i+3 < len(s); i++ {
		if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); s[i] == '\\' && err == nil {
			s = s[:i] + string(rune(n)) + s[i+4:]
		}
	}
	return s
}

// of returns the mount that holds a path of this process.
func (m mounts) of(here string) mount {
	for _, x := range m {
		if here == x.at || x.at == "/" || strings.HasPrefix(here, x.at+"/") {
			return x
		}
	}
	return mount{at: "/"}
}

// local reports whether a walk may go into a folder of this process.
func (m mounts) local(here string) bool {
	x := m.of(here)
	return x.kind == "" || slices.Contains(localKinds, x.kind)
}

// server names the host that holds a path of this process over the network; ""
// for a local one.
func (m mounts) server(here string) string {
	x := m.of(filepath.Clean(here))
	if !slices.Contains(networkKinds, x.kind) {
		return ""
	}
	source := strings.TrimPrefix(x.source, "//")
	if at := strings.LastIndex(source, "@"); at >= 0 {
		source = source[at+1:]
	}
	if end := strings.IndexAny(source, ":/"); end >= 0 {
		source = source[:end]
	}
	return source
}
