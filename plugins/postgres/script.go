package postgres

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	lineMax   = 1 << 10 // how much of a line is looked at
	tablesMax = 10_000  // tables whose rows are counted apart
)

// script follows the SQL of a dump as it is written to it: what pg_dump wrote as
// plain text, or what pg_restore makes of an archive. It looks at the beginnings
// of lines, outside the rows of COPY, as pg_dump writes them.
type script struct {
	bytes     int64
	tables    int64
	rows      int64
	objects   int64           // large ones
	rowsOf    map[table]int64 // of COPY; nil where there are more than tablesMax
	encoding  string          // client_encoding: that of the source database
	database  string          // that \connect names last; "" where the dump is of one
	databases []string        // that it connects to, but for those every cluster has
	began     string          // as "-- Started on" writes it
	from, by  string          // versions of server and pg_dump
	kind      string          // "PostgreSQL database dump" or "PostgreSQL database cluster dump"
	ended     bool            // the mark that ends it was read, and nothing after it
	copying   bool            // in the rows of COPY
	zeros     bool            // a byte 0 was seen, which no text of PostgreSQL's holds: a disk's lost block
	copies    int64           // tables whose rows come by COPY
	into      table           // of COPY
	line      []byte          // the beginning of a line that has not ended
}

// table names a table as the dump writes it: quoted where it must be.
type table struct{ database, name string }

var (
	copyLine    = regexp.MustCompile(`^COPY ((?:"(?:[^"]|"")*"|[^" (.])+(?:\.(?:"(?:[^"]|"")*"|[^" (.])+)?)(?: \(.*\))? +FROM stdin;$`)
	connectLine = regexp.MustCompile(`^\\connect ([A-Za-z0-9_]+)$`)
)

// Write follows the script. It never fails.
func (s *script) Write(p []byte) (int, error) {
	n := len(p)
	s.bytes += int64(n)
	s.zeros = s.zeros || bytes.IndexByte(p, 0) >= 0
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			s.keep(p)
			break
		}
		if len(s.line) == 0 {
			s.follow(p[:min(end, lineMax)])
		} else {
			s.keep(p[:end])
			s.follow(s.line)
			s.line = s.line[:0]
		}
		p = p[end+1:]
	}
	return n, nil
}

func (s *script) keep(p []byte) {
	s.line = append(s.line, p[:min(len(p), lineMax-len(s.line))]...)
}

// follow takes one line, without its end.
func (s *script) follow(line []byte) {
	if s.copying {
		if string(line) == `\.` {
			s.copying = false
			return
		}
		s.rows++
		if s.rowsOf != nil {
			s.rowsOf[s.into]++
		}
		return
	}
	text := string(line)
	if s.comment(text) {
		return
	}
	s.ended = false
	switch {
	case strings.HasPrefix(text, "CREATE TABLE "), strings.HasPrefix(text, "CREATE UNLOGGED TABLE "):
		s.tables++
	case strings.HasPrefix(text, "INSERT INTO "):
		s.rows++
		s.rowsOf = nil // a value may hold a line like it: not to be counted on
	case strings.HasPrefix(text, "SELECT pg_catalog.lo_open("):
		s.objects++
	case strings.HasPrefix(text, "SET client_encoding = '"):
		s.encoding = strings.TrimSuffix(strings.TrimPrefix(text, "SET client_encoding = '"), "';")
	case strings.HasPrefix(text, `\connect `):
		s.connect(text)
	case strings.HasPrefix(text, "COPY ") && strings.HasSuffix(text, " FROM stdin;"), strings.HasPrefix(text, "COPY ") && len(line) == lineMax:
		s.copy(text)
	}
}

// comment takes an empty line, a comment, and what new versions of pg_dump put
// around a script.
func (s *script) comment(text string) bool {
	switch {
	case text == "", text == "--", strings.HasPrefix(text, `\restrict `), strings.HasPrefix(text, `\unrestrict `):
		return true
	case !strings.HasPrefix(text, "-- "):
		return false
	}
	word, rest, _ := strings.Cut(text[3:], " on ")
	switch {
	case text[3:] == "PostgreSQL database dump", text[3:] == "PostgreSQL database cluster dump":
		if s.kind == "" {
			s.kind = text[3:]
		}
		s.ended = false
	case text[3:] == s.kind+" complete":
		s.ended = true
	case word == "Started" && s.began == "":
		s.began = rest
	case strings.HasPrefix(text, "-- Dumped from database version ") && s.from == "":
		s.from = strings.TrimPrefix(text, "-- Dumped from database version ")
	case strings.HasPrefix(text, "-- Dumped by pg_dump version ") && s.by == "":
		s.by = strings.TrimPrefix(text, "-- Dumped by pg_dump version ")
	}
	return true
}

func (s *script) connect(text string) {
	m := connectLine.FindStringSubmatch(text)
	if m == nil { // a name that needs quotes: its tables cannot be told from others
		s.database, s.rowsOf = "", nil
		return
	}
	s.database = m[1]
	if s.database != "postgres" && s.database != "template1" && !slices.Contains(s.databases, s.database) && len(s.databases) < tablesMax {
		s.databases = append(s.databases, s.database)
	}
}

// copy begins the rows of a table.
func (s *script) copy(text string) {
	s.copying = true
	s.copies++
	m := copyLine.FindStringSubmatch(text)
	if m == nil || len(s.rowsOf) >= tablesMax {
		s.rowsOf = nil
		return
	}
	s.into = table{s.database, m[1]}
	if s.rowsOf != nil {
		s.rowsOf[s.into] += 0
	}
}

// newScript follows a script from its beginning.
func newScript() *script { return &script{rowsOf: map[table]int64{}} }

// whole reports whether the script was followed to the mark that ends it.
func (s *script) whole() bool { return s.ended && !s.copying && len(s.line) == 0 }

// wallClock reads a time without an offset, as a dump's header has it, in the zone
// it was written in. Where clocks went back and it happened twice, the first is
// meant: a dump is never younger than it says.
func wallClock(at string, zone *time.Location) (time.Time, bool) {
	day, rest, _ := strings.Cut(at, " ")
	clock, name, _ := strings.Cut(rest, " ")
	if name == "UTC" || name == "GMT" {
		zone = time.UTC
	}
	const form = "2006-01-02 15:04:05"
	t, err := time.ParseInLocation(form, day+" "+clock, zone)
	if err != nil {
		return time.Time{}, false
	}
	if earlier := t.Add(-time.Hour); earlier.Format(form) == t.Format(form) {
		t = earlier
	}
	return t.UTC(), true
}
