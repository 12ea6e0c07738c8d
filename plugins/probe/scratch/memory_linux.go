package scratch

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Memory reports too little memory for something that needs so much: what the host
// has available without swapping (MemAvailable, proc(5)), or what a control group of
// this process leaves (cgroups(7), versions 1 and 2), whichever is less.
func Memory(need holdfast.Bytes) error {
	free, where, err := available("/proc", "/sys/fs/cgroup")
	switch {
	case err != nil:
		return probe.Unable("", "available memory: %w", err)
	case holdfast.Bytes(free) < need:
		return probe.Unable(holdfast.TooSmall, "%s has %v of memory available, this restore needs %v: see the setting memory", where, holdfast.Bytes(free), need)
	}
	return nil
}

// available returns the bytes this process may still take, and who limits them.
func available(proc, cgroups string) (free int64, where string, err error) {
	meminfo, err := os.ReadFile(filepath.Join(proc, "meminfo"))
	if err != nil {
		return 0, "", err
	}
	_, rest, found := strings.Cut(string(meminfo), "MemAvailable:")
	if _, err := fmt.Sscan(rest, &free); !found || err != nil {
		return 0, "", fmt.Errorf("%s/meminfo does not say MemAvailable", proc)
	}
	free, where = free<<10, "the host"
	groups, err := os.ReadFile(filepath.Join(proc, "self", "cgroup"))
	if err != nil { // a kernel without them
		return free, where, nil
	}
	for line := range strings.Lines(string(groups)) {
		// HIERARCHY:CONTROLLERS:PATH
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		base, files := "", groupFiles{}
		switch {
		case fields[0] == "0":
			base, files = cgroups, groupFiles{"memory.max", "memory.current", "inactive_file "}
		case strings.Contains(","+fields[1]+",", ",memory,"):
			base, files = filepath.Join(cgroups, "memory"), groupFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "}
		default:
			continue
		}
		// Every group above limits too. In a container the path may be one of the
		// host's; then the container's own group is at the base.
		for path := fields[2]; ; path = filepath.Dir(path) {
			if left, limited := files.left(filepath.Join(base, path)); limited && left < free {
				free, where = left, "this process's control group"
			}
			if path == "/" || path == "." {
				break
			}
		}
	}
	return free, where, nil
}

// groupFiles are the names of what a memory group says.
type groupFiles struct{ limit, usage, cache string }

// left is what a group leaves: its limit, less its use, plus what of that is pages of
// files that nobody has used for long and the kernel takes back first.
func (f groupFiles) left(dir string) (bytes int64, limited bool) {
	limit, err := readNumber(filepath.Join(dir, f.limit))
	if err != nil || limit >= math.MaxInt64>>1 { // "max", or the largest there is
		return 0, false
	}
	usage, err := readNumber(filepath.Join(dir, f.usage))
	if err != nil {
		return 0, false
	}
	return max(0, limit-usage+f.inactive(dir)), true
}

func (f groupFiles) inactive(dir string) int64 {
	stat, _ := os.ReadFile(filepath.Join(dir, "memory.stat"))
	for lines := bufio.NewScanner(bytes.NewReader(stat)); lines.Scan(); {
		if number, ok := strings.CutPrefix(lines.Text(), f.cache); ok {
			n, _ := strconv.ParseInt(number, 10, 64)
			return n
		}
	}
	return 0
}

func readNumber(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}
