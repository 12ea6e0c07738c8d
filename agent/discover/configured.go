package discover

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// findConfigured finds databases by processes and configurations, and the
// repositories that tools' own configurations name.
func (f *finder) findConfigured() {
	f.findPostgres()
	f.findMariaDB()
	f.findRedis()
	f.findPgBackRest()
	f.findBarman()
	f.findRclone()
}

// findPgBackRest reads its configuration: repo1-path in [global], pg1-path in a
// stanza's section.
func (f *finder) findPgBackRest() {
	for _, file := range []string{"/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"} {
		all := sections(f.read(file))
		global := configWords([]byte(all["global"]))
		for _, name := range sortedNames(all) {
			w := configWords([]byte(all[name]))
			if strings.HasPrefix(name, "global") || name == "" {
				continue
			}
			for n := 1; n <= 8; n++ {
				repo := fmt.Sprintf("repo%d_", n)
				place := first(global[repo+"path"], w[repo+"path"])
				if place == "" && n == 1 {
					place = "/var/lib/pgbackrest"
				}
				if place == "" {
					break
				}
				r := Repository{Kind: "pgbackrest", Location: place, Host: global[repo+"host"], Stanza: name, Config: file, Named: []string{file}, data: w["pg1_path"]}
				if n > 1 {
					r.Number = n
				}
				if bucket := global[repo+"s3_bucket"]; bucket != "" {
					r.Location, r.Host = "s3://"+bucket+place, first(global[repo+"s3_endpoint"], "s3")
				}
				if w["pg1_host"] != "" {
					r.data = "" // another host's
				}
				f.addRepository(r)
			}
		}
	}
}

// findBarman reads its servers.
func (f *finder) findBarman() {
	files := []string{"/etc/barman.conf"}
	for _, name := range f.names("/etc/barman.d") {
		if strings.HasSuffix(name, ".conf") {
			files = append(files, filepath.Join("/etc/barman.d", name))
		}
	}
	home := "/var/lib/barman"
	for _, file := range files {
		all := sections(f.read(file))
		if h := configWords([]byte(all["barman"]))["barman_home"]; h != "" {
			home = h
		}
		for _, name := range sortedNames(all) {
			if name == "" || name == "barman" {
				continue
			}
			w := configWords([]byte(all[name]))
			place := first(w["backup_directory"], filepath.Join(home, name))
			f.addRepository(Repository{Kind: "barman", Location: place, Stanza: name, Config: file, Named: []string{file}})
		}
	}
}

// findRclone lists the remotes of rclone's configurations, by name alone.
func (f *finder) findRclone() {
	files := []string{"/etc/rclone.conf", "/etc/rclone/rclone.conf", "/root/.config/rclone/rclone.conf"}
	homes, _ := f.list("/home")
	for _, h := range homes {
		files = append(files, filepath.Join("/home", h.Name(), ".config/rclone/rclone.conf"))
	}
	for _, file := range files {
		all := sections(f.read(file))
		for _, name := range sortedNames(all) {
			if name != "" {
				f.addRepository(Repository{Kind: "rclone", Location: plain(name) + ":", Host: "remote of type " + plain(configWords([]byte(all[name]))["type"]), Config: file, Named: []string{file}})
			}
		}
	}
}

func sortedNames(all map[string]string) []string {
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// borgmatic is what is read of its configuration, in its present and its former
// form.
type borgmatic struct {
	Sources      []string `yaml:"source_directories"`
	Repositories []any    `yaml:"repositories"`
	Passcommand  string   `yaml:"encryption_passcommand"`
	Passphrase   string   `yaml:"encryption_passphrase"`
	PostgreSQL   []any    `yaml:"postgresql_databases"`
	MariaDB      []any    `yaml:"mariadb_databases"`
	MySQL        []any    `yaml:"mysql_databases"`
	SQLite       []struct {
		Path string `yaml:"path"`
	} `yaml:"sqlite_databases"`
	Location *borgmatic `yaml:"location"`
	Storage  *borgmatic `yaml:"storage"`
	Hooks    *borgmatic `yaml:"hooks"`
}

// borgmaticCall reads the configurations that borgmatic runs. Of several the first
// that names a repository counts.
func borgmaticCall(c call) (Action, bool) {
	g := mixed(c.args, "cv", "--config", "--verbosity", "--syslog-verbosity", "--log-file")
	files := []string{g.get("-c", "--config"), "/etc/borgmatic/config.yaml"}
	for _, name := range c.f.names("/etc/borgmatic.d") {
		files = append(files, filepath.Join("/etc/borgmatic.d", name))
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		var b borgmatic
		if yaml.Unmarshal(c.read(file), &b) != nil {
			continue
		}
		b.flatten()
		if len(b.Repositories) == 0 {
			continue
		}
		a := Action{Saves: true, kind: "borg", Target: pathOf(b.Repositories[0]), Sources: absolutes(b.Sources), password: fileOfCommand(b.Passcommand), config: file}
		if b.Passphrase != "" {
			a.secret = "encryption_passphrase in " + file
		}
		switch {
		case len(b.PostgreSQL) > 0:
			a.Database = holdfast.PostgreSQL
		case len(b.MariaDB)+len(b.MySQL) > 0:
			a.Database = holdfast.MariaDB
		}
		for _, s := range b.SQLite {
			a.Sources = append(a.Sources, absolutes([]string{s.Path})...)
		}
		return a, true
	}
	return Action{Saves: true, kind: "borg"}, true
}

// flatten takes the former sections up.
func (b *borgmatic) flatten() {
	for _, s := range []*borgmatic{b.Location, b.Storage, b.Hooks} {
		if s == nil {
			continue
		}
		b.Sources, b.Repositories = append(b.Sources, s.Sources...), append(b.Repositories, s.Repositories...)
		fill(&b.Passcommand, s.Passcommand)
		fill(&b.Passphrase, s.Passphrase)
		b.PostgreSQL, b.MariaDB, b.MySQL, b.SQLite = append(b.PostgreSQL, s.PostgreSQL...), append(b.MariaDB, s.MariaDB...), append(b.MySQL, s.MySQL...), append(b.SQLite, s.SQLite...)
	}
}

// pathOf is a repository written as its path or as {path: …}.
func pathOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		path, _ := v["path"].(string)
		return path
	}
	return ""
}
