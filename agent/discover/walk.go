package discover

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// folder is a folder that may hold data of its own: its size is added up while
// walking.
type folder struct {
	path  string
	bytes holdfast.Bytes
	more  bool
}

// notData are folders at the root that hold the system, not data.
var notData = []string{"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "proc", "run", "sbin", "sys", "tmp", "usr", "var", "snap", "swap", "nix"}

// systemState are folders of /var/lib that come back with the packages.
var systemState = []string{"apt", "dpkg", "containerd", "snapd", "flatpak", "systemd", "mlocate", "plocate", "PackageKit", "rpm", "dnf", "yum", "pacman", "command-not-found",
	"fwupd", "man-db", "polkit-1", "swcatalog", "app-info", "ucf", "holdfast"}

// passed are folders a walk leaves out wherever they are: they hold what is made
// from elsewhere.
var passed = []string{"node_modules", "__pycache__", "site-packages", "lost+found"}

// parents are folders each of whose folders may be data of its own.
var parents = []string{"/srv", "/home", "/var/www", "/mnt", "/media", "/opt", "/data", "/var/lib", "/var/lib/docker", "/var/lib/docker/volumes", "/var/lib/containers", "/var/lib/containers/storage", "/var/lib/containers/storage/volumes"}

// step is a folder to look into.
type step struct {
	path  string
	depth int
	of    *folder // its size counts there; nil: nowhere
}

// walk looks through the folders in which people keep data, the upper ones first,
// so that what a bound cuts off lies deep.
func (f *finder) walk(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, f.Within)
	defer cancel()
	var queue []step
	top, _ := f.list("/")
	for _, e := range top {
		if e.IsDir() && !slices.Contains(notData, e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			s := step{path: "/" + e.Name(), depth: 1}
			if !slices.Contains(parents, s.path) && s.path != "/root" {
				s.of = f.newFolder(s.path)
			}
			queue = append(queue, s)
		}
	}
	for _, p := range []string{"/var/lib", "/var/backups", "/var/www", "/var/local", "/usr/local"} {
		queue = append(queue, step{path: p, depth: 2})
	}
	seen := 0
	for ; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if ctx.Err() != nil || seen > f.Files {
			f.limit("not every folder was walked through: " + strconv.Itoa(seen) + " files and folders were looked at, " + strconv.Itoa(len(queue)) + " folders were left")
			for _, rest := range queue {
				if rest.of != nil {
					rest.of.more = true
				}
			}
			return
		}
		here, err := f.here(s.path)
		if err != nil || !f.mounts.local(here) {
			continue
		}
		n, below := f.visit(s)
		if seen += n; seen/20_000 != (seen-n)/20_000 {
			f.Tell(holdfast.Phase{Name: "folders: " + strconv.Itoa(seen) + " files seen"})
		}
		queue = append(queue, below...)
	}
}

// visit looks at a folder and returns how much there was to see and the folders to
// look into after it.
func (f *finder) visit(s step) (n int, below []step) {
	entries, more := f.list(s.path)
	if s.of != nil && more {
		s.of.more = true
	}
	if f.recognise(s.path, entries) {
		return len(entries), nil
	}
	var dumps []fs.DirEntry
	subvolumes := 0
	for _, e := range entries {
		p := filepath.Join(s.path, e.Name())
		switch {
		case e.IsDir():
			if slices.Contains(passed, e.Name()) || strings.HasPrefix(e.Name(), ".") && e.Name() != ".snapshots" || s.depth >= f.Depth || system(p) || scratch.InWorkspace(p) {
				continue
			}
			if f.isSnapshot(p, e) {
				subvolumes++
				continue
			}
			below = append(below, step{path: p, depth: s.depth + 1, of: f.folderOf(s, p)})
		case e.Type().IsRegular():
			info, err := e.Info()
			if err != nil {
				continue
			}
			if s.of != nil {
				s.of.bytes += onDisk(info)
			}
			if dumpName.MatchString(e.Name()) && info.Size() > 0 {
				dumps = append(dumps, e)
			}
			f.sqlite(p, info)
		}
	}
	f.dumpFolder(s.path, dumps)
	if subvolumes > 0 {
		f.addRepository(Repository{Kind: "btrfs", Location: s.path, Named: []string{"folder"}})
	}
	return len(entries), below
}

// system reports whether a folder holds what comes back with the packages, or the
// layers of containers; their volumes are data.
func system(p string) bool {
	switch dir, name := filepath.Split(p); dir {
	case "/var/lib/":
		return slices.Contains(systemState, name)
	case "/var/lib/docker/", "/var/lib/containers/storage/":
		return name != "volumes"
	case "/var/lib/containers/":
		return name != "storage"
	}
	return false
}

// folderOf is the folder a path's size counts for.
func (f *finder) folderOf(s step, p string) *folder {
	if slices.Contains(parents, s.path) && !slices.Contains(parents, p) {
		return f.newFolder(p)
	}
	return s.of
}

func (f *finder) newFolder(p string) *folder {
	x := &folder{path: p}
	f.folders = append(f.folders, x)
	return x
}

