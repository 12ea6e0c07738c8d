package barman

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// held reports whether a process of Barman's holds the lock of a backup, or with ""
// that of taking one. The kernel is asked and the lock is not tried: whoever holds
// it for a moment makes a backup fail that begins just then.
func (c config) held(id string) bool {
	name := "." + c.server + "-backup.lock"
	if id != "" {
		name = "." + c.server + "-" + id + ".lock"
	}
	info, err := os.Stat(filepath.Join(c.locks, name))
	if err != nil {
		return false
	}
	file, err := os.Open("/proc/locks")
	if err != nil {
		return false
	}
	defer file.Close()
	inode := strconv.FormatUint(info.Sys().(*syscall.Stat_t).Ino, 10)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 6781 fe:00:10240108 0 EOF. The device's number is
		// not that of stat on every file system, so the inode has to do.
		f := strings.Fields(lines.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && strings.HasSuffix(f[5], ":"+inode) {
			return true
		}
	}
	return false
}
