package discover

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Terms are what nobody can read from a host, and what is there already.
type Terms struct {
	Agent    string // that will look; default: the host's name
	Site     string // where the host stands
	Owner    string // team that owns what was found
	Tier     int    // 1–4
	RPO, RTO holdfast.Duration

	Sites, Teams, Services []string        // names the catalogue has already
	Probes                 map[string]bool // the probes there are → an agent runs them without being told so
}

// Drafted is a starting catalogue for one host.
type Drafted struct {
	Host     string
	Text     []byte   // YAML documents
	Services []string // their names
	Allow    []string // probes that the agent's configuration must name
	Asks     []Ask    // what is still to be supplied
}

// Ask is something that has to be put where the draft says.
type Ask struct {
	What  string `json:"what"`
	Where string `json:"where"`
}

// planned is a service while it is drafted.
type planned struct {
	name, title string
	notes       []string
	data        []plannedData
}

type plannedData struct {
	name, title, path string
	port              int // of a server that takes connections; 0: none
	bytes             holdfast.Bytes
	copies            []plannedCopy
	missing           []string // copies no probe can look at
}

type plannedCopy struct {
	name, host, medium, note string
	probe                    string
	with                     []pair
	intact, restored         string // probes of the tests; empty: none fits
	intactWith, restoredWith []pair
}

type pair struct{ key, value string }

// drafter makes a draft.
type drafter struct {
	*Report
	Terms
	host  string
	names map[string]bool // of services
	asks  []Ask
	allow map[string]bool
}

// Draft makes a starting catalogue of a report: a site and a team where they are
// new, a service for every database and for the files that jobs save, with a
// dataset, its copies, and a path back from each copy. What nobody protects is
// written down as well, without a copy.
func Draft(r Report, t Terms) Drafted {
	d := &drafter{Report: &r, Terms: t, host: first(nameOf(r.Host), "host"), names: map[string]bool{}, allow: map[string]bool{}}
	d.Agent = first(t.Agent, d.host)
	for _, name := range t.Services {
		d.names[name] = true
	}
	var services []planned
	for i := range r.Databases {
		services = append(services, d.database(&r.Databases[i]))
	}
	if files := d.files(); len(files.data) > 0 {
		services = append(services, files)
	}
	for _, u := range r.Unprotected {
		if u.Kind == "folder" {
			data := plannedData{name: nameOf(u.Path), title: u.Path, path: u.Path, bytes: u.Bytes}
			services = append(services, planned{name: d.name(d.host + "-" + nameOf(u.Path)), title: "Files in " + u.Path + " on " + d.host, data: []plannedData{data}})
		}
	}
	out := Drafted{Host: d.host, Text: d.write(services), Asks: d.asks}
	for _, s := range services {
		out.Services = append(out.Services, s.name)
	}
	for probe := range d.allow {
		out.Allow = append(out.Allow, probe)
	}
	slices.Sort(out.Allow)
	return out
}

var noName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

var isName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// IsName reports whether a text is a name as the catalogue takes them.
func IsName(text string) bool { return isName.MatchString(text) }

// nameOf makes a name of a text: /srv/www becomes srv-www.
func nameOf(text string) string {
	name := strings.Trim(noName.ReplaceAllString(text, "-"), "-._")
	return name[:min(len(name), 60)]
}

// name returns a service's name that nobody has.
func (d *drafter) name(want string) string {
	name := want
	for n := 2; d.names[name]; n++ {
		name = want + "-" + strconv.Itoa(n)
	}
	d.names[name] = true
	return name
}

var kindTitles = map[string]string{holdfast.PostgreSQL: "PostgreSQL", holdfast.MariaDB: "MariaDB", holdfast.Redis: "Redis", holdfast.SQLite: "SQLite"}

