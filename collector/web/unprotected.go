package web

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Discovering is what the page of protected data asks of databases that agents
// found.
type Discovering interface {
	// Discovery returns what agents found on their hosts, held against the
	// catalogue in force.
	Discovery() holdfast.Discovery
}

const unprotectedShown = 50 // on the page; the CSV and the API have them all

// unprotectedView is the databases that agents found and no check covers.
type unprotectedView struct {
	Lead   string
	Short  string // what is missing, in a few words; empty: nothing
	Rows   []unprotectedRow
	More   int // rows that are not shown
	Unread []holdfast.UnreadPlaces
	CSV    string
}

type unprotectedRow struct {
	*holdfast.UnprotectedDatabase
	Title  string
	Stands string
	Link   string // to the agent
}

// discovery is what agents found, as of the revision of now.
func (s *server) discovery() *holdfast.Discovery {
	return s.discovered.get(s.c, func() *holdfast.Discovery { d := s.c.Discovery(); return &d })
}

// newUnprotectedView lays out what agents found; nil where none has looked yet. A
// database of which no backup was seen at all comes first, the largest of them on
// top.
func newUnprotectedView(d *holdfast.Discovery) *unprotectedView {
	if d.Agents == 0 {
		return nil
	}
	v := &unprotectedView{Lead: discoverySentence(d), Unread: d.Unread, CSV: "/data.csv?each=database"}
	switch n := len(d.Unprotected); n {
	case 0:
	case 1:
		v.Short = "Besides, agents found 1 database that nothing protects."
	default:
		v.Short = fmt.Sprintf("Besides, agents found %d databases that nothing protects.", n)
	}
	list := make([]*holdfast.UnprotectedDatabase, len(d.Unprotected))
	for i := range d.Unprotected {
		list[i] = &d.Unprotected[i]
	}
	seen := func(x *holdfast.UnprotectedDatabase) int { return min(len(x.Seen), 1) }
	slices.SortStableFunc(list, func(a, b *holdfast.UnprotectedDatabase) int {
		return cmp.Or(cmp.Compare(seen(a), seen(b)), cmp.Compare(b.Bytes, a.Bytes))
	})
	v.More = max(0, len(list)-unprotectedShown)
	for _, x := range list[:len(list)-v.More] {
		v.Rows = append(v.Rows, unprotectedRow{UnprotectedDatabase: x, Title: databaseTitle(&x.FoundDatabase), Stands: databaseStands(&x.FoundDatabase), Link: agentPath(x.Agent)})
	}
	return v
}

// discoverySentence says how many databases nothing covers, as it could be read
// aloud.
func discoverySentence(d *holdfast.Discovery) string {
	of := "1 agent"
	if d.Agents != 1 {
		of = fmt.Sprintf("%d agents", d.Agents)
	}
	none := 0
	for i := range d.Unprotected {
		if len(d.Unprotected[i].Seen) == 0 {
			none++
		}
	}
	unseen := ""
	if none == 1 {
		unseen = "; no backup of it was seen at all"
	}
	switch n := len(d.Unprotected); {
	case d.Databases == 0:
		return "No database was found on the hosts of " + of + "."
	case n == 0:
		return fmt.Sprintf("Each of the %d databases found on the hosts of %s is covered by a check.", d.Databases, of)
	case n == 1:
		return fmt.Sprintf("1 of %d databases found on the hosts of %s is covered by no check%s.", d.Databases, of, unseen)
	default:
		return fmt.Sprintf("%d of %d databases found on the hosts of %s are covered by no check; of %d no backup was seen at all.", n, d.Databases, of, none)
	}
}

var databaseTitles = map[string]string{holdfast.PostgreSQL: "PostgreSQL", holdfast.MariaDB: "MariaDB or MySQL", holdfast.Redis: "Redis", holdfast.SQLite: "SQLite"}

func databaseTitle(x *holdfast.FoundDatabase) string {
	return strings.TrimSpace(cmp.Or(databaseTitles[x.Kind], clip(x.Kind)) + " " + clip(x.Name))
}

// databaseStands says whether a database runs, and where it listens.
func databaseStands(x *holdfast.FoundDatabase) string {
	var parts []string
	if x.Version != "" {
		parts = append(parts, "version "+clip(x.Version))
	}
	switch {
	case x.Kind == holdfast.SQLite:
		parts = append(parts, "a file")
	case !x.Running:
		parts = append(parts, "not running")
	case x.Port != 0:
		parts = append(parts, "running on port "+strconv.Itoa(x.Port))
	default:
		parts = append(parts, "running")
	}
	if x.Container != "" {
		parts = append(parts, "in container "+clip(x.Container))
	}
	return strings.Join(parts, ", ")
}

var databaseColumns = []string{"as_of", "agent", "host", "site", "kind", "name", "version", "path", "container", "port", "running", "bytes", "found_first", "found_last", "backups_seen"}

// databaseLine is a database under databaseColumns.
func databaseLine(x *holdfast.UnprotectedDatabase, asOf string) []string {
	port := ""
	if x.Port != 0 {
		port = strconv.Itoa(x.Port)
	}
	return []string{asOf, x.Agent, x.Host, x.Site, x.Kind, x.Name, x.Version, x.Path, x.Container, port, strconv.FormatBool(x.Running), size(x.Bytes),
		stamp(x.Since), stamp(x.At), strings.Join(x.Seen, "; ")}
}
