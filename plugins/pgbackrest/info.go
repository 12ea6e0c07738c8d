package pgbackrest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// stanzaInfo is what `pgbackrest info` says of a stanza.
type stanzaInfo struct {
	Name    string `json:"name"`
	Cipher  string `json:"cipher"`
	Archive []struct {
		ID       string `json:"id"`
		Database struct {
			ID int `json:"id"`
		} `json:"database"`
	} `json:"archive"`
	Backup []backup   `json:"backup"` // as parseInfo leaves it: those of the newest database, newest first
	DB     []database `json:"db"`
	Repo   []struct {
		Key    int    `json:"key"`
		Status status `json:"status"`
	} `json:"repo"`
}

type database struct {
	ID      int    `json:"id"`
	System  uint64 `json:"system-id"` // beyond 2⁵³
	Version string `json:"version"`   // the major one
}

type status struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// The codes of a status (command/info/info.c).
const (
	statusOK         = 0
	statusNoStanza   = 1 // no such folder
	statusNoBackup   = 2
	statusNoInfo     = 3 // backup.info and its copy are not there
	statusOtherDB    = 5 // archive.info and backup.info are not of the same database
	statusOtherError = 99
)

// backup is one backup of a stanza.
type backup struct {
	Label   string `json:"label"`
	Type    string `json:"type"` // full, diff, incr
	Error   bool   `json:"error"`
	Archive struct {
		Start string `json:"start"`
		Stop  string `json:"stop"`
	} `json:"archive"`
	LSN struct {
		Start string `json:"start"`
		Stop  string `json:"stop"`
	} `json:"lsn"`
	Database struct {
		ID int `json:"id"`
	} `json:"database"`
	Info struct {
		Size       int64 `json:"size"`
		Delta      int64 `json:"delta"`
		Repository struct {
			Size int64 `json:"size"`
		} `json:"repository"`
	} `json:"info"`
	Prior     string   `json:"prior"`
	Reference []string `json:"reference"`
	Timestamp struct {
		Start int64 `json:"start"`
		Stop  int64 `json:"stop"`
	} `json:"timestamp"`
}

// stop is when the backup ended.
func (b backup) stop() time.Time { return time.Unix(b.Timestamp.Stop, 0).UTC() }

// parseInfo reads the answer of `info --output=json --stanza=…`: one stanza or none.
// Its messages quote damaged files as they are, control characters and all, which
// JSON does not allow.
func parseInfo(b []byte) (*stanzaInfo, error) {
	b = bytes.Map(func(r rune) rune { return max(r, ' ') }, b)
	var all []stanzaInfo
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("pgbackrest info: %w", err)
	}
	if len(all) == 0 {
		return nil, nil
	}
	i := &all[0]
	if len(all) > 1 || len(i.Repo) != 1 {
		return nil, errors.New("pgbackrest info: it answers for more than one stanza or repository")
	}
	slices.SortFunc(i.DB, func(a, b database) int { return cmp.Compare(a.ID, b.ID) })
	newest := i.newestDB().ID
	i.Backup = slices.DeleteFunc(i.Backup, func(b backup) bool { return b.Database.ID != newest })
	for _, b := range i.Backup {
		if !validLabel(b.Label) || b.Timestamp.Stop <= 0 || b.Archive.Start == "" || b.Archive.Stop == "" || b.Info.Size < 0 || b.Info.Delta < 0 {
			return nil, fmt.Errorf("pgbackrest info: backup %.60q lacks its label, times, size or log", b.Label)
		}
	}
	slices.SortStableFunc(i.Backup, func(a, b backup) int {
		return cmp.Or(cmp.Compare(b.Timestamp.Stop, a.Timestamp.Stop), strings.Compare(b.Label, a.Label))
	})
	return i, nil
}

// validLabel reports whether a label is one, like 20261122-052501F_20261122-052505D:
// it becomes part of a path.
func validLabel(s string) bool {
	return len(s) >= 16 && len(s) <= 64 && strings.Trim(s, "0123456789-_FDI") == ""
}

// archiveID names the archive of a database, like 15-1.
func (i *stanzaInfo) archiveID(database int) string {
	for _, a := range i.Archive {
		if a.Database.ID == database && strings.Trim(a.ID, "0123456789.-") == "" && !strings.Contains(a.ID, "..") {
			return a.ID
		}
	}
	return ""
}

// newestDB is the database that backups are made of now.
func (i *stanzaInfo) newestDB() database {
	if len(i.DB) == 0 {
		return database{}
	}
	return i.DB[len(i.DB)-1]
}

// segmentSize is how large the files of the log are: the size, a power of two from
// 1 MiB to 1 GiB, at which the positions of all backups lie in the files that they
// name. 0: none fits. Right after a 4 GiB boundary several do; then it is the
// default of PostgreSQL, 16 MiB, where that is among them.
func (i *stanzaInfo) segmentSize(database int) uint64 {
	const usual = 16 << 20
	var fits []uint64
	for size := uint64(1 << 20); size <= 1<<30; size <<= 1 {
		all := true
		for _, b := range i.Backup {
			start, err := parsePosition(b.LSN.Start)
			if b.Database.ID == database {
				all = all && err == nil && strings.HasSuffix(b.Archive.Start, fmt.Sprintf("%08X%08X", start>>32, start%perLog/size))
			}
		}
		if all {
			fits = append(fits, size)
		}
	}
	switch {
	case len(fits) == 0:
		return 0
	case slices.Contains(fits, uint64(usual)):
		return usual
	}
	return fits[0]
}

// changed is what a backup added since the one before it, where it was made against
// that one; nil where it was not.
func (i *stanzaInfo) changed(b backup) *holdfast.Bytes {
	at := slices.IndexFunc(i.Backup, func(other backup) bool { return other.Label == b.Label })
	if at+1 >= len(i.Backup) || i.Backup[at+1].Label != b.Prior {
		return nil
	}
	delta := holdfast.Bytes(b.Info.Delta)
	return &delta
}
