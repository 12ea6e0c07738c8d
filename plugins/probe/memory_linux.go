package probe

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// GiveBack returns to the host what only the start of the program needed: unused
// heap, and the pages of the program's own file, most of which are never looked at
// again. The kernel maps those back in from the page cache as they are needed.
// What cannot be given back stays, and harms nobody.
func GiveBack() {
	debug.FreeOSMemory()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	var from, to uintptr
	var clean bool
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		var start, end uintptr
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &start, &end, &mode); n == 3 {
			// Pages that can be written, or were while the program was loaded, differ
			// from the file.
			from, to = start, end
			clean = strings.HasSuffix(line, " "+program) && !strings.Contains(mode, "w")
		}
		if kib, ok := strings.CutPrefix(line, "Anonymous:"); ok && clean && strings.TrimSpace(kib) == "0 kB" {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
