package discover

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Schema names the form of a Report as JSON.
const Schema = "holdfast.discover/v1"

// Report is what was found on a host. Lists are never nil. No text in it is a
// secret: command lines are not kept, only what was understood of them.
type Report struct {
	Schema       string                   `json:"schema"`
	Host         string                   `json:"host"`
	Root         string                   `json:"root,omitempty"` // the tree that was looked at instead of this host
	At           time.Time                `json:"at"`
	Took         holdfast.Duration        `json:"took"`
	Databases    []holdfast.FoundDatabase `json:"databases"`
	Repositories []Repository             `json:"repositories"`
	Jobs         []Job                    `json:"jobs"`
	Unprotected  []Unprotected            `json:"unprotected"`
	Unread       []Unread                 `json:"unread"`
	Limits       []string                 `json:"limits"` // bounds that were reached: there may be more

	saved     map[string][]*Action // key of a database → what saves it
	held      map[string][]string  // key of a database → keys of repositories that hold it by what they say themselves
	listening map[int]bool         // ports of this host that take connections from it
}

// Repository is a place that holds backups.
type Repository struct {
	Kind     string    `json:"kind"`               // restic, borg, pgbackrest, barman, rclone, dumps, mirror, archives, btrfs
	Location string    `json:"location"`           // absolute folder or address, without credentials
	Host     string    `json:"host,omitempty"`     // which holds it; empty: this one
	Of       []string  `json:"of,omitempty"`       // kinds of database whose dumps lie there
	Pattern  string    `json:"pattern,omitempty"`  // of the files that count
	Newest   time.Time `json:"newest,omitzero"`    // when something was written there last, as far as could be seen
	Count    int       `json:"count,omitempty"`    // recovery points or files seen
	Password string    `json:"password,omitempty"` // absolute path of the file that holds its password
	Env      string    `json:"env,omitempty"`      // absolute path of a file of NAME=value lines with its credentials
	Key      string    `json:"key,omitempty"`      // absolute path of its key
	Config   string    `json:"config,omitempty"`   // absolute path of the configuration that names it
	Stanza   string    `json:"stanza,omitempty"`   // pgBackRest; Barman: the server
	Number   int       `json:"number,omitempty"`   // pgBackRest: which of the configuration's repositories, where not the first
	Secret   string    `json:"secret,omitempty"`   // how its password is given where that is no file
	Named    []string  `json:"named"`              // what named it: jobs, configurations, "folder"

	data string // pgBackRest: the data directory its stanza saves
}

// key tells a repository from the others.
func (r *Repository) key() string { return r.Kind + " " + r.Location + " " + r.Stanza }

// Job is something that runs by itself and looks like a backup.
type Job struct {
	Kind     string   `json:"kind"`               // timer, cron
	Name     string   `json:"name"`               // unit, or FILE:LINE
	Schedule string   `json:"schedule,omitempty"` // as it is written
	User     string   `json:"user,omitempty"`     //
	Enabled  bool     `json:"enabled"`            // a timer that is not started by anything is not
	Actions  []Action `json:"actions"`
}

// Action is one thing a job does, as far as it could be read.
type Action struct {
	Tool     string   `json:"tool"`               // "pg_dump"
	Saves    bool     `json:"saves"`              // it makes a copy; false: it looks after a repository
	Database string   `json:"database,omitempty"` // kind of database it saves
	Host     string   `json:"host,omitempty"`     // of that database, if another
	Port     int      `json:"port,omitempty"`     // of that database
	Sources  []string `json:"sources,omitempty"`  // what it saves: paths, a stanza, a server
	Target   string   `json:"target,omitempty"`   // where to: folder, address, or file with * for what varies; empty: could not be read

	kind     string // of the repository Target is
	password string // files, as in Repository
	env      string
	key      string
	config   string
	secret   string
	inside   string // container it runs in
	format   string // of what lands at Target, where the name does not say it
	place    string // key of the repository it leads to
}

// Unprotected is data of which no backup was seen on this host.
type Unprotected struct {
	Kind  string         `json:"kind"` // a kind of database, or "folder"
	Path  string         `json:"path"`
	Name  string         `json:"name,omitempty"`
	Bytes holdfast.Bytes `json:"bytes,omitempty"`
	More  bool           `json:"more,omitempty"` // Bytes is not all of it
}

// Unread is a place that could not be looked into.
type Unread struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}
