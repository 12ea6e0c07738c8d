package borg

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// archive is one entry of `list --json`.
type archive struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Time moment `json:"time"` // when its backup began
}

func (a archive) at() time.Time { return a.Time.Time }

func (a archive) String() string {
	return fmt.Sprintf("archive %.100q of %s", a.Name, a.at().Format(time.RFC3339))
}

func (a archive) point() holdfast.RecoveryPoint {
	return holdfast.RecoveryPoint{Time: a.at(), ID: a.ID}
}

// moment is a time as borg writes it: of the zone it runs in, which is UTC here, and
// from 1.4 on with its offset.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	for _, form := range []string{"2006-01-02T15:04:05", time.RFC3339, "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(form, s); err == nil { // takes a fraction, too
			m.Time = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("%.40q is no time", s)
}

// listed is the answer of `list --json`.
type listed struct {
	Archives   []archive `json:"archives"`
	Repository struct {
		ID string `json:"id"`
	} `json:"repository"`
	Encryption struct {
		Mode string `json:"mode"`
	} `json:"encryption"`
}

// encrypted reports whether the content is sealed: "authenticated" only signs it.
func (l listed) encrypted() bool {
	return l.Encryption.Mode != "none" && !strings.HasPrefix(l.Encryption.Mode, "authenticated")
}

func parseList(b []byte) (listed, error) {
	var l listed
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("borg list: %w", err)
	}
	if l.Archives == nil || l.Encryption.Mode == "" {
		return l, errors.New("borg list: the answer lacks its archives or the mode of encryption")
	}
	for i, a := range l.Archives {
		if _, err := hex.DecodeString(a.ID); err != nil || len(a.ID) != 64 || a.Name == "" || a.at().IsZero() {
			return l, fmt.Errorf("borg list: entry %d lacks its id, name or time", i+1)
		}
	}
	return l, nil
}

// checkpoint matches what an unfinished backup leaves.
var checkpoint = regexp.MustCompile(`\.checkpoint(\.[0-9]+)?$`)

// sortArchives takes checkpoints out and puts the newest first.
func sortArchives(all []archive) []archive {
	all = slices.DeleteFunc(slices.Clone(all), func(a archive) bool { return checkpoint.MatchString(a.Name) })
	slices.SortFunc(all, func(a, b archive) int {
		if c := b.at().Compare(a.at()); c != 0 {
			return c
		}
		return strings.Compare(b.Name, a.Name)
	})
	return all
}

// item is an entry of an archive, as `list --json-lines` prints it.
type item struct {
	Type    string `json:"type"` // like the first letter of ls -l; "-" for a hard link, too
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	Source  string `json:"source"`  // what a hard link is of
	Healthy *bool  `json:"healthy"` // false: lost content was replaced with zeros
}

// contents is what an archive holds. Bytes counts a file with several hard links
// once, as a restore writes it.
type contents struct {
	scratch.Tally
	zeroed int64 // files whose lost content check --repair replaced with zeros
}

// parseItems reads the lines of `list --json-lines` and calls each for every entry.
func parseItems(r io.Reader, each func(item)) (contents, error) {
	var sum contents
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var it item
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			return sum, fmt.Errorf("borg list: %w", err)
		}
		if it.Type == "" || it.Path == "" || it.Size < 0 || it.Healthy == nil {
			return sum, errors.New("borg list: an entry lacks its type, path or health")
		}
		if it.Path == "." { // the folder that is restored into
			continue
		}
		sum.add(it)
		each(it)
	}
	if err := lines.Err(); err != nil {
		return sum, fmt.Errorf("borg list: %w", err)
	}
	return sum, nil
}

func (c *contents) add(it item) {
	switch it.Type {
	case "-", "h": // h: a hard link, as older versions write it
		if it.Source == "" {
			c.OnceBytes += it.Size
		}
		c.Files++
	case "d":
		c.Folders++
	case "l":
		c.Links++
	default:
		c.Others++
	}
	c.Bytes = c.OnceBytes
	if !*it.Healthy {
		c.zeroed++
	}
}

// parseVersion reads "borg 1.2.4" into "1.2.4".
func parseVersion(b []byte) (string, error) {
	words := strings.Fields(string(b))
	if len(words) != 2 || words[0] != "borg" || len(words[1]) > 64 {
		return "", fmt.Errorf("borg --version: %.80q is not an answer of borg", b)
	}
	return words[1], nil
}

// majorMinor cuts "1.2.4" to "1.2".
func majorMinor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return version
	}
	return parts[0] + "." + parts[1]
}
