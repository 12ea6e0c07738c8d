package restic

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// tally counts what a snapshot or a folder holds.
type tally struct {
	files, bytes int64 // regular files; every hard link counts
	folders      int64
	links        int64 // symbolic
	others       int64 // devices, pipes, sockets: without content, not compared
	onceBytes    int64 // of files, a hard link counted once; only known of folders
}

// add counts an entry by the type restic gives it.
func (t *tally) add(kind string, size int64) {
	switch kind {
	case "file":
		t.files, t.bytes = t.files+1, t.bytes+size
	case "dir":
		t.folders++
	case "symlink":
		t.links++
	default:
		t.others++
	}
}

func (t tally) entries() int64 { return t.files + t.folders + t.links + t.others }

// compare holds what was restored against the snapshot, which it reads a second
// time: every file's size and bytes, then the number of files and bytes. It does
// not ask restic to verify its own work: dump reads each chunk through the index,
// decrypts it and checks its SHA-256 against the snapshot's tree, and the
// comparison with the restored file is made here.
func (t test) compare(ctx context.Context, p restoration, target string) error {
	if err := letIn(target); err != nil {
		return probe.Unable("", "read what was restored: %w", err)
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return faulty(holdfast.Empty, "restic ended well and restored nothing")
	}
	defer root.Close()
	if p.sample != nil {
		for _, n := range p.sample {
			err := t.stream(ctx, func(content io.Reader) error { return sameFile(root, n.Path, n.Size, content) }, "dump", "--", p.snapshot.ID, n.Path)
			if err != nil {
				return err
			}
		}
	} else {
		err := t.stream(ctx, func(archive io.Reader) error { return sameTree(root, archive) }, "dump", "--archive=tar", "--", p.snapshot.ID, "/")
		if err != nil {
			return err
		}
	}
	found, err := count(target)
	if err != nil {
		return probe.Unable("", "count what was restored: %w", err)
	}
	if found.files != p.expect.files || found.bytes != p.expect.bytes {
		return faulty(holdfast.Assertion, "%d files with %d bytes were restored, the snapshot lists %d with %d", found.files, found.bytes, p.expect.files, p.expect.bytes)
	}
	if p.sample != nil {
		return nil
	}
	if found.folders != p.expect.folders || found.links != p.expect.links {
		return faulty(holdfast.Assertion, "%d folders and %d links were restored, the snapshot lists %d and %d", found.folders, found.links, p.expect.folders, p.expect.links)
	}
	return t.sameAsStats(ctx, p, found)
}

// sameAsStats compares the numbers with those stats gives, which counts anew.
func (t test) sameAsStats(ctx context.Context, p restoration, found tally) error {
	stats, err := t.stats(ctx, p.snapshot)
	if err != nil {
		return err
	}
	if stats.Entries != p.expect.entries() || stats.Bytes != found.onceBytes {
		return faulty(holdfast.Assertion, "%d bytes were restored of %d entries, stats counts %d bytes in %d", found.onceBytes, p.expect.entries(), stats.Bytes, stats.Entries)
	}
	return nil
}

// sameTree compares every file, folder and link of a tar stream with what is
// under root.
func sameTree(root *os.Root, archive io.Reader) error {
	in := tar.NewReader(archive)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readError(err)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		switch h.Typeflag {
		case tar.TypeReg:
			err = sameFile(root, name, h.Size, in)
		case tar.TypeSymlink:
			if to, e := root.Readlink(name); e != nil || to != h.Linkname {
				err = faulty(holdfast.Assertion, "%.200q is not the link to %.200q that the snapshot holds", name, h.Linkname)
			}
		case tar.TypeDir:
			if info, e := root.Lstat(name); e != nil || !info.IsDir() {
				err = faulty(holdfast.Assertion, "%.200q was not restored as a folder", name)
			}
		}
		if err != nil {
			return err
		}
	}
}

// readError keeps the error of a tool that ended early and names any other.
func readError(err error) error {
	if errors.Is(err, errTool) {
		return err
	}
	return probe.Unable("", "restic dump: %w", err)
}

// sameFile compares one restored file with its content in the snapshot.
func sameFile(root *os.Root, name string, size int64, content io.Reader) error {
	name = path.Clean(strings.TrimPrefix(name, "/"))
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return faulty(holdfast.Assertion, "%.200q was not restored", name)
	case err != nil:
		return probe.Unable("", "read what was restored: %w", err)
	case !info.Mode().IsRegular():
		return faulty(holdfast.Assertion, "%.200q was restored as %v, not as a file", name, info.Mode().Type())
	case info.Size() != size:
		return faulty(holdfast.Assertion, "%.200q was restored with %d bytes, the snapshot has %d", name, info.Size(), size)
	}
	f, err := root.Open(name)
	if err != nil {
		return probe.Unable("", "read what was restored: %w", err)
	}
	defer f.Close()
	return sameBytes(name, f, content, size)
}

// sameBytes compares a restored file with its content, which must be exactly size bytes.
func sameBytes(name string, restored, content io.Reader, size int64) error {
	a, b := make([]byte, 128<<10), make([]byte, 128<<10)
	var at int64
	for {
		n, errA := io.ReadFull(content, a)
		if errors.Is(errA, errTool) {
			return errA
		}
		m, errB := io.ReadFull(restored, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return faulty(holdfast.Assertion, "%.200q differs from the snapshot within 128 KiB of byte %d", name, at)
		}
		at += int64(n)
		endA, endB := ended(errA), ended(errB)
		switch {
		case errA != nil && !endA:
			return readError(errA)
		case errB != nil && !endB:
			return probe.Unable("", "read what was restored: %w", errB)
		case endA != endB || endA && at != size:
			return faulty(holdfast.Assertion, "%.200q has %d bytes in the snapshot's content, %d in its list", name, at, size)
		case endA:
			return nil
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// count counts what lies under a folder, without the folder itself.
func count(dir string) (tally, error) {
	var sum tally
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{} // of files with several links only
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case mode.IsRegular():
			sum.add("file", info.Size())
			st, ok := info.Sys().(*syscall.Stat_t)
			if !ok {
				return fmt.Errorf("%s: no inode", p)
			}
			id := inode{uint64(st.Dev), st.Ino}
			if st.Nlink == 1 || !seen[id] {
				sum.onceBytes += info.Size()
			}
			if st.Nlink > 1 {
				seen[id] = true
			}
		case mode.IsDir():
			sum.add("dir", 0)
		case mode&fs.ModeSymlink != 0:
			sum.add("symlink", 0)
		default:
			sum.add("", 0)
		}
		return nil
	})
	return sum, err
}

// letIn gives this process's user the rights to read and remove what was
// restored: a snapshot may hold folders that nobody but root may enter.
func letIn(dir string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && (d.IsDir() || info.Mode().IsRegular()) {
			return os.Chmod(p, info.Mode().Perm()|0o700)
		}
		return nil
	})
}
