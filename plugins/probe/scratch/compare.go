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

// ErrTool ends a stream whose tool has failed: the tool's own error says why.
var ErrTool = errors.New("the tool ended early")

// SameTree compares every file, folder and link, symbolic or hard, of a tar stream
// with what is under root.
func SameTree(root *os.Root, archive io.Reader) error {
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
			err = SameFile(root, name, h.Size, in)
		case tar.TypeLink:
			err = sameInode(root, name, path.Clean(strings.TrimPrefix(h.Linkname, "/")))
		case tar.TypeSymlink:
			if to, e := root.Readlink(name); e != nil || to != h.Linkname {
				err = probe.Faulty(holdfast.Assertion, "%.200q is not the link to %.200q that the backup holds", name, h.Linkname)
			}
		case tar.TypeDir:
			if info, e := root.Lstat(name); e != nil || !info.IsDir() {
				err = probe.Faulty(holdfast.Assertion, "%.200q was not restored as a folder", name)
			}
		}
		if err != nil {
			return err
		}
	}
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

// SameFile compares one restored file with its content in the backup.
func SameFile(root *os.Root, name string, size int64, content io.Reader) error {
	name = path.Clean(strings.TrimPrefix(name, "/"))
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
