package discover

import (
	"path/filepath"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// findPostgres finds clusters by their processes and by Debian's configuration;
// the walk finds the others by their folders.
func (f *finder) findPostgres() {
	for _, p := range f.processes {
		if p.name != "postgres" && p.name != "postmaster" || f.running(p.parent, "postgres", "postmaster") {
			continue // the servers' own children
		}
		d := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Path: p.flag("-D"), Port: number(p.flag("-p", "--port")), Running: true, Container: p.container}}
		if d.Path == "" || !filepath.IsAbs(d.Path) {
			d.Path = p.folder // a server works in its data directory
		}
		if file := p.flag("--config-file"); file != "" && d.Container == "" {
			f.postgresConfig(&d, file)
		}
		if d.Container == "" {
			f.postgresFolder(&d)
		}
		fill(&d.Port, 5432)
		p.place(&d)
		f.add(d)
	}
	versions, _ := f.list("/etc/postgresql")
	for _, v := range versions {
		clusters, _ := f.list(filepath.Join("/etc/postgresql", v.Name()))
		for _, c := range clusters {
			file := filepath.Join("/etc/postgresql", v.Name(), c.Name(), "postgresql.conf")
			if !f.isFile(file) {
				continue
			}
			d := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Name: v.Name() + "/" + c.Name(), Version: v.Name()}}
			f.postgresConfig(&d, file)
			fill(&d.Path, filepath.Join("/var/lib/postgresql", v.Name(), c.Name()))
			if f.isDir(d.Path) || !f.seen(d.Path) {
				f.postgresFolder(&d)
				f.add(d)
			}
		}
	}
}

// seen reports whether this process may tell that a path is not there.
func (f *finder) seen(path string) bool {
	for dir := path; ; dir = filepath.Dir(dir) {
		if _, unread := f.unread[dir]; unread {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// postgresConfig reads what a postgresql.conf says.
func (f *finder) postgresConfig(d *database, file string) {
	w := configWords(f.read(file))
	fill(&d.Path, w["data_directory"])
	fill(&d.Port, number(w["port"]))
	fill(&d.Socket, firstOf(w["unix_socket_directories"]))
	if mode := w["archive_mode"]; mode == "on" || mode == "always" {
		fill(&d.archive, w["archive_command"])
	}
}

// postgresFolder reads what a data directory says of its cluster.
func (f *finder) postgresFolder(d *database) {
	dir := d.Path
	fill(&d.Version, strings.TrimSpace(string(f.read(filepath.Join(dir, "PG_VERSION")))))
	for _, file := range []string{"postgresql.auto.conf", "postgresql.conf"} { // the first wins
		f.postgresConfig(d, filepath.Join(dir, file))
	}
	// postmaster.pid: pid, data directory, start, port, socket folder, address, …
	lines := strings.Split(string(f.read(filepath.Join(dir, "postmaster.pid"))), "\n")
	if len(lines) < 5 {
		return
	}
	pid, err := strconv.ParseInt(strings.TrimSpace(lines[0]), 10, 32)
	if err == nil && f.running(int32(pid), "postgres", "postmaster") {
		d.Running = true
		if port := number(lines[3]); port != 0 {
			d.Port = port
		}
	}
	fill(&d.Port, number(lines[3]))
	fill(&d.Socket, strings.TrimSpace(lines[4]))
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}