func (d *drafter) database(x *holdfast.FoundDatabase) planned {
	called := x.Name
	switch {
	case called == "" && x.Kind == holdfast.PostgreSQL && x.Port != 0:
		called = strconv.Itoa(x.Port)
	case x.Kind == holdfast.SQLite:
		called = strings.TrimSuffix(filepath.Base(x.Path), filepath.Ext(x.Path))
	}
	s := planned{name: d.name(strings.Join(slices.DeleteFunc([]string{d.host, x.Kind, nameOf(called)}, func(p string) bool { return p == "" }), "-")),
		title: strings.TrimSpace(kindTitles[x.Kind]+" "+x.Name) + " on " + d.host}
	data := plannedData{name: first(nameOf(x.Kind), "data"), title: first(x.Path, s.title), path: x.Path, bytes: x.Bytes}
	if x.Running && x.Container == "" && d.listening[x.Port] {
		data.port = x.Port
	}
	if x.Container != "" {
		s.notes = append(s.notes, "It runs in container "+x.Container+"; its path is in there.")
		data.path = ""
	}
	if len(x.Seen) == 0 {
		s.notes = append(s.notes, "No backup of it was seen on "+d.host+". Write down the copy there is, or make one.")
	}
	for _, a := range d.saved[x.Key()] {
		d.addCopy(&data, a.of(x.Path), x)
		if r := d.repositoryOf(a); r != nil && r.Kind == "dumps" {
			d.copiesOf(&data, r.Location)
		}
	}
	for i := range d.Repositories {
		r := &d.Repositories[i]
		inFolder := r.Kind == "dumps" && slices.Contains(r.Of, x.Kind) && slices.Equal(r.Named, []string{"folder"}) && len(x.Seen) > 0
		if inFolder || r.data != "" && r.data == x.Path {
			d.addRepositoryCopy(&data, r, nil, x.Kind)
		}
	}
	s.data = []plannedData{data}
	return s
}

// copiesOf adds the copies that jobs make of a folder of dumps.
func (d *drafter) copiesOf(data *plannedData, folder string) {
	for j := range d.Jobs {
		for k := range d.Jobs[j].Actions {
			if a := &d.Jobs[j].Actions[k]; d.Jobs[j].Enabled && a.copies(folder) {
				d.addCopy(data, a.of(folder), nil)
			}
		}
	}
}

// of is an action as far as it copies the files at a path.
func (a *Action) of(path string) *Action {
	one := *a
	if i := slices.IndexFunc(a.Sources, func(s string) bool { return filepath.IsAbs(s) && under(path, s) }); i >= 0 {
		one.Sources = a.Sources[i : i+1]
	}
	return &one
}

func (d *drafter) repositoryOf(a *Action) *Repository {
	i := slices.IndexFunc(d.Repositories, func(r Repository) bool { return a.place != "" && r.key() == a.place })
	if i < 0 {
		return nil
	}
	return &d.Repositories[i]
}

// addCopy adds the copy that an action makes, if a probe can look at it.
func (d *drafter) addCopy(data *plannedData, a *Action, of *holdfast.FoundDatabase) {
	kind := ""
	if of != nil {
		kind = of.Kind
	}
	r := d.repositoryOf(a)
	if r == nil {
		data.missing = append(data.missing, a.Tool+towards(a.Target)+": where it lands could not be read")
		return
	}
	d.addRepositoryCopy(data, r, a, kind)
}

func (d *drafter) addRepositoryCopy(data *plannedData, r *Repository, a *Action, kind string) {
	c, ok := d.copyIn(r, a, kind)
	if _, known := d.Probes[c.probe]; !ok || !known {
		data.missing = append(data.missing, r.Kind+" in "+r.Location+": no probe looks at this by itself")
		return
	}
	c.host, c.medium = first(nameOf(r.Host), d.host), "disk"
	if !filepath.IsAbs(r.Location) && (strings.HasPrefix(r.Location, "s3:") || strings.HasPrefix(r.Location, "b2:") || strings.HasPrefix(r.Location, "gs:") || strings.HasPrefix(r.Location, "azure:")) {
		c.medium = "object"
	}
	for _, other := range data.copies {
		if other.probe == c.probe && slices.Equal(other.with, c.with) {
			return
		}
	}
	want := c.name
	for n := 2; slices.ContainsFunc(data.copies, func(o plannedCopy) bool { return o.name == c.name }); n++ {
		c.name = want + "-" + strconv.Itoa(n)
	}
	data.copies = append(data.copies, c)
}

// files is the service of what jobs save as files, a dataset for each path.
func (d *drafter) files() planned {
	s := planned{name: d.name(d.host + "-files"), title: "Files on " + d.host}
	var used []string
	for j := range d.Jobs {
		for k := range d.Jobs[j].Actions {
			a := &d.Jobs[j].Actions[k]
			if !d.Jobs[j].Enabled || !a.Saves || a.Database != "" && a.kind != "borg" { // databases have services of their own
				continue
			}
			for _, source := range a.Sources {
				if !filepath.IsAbs(source) || d.knownData(source) {
					continue
				}
				d.addCopy(s.dataset(source), a.of(source), nil)
			}
			used = append(used, a.place)
		}
	}
	for i := range d.Repositories {
		r := &d.Repositories[i]
		if slices.Contains([]string{"restic", "borg", "btrfs", "archives", "mirror", "dumps", "basebackups"}, r.Kind) && !slices.Contains(used, r.key()) && !d.usedByDatabase(r) {
			d.addRepositoryCopy(s.dataset(r.Location), r, nil, strings.Join(r.Of, " "))
		}
	}
	s.data = slices.DeleteFunc(s.data, func(x plannedData) bool { return len(x.copies) == 0 })
	if len(s.data) == 0 {
		delete(d.names, s.name)
	}
	return s
}

