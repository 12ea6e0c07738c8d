package discover

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// database is a database while it is looked for.
type database struct {
	holdfast.FoundDatabase
	archive   string // PostgreSQL: archive_command where archiving is on
	id        fileID // of its folder
	contained bool   // it runs in a container, on a folder of the host
}

// fileID tells a folder from every other of this machine, by whatever path it is
// reached.
type fileID struct{ device, inode uint64 }

func identity(path string) fileID {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{uint64(s.Dev), s.Ino}
}

// add takes a database in. One that is known by its folder, or where none is known
// by its port, is filled in with what is new. Those of restore tests are left out.
func (f *finder) add(d database) {
	if scratch.InWorkspace(d.Path) {
		return // a restore test's, gone with it
	}
	if d.Path != "" && d.Container == "" {
		d.Path = f.real(d.Path)
		if here, err := f.here(d.Path); err == nil {
			d.id = identity(here)
		}
	}
	for i := range f.databases {
		x := &f.databases[i]
		if x.Kind == d.Kind && x.Container != d.Container && x.id == d.id && x.id != (fileID{}) {
			x.outside(&d)
			return
		}
		same := x.Path == d.Path && d.Path != "" || (x.Path == "" || d.Path == "") && x.Port == d.Port && d.Port != 0
		if x.Kind != d.Kind || x.Container != d.Container || !same {
			continue
		}
		fill(&x.Path, d.Path)
		fill(&x.Name, d.Name)
		fill(&x.Version, d.Version)
		fill(&x.Socket, d.Socket)
		fill(&x.Port, d.Port)
		fill(&x.archive, d.archive)
		x.Running = x.Running || d.Running
		return
	}
	if len(f.databases) == holdfast.MaxFound {
		f.limit("more than " + strconv.Itoa(holdfast.MaxFound) + " databases")
		return
	}
	f.databases = append(f.databases, d)
}

// outside joins what was seen of a database in a container and on the host: its
// folder is the host's, and its port only the container knows.
func (x *database) outside(d *database) {
	host, in := x, d
	if x.Container != "" {
		host, in = d, x
	}
	joined := *host
	fill(&joined.Name, "in container "+in.Container)
	fill(&joined.Version, in.Version)
	joined.Running, joined.Port, joined.Socket, joined.contained = true, 0, "", true
	*x = joined
}

func fill[T comparable](to *T, with T) {
	var none T
	if *to == none {
		*to = with
	}
}

const measuredMax = 50_000 // files of one database

// measureDatabases adds up what each database takes on disk.
func (f *finder) measureDatabases(ctx context.Context) {
	for i := range f.databases {
		d := &f.databases[i]
		if d.Container != "" || d.Path == "" || d.Kind == holdfast.SQLite {
			continue
		}
		d.Bytes, d.More = f.size(ctx, d.Path)
	}
}

// size adds up the files below a folder without leaving its file system; more says
// that there are more, or some that may not be seen.
func (f *finder) size(ctx context.Context, path string) (sum holdfast.Bytes, more bool) {
	here, err := f.here(path)
	if err != nil || !f.mounts.local(here) {
		return 0, false
	}
	n := 0
	err = filepath.WalkDir(here, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			more = true
			return nil
		}
		if n++; n > measuredMax || ctx.Err() != nil {
			more = true
			return filepath.SkipAll
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			sum += onDisk(info)
		}
		return nil
	})
	return sum, more || err != nil
}

// words splits the lines of a configuration of NAME = value or NAME value lines;
// comments and quotes go. Names are in lower case, - is _.
func configWords(text []byte) map[string]string {
	words := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if first, rest, spaced := strings.Cut(line, " "); spaced && (!ok || len(first) < len(strings.TrimSpace(name))) {
			name, value = first, rest
		}
		name = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), "-", "_"))
		words[name] = unquote(strings.TrimPrefix(strings.TrimSpace(value), "="))
	}
	return words
}

// unquote takes a value out of its quotes, or cuts its comment off.
func unquote(v string) string {
	v = strings.TrimSpace(v)
	if v != "" && (v[0] == '\'' || v[0] == '"') {
		if end := strings.IndexByte(v[1:], v[0]); end >= 0 {
			return v[1 : 1+end]
		}
	}
	if i := strings.Index(strings.ReplaceAll(v, "\t", " "), " #"); i >= 0 {
		v = v[:i]
	}
	return strings.TrimSpace(v)
}

func number(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 || n > 65535 {
		return 0
	}
	return n
}

// running reports whether a process of that number and program is in the table.
func (f *finder) running(pid int32, names ...string) bool {
	return slices.ContainsFunc(f.processes, func(p process) bool { return p.pid == pid && slices.Contains(names, p.name) })
}
