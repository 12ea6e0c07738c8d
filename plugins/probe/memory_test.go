package probe_test

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// TestGiveBack says that memory is given back and the program goes on.
func TestGiveBack(t *testing.T) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	size := len(program) / 1024
	program = nil
	runtime.GC()
	before := resident(t)
	probe.GiveBack()
	if after := resident(t); after > before-size/3 {
		t.Errorf("resident set went from %d to %d KiB, the program has %d KiB; want a third of it less", before, after, size)
	}
}

func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	kib, err := strconv.Atoi(string(regexp.MustCompile(`(?m)^Rss:\s+(\d+) kB`).FindSubmatch(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}
