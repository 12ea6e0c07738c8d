package barman

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// pagesRead is of how many files at the end of the log the first page is read.
const pagesRead = 1024

// chain is the log that follows a backup without a gap.
type chain struct {
	last  segment
	file  *logFile
	path  []*logFile // its last four whole files, the newest last
	gap   string     // the file for want of which it ends here; "": it goes on no further
	fault error      // what is wrong with that file; nil: it is not there
	part  *logFile   // the file being received that follows
}

// branch is a timeline, and from which file on the log may be on it.
type branch struct {
	timeline uint32
	from     uint64
}

// follow walks the log from a backup's first file on, as a recovery to the latest
// timeline does.
func (a *archive) follow(b *backup) chain {
	on := a.branches(b)
	var c chain
	for at := b.from.number; ; at++ {
		s, f := find(a.files, on, c.last.timeline, at)
		if f != nil && f.fault == nil && at+pagesRead > a.newest && !f.packed && !f.read {
			f.fault, f.read = a.readPage(s, f.path, b.system), true
		}
		if f == nil || f.fault != nil {
			c.end(a, on, at, f, b)
			return c
		}
		c.last, c.file = s, f
		if c.path = append(c.path, f); len(c.path) > 4 {
			c.path = slices.Delete(c.path, 0, 1)
		}
	}
}

// readPage is segment.readPage, and notes a file that this process may not read:
// nothing is known of the log then.
func (a *archive) readPage(s segment, path, system string) error {
	err := s.readPage(path, system, a.size)
	if errors.Is(err, fs.ErrPermission) {
		a.denied = err
	}
	return err
}

// end tells a log that goes no further from one with a gap at this number.
func (c *chain) end(a *archive, on []branch, at uint64, f *logFile, b *backup) {
	name := segment{max(c.last.timeline, b.from.timeline), at}.name(a.size)
	if f != nil {
		c.gap, c.fault = name, f.fault
		return
	}
	if s, p := find(a.partial, on, c.last.timeline, at); p != nil && p.size > 0 {
		err := p.fault
		if err == nil {
			err = a.readPage(s, p.path, b.system)
		}
		switch {
		case err == nil:
			c.part = p
		case !errors.Is(err, errBlank): // nothing was received of it yet
			c.gap, c.fault = p.name(), err
			return
		}
	}
	for s := range a.files {
		if forks, ok := a.histories[s.timeline]; forks == nil && s.timeline > on[len(on)-1].timeline {
			c.gap, c.part = fmt.Sprintf("%08X.history", s.timeline), nil
			if ok {
				c.fault = errors.New("it cannot be read")
			}
			return
		}
	}
	for _, files := range []map[segment]*logFile{a.files, a.partial} {
		for s := range files {
			if s.number > at && slices.ContainsFunc(on, func(w branch) bool { return w.timeline == s.timeline && w.from <= s.number }) {
				c.gap, c.part = name, nil
				return
			}
		}
	}
}

// find returns the file with this number on the newest timeline that has it, never
// on an older one than the log was on already.
func find(files map[segment]*logFile, on []branch, now uint32, number uint64) (segment, *logFile) {
	for _, w := range slices.Backward(on) {
		s := segment{w.timeline, number}
		if f := files[s]; f != nil && w.from <= number && w.timeline >= now {
			return s, f
		}
	}
	return segment{}, nil
}

// branches are the timelines a recovery from the backup may go through: those of
// the newest history in which the backup's own timeline was left after its end.
func (a *archive) branches(b *backup) []branch {
	best := []branch{{b.from.timeline, 0}}
	for timeline, forks := range a.histories {
		at := slices.IndexFunc(forks, func(f fork) bool { return f.timeline == b.from.timeline })
		if at < 0 || forks[at].at/uint64(a.size) < b.to.number || timeline < best[len(best)-1].timeline {
			continue
		}
		best = []branch{{b.from.timeline, 0}}
		for i := at + 1; i < len(forks); i++ {
			best = append(best, branch{forks[i].timeline, forks[i-1].at / uint64(a.size)})
		}
	}
	return best
}

// holds reports whether the log reaches to the end of a backup.
func (c chain) holds(b *backup) bool { return c.file != nil && c.last.number >= b.to.number }

// reach is the moment the log can be recovered to: the end of the backup at least.
func (c chain) reach(b *backup) time.Time {
	at := c.file.at
	if c.part != nil && c.part.at.After(at) {
		at = c.part.at
	}
	if at.Before(b.ended) {
		at = b.ended
	}
	return at
}

// said describes the gap.
func (c chain) said() string {
	if c.fault != nil {
		return fmt.Sprintf("%s of the log cannot be used: %v", c.gap, c.fault)
	}
	return fmt.Sprintf("%s of the log is missing", c.gap)
}