// dataset returns the dataset of a path, made where there is none.
func (s *planned) dataset(path string) *plannedData {
	for i := range s.data {
		if s.data[i].path == path {
			return &s.data[i]
		}
	}
	name := first(nameOf(path), "root")
	want := name
	for n := 2; slices.ContainsFunc(s.data, func(x plannedData) bool { return x.name == name }); n++ {
		name = want + "-" + strconv.Itoa(n)
	}
	s.data = append(s.data, plannedData{name: name, title: path, path: path})
	return &s.data[len(s.data)-1]
}

// knownData reports whether a path is that of a database, or of dumps: they have
// services of their own.
func (d *drafter) knownData(p string) bool {
	return slices.ContainsFunc(d.Databases, func(x holdfast.FoundDatabase) bool { return x.Container == "" && x.Path == p }) ||
		slices.ContainsFunc(d.Repositories, func(r Repository) bool { return r.Kind == "dumps" && r.Location == p })
}

// usedByDatabase reports whether a repository holds copies of a database found
// here.
func (d *drafter) usedByDatabase(r *Repository) bool {
	if slices.Equal(r.Named, []string{"folder"}) && slices.ContainsFunc(d.Databases, func(x holdfast.FoundDatabase) bool { return slices.Contains(r.Of, x.Kind) && len(x.Seen) > 0 }) {
		return true
	}
	for _, actions := range d.saved {
		if slices.ContainsFunc(actions, func(a *Action) bool { return a.place == r.key() }) {
			return true
		}
	}
	return false
}

// copyIn chooses the probes that look at a repository.
func (d *drafter) copyIn(r *Repository, a *Action, kind string) (c plannedCopy, ok bool) {
	family := map[string]string{holdfast.PostgreSQL: "postgres", holdfast.MariaDB: "mariadb", holdfast.SQLite: "sqlite"}[kind]
	folder := []pair{{"directory", r.Location}}
	if r.Pattern != "" && r.Pattern != unknown {
		folder = append(folder, pair{"pattern", r.Pattern})
	}
	switch r.Kind {
	case "restic":
		return d.restic(r, a), true
	case "borg":
		return d.borg(r), true
	case "dumps":
		switch {
		case kind == holdfast.PostgreSQL:
			return plannedCopy{name: "dump", probe: "postgres.dump", with: append(slices.Clone(folder), pair{"list_only", "true"}), intact: "postgres.dump", intactWith: folder, restored: "postgres.restore", restoredWith: folder}, true
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
		with := []pair{{"config_file", cmp.Or(r.Config, "/root/.config/rclone/rclone.conf")}, {"remote", r.Location}}
		return plannedCopy{name: "remote", probe: "rclone.remote", with: with}, true
	case "pgbackrest":
		return plannedCopy{name: "pgbackrest", probe: "pgbackrest.repository"}, false
	}
	return c, false
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
	c.with = []pair{{"repository", location}, {"password_file", password}}
	if env != "" {
		c.with = append(c.with, pair{"env_file", env})
	}
	if a != nil && len(a.Sources) == 1 {
		c.with = append(c.with, pair{"path", a.Sources[0]})
	}
	c.intactWith, c.restoredWith = append(slices.Clone(c.with), pair{"read_data_subset", "100%"}), c.with
	return c
}

func (d *drafter) borg(r *Repository) plannedCopy {
	c := plannedCopy{name: "borg", probe: "borg.repository", intact: "borg.check", restored: "borg.restore", with: []pair{{"repository", r.Location}}}
	password := r.Password
	if password == "" && r.Secret != "" {
		password = "/etc/holdfast/" + nameOf("borg "+path.Base(r.Location)) + ".passphrase"
		c.note = d.ask("the passphrase of "+r.Location+secretAt(r), password)
	}
	if password != "" {
		c.with = append(c.with, pair{"passphrase_file", password})
	}
	if r.Key != "" {
		c.with = append(c.with, pair{"key_file", r.Key})
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

// ask notes that something is to be supplied, once, and returns the words for it.
func (d *drafter) ask(what, where string) string {
	if !slices.ContainsFunc(d.asks, func(a Ask) bool { return a.Where == where }) {
		d.asks = append(d.asks, Ask{what, where})
	}
	return fmt.Sprintf("NEEDED: put %s into %s, readable by the agent's user alone.", what, where)
}
