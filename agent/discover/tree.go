package discover

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Bounds of single reads.
const (
	fileMax  = 256 << 10 // bytes of a configuration or script
	listMax  = 20_000    // entries of a folder
	linksMax = 40
)

// tree is the files below a root. Its paths are those the root's own host would
// use: links are followed as they are meant there.
type tree struct {
	root   string
	mounts mounts
	unread map[string]bool // path of what could not be read → it is a file
}

func openTree(root string) (*tree, error) {
	root, err := filepath.Abs(root)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("root: %s is not a folder", root)
	}
	return &tree{root: root, mounts: readMounts(), unread: map[string]bool{}}, nil
}

// here turns a path of the tree into one of this process.
func (t *tree) here(path string) (string, error) {
	if t.root == "/" {
		return path, nil
	}
	rest, done, links := strings.Split(path, "/"), "/", 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." || part == ".." && done == "/" {
			continue
		}
		next := filepath.Join(done, part) // done has no links: .. is what it says
		to, err := os.Readlink(filepath.Join(t.root, next))
		if err != nil { // no link, or not there
			done = next
			continue
		}
		if links++; links > linksMax {
			return "", fmt.Errorf("%s: too many links", path)
		}
		rest = append(strings.Split(to, "/"), rest...)
		if filepath.IsAbs(to) {
			done = "/"
		}
	}
	return filepath.Join(t.root, done), nil
}

// note keeps that something may not be read, unless it is just not there.
func (t *tree) note(path string, err error, file bool) {
	if errors.Is(err, fs.ErrPermission) {
		t.unread[path] = file
	}
}

// unreadable lists what could not be read, by path: of several files in a folder the
// folder, and nothing of what lies below an unread folder.
func (t *tree) unreadable() []Unread {
	list := []Unread{}
	in := map[string]int{} // folder → files in it that could not be read
	for path, file := range t.unread {
		if file {
			in[filepath.Dir(path)]++
		}
	}
	places := map[string]bool{}
	for path, file := range t.unread {
		if dir := filepath.Dir(path); file && in[dir] > 1 {
			path = dir
		}
		places[path] = true
	}
	for _, path := range slices.Sorted(maps.Keys(places)) {
		if n := len(list); n > 0 && strings.HasPrefix(path, list[n-1].Path+"/") {
			continue
		}
		list = append(list, Unread{Path: path, Why: "permission denied"})
	}
	return list
}

func (t *tree) stat(path string) (fs.FileInfo, error) {
	here, err := t.here(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(here)
	t.note(path, err, false)
	return info, err
}

// isDir and isFile report what there is; what may not be seen is not there.
func (t *tree) isDir(path string) bool {
	info, err := t.stat(path)
	return err == nil && info.IsDir()
}

func (t *tree) isFile(path string) bool {
	info, err := t.stat(path)
	return err == nil && info.Mode().IsRegular()
}

// owner returns who a file belongs to; of one that is not there root.
func (t *tree) owner(path string) uint32 {
	info, err := t.stat(path)
	if err != nil {
		return 0
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Uid
	}
	return 0
}

// readableBy reports whether a user may surely read a file: it is theirs or
// everybody's, and so are the folders on the way. Groups are not asked.
func (t *tree) readableBy(path string, user uint32) bool {
	may := fs.FileMode(0o004)
	for p := t.real(path); ; p, may = filepath.Dir(p), 0o001 {
		info, err := t.stat(p)
		if err != nil {
			return false
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		if !ok || s.Uid != user && info.Mode().Perm()&may == 0 {
			return false
		}
		if p == "/" {
			return true
		}
	}
}

// read returns the beginning of a regular file; nil where there is none.
func (t *tree) read(path string) []byte { return t.readSome(path, fileMax) }

func (t *tree) readSome(path string, limit int64) []byte {
	here, err := t.here(path)
	if err != nil {
		return nil
	}
	f, err := os.OpenFile(here, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0) // a pipe must not hold us
	if err != nil {
		t.note(path, err, true)
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil
	}
	return text
}

// list returns a folder's entries by name; more says that they are not all.
func (t *tree) list(path string) (entries []fs.DirEntry, more bool) {
	here, err := t.here(path)
	if err != nil {
		return nil, false
	}
	f, err := os.OpenFile(here, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.note(path, err, false)
		return nil, false
	}
	defer f.Close()
	entries, err = f.ReadDir(listMax)
	more = err == nil && len(entries) == listMax
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, more
}

// names lists the regular files of a folder, links to such included.
func (t *tree) names(path string) []string {
	entries, _ := t.list(path)
	var list []string
	for _, e := range entries {
		if e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0 && t.isFile(filepath.Join(path, e.Name())) {
			list = append(list, e.Name())
		}
	}
	return list
}

// real returns where a path leads within the tree, links followed, so that one
// thing has one name.
func (t *tree) real(path string) string {
	here, err := t.here(path)
	if err != nil {
		return filepath.Clean(path)
	}
	if t.root == "/" {
		if real, err := filepath.EvalSymlinks(here); err == nil {
			return real
		}
		return filepath.Clean(path)
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(here, t.root), "/")
}
