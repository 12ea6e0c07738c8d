package discover

import (
	"fmt"
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

// pair is a setting; one that is no text is written as it is.
type pair struct {
	key, value string
	bare       bool
}

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
		if a.kind == "pgbackrest" && d.stanzas(&data, a, x) {
			continue
		}
		d.addCopy(&data, a.of(x.Path), x)
		if r := d.repositoryOf(a); r != nil && r.Kind == "dumps" {
			d.copiesOf(&data, r.Location)
		}
	}
	for i := range d.Repositories {
		if r := &d.Repositories[i]; slices.Contains(d.held[x.Key()], r.key()) {
			d.addRepositoryCopy(&data, r, nil, x.Kind)
			d.copiesOf(&data, r.Location)
		}
	}
	s.data = []plannedData{data}
	return s
}

// stanzas adds the repositories of the stanzas that an action of pgBackRest names,
// or of all where it names none.
func (d *drafter) stanzas(data *plannedData, a *Action, x *holdfast.FoundDatabase) (any bool) {
	for i := range d.Repositories {
		r := &d.Repositories[i]
		if r.Kind == a.kind && (len(a.Sources) == 0 || slices.Contains(a.Sources, r.Stanza)) && (r.data == "" || r.data == x.Path) {
			d.addRepositoryCopy(data, r, a, x.Kind)
			any = true
		}
	}
	return any
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
		if slices.Contains([]string{"restic", "borg", "btrfs", "archives", "mirror", "dumps", "basebackups", "pgbackrest", "barman"}, r.Kind) && !slices.Contains(used, r.key()) && !d.usedByDatabase(r) {
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
	for _, keys := range d.held {
		if slices.Contains(keys, r.key()) {
			return true
		}
	}
	for _, actions := range d.saved {
		if slices.ContainsFunc(actions, func(a *Action) bool { return a.place == r.key() || a.kind == "pgbackrest" && r.Kind == a.kind }) {
			return true
		}
	}
	return false
}

// ask notes that something is to be supplied, once, and returns the words for it.
func (d *drafter) ask(what, where string) string {
	if !slices.ContainsFunc(d.asks, func(a Ask) bool { return a.Where == where }) {
		d.asks = append(d.asks, Ask{what, where})
	}
	return fmt.Sprintf("NEEDED: put %s into %s, readable by the agent's user alone.", what, where)
}
