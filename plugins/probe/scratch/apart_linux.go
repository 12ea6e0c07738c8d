package scratch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Root checks the folder to restore into and returns it without symbolic links: it is
// there, and neither is, holds nor lies in a path it must keep away from, by whatever
// name, link or mount; else the error says refused. Compared are device and inode of
// every folder above both, and where the mount table places both. Of what is not
// there the nearest folder that is counts; what does not answer is compared by name;
// "/" is passed over, for everything lies in it.
func Root(ctx context.Context, dir string, away ...string) (string, error) {
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("setting \"scratch\": %q is not an absolute folder", dir)
	}
	mounts, err := readMounts()
	if err != nil {
		return "", probe.Unable("", "scratch: %w", err)
	}
	here, err := mounts.seek(ctx, dir)
	switch {
	case err != nil:
		return "", probe.Unable(probe.ReasonOf(err), "scratch: %w", err)
	case !here.there:
		return "", probe.Unable("", "scratch: there is no %s", dir)
	case !here.folder:
		return "", probe.Unable("", "scratch: %s is not a folder", here.path)
	}
	away = slices.DeleteFunc(slices.Clone(away), func(p string) bool { return !filepath.IsAbs(p) || filepath.Clean(p) == "/" })
	slices.Sort(away)
	away = slices.Compact(away)
	others := make([]spot, len(away))
	var asked sync.WaitGroup
	for i, path := range away { // at once: of many on one silent mount none answers
		asked.Go(func() {
			var err error
			if others[i], err = mounts.seek(ctx, path); err != nil {
				others[i] = mounts.byName(path)
			}
		})
	}
	asked.Wait()
	if ctx.Err() != nil {
		return "", probe.Unable(probe.ReasonOf(ctx.Err()), "scratch: %w", ctx.Err())
	}
	for i, other := range others {
		if how := here.meets(other); how != "" {
			return "", probe.Unable(holdfast.Refused, "scratch %s %s %s, which a check on this host reads or a database keeps its data in: name another folder in the setting scratch", dir, how, away[i])
		}
	}
	return here.path, nil
}

// answerWithin is how long a path may take to be looked up.
const answerWithin = 5 * time.Second

// spot is a path as this host knows it.
type spot struct {
	path   string // without symbolic links; of what is not there the nearest folder above that is
	there  bool
	folder bool
	chain  []inode // of path and every folder above it, nearest first
	source string  // where its file system keeps it, as DEVICE:PATH
}

type inode struct{ dev, ino uint64 }

// meets says how a folder that is there touches another path; "" where it does not.
func (s spot) meets(other spot) string {
	switch {
	case other.there && (len(other.chain) > 0 && slices.Contains(s.chain, other.chain[0]) || within(s.path, other.path) || within(s.source, other.source)):
		return "lies in"
	case slices.Contains(other.chain, s.chain[0]), within(other.path, s.path), within(other.source, s.source):
		return "holds"
	}
	return ""
}

// within reports whether a path is another one or lies below it.
func within(path, other string) bool {
	return path == other || strings.HasPrefix(path, strings.TrimSuffix(other, "/")+"/")
}

// seek looks a path up, for as long as a path may take: a file system that is gone may
// keep the kernel, and nobody can cancel that.
func (m mounts) seek(ctx context.Context, path string) (spot, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var held probe.Held[spot]
	return held.Do(ctx, path, func() (spot, error) { return m.look(path) })
}

// look looks a path up.
func (m mounts) look(path string) (spot, error) {
	s := spot{there: true}
	for near := filepath.Clean(path); ; near = filepath.Dir(near) {
		real, err := filepath.EvalSymlinks(near)
		if err == nil {
			s.path = real
			break
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) || near == "/" {
			return s, err
		}
		s.there = false
	}
	for at := s.path; ; at = filepath.Dir(at) {
		var st unix.Stat_t
		if err := unix.Stat(at, &st); err != nil {
			return s, fmt.Errorf("stat %s: %w", at, err)
		}
		if len(s.chain) == 0 {
			s.folder = st.Mode&unix.S_IFMT == unix.S_IFDIR
		}
		s.chain = append(s.chain, inode{uint64(st.Dev), st.Ino})
		if at == "/" {
			break
		}
	}
	s.source = m.source(s.path)
	return s, nil
}

// byName is what can be said of a path without asking its file system.
func (m mounts) byName(path string) spot {
	path = filepath.Clean(path)
	return spot{path: path, there: true, source: m.source(path)}
}

// mounts is the mount table of this process, in the order of mounting.
type mounts []mount

type mount struct{ device, root, point string }

// readMounts reads the mount table (proc_pid_mountinfo(5)), which asks no file system.
func readMounts() (mounts, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var all mounts
	for line := range strings.Lines(string(text)) {
		// ID PARENT MAJOR:MINOR ROOT POINT …
		if f := strings.Fields(line); len(f) > 5 {
			all = append(all, mount{f[2], unescape.Replace(f[3]), unescape.Replace(f[4])})
		}
	}
	return all, nil
}

// unescape reads what the mount table writes in place of white space and backslash.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// source says where the file system of a path keeps it: a folder that is mounted a
// second time elsewhere has the same source.
func (m mounts) source(path string) string {
	var best mount
	for _, one := range m {
		if within(path, one.point) && len(one.point) >= len(best.point) {
			best = one
		}
	}
	return best.device + ":" + filepath.Join(best.root, strings.TrimPrefix(path, best.point))
}
