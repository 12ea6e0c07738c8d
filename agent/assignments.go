package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// What an agent takes from a collector as the interval of a check.
const (
	shortestInterval = holdfast.Duration(time.Second)
	longestInterval  = 10 * holdfast.Year
)

// keptAssignment is the file the last assignment is kept in, so that an agent
// restarted while the collector is away keeps probing.
type keptAssignment struct {
	SHA256     string          `json:"sha256"` // of Assignment
	Assignment json.RawMessage `json:"assignment"`
}

// loadAssignment reads the kept assignment. None was kept where the file is
// missing; a damaged one is an error, and the collector sends it again.
func loadAssignment(path string) (a holdfast.Assignment, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("read the kept assignment: %w", err)
	}
	var kept keptAssignment
	if err := json.Unmarshal(text, &kept); err != nil {
		return a, fmt.Errorf("read the kept assignment %s: %w", path, err)
	}
	if kept.SHA256 != checksumOf(kept.Assignment) {
		return a, fmt.Errorf("read the kept assignment %s: its checksum is wrong", path)
	}
	if err := json.Unmarshal(kept.Assignment, &a); err != nil {
		return a, fmt.Errorf("read the kept assignment %s: %w", path, err)
	}
	return a, nil
}

// saveAssignment keeps an assignment, whole or not at all.
func saveAssignment(path string, a holdfast.Assignment) error {
	text, err := json.Marshal(a)
	if err == nil {
		text, err = json.Marshal(keptAssignment{checksumOf(text), text})
	}
	if err == nil {
		err = writeFile(path, text)
	}
	if err != nil {
		return fmt.Errorf("keep the assignment: %w", err)
	}
	return nil
}

func checksumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// writeFile replaces a file as a whole: after a crash it is the old or the new.
func writeFile(path string, text []byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// runnable returns the checks of an assignment that can be scheduled, and an
// error for each that cannot: the agent does not take the collector's word that
// they are sound.
func runnable(checks []holdfast.Check) (sound []holdfast.Check, faults []error) {
	seen := make(map[string]bool, len(checks))
	for _, c := range checks {
		var fault string
		switch {
		case c.ID == "" || seen[c.ID]:
			fault = "its ID is empty or taken"
		case c.Every < shortestInterval || c.Every > longestInterval:
			fault = fmt.Sprintf("interval %s is not within %s and %s", c.Every, shortestInterval, longestInterval)
		case c.With != "" && !json.Valid([]byte(c.With)):
			fault = "its settings are not JSON"
		}
		if fault != "" {
			faults = append(faults, fmt.Errorf("check %q cannot be scheduled: %s", c.ID, fault))
			continue
		}
		seen[c.ID] = true
		sound = append(sound, c)
	}
	slices.SortFunc(sound, func(a, b holdfast.Check) int { return strings.Compare(a.ID, b.ID) })
	return sound, faults
}
