package collector

import (
	"encoding/json"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// cover tells which databases of a host the catalogue covers.
//
// A database is covered by a dataset that stands on its host and has a copy, other
// than the data itself, that a check looks at, if the dataset tells that it means
// this database:
//
//   - its title is the database's data directory or file;
//   - one of its checks names that directory or file, or a folder above it that is
//     saved (path), or the database's port on that host;
//   - or a copy is seen by a probe of the database's own kind, and it is the only
//     one of its kind found on the host.
//
// A dataset that states no host stands where the agent of such a check is. What is
// not sure is not covered: a database too many on the page costs a look, one too few
// its data.
type cover struct {
	at      map[string][]*holdfast.Dataset // by host, in lower case
	nowhere []*holdfast.Dataset            // that state no host
}

func newCover(c *holdfast.Catalogue) *cover {
	v := &cover{at: map[string][]*holdfast.Dataset{}}
	for i := range c.Services {
		for k := range c.Services[i].Datasets {
			d := &c.Services[i].Datasets[k]
			if !slices.ContainsFunc(d.Copies, watched) {
				continue
			}
			if host := d.Copies[0].Host; host != "" {
				v.at[strings.ToLower(host)] = append(v.at[strings.ToLower(host)], d)
			} else {
				v.nowhere = append(v.nowhere, d)
			}
		}
	}
	return v
}

// watched reports whether a copy is one that somebody looks at.
func watched(c holdfast.Copy) bool { return c.Kind != holdfast.Primary && c.Check != nil }

// families are the probes that look at copies of one kind of database and no other.
var families = map[string][]string{
	holdfast.PostgreSQL: {"postgres", "pgbackrest", "barman"},
	holdfast.MariaDB:    {"mariadb"},
	holdfast.Redis:      {"redis"},
	holdfast.SQLite:     {"sqlite"},
}

// covered reports whether a database that an agent found among others is covered.
// Hosts are the names its host goes by.
func (v *cover) covered(x *holdfast.FoundDatabase, among []holdfast.FoundDatabase, agent string, hosts []string) bool {
	for _, host := range names(hosts) {
		if slices.ContainsFunc(v.at[host], func(d *holdfast.Dataset) bool { return means(d, x, hosts, "") || alone(d, x, among) }) {
			return true
		}
	}
	return slices.ContainsFunc(v.nowhere, func(d *holdfast.Dataset) bool { return means(d, x, hosts, agent) })
}

// names are the names of a host in lower case, long and short.
func names(hosts []string) []string {
	var list []string
	for _, h := range hosts {
		h = strings.ToLower(h)
		short, _, _ := strings.Cut(h, ".")
		for _, name := range []string{h, short} {
			if name != "" && !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// means reports whether a dataset tells that it is this database; with on, only
// checks of that agent are asked.
func means(d *holdfast.Dataset, x *holdfast.FoundDatabase, hosts []string, on string) bool {
	if x.Container == "" && x.Path != "" && d.Title == x.Path && on == "" {
		return true
	}
	for i := range d.Copies {
		if k := d.Copies[i].Check; k != nil && (on == "" || k.On == on) && pointsAt(k, x, hosts, watched(d.Copies[i])) {
			return true
		}
	}
	return false
}

// pointsAt reports whether a check's settings name a database; saved says that it
// looks at a copy, whose path is what was saved.
func pointsAt(k *holdfast.Check, x *holdfast.FoundDatabase, hosts []string, saved bool) bool {
	var settings map[string]any
	if k.With == "" || json.Unmarshal([]byte(k.With), &settings) != nil {
		return false
	}
	for name, value := range settings {
		text, ok := value.(string)
		switch {
		case !ok:
		case x.Container == "" && x.Path != "" && (text == x.Path || saved && name == "path" && inside(x.Path, text)):
			return true
		case x.Port != 0 && isAddress(text, x.Port, hosts):
			return true
		}
	}
	return false
}

// inside reports whether a path lies in a folder.
func inside(p, folder string) bool {
	folder = path.Clean(folder)
	return path.IsAbs(folder) && strings.HasPrefix(p, strings.TrimSuffix(folder, "/")+"/")
}

// isAddress reports whether a text is HOST:PORT of that port on this host.
func isAddress(text string, port int, hosts []string) bool {
	host, p, err := net.SplitHostPort(text)
	if err != nil || p != strconv.Itoa(port) {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || slices.Contains(names(append([]string{"localhost"}, hosts...)), strings.ToLower(host))
}

// alone reports whether a dataset has a copy of this kind of database and there is
// no other of the kind it could be of.
func alone(d *holdfast.Dataset, x *holdfast.FoundDatabase, among []holdfast.FoundDatabase) bool {
	same := 0
	for i := range among {
		if among[i].Kind == x.Kind {
			same++
		}
	}
	return same == 1 && slices.ContainsFunc(d.Copies, func(c holdfast.Copy) bool {
		if !watched(c) {
			return false
		}
		family, _, _ := strings.Cut(c.Check.Probe, ".")
		return slices.Contains(families[x.Kind], family)
	})
}
