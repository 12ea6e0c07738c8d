package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// heading checks what every database begins with ("Database File Format", 1.3): the
// magic string, the page size, and that the file is as long as it says.
func heading(file io.ReaderAt, size int64) error {
	if size == 0 {
		return probe.Faulty(holdfast.Empty, "is empty")
	}
	head := make([]byte, 100)
	n, err := file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	switch {
	case folder.Squeezed(head) != "":
		return probe.Unable("", "it is compressed with %s: files.archive reads such files", folder.Squeezed(head))
	case n < len(head) || !bytes.HasPrefix(head, []byte("SQLite format 3\x00")):
		return probe.Faulty(holdfast.Damaged, "is no SQLite database, or an encrypted one")
	}
	page := int64(binary.BigEndian.Uint16(head[16:]))
	if page == 1 {
		page = 65536
	}
	if page < 512 || page&(page-1) != 0 {
		return probe.Faulty(holdfast.Damaged, "is damaged: a page cannot have %d bytes", page)
	}
	pages := int64(binary.BigEndian.Uint32(head[28:]))
	inUse := bytes.Equal(head[24:28], head[92:96]) // written by SQLite 3.7.0 or later
	if inUse && pages > 0 && size < pages*page {
		return probe.Faulty(holdfast.Damaged, "is cut off: it has %d bytes of %d", size, pages*page)
	}
	return nil
}

// database is a file that the tool opens read-only and immutable.
type database struct{ tool, path string }

// run sends statements. -safe keeps them from running programs, loading extensions and
// opening other files.
func (d database) run(ctx context.Context, sql string) (string, error) {
	where := url.URL{Scheme: "file", Path: d.path, RawQuery: "mode=ro&immutable=1"}
	out, err := probe.Run(ctx, probe.Command{
		Path: d.tool, Args: []string{"-safe", "-batch", "-bail", "-noheader", "-list", "-nullvalue", "NULL", "-separator", columnEnd, "-newline", rowEnd, where.String()},
		Env:   []string{"HOME=/nonexistent"}, // no .sqliterc
		Stdin: strings.NewReader(sql), StdoutMax: 1 << 20,
	})
	if err != nil {
		return "", err
	}
	said := probe.OneLine(strings.TrimSpace(string(out.Stderr)))
	switch {
	case out.ExitCode == 0 && said == "":
		return string(out.Stdout), nil
	case strings.Contains(said, "malformed"), strings.Contains(said, "not a database"), strings.Contains(said, "disk I/O error"):
		return "", &probe.Fault{Reason: holdfast.Damaged, Text: "is damaged: " + said, Raw: string(out.Stderr)}
	case strings.Contains(said, "unknown option"):
		return "", probe.Unable(holdfast.ToolMissing, "%s: %s: sqlite3 3.37 or later is needed", d.tool, said)
	case strings.Contains(said, "unable to open"):
		if f, err := os.Open(d.path); err != nil {
			return "", err
		} else if err := f.Close(); err != nil {
			return "", err
		}
	}
	return "", &refused{said}
}

// refused is what SQLite says of a statement that it does not carry out.
type refused struct{ said string }

func (r *refused) Error() string { return "sqlite3: " + r.said }

// What parts columns and rows: characters that no number holds.
const columnEnd, rowEnd = "\x1f", "\x1e"

// check runs SQLite's own check and counts the tables.
func (d database) check(ctx context.Context, quick bool) (tables int64, err error) {
	pragma := "integrity_check"
	if quick {
		pragma = "quick_check"
	}
	answer, err := d.run(ctx, "PRAGMA "+pragma+"(20);\nSELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\';")
	if err != nil {
		return 0, err
	}
	rows := strings.Split(strings.TrimSuffix(answer, rowEnd), rowEnd)
	if len(rows) != 2 || rows[0] != "ok" {
		return 0, &probe.Fault{Reason: holdfast.Damaged, Text: "is damaged: " + pragma + ": " + probe.OneLine(rows[0]), Raw: strings.ReplaceAll(answer, rowEnd, "\n")}
	}
	tables, err = strconv.ParseInt(rows[1], 10, 64)
	if err != nil {
		return 0, probe.Unable("", "sqlite3: %.40q is not a number of tables", rows[1])
	}
	if tables == 0 {
		return 0, probe.Faulty(holdfast.Empty, "is a database without a table")
	}
	return tables, nil
}

// assert asks one assertion: one row, one value, true as SQLite means it (a number
// other than 0).
func (d database) assert(ctx context.Context, statement string) error {
	answer, err := d.run(ctx, strings.TrimRight(statement, "; \n\t")+";\n")
	if no, ok := err.(*refused); ok {
		return probe.Faulty(holdfast.Assertion, "fails %.200s: %s", statement, no.said)
	}
	if err != nil {
		return err
	}
	value, ended := strings.CutSuffix(answer, rowEnd)
	if !ended || strings.ContainsAny(value, columnEnd+rowEnd) {
		return probe.Faulty(holdfast.Assertion, "fails %.200s: it returned %d rows, want one row with one value", statement, strings.Count(answer, rowEnd))
	}
	if n, err := strconv.ParseFloat(value, 64); err != nil || n == 0 {
		return probe.Faulty(holdfast.Assertion, "fails %.200s: got %.80s, want true", statement, value)
	}
	return nil
}
