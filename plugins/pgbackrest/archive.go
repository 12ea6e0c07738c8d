package pgbackrest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// archive is what the repository holds of one database's log.
type archive struct {
	repo *repository
	path string // below the repository: archive/main/15-1
	size uint64 // bytes of a segment

	folders   map[string]bool           // by timeline and the upper half of the position, 16 digits
	listed    map[string]bool           // folders that were listed
	files     map[segment][]segmentFile // of the folders listed
	histories map[uint32][]branch       // of the timelines that have one; nil: not read yet
	branches  []branch                  // what recovery follows, oldest first; see follow
}

// segment is a file of the log: its timeline and its number, which counts from the
// begin of the log.
type segment struct {
	timeline uint32
	number   uint64
}

// segmentFile is a segment as the archive holds it.
type segmentFile struct {
	segment
	path string    // below the repository
	sum  string    // SHA-1 of the unpacked content, hexadecimal, from its name
	at   time.Time // when it was archived
}

// branch is a timeline and the first segment that recovery takes from it.
type branch struct {
	timeline uint32
	first    uint64
}

var (
	segmentName = regexp.MustCompile(`^([0-9A-F]{24})-([0-9a-f]{40})(\.(gz|bz2|lz4|zst))?$`)
	folderName  = regexp.MustCompile(`^[0-9A-F]{16}$`)
	historyName = regexp.MustCompile(`^([0-9A-F]{8})\.history$`)
)

// name is what PostgreSQL calls a segment.
func (a *archive) name(s segment) string {
	n := uint64(perLog) / a.size
	return fmt.Sprintf("%08X%08X%08X", s.timeline, s.number/n, s.number%n)
}

// parse reads a segment's name.
func (a *archive) parse(name string) (segment, error) {
	if len(name) != 24 {
		return segment{}, fmt.Errorf("%.40q is no name of a file of the log", name)
	}
	var part [3]uint64
	for i := range part {
		var err error
		if part[i], err = strconv.ParseUint(name[8*i:8*i+8], 16, 32); err != nil {
			return segment{}, fmt.Errorf("%.40q is no name of a file of the log", name)
		}
	}
	return segment{uint32(part[0]), part[1]*(perLog/a.size) + part[2]}, nil
}

// openArchive lists the top of the archive of a stanza's newest database.
func (r *repository) openArchive(ctx context.Context, i stanzaInfo) (*archive, error) {
	database := i.Backup[0].Database.ID
	id := i.archiveID(database)
	if id == "" {
		return nil, probe.Faulty(holdfast.Damaged, "the archive of database %d is not listed", database)
	}
	a := &archive{repo: r, path: "archive/" + r.Stanza + "/" + id, size: i.segmentSize(database),
		folders: map[string]bool{}, listed: map[string]bool{}, files: map[segment][]segmentFile{}, histories: map[uint32][]branch{}}
	if a.size == 0 {
		return nil, probe.Unable("", "pgbackrest info: positions and names of the log's files do not agree")
	}
	entries, err := r.list(ctx, a.path)
	if err != nil {
		return nil, err
	}
	for name := range entries {
		if folderName.MatchString(name) {
			a.folders[name] = true
		} else if m := historyName.FindStringSubmatch(name); m != nil {
			n, _ := strconv.ParseUint(m[1], 16, 32)
			a.histories[uint32(n)] = nil
		}
	}
	return a, nil
}

// follow sets the branches that lead from the end of a backup to the newest timeline,
// as PostgreSQL's findNewestTimeLine does: the one before the first without a history.
// A backup that does not lie on the way there keeps to its own.
func (a *archive) follow(ctx context.Context, stop segment) error {
	a.branches = []branch{{timeline: stop.timeline}}
	newest := stop.timeline
	for _, there := a.histories[newest+1]; there; _, there = a.histories[newest+1] {
		newest++
	}
	if newest == stop.timeline {
		return nil
	}
	way := a.histories[newest]
	if way == nil {
		text, err := a.repo.get(ctx, fmt.Sprintf("%s/%08X.history", a.path, newest), 1<<20)
		if err != nil {
			return err
		}
		if way, err = parseHistory(text, newest, a.size); err != nil {
			return probe.Faulty(holdfast.Damaged, "%08X.history: %v", newest, err)
		}
		a.histories[newest] = way
	}
	at := slices.IndexFunc(way, func(b branch) bool { return b.timeline == stop.timeline })
	if at >= 0 && way[at].first <= stop.number && (at+1 == len(way) || stop.number <= way[at+1].first) {
		a.branches = way
	}
	return nil
}

