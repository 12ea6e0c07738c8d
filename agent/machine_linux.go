package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// machine tells this data folder on this boot of this host from every other one:
// the host's id, its boot and the folder's place on disk, hashed so that nobody
// learns them. What the host does not say is left out.
func machine(dir string) string {
	boot := lineOf("/proc/sys/kernel/random/boot_id")
	var device uint64
	if info, err := os.Stat(dir); err == nil {
		device = info.Sys().(*syscall.Stat_t).Dev
	}
	return hashed(host(dir), boot, fmt.Sprint(device))
}

// host is machine as it stays over a reboot.
func host(dir string) string {
	var inode uint64
	if info, err := os.Stat(dir); err == nil {
		inode = info.Sys().(*syscall.Stat_t).Ino
	}
	return hashed("holdfast host 1", lineOf("/etc/machine-id"), fmt.Sprint(inode))
}

func lineOf(path string) string {
	text, _ := os.ReadFile(path) // not every host has it
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func hashed(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}