// onDisk is what a file takes, holes left out.
func onDisk(info fs.FileInfo) holdfast.Bytes {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return holdfast.Bytes(min(s.Blocks*512, info.Size()))
	}
	return holdfast.Bytes(info.Size())
}

// recognise takes in a folder that is a repository or a database; it is not looked
// into further.
func (f *finder) recognise(dir string, entries []fs.DirEntry) bool {
	has := func(names ...string) bool {
		for _, name := range names {
			if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name }) {
				return false
			}
		}
		return true
	}
	switch {
	case has("config", "data", "index", "keys", "snapshots"):
		f.addRepository(Repository{Kind: "restic", Location: dir, Named: []string{"folder"}})
	case has("config", "data") && bytes.HasPrefix(f.readSome(filepath.Join(dir, "config"), 64), []byte("[repository]")):
		f.addRepository(Repository{Kind: "borg", Location: dir, Named: []string{"folder"}})
	case has("archive", "backup") && f.stanzas(dir):
	case has("PG_VERSION", "global", "base"):
		d := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Path: dir}}
		if f.inRepository(dir) {
			return true
		}
		f.postgresFolder(&d)
		f.add(d)
	case has("ibdata1") && (has("mysql") || has("mysql.ibd")):
		if !f.inRepository(dir) {
			d := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.MariaDB, Path: dir}}
			f.mariadbFolder(&d, f.mariadbConfig())
			f.add(d)
		}
	case (has("appendonlydir") || has("dump.rdb")) && f.isRedis(dir, "") && !f.inRepository(dir):
		f.add(database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.Redis, Path: dir}})
	default:
		return false
	}
	return true
}

// stanzas takes in a pgBackRest repository, a stanza at a time.
func (f *finder) stanzas(dir string) (any bool) {
	entries, _ := f.list(filepath.Join(dir, "backup"))
	for _, e := range entries {
		if f.isFile(filepath.Join(dir, "backup", e.Name(), "backup.info")) {
			f.addRepository(Repository{Kind: "pgbackrest", Location: dir, Stanza: e.Name(), Named: []string{"folder"}})
			any = true
		}
	}
	return any
}

// inRepository reports whether a path lies in a place that holds copies: what is
// there is a copy itself.
func (f *finder) inRepository(p string) bool {
	return slices.ContainsFunc(f.repos, func(r Repository) bool {
		return filepath.IsAbs(r.Location) && under(p, r.Location) && r.Kind != "rclone"
	})
}

// under reports whether a path is another or lies below it.
func under(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

const sqliteMin = 1 << 20 // bytes; smaller ones are settings and caches

var sqliteName = regexp.MustCompile(`(?i)\.(db|db3|sqlite|sqlite3|s3db)$`)

// sqlite takes a file in that is a SQLite database, by its first bytes.
func (f *finder) sqlite(p string, info fs.FileInfo) {
	if info.Size() < sqliteMin || !sqliteName.MatchString(p) || f.inRepository(p) {
		return
	}
	if string(f.readSome(p, 16)) == "SQLite format 3\x00" {
		f.add(database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.SQLite, Name: filepath.Base(p), Path: p, Bytes: onDisk(info)}})
	}
}

var dumpName = regexp.MustCompile(`(?i)\.(sql|dump|pgdump|pgd|dmp)(\.(gz|bz2|xz|zst|lz4))?$`)

// dumpFolder takes a folder in that holds dumps of databases, if its newest can be
// told for one.
func (f *finder) dumpFolder(dir string, dumps []fs.DirEntry) {
	if len(dumps) == 0 {
		return
	}
	newest := slices.MaxFunc(dumps, func(a, b fs.DirEntry) int {
		x, errA := a.Info()
		y, errB := b.Info()
		if errA != nil || errB != nil {
			return 0
		}
		return x.ModTime().Compare(y.ModTime())
	})
	kind := f.dumpKind(filepath.Join(dir, newest.Name()))
	if kind == "" {
		return
	}
	pattern := generalise(newest.Name())
	if slices.ContainsFunc(dumps, func(e fs.DirEntry) bool { ok, _ := path.Match(pattern, e.Name()); return !ok }) {
		pattern = unknown + newest.Name()[strings.Index(newest.Name(), "."):]
		pattern = several.ReplaceAllString(dated.ReplaceAllString(pattern, unknown), unknown)
	}
	f.addRepository(Repository{Kind: "dumps", Location: dir, Of: []string{kind}, Pattern: pattern, Named: []string{"folder"}})
}

// dumpKind tells by its first bytes which kind of database a dump is of.
func (f *finder) dumpKind(file string) string {
	head := f.readSome(file, 4096)
	if z, err := gzip.NewReader(bytes.NewReader(head)); err == nil {
		head, _ = io.ReadAll(io.LimitReader(z, 1024)) // what is cut off is no error here
	}
	switch {
	case bytes.HasPrefix(head, []byte("PGDMP")), bytes.Contains(head, []byte("PostgreSQL database")):
		return holdfast.PostgreSQL
	case bytes.Contains(head, []byte("MariaDB dump")), bytes.Contains(head, []byte("MySQL dump")):
		return holdfast.MariaDB
	}
	return ""
}