// parseHistory reads a timeline's history: a line for each ancestor, with the position
// at which the next one left it.
func parseHistory(text []byte, timeline uint32, size uint64) ([]branch, error) {
	var way []branch
	first := uint64(0)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 2 {
			return nil, fmt.Errorf("%.60q has no position", lines.Text())
		}
		n, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%.60q names no timeline", lines.Text())
		}
		left, err := parsePosition(f[1])
		if err != nil {
			return nil, err
		}
		way = append(way, branch{uint32(n), first})
		first = left / size
	}
	return append(way, branch{timeline, first}), nil
}

// parsePosition reads a position in the log, like 0/6000028.
func parsePosition(s string) (uint64, error) {
	high, low, _ := strings.Cut(s, "/")
	h, errH := strconv.ParseUint(high, 16, 32)
	l, errL := strconv.ParseUint(low, 16, 32)
	if err := cmp.Or(errH, errL); err != nil {
		return 0, fmt.Errorf("%.40q is no position in the log", s)
	}
	return h<<32 | l, nil
}

// timeline is the one that recovery ends on.
func (a *archive) timeline() uint32 { return a.branches[len(a.branches)-1].timeline }

// find returns the file of a segment: that of the newest timeline that reaches so far
// back, as PostgreSQL takes it. Two files for one segment are none: pgBackRest refuses
// to choose.
func (a *archive) find(ctx context.Context, number uint64) (segmentFile, bool, error) {
	for _, b := range slices.Backward(a.branches) {
		if b.first > number {
			continue
		}
		s := segment{b.timeline, number}
		if err := a.listFor(ctx, s); err != nil {
			return segmentFile{}, false, err
		}
		if files := a.files[s]; len(files) > 0 {
			return files[0], len(files) == 1, nil
		}
	}
	return segmentFile{}, false, nil
}

// listFor lists the folder a segment lies in, once.
func (a *archive) listFor(ctx context.Context, s segment) error {
	folder := a.name(s)[:16]
	if !a.folders[folder] || a.listed[folder] {
		return nil
	}
	entries, err := a.repo.list(ctx, a.path+"/"+folder)
	if err != nil {
		return err
	}
	for name, e := range entries {
		m := segmentName.FindStringSubmatch(name)
		if m == nil || e.Type != "file" {
			continue
		}
		s, err := a.parse(m[1])
		if err != nil {
			continue
		}
		a.files[s] = append(a.files[s], segmentFile{s, a.path + "/" + folder + "/" + name, m[2], time.Unix(e.Time, 0).UTC()})
	}
	a.listed[folder] = true
	return nil
}

// run returns the files from one segment on, up to before another or the first that is
// missing.
func (a *archive) run(ctx context.Context, from, to uint64) ([]segmentFile, error) {
	var files []segmentFile
	for n := from; n < to; n++ {
		f, there, err := a.find(ctx, n)
		if err != nil || !there {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// after returns the first file behind a gap, if there is one: of a timeline that
// recovery takes there, by name.
func (a *archive) after(ctx context.Context, gap uint64) (segmentFile, bool, error) {
	for _, folder := range slices.Sorted(maps.Keys(a.folders)) {
		last, err := a.parse(folder + fmt.Sprintf("%08X", perLog/a.size-1))
		if err != nil || last.number < gap || !slices.ContainsFunc(a.branches, func(b branch) bool { return b.timeline == last.timeline }) {
			continue
		}
		if err := a.listFor(ctx, last); err != nil {
			return segmentFile{}, false, err
		}
		var found []segmentFile
		for s, files := range a.files {
			if s.number > gap && a.takes(s) && a.name(s)[:16] == folder {
				found = append(found, files...)
			}
		}
		if len(found) > 0 {
			return slices.MinFunc(found, func(a, b segmentFile) int { return cmp.Compare(a.number, b.number) }), true, nil
		}
	}
	return segmentFile{}, false, nil
}

// takes reports whether recovery would take a segment from its timeline.
func (a *archive) takes(s segment) bool {
	for _, b := range slices.Backward(a.branches) {
		if b.first <= s.number {
			return b.timeline == s.timeline
		}
	}
	return false
}
