package discover

import (
	"path/filepath"
	"regexp"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// findMariaDB finds servers of MariaDB and MySQL by their processes and their
// configuration.
func (f *finder) findMariaDB() {
	set := f.mariadbConfig()
	for _, p := range f.processes {
		if p.name != "mariadbd" && p.name != "mysqld" {
			continue
		}
		d := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.MariaDB, Path: p.flag("--datadir", "-h"), Port: number(p.flag("--port", "-P")),
			Socket: p.flag("--socket"), Running: true, Container: p.container}}
		if d.Container == "" {
			fill(&d.Path, p.folder) // a server works in its data directory
			f.mariadbFolder(&d, set)
		} else {
			fill(&d.Path, "/var/lib/mysql")
		}
		p.place(&d)
		f.add(d)
	}
	dir := set["datadir"]
	fill(&dir, "/var/lib/mysql")
	if f.isMariaDB(dir) || !f.seen(dir) {
		d := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.MariaDB, Path: strings.TrimSuffix(dir, "/")}}
		f.mariadbFolder(&d, set)
		f.add(d)
	}
}

// isMariaDB reports whether a folder is the data directory of a server.
func (f *finder) isMariaDB(dir string) bool {
	return f.isFile(filepath.Join(dir, "ibdata1")) && (f.isDir(filepath.Join(dir, "mysql")) || f.isFile(filepath.Join(dir, "mysql.ibd")))
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// mariadbFolder fills in what a data directory says of its server, and what the
// configuration does where that directory is meant.
func (f *finder) mariadbFolder(d *database, set map[string]string) {
	for _, file := range []string{"mariadb_upgrade_info", "mysql_upgrade_info"} {
		fill(&d.Version, versionNumber.FindString(string(f.read(filepath.Join(d.Path, file)))))
	}
	if own := set["datadir"]; own == "" && d.Path == "/var/lib/mysql" || own != "" && f.real(own) == f.real(d.Path) {
		fill(&d.Port, number(set["port"]))
		fill(&d.Socket, set["socket"])
		fill(&d.Port, 3306)
	}
}

// mariadbConfig reads the servers' sections of the usual configuration.
func (f *finder) mariadbConfig() map[string]string {
	files := []string{"/etc/my.cnf", "/etc/mysql/my.cnf"}
	for _, dir := range []string{"/etc/my.cnf.d", "/etc/mysql/conf.d", "/etc/mysql/mysql.conf.d", "/etc/mysql/mariadb.conf.d"} {
		for _, name := range f.names(dir) {
			if strings.HasSuffix(name, ".cnf") {
				files = append(files, filepath.Join(dir, name))
			}
		}
	}
	set := map[string]string{}
	for _, file := range files {
		for section, lines := range sections(f.read(file)) {
			if section == "mysqld" || section == "mariadbd" || section == "server" || section == "mariadb" {
				for name, value := range configWords([]byte(lines)) {
					set[name] = value
				}
			}
		}
	}
	return set
}

// sections splits an INI file into the lines of each section.
func sections(text []byte) map[string]string {
	all := map[string]string{}
	section := ""
	for line := range strings.Lines(string(text)) {
		if s := strings.TrimSpace(line); strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
			section = s[1 : len(s)-1]
			continue
		}
		all[section] += line
	}
	return all
}
