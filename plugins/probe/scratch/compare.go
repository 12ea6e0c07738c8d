package scratch

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Comparison holds what was restored against the backup, which is read a second time.
type Comparison struct {
	root      *os.Root
	dir       string
	tolerated *Tolerated
	passed    []entry
}

// entry is one of the backup, by its name below the restored folder.
type entry struct {
	name string
	kind string // as Tally.Add takes it
	size int64
	link bool // to a file that is there under another name, too
}

// Compare begins a comparison of what was restored into a folder, of which what
// differs and is tolerated does not count. The caller closes it. The fault says
// empty where there is no such folder.
func Compare(dir string, tolerated *Tolerated) (*Comparison, error) {
	err := LetIn(dir)
	if err == nil {
		var root *os.Root
		if root, err = os.OpenRoot(dir); err == nil {
			return &Comparison{root: root, dir: dir, tolerated: tolerated}, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, probe.Faulty(holdfast.Empty, "the restore ended well and restored nothing")
	}
	return nil, probe.Unable("", "read what was restored: %w", err)
}

// Close ends the comparison.
func (c *Comparison) Close() error { return c.root.Close() }

// Exists reports whether anything restored matches a pattern, as a shell would.
func (c *Comparison) Exists(pattern string) bool {
	found, err := fs.Glob(c.root.FS(), path.Clean(pattern))
	return err == nil && len(found) > 0
}

// Tree compares every file, folder and link, symbolic or hard, of a tar stream.
func (c *Comparison) Tree(archive io.Reader) error {
	in := tar.NewReader(archive)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readError(err)
		}
		e := entry{name: path.Clean(strings.TrimPrefix(h.Name, "/")), size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
			e.kind = "file"
			err = sameFile(c.root, e.name, h.Size, in)
		case tar.TypeLink:
			of := path.Clean(strings.TrimPrefix(h.Linkname, "/"))
			if info, err := c.root.Lstat(of); err == nil {
				e.size = info.Size()
			}
			e.kind, e.link = "file", true
			err = sameInode(c.root, e.name, of)
		case tar.TypeSymlink:
			e.kind = "symlink"
			if to, e2 := c.root.Readlink(e.name); e2 != nil || to != h.Linkname {
				err = probe.Faulty(holdfast.Assertion, "%.200q is not the link to %.200q that the backup holds", e.name, h.Linkname)
			}
		case tar.TypeDir:
			e.kind = "dir"
			if info, e2 := c.root.Lstat(e.name); e2 != nil || !info.IsDir() {
				err = probe.Faulty(holdfast.Assertion, "%.200q was not restored as a folder", e.name)
			}
		}
		if err := c.judge(e, err); err != nil {
			return err
		}
	}
}

// File compares one file with its content in the backup.
func (c *Comparison) File(name string, size int64, content io.Reader) error {
	name = path.Clean(strings.TrimPrefix(name, "/"))
	return c.judge(entry{name: name, kind: "file", size: size}, sameFile(c.root, name, size, content))
}

// judge lets a difference pass that is tolerated.
func (c *Comparison) judge(e entry, err error) error {
	if !probe.IsFault(err, holdfast.Assertion) || !c.tolerated.Passes(err.Error()) {
		return err
	}
	c.passed = append(c.passed, e)
	return nil
}

// Found counts what was restored: every entry that was let pass as the backup has it,
// so that the count must be the backup's.
func (c *Comparison) Found() (Tally, error) {
	found, err := Count(c.dir)
	if err != nil {
		return found, probe.Unable("", "count what was restored: %w", err)
	}
	for _, e := range c.passed {
		if info, err := c.root.Lstat(e.name); err == nil {
			found.put(kindOf(info.Mode()), info.Size(), e.link, -1)
		}
		found.put(e.kind, e.size, e.link, +1)
	}
	return found, nil
}

// Less returns a tally of the backup without what was let pass: what was really
// restored.
func (c *Comparison) Less(backup Tally) Tally {
	for _, e := range c.passed {
		backup.put(e.kind, e.size, e.link, -1)
	}
	return backup
}

// sameInode tells whether a hard link was restored as one: the file it is of was
// compared before.
func sameInode(root *os.Root, name, of string) error {
	a, errA := root.Lstat(name)
	b, errB := root.Lstat(of)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		return probe.Faulty(holdfast.Assertion, "%.200q is not the hard link to %.200q that the backup holds", name, of)
	}
	return nil
}

// readError keeps the error of a tool that ended early and names any other.
func readError(err error) error {
	if errors.Is(err, ErrTool) {
		return err
	}
	return probe.Unable("", "read the backup: %w", err)
}

// sameFile compares one restored file with its content in the backup.
func sameFile(root *os.Root, name string, size int64, content io.Reader) error {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return probe.Faulty(holdfast.Assertion, "%.200q was not restored", name)
	case err != nil:
		return probe.Unable("", "read what was restored: %w", err)
	case !info.Mode().IsRegular():
		return probe.Faulty(holdfast.Assertion, "%.200q was restored as %v, not as a file", name, info.Mode().Type())
	case info.Size() != size:
		return probe.Faulty(holdfast.Assertion, "%.200q was restored with %d bytes, the backup has %d", name, info.Size(), size)
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
		if errors.Is(errA, ErrTool) {
			return errA
		}
		m, errB := io.ReadFull(restored, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return probe.Faulty(holdfast.Assertion, "%.200q differs from the backup within 128 KiB of byte %d", name, at)
		}
		at += int64(n)
		endA, endB := ended(errA), ended(errB)
		switch {
		case errA != nil && !endA:
			return readError(errA)
		case errB != nil && !endB:
			return probe.Unable("", "read what was restored: %w", errB)
		case endA != endB || endA && at != size:
			return probe.Faulty(holdfast.Assertion, "%.200q has %d bytes in the backup's content, %d in its list", name, at, size)
		case endA:
			return nil
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
