package holdfast

import (
	"fmt"
	"slices"
	"time"
)

// The kinds of database that are told apart.
const (
	PostgreSQL = "postgresql"
	MariaDB    = "mariadb" // MySQL too
	Redis      = "redis"   // Valkey too
	SQLite     = "sqlite"
)

// DatabaseKinds lists every kind.
var DatabaseKinds = []string{PostgreSQL, MariaDB, Redis, SQLite}

// KnownDatabase reports whether a kind is one of DatabaseKinds.
func KnownDatabase(kind string) bool { return slices.Contains(DatabaseKinds, kind) }

// FoundDatabase is a database that lies or runs on a host, found there and not
// named by the catalogue.
type FoundDatabase struct {
	Kind      string   `json:"kind"`                // of DatabaseKinds
	Name      string   `json:"name,omitempty"`      // as the host calls it: "15/main"
	Version   string   `json:"version,omitempty"`   //
	Path      string   `json:"path,omitempty"`      // its data directory; SQLite: the file; empty: not known
	Port      int      `json:"port,omitempty"`      // 0: none is known
	Socket    string   `json:"socket,omitempty"`    // a socket, or the folder of one
	Running   bool     `json:"running"`             // a process of it was seen
	Container string   `json:"container,omitempty"` // it runs in this one, and Path is in there
	Bytes     Bytes    `json:"bytes,omitempty"`     // on disk
	More      bool     `json:"more,omitempty"`      // Bytes is not all of it
	Seen      []string `json:"seen,omitempty"`      // what seemed to back it up, a line each
}

// Key tells a database from the others of its host.
func (d *FoundDatabase) Key() string {
	return fmt.Sprintf("%s %s %s %d", d.Kind, d.Container, d.Path, d.Port)
}

// Found is the databases that an agent found on its host at one time.
type Found struct {
	At        time.Time       `json:"at"`               // when it began to look; agent clock on the agent, else the collector's
	Databases []FoundDatabase `json:"databases"`        // sorted by Key
	Unread    []string        `json:"unread,omitempty"` // places it may not look into
}

// What Found may hold.
const (
	MaxFound  = 200 // databases
	MaxUnread = 20
	maxSeen   = 4
)

// Validate reports the first thing that no agent can have found.
func (f *Found) Validate() error {
	if len(f.Databases) > MaxFound || len(f.Unread) > MaxUnread {
		return fmt.Errorf("%d databases and %d places unread, at most %d and %d", len(f.Databases), len(f.Unread), MaxFound, MaxUnread)
	}
	for _, place := range f.Unread {
		if err := validText("unread", place, MaxText); err != nil {
			return err
		}
	}
	for i := range f.Databases {
		if err := f.Databases[i].validate(); err != nil {
			return fmt.Errorf("database %d: %w", i+1, err)
		}
	}
	return nil
}

func (d *FoundDatabase) validate() error {
	if !KnownDatabase(d.Kind) {
		return fmt.Errorf("kind %.40q is none of %q", d.Kind, DatabaseKinds)
	}
	for name, text := range map[string]string{"name": d.Name, "version": d.Version, "container": d.Container} {
		if err := validText(name, text, MaxName); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"path": d.Path, "socket": d.Socket} {
		if err := validText(name, text, MaxText); err != nil {
			return err
		}
	}
	if len(d.Seen) > maxSeen {
		return fmt.Errorf("%d backups seen, at most %d", len(d.Seen), maxSeen)
	}
	for _, s := range d.Seen {
		if err := validText("seen", s, MaxText); err != nil {
			return err
		}
	}
	if d.Port < 0 || d.Port > 65535 || d.Bytes < 0 {
		return fmt.Errorf("port %d and %d bytes", d.Port, d.Bytes)
	}
	return nil
}

// UnprotectedDatabase is a found database that no check of the catalogue covers.
type UnprotectedDatabase struct {
	Agent string    `json:"agent" doc:"who found it"`
	Host  string    `json:"host,omitempty" doc:"what the agent's host calls itself"`
	Site  string    `json:"site,omitempty"`
	Since time.Time `json:"since" doc:"first found by this agent"`
	At    time.Time `json:"found" doc:"found again last"`
	FoundDatabase
}

// Discovery is what agents found on their hosts, held against the catalogue.
type Discovery struct {
	Agents      int                   // that have looked
	Databases   int                   // found altogether
	Unprotected []UnprotectedDatabase // sorted by agent and Key
	Unread      []UnreadPlaces        // sorted by agent
}

// UnreadPlaces is where an agent may not look.
type UnreadPlaces struct {
	Agent  string   `json:"agent"`
	Places []string `json:"places"`
}
