package scratch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Tally counts what a backup or a folder holds.
type Tally struct {
	Files, Bytes int64 // regular files; every hard link counts
	Folders      int64
	Links        int64 // symbolic
	Others       int64 // devices, pipes, sockets: without content, not compared
	OnceBytes    int64 // of files, a hard link counted once; only known of folders
}

// Add counts an entry by its type: file, dir, symlink, or anything else.
func (t *Tally) Add(kind string, size int64) {
	switch kind {
	case "file":
		t.Files, t.Bytes = t.Files+1, t.Bytes+size
	case "dir":
		t.Folders++
	case "symlink":
		t.Links++
	default:
		t.Others++
	}
}

// put adds an entry with its bytes once, n times; a further link to a file adds none.
func (t *Tally) put(kind string, size int64, link bool, n int64) {
	var one Tally
	one.Add(kind, size)
	if !link {
		one.OnceBytes = one.Bytes
	}
	t.Files += n * one.Files
	t.Bytes += n * one.Bytes
	t.Folders += n * one.Folders
	t.Links += n * one.Links
	t.Others += n * one.Others
	t.OnceBytes += n * one.OnceBytes
}

// kindOf names a type as Add takes it.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "file"
	case mode.IsDir():
		return "dir"
	case mode&fs.ModeSymlink != 0:
		return "symlink"
	}
	return ""
}

// Entries is how many there are of every type.
func (t Tally) Entries() int64 { return t.Files + t.Folders + t.Links + t.Others }

// Count counts what lies under a folder, without the folder itself.
func Count(dir string) (Tally, error) {
	var sum Tally
	seen := map[inode]bool{} // of files with several links only
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		kind := kindOf(info.Mode())
		sum.Add(kind, info.Size())
		if kind != "file" {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("%s: no inode", p)
		}
		id := inode{uint64(st.Dev), st.Ino}
		if st.Nlink == 1 || !seen[id] {
			sum.OnceBytes += info.Size()
		}
		if st.Nlink > 1 {
			seen[id] = true
		}
		return nil
	})
	return sum, err
}

// LetIn gives this process's user the rights to read and remove what was
// restored: a snapshot may hold folders that nobody but root may enter.
func LetIn(dir string) error {
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
