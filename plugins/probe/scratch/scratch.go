// Package scratch is where restore tests restore to: a folder of one test's own
// that is gone afterwards however the test ends, room checked before and watched
// while it runs, and the comparison of what was restored with the backup.
package scratch

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Root checks the folder to restore into and returns it without symbolic links: it
// is there, and neither is, holds nor lies in a folder it must keep away from,
// compared by device and inode. Folders that are not there are passed over.
func Root(dir string, away ...string) (string, error) {
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("setting \"scratch\": %q is not an absolute folder", dir)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", probe.Unable("", "scratch: %w", err)
	}
	if info, err := os.Stat(real); err != nil || !info.IsDir() {
		return "", probe.Unable("", "scratch: %s is not a folder", real)
	}
	for _, other := range away {
		realOther, err := filepath.EvalSymlinks(other)
		if err != nil {
			continue
		}
		switch {
		case within(real, realOther):
			return "", fmt.Errorf("setting \"scratch\": %s lies in %s", dir, other)
		case within(realOther, real):
			return "", fmt.Errorf("setting \"scratch\": %s holds %s", dir, other)
		}
	}
	return real, nil
}

// within reports whether a folder is another one or lies in it, by whatever name.
func within(dir, other string) bool {
	it, err := os.Stat(other)
	if err != nil {
		return false
	}
	for {
		if info, err := os.Stat(dir); err == nil && os.SameFile(info, it) {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return false
		}
		dir = up
	}
}
