package restic

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// snapshot is one entry of `snapshots --json`.
type snapshot struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Tree     string    `json:"tree"`
	Hostname string    `json:"hostname"`
	Paths    []string  `json:"paths"`
	Tags     []string  `json:"tags"`
	Summary  *struct { // restic 0.17 and later
		Start time.Time `json:"backup_start"`
		Bytes int64     `json:"total_bytes_processed"`
		Files int64     `json:"total_files_processed"`
		Added *int64    `json:"data_added"` // new or rewritten, before compression; absent: the backup did not say
	} `json:"summary"`
}

// at is the moment the snapshot is consistent as of: when its backup began.
func (s snapshot) at() time.Time {
	if s.Summary != nil && !s.Summary.Start.IsZero() {
		return s.Summary.Start.UTC()
	}
	return s.Time.UTC()
}

// point is the snapshot as a recovery point, with its sizes where it knows them.
func (s snapshot) point() holdfast.RecoveryPoint {
	p := holdfast.RecoveryPoint{Time: s.at(), ID: s.ID}
	if s.Summary != nil {
		p.Bytes, p.Files = holdfast.Bytes(max(0, s.Summary.Bytes)), max(0, s.Summary.Files)
		if added := s.Summary.Added; added != nil && *added >= 0 {
			p.Changed = new(holdfast.Bytes(*added))
		}
	}
	return p
}

// short is the form of an ID that people use.
func (s snapshot) short() string { return s.ID[:8] }

func parseSnapshots(b []byte) ([]snapshot, error) {
	var list []snapshot
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("restic snapshots: %w", err)
	}
	for i, s := range list {
		if !isID(s.ID) || !isID(s.Tree) || s.Time.IsZero() {
			return nil, fmt.Errorf("restic snapshots: entry %d lacks its id, tree or time", i+1)
		}
	}
	return list, nil
}

// isID reports whether s is the full ID of something in a repository.
func isID(s string) bool {
	_, err := hex.DecodeString(s)
	return len(s) == 64 && err == nil
}

// size is what `stats --json` says of one snapshot: the bytes a restore writes,
// hard links once, and its entries, folders and links among them.
type size struct {
	Bytes     int64 `json:"total_size"`
	Entries   int64 `json:"total_file_count"`
	Snapshots int64 `json:"snapshots_count"`
}

func parseStats(b []byte) (size, error) {
	var s size
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("restic stats: %w", err)
	}
	return s, nil
}

// lock is what `cat lock` says.
type lock struct {
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
	Username  string    `json:"username"`
	PID       int       `json:"pid"`
}

func parseLock(b []byte) (lock, error) {
	var l lock
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("restic cat lock: %w", err)
	}
	if l.Time.IsZero() {
		return l, errors.New("restic cat lock: it has no time")
	}
	return l, nil
}

// parseIDs reads one ID a line, as `list` prints them.
func parseIDs(b []byte) ([]string, error) {
	var ids []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if !isID(line) {
			return nil, fmt.Errorf("restic list: %.80q is not an ID", line)
		}
		ids = append(ids, line)
	}
	return ids, nil
}

// node is an entry of a snapshot, as `ls --json` prints it.
type node struct {
	Struct  string `json:"struct_type"`
	Message string `json:"message_type"` // in place of struct_type, some day
	Type    string `json:"type"`
	Path    string `json:"path"`
	Size    int64  `json:"size"`
}

// parseLs reads the lines of `ls --json` and calls each for every entry.
func parseLs(r io.Reader, each func(node)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var n node
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			return fmt.Errorf("restic ls: %w", err)
		}
		if n.Struct == "node" || n.Message == "node" {
			if n.Type == "" || n.Path == "" || n.Size < 0 {
				return errors.New("restic ls: an entry lacks its type or path")
			}
			each(n)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("restic ls: %w", err)
	}
	return nil
}

// checked is what `check` prints.
type checked struct {
	clean bool
	packs int64 // data packs read; 0: structure only, or the tool does not say
}

var packsRead = regexp.MustCompile(`(?m)^\[[0-9:]+\] +[0-9.]+% +([0-9]+) / [0-9]+ packs`)

// parseCheck reads the text of `check`, or its JSON summary.
func parseCheck(b []byte) checked {
	var c checked
	for line := range strings.Lines(string(b)) {
		var s struct {
			Type   string `json:"message_type"`
			Errors *int64 `json:"num_errors"`
		}
		if json.Unmarshal([]byte(line), &s) == nil && s.Type == "summary" && s.Errors != nil {
			c.clean = *s.Errors == 0
		}
		c.clean = c.clean || strings.TrimSpace(line) == "no errors were found"
	}
	if m := packsRead.FindSubmatch(b); m != nil {
		c.packs, _ = strconv.ParseInt(string(m[1]), 10, 64)
	}
	return c
}

// countErrors counts the problems `check` names on standard error.
func countErrors(stderr []byte) int64 {
	var n int64
	for _, line := range said(stderr) {
		low := strings.ToLower(line)
		if strings.HasPrefix(low, "error") || strings.HasPrefix(low, "pack ") {
			n++
		}
	}
	return max(1, n)
}

// parseVersion reads "restic 0.14.0 compiled with …" into "0.14.0".
func parseVersion(b []byte) (string, error) {
	words := strings.Fields(string(b))
	if len(words) < 2 || words[0] != "restic" || len(words[1]) > 64 {
		return "", fmt.Errorf("restic version: %.80q is not an answer of restic", b)
	}
	return words[1], nil
}

// majorMinor cuts "0.14.0" to "0.14".
func majorMinor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return version
	}
	return parts[0] + "." + parts[1]
}
