package discover

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// copyIn chooses the probes that look at a repository.
func (d *drafter) copyIn(r *Repository, a *Action, kind string) (c plannedCopy, ok bool) {
	family := map[string]string{holdfast.PostgreSQL: "postgres", holdfast.MariaDB: "mariadb", holdfast.SQLite: "sqlite"}[kind]
	folder := []pair{{key: "directory", value: r.Location}}
	if r.Pattern != "" && r.Pattern != unknown {
		folder = append(folder, pair{key: "pattern", value: r.Pattern})
	}
	switch r.Kind {
	case "restic":
		return d.restic(r, a), true
	case "borg":
		return d.borg(r), true
	case "dumps":
		switch {
		case kind == holdfast.PostgreSQL:
			return plannedCopy{name: "dump", probe: "postgres.dump", with: append(slices.Clone(folder), pair{"list_only", "true", true}), intact: "postgres.dump", intactWith: folder, restored: "postgres.restore", restoredWith: folder}, true
		case kind == holdfast.MariaDB:
			return plannedCopy{name: "dump", probe: "mariadb.dump", with: folder, restored: "mariadb.restore", restoredWith: folder}, true
		case family == "sqlite" && a != nil && a.format == "sqlite":
			return plannedCopy{name: "backup", probe: "sqlite.backup", with: folder}, true
		}
		return plannedCopy{name: "dump", probe: "files.archive", with: folder}, true
	case "basebackups":
		return plannedCopy{name: "basebackup", probe: "postgres.basebackup", with: folder}, true
	case "archives":
		return plannedCopy{name: "archive", probe: "files.archive", with: folder, restored: "files.restore", restoredWith: folder}, true
	case "mirror":
		return plannedCopy{name: "mirror", probe: "rsync.tree", with: folder[:1]}, filepath.IsAbs(r.Location)
	case "btrfs":
		return plannedCopy{name: "snapshots", probe: "btrfs.snapshot", with: folder[:1]}, true
	case "rclone":
		with := []pair{{key: "config_file", value: cmp.Or(r.Config, "/root/.config/rclone/rclone.conf")}, {key: "remote", value: r.Location}}
		return plannedCopy{name: "remote", probe: "rclone.remote", with: with}, true
	case "pgbackrest":
		with := pgBackRest(r)
		return plannedCopy{name: "pgbackrest", probe: "pgbackrest.repository", with: with, intact: "pgbackrest.verify", intactWith: with, restored: "pgbackrest.restore", restoredWith: with}, true
	case "barman":
		return plannedCopy{name: "barman", probe: "barman.server", with: []pair{{key: "server", value: r.Stanza}}}, r.Stanza != ""
	}
	return c, false
}

// pgBackRest are the settings that lead to a repository: its configuration, which
// knows how to reach it, or else its folder.
func pgBackRest(r *Repository) []pair {
	with := []pair{{key: "repository", value: r.Location}}
	if r.Config != "" {
		with[0] = pair{key: "config", value: r.Config}
	}
	if r.Number != 0 {
		with = append(with, pair{"repo", strconv.Itoa(r.Number), true})
	}
	return append(with, pair{key: "stanza", value: r.Stanza})
}

func (d *drafter) restic(r *Repository, a *Action) plannedCopy {
	c := plannedCopy{name: "restic", probe: "restic.repository", intact: "restic.check", restored: "restic.restore"}
	password := r.Password
	if password == "" {
		password = "/etc/holdfast/" + nameOf("restic "+path.Base(r.Location)) + ".password"
		c.note = d.ask("the password of "+r.Location+secretAt(r), password)
	}
	location := r.Location
	env := r.Env
	if stripped := withUser.ReplaceAllString(location, "$1"); stripped != location || strings.HasPrefix(location, "s3:") && env == "" {
		location, env = stripped, first(env, "/etc/holdfast/"+nameOf("restic "+path.Base(location))+".env")
		if r.Env == "" {
			c.note = strings.TrimSpace(c.note + " " + d.ask("the storage's credentials for "+location+", lines like AWS_ACCESS_KEY_ID=… or RESTIC_REST_PASSWORD=…", env))
		}
	}
	c.with = []pair{{key: "repository", value: location}, {key: "password_file", value: password}}
	if env != "" {
		c.with = append(c.with, pair{key: "env_file", value: env})
	}
	if a != nil && len(a.Sources) == 1 {
		c.with = append(c.with, pair{key: "path", value: a.Sources[0]})
	}
	c.intactWith, c.restoredWith = append(slices.Clone(c.with), pair{key: "read_data_subset", value: "100%"}), c.with
	return c
}

func (d *drafter) borg(r *Repository) plannedCopy {
	c := plannedCopy{name: "borg", probe: "borg.repository", intact: "borg.check", restored: "borg.restore", with: []pair{{key: "repository", value: r.Location}}}
	password := r.Password
	if password == "" && r.Secret != "" {
		password = "/etc/holdfast/" + nameOf("borg "+path.Base(r.Location)) + ".passphrase"
		c.note = d.ask("the passphrase of "+r.Location+secretAt(r), password)
	}
	if password != "" {
		c.with = append(c.with, pair{key: "passphrase_file", value: password})
	}
	if r.Key != "" {
		c.with = append(c.with, pair{key: "key_file", value: r.Key})
	}
	c.intactWith, c.restoredWith = c.with, c.with
	return c
}

func secretAt(r *Repository) string {
	if r.Secret == "" {
		return ""
	}
	return " (now: " + r.Secret + ")"
}
