package mariadb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// contents is what a dump was found to hold.
type contents struct {
	bytes     int64     // unpacked
	written   string    // by what, like "MariaDB dump 10.19  Distrib 10.11.19-MariaDB"; "" where it is no dump
	database  string    // in its heading; "" where it holds several or all
	databases []string  // it switches to, without the server's own
	tables    int64     // it makes, without the server's own
	inserts   int64     // statements that fill them
	complete  bool      // the last line says so
	ended     time.Time // what that line says, read as UTC; zero: it says nothing
}

// lineMax is how much of a line is looked at: an INSERT may be of many MiB.
const lineMax = 1024

// serverOwn are the databases that belong to the server.
var serverOwn = []string{"mysql", "sys", "information_schema", "performance_schema"}

var (
	headingLine  = regexp.MustCompile(`^-- ((?:MariaDB|MySQL) dump [^,]*)`)
	databaseLine = regexp.MustCompile(`^-- Host: .*    Database: (.+)$`)
	useLine      = regexp.MustCompile("^USE `((?:[^`]|``)+)`;$")
	createLine   = regexp.MustCompile("^CREATE TABLE (?:IF NOT EXISTS )?`")
	endLine      = regexp.MustCompile(`^-- Dump completed(?: on (\d{4}-\d\d-\d\d +\d{1,2}:\d\d:\d\d))?$`)
)

// scan reads a dump of mariadb-dump to its end. In such a dump line breaks within
// values are written as \n, so that what begins a line is a statement or a comment,
// outside the bodies of routines, which stand between DELIMITER lines.
func scan(r io.Reader) (contents, error) {
	var c contents
	in := bufio.NewReaderSize(r, 64<<10)
	s := scanner{contents: &c}
	for {
		line, n, err := shortLine(in)
		c.bytes += n
		if len(line) > 0 {
			s.line(line)
		}
		if err == io.EOF {
			c.complete, c.ended = s.end()
			return c, nil
		}
		if err != nil {
			return c, err
		}
	}
}

// shortLine reads a line and returns its beginning, without the line's end, and its
// whole length.
func shortLine(in *bufio.Reader) (head string, n int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if n == 0 {
			head = string(bytes.TrimRight(part[:min(len(part), lineMax)], "\r\n"))
		}
		n += int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return head, n, err
		}
	}
}

type scanner struct {
	*contents
	system  bool   // the database in use is the server's own
	routine bool   // within a body: the delimiter is not ;
	last    string // line that is not empty
}

func (s *scanner) line(line string) {
	s.last = line
	if d, ok := strings.CutPrefix(line, "DELIMITER "); ok {
		s.routine = strings.TrimSpace(d) != ";"
		return
	}
	if s.routine {
		return
	}
	switch {
	case strings.HasPrefix(line, "INSERT INTO `"), strings.HasPrefix(line, "REPLACE INTO `"), strings.HasPrefix(line, "INSERT  IGNORE INTO `"):
		if !s.system {
			s.inserts++
		}
	case createLine.MatchString(line):
		if !s.system {
			s.tables++
		}
	case strings.HasPrefix(line, "USE `"):
		s.use(line)
	case strings.HasPrefix(line, "-- "):
		s.comment(line)
	}
}

func (s *scanner) use(line string) {
	m := useLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	name := strings.ReplaceAll(m[1], "``", "`")
	s.system = slices.Contains(serverOwn, name)
	if !s.system && !slices.Contains(s.databases, name) && len(s.databases) < 1000 {
		s.databases = append(s.databases, name)
	}
}

func (s *scanner) comment(line string) {
	if m := headingLine.FindStringSubmatch(line); m != nil && s.written == "" {
		s.written = m[1]
	}
	if m := databaseLine.FindStringSubmatch(line); m != nil && s.database == "" {
		s.database = m[1]
	}
}

// end reads the last line.
func (s *scanner) end() (complete bool, ended time.Time) {
	m := endLine.FindStringSubmatch(s.last)
	if m == nil {
		return false, time.Time{}
	}
	if parts := strings.Fields(m[1]); len(parts) == 2 { // the hour may have one digit
		ended, _ = time.Parse("2006-01-02 15:04:05", parts[0]+" "+strings.Repeat("0", 8-len(parts[1]))+parts[1])
	}
	return true, ended
}
