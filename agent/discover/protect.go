package discover

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	seenMax  = 4   // backups of one database that are listed
	seenText = 300 // bytes of one
)

// defaultPorts are those a client asks that was told none.
var defaultPorts = map[string]int{holdfast.PostgreSQL: 5432, holdfast.MariaDB: 3306, holdfast.Redis: 6379}

// protect says of each database which backups of it were seen, and lists what has
// none.
func (f *finder) protect(r *Report) {
	slices.SortFunc(f.databases, func(a, b database) int { return strings.Compare(a.Key(), b.Key()) })
	r.saved, r.held = map[string][]*Action{}, map[string][]string{}
	for i := range f.databases {
		d := &f.databases[i]
		d.Seen = f.backups(d, r)
		r.Databases = append(r.Databases, d.FoundDatabase)
		if len(d.Seen) == 0 {
			r.Unprotected = append(r.Unprotected, Unprotected{Kind: d.Kind, Path: d.Path, Name: d.Name, Bytes: d.Bytes, More: d.More})
		}
	}
	slices.SortFunc(f.folders, func(a, b *folder) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), strings.Compare(a.path, b.path))
	})
	for _, x := range f.folders {
		if x.bytes >= f.Big && !f.inRepository(x.path) && !f.copied(x.path) {
			r.Unprotected = append(r.Unprotected, Unprotected{Kind: "folder", Path: x.path, Bytes: x.bytes, More: x.more})
		}
	}
}

// copied reports whether a job copies a folder.
func (f *finder) copied(path string) bool {
	for j := range f.jobs {
		if f.jobs[j].Enabled && slices.ContainsFunc(f.jobs[j].Actions, func(a Action) bool { return a.copies(path) }) {
			return true
		}
	}
	return false
}

// copies reports whether an action copies the files at a path.
func (a *Action) copies(path string) bool {
	return a.Saves && path != "" && slices.ContainsFunc(a.Sources, func(s string) bool { return filepath.IsAbs(s) && under(path, s) })
}

// backups lists what seems to back a database up, a line each, and notes in the
// report which actions and repositories those are.
func (f *finder) backups(d *database, to *Report) (list []string) {
	by := func(a *Action) { to.saved[d.Key()] = append(to.saved[d.Key()], a) }
	in := func(r *Repository) { to.held[d.Key()] = append(to.held[d.Key()], r.key()) }
	add := func(format string, args ...any) {
		line := plain(fmt.Sprintf(format, args...))
		if len(line) > seenText {
			line = strings.ToValidUTF8(line[:seenText-len("…")], "") + "…"
		}
		if len(list) < seenMax && !slices.Contains(list, line) {
			list = append(list, line)
		}
	}
	for j := range f.jobs {
		for k := range f.jobs[j].Actions {
			a := &f.jobs[j].Actions[k]
			where := f.jobs[j].Kind + " " + f.jobs[j].Name
			switch {
			case !f.jobs[j].Enabled:
			case f.dumps(a, d):
				by(a)
				add("%s by %s%s", a.Tool, where, towards(a.Target))
			case d.Container == "" && a.copies(d.Path) && d.Running:
				by(a)
				add("%s by %s copies its files, those of a running server%s", a.Tool, where, towards(a.Target))
			case d.Container == "" && a.copies(d.Path):
				by(a)
				add("%s by %s copies its files%s", a.Tool, where, towards(a.Target))
			}
		}
	}
	for i := range f.repos {
		r := &f.repos[i]
		switch {
		case r.data != "" && r.data == d.Path && d.Container == "":
			in(r)
			add("%s, stanza %s of %s", r.Kind, r.Stanza, r.Config)
		case r.Kind == "dumps" && slices.Contains(r.Of, d.Kind) && slices.Equal(r.Named, []string{"folder"}) && f.only(d):
			in(r)
			add("dumps in %s; no job was seen that makes them", r.Location)
		}
	}
	for _, tool := range []string{"pgbackrest", "wal-g", "barman"} {
		if strings.Contains(d.archive, tool) {
			add("its archive_command runs %s", tool)
		}
	}
	return list
}

func towards(target string) string {
	if target == "" {
		return ""
	}
	return " to " + target
}

// only reports whether a database is the only one of its kind here.
func (f *finder) only(d *database) bool {
	n := 0
	for i := range f.databases {
		if f.databases[i].Kind == d.Kind {
			n++
		}
	}
	return n == 1
}

// dumps reports whether an action asks a database for its data.
func (f *finder) dumps(a *Action, d *database) bool {
	if !a.Saves || a.Database != d.Kind || a.Host != "" || (a.inside != "") != (d.Container != "" || d.contained) {
		return false
	}
	switch {
	case d.Kind == holdfast.SQLite:
		return slices.Contains(a.Sources, d.Path)
	case a.kind == "pgbackrest":
		return f.only(d) || slices.ContainsFunc(f.repos, func(r Repository) bool {
			return r.Kind == "pgbackrest" && slices.Contains(a.Sources, r.Stanza) && r.data == d.Path
		})
	case a.kind == "wal-g" && len(a.Sources) > 0:
		return slices.Contains(a.Sources, d.Path)
	case a.Port != 0 && d.Port != 0:
		return a.Port == d.Port
	case a.Port != 0 || d.Port == 0:
		return f.only(d)
	}
	return d.Port == defaultPorts[d.Kind] || f.only(d)
}
