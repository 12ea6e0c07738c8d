package borg

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// staleLock is how long somebody may hold the repository before that is
// reported: every backup does while it runs.
const staleLock = 12 * time.Hour

// lock is who holds a local repository so that no backup can begin.
type lock struct {
	holder string
	since  time.Time
}

func (l lock) String() string {
	return fmt.Sprintf("held by %s since %s", probe.OneLine(l.holder), l.since.UTC().Format(time.RFC3339))
}

// readLocks lists the locks of a local repository: the folder lock.exclusive holds a
// file named for its owner, lock.roster the owners of shared locks.
func readLocks(repository string) ([]lock, error) {
	var locks []lock
	dir := filepath.Join(repository, "lock.exclusive")
	info, err := os.Stat(dir)
	if err == nil {
		l := lock{"nobody it names", info.ModTime()}
		if owners, err := os.ReadDir(dir); err == nil && len(owners) > 0 {
			l.holder = owners[0].Name()
		}
		locks = append(locks, l)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, unreadable(err)
	}
	roster := filepath.Join(repository, "lock.roster")
	if info, err = os.Stat(roster); errors.Is(err, fs.ErrNotExist) {
		return locks, nil
	}
	if err != nil {
		return nil, unreadable(err)
	}
	b, err := readFile(roster)
	if err != nil {
		return locks, nil // gone meanwhile; borg takes one it cannot read for empty as well
	}
	var owners struct {
		Shared [][]any `json:"shared"`
	}
	if json.Unmarshal(b, &owners) != nil {
		return locks, nil
	}
	for _, o := range owners.Shared {
		locks = append(locks, lock{fmt.Sprint(o...), info.ModTime()})
	}
	return locks, nil
}
