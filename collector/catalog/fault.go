package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Fault is one thing that cannot be read, or a warning about one that can.
type Fault struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`   // from 1; 0: the whole file
	Column  int    `json:"column,omitempty"` // in characters, from 1
	Path    string `json:"path,omitempty"`   // of the key: "service.payments.bia.rto"
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
	Excerpt string `json:"-"` // the line itself, with a caret under the column
}

// String writes "file:line:column: key.path: problem; hint" in one line.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	if f.Path != "" {
		b.WriteString(": " + f.Path)
	}
	b.WriteString(": " + f.Problem)
	if f.Hint != "" {
		b.WriteString("; " + f.Hint)
	}
	return b.String()
}

// Errors is every fault of a catalogue that was refused, by place.
type Errors []Fault

// Error writes each fault on a line of its own.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// place is where something stands.
type place struct {
	file         string
	line, column int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// faults gathers what is wrong while a catalogue is read.
type faults struct {
	errors   []Fault
	warnings []Fault
	hints    int // searches for a nearest name so far
}

func fault(n *node, problem, hint string) Fault {
	return Fault{File: n.file, Line: n.line, Column: n.column, Path: shorten(n.path(), 200), Problem: problem, Hint: hint}
}

// shorten cuts what is longer than most characters.
func shorten(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// add reports an error in the value n.
func (f *faults) add(n *node, problem, hint string) {
	f.errors = append(f.errors, fault(n, problem, hint))
}

// addKey reports an error in the key under which n stands.
func (f *faults) addKey(n *node, problem, hint string) {
	x := fault(n, problem, hint)
	if n.keyLine > 0 {
		x.Line, x.Column = n.keyLine, n.keyColumn
	}
	f.errors = append(f.errors, x)
}

// addAt reports an error where there is no value to point at.
func (f *faults) addAt(p place, problem, hint string) {
	f.errors = append(f.errors, Fault{File: p.file, Line: p.line, Column: p.column, Problem: problem, Hint: hint})
}

// addMissing reports mandatory keys that n, a mapping, does not have.
func (f *faults) addMissing(n *node, keys []string, hint string) {
	for i, k := range keys {
		keys[i] = quote(k)
	}
	switch len(keys) {
	case 0:
	case 1:
		f.addKey(n, fmt.Sprintf("key %s is missing", keys[0]), hint)
	default:
		f.addKey(n, fmt.Sprintf("keys %s are missing", strings.Join(keys, ", ")), hint)
	}
}

// warn reports what reads well and is probably not meant.
func (f *faults) warn(n *node, problem, hint string) {
	f.warnings = append(f.warnings, fault(n, problem, hint))
}

// maxFaults is how many are told: past it a file is wrong in kind.
const maxFaults = 1000

// arrange sorts faults by place, drops repetitions and adds excerpts.
func arrange(list []Fault, files map[string][]byte) []Fault {
	slices.SortFunc(list, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Problem, b.Problem), cmp.Compare(a.Hint, b.Hint))
	})
	list = slices.Compact(list)
	if more := len(list) - maxFaults; more > 0 {
		list = append(list[:maxFaults:maxFaults], Fault{File: list[maxFaults].File, Problem: fmt.Sprintf("and %d more", more)})
	}
	var file string
	var number int
	var lines []string
	var line []rune // the number-th of file: many faults may stand in one
	for i, f := range list {
		if f.File != file || lines == nil {
			file, number, lines = f.File, 0, strings.Split(string(files[f.File]), "\n")
		}
		if f.Line < 1 || f.Line > len(lines) {
			continue
		}
		if f.Line != number {
			number, line = f.Line, []rune(strings.TrimRight(lines[f.Line-1], "\r"))
		}
		list[i].Excerpt = excerpt(line, f.Column)
	}
	return list
}

// excerpt draws a caret under a column of a line, cutting what is long.
func excerpt(line []rune, column int) string {
	const width = 100
	from := max(0, min(column-1, len(line))-width*3/4)
	to := min(len(line), from+width)
	return strings.ReplaceAll(string(line[from:to]), "\t", " ") + "\n" + strings.Repeat(" ", max(0, column-1-from)) + "^"
}

// quote shows a piece of the catalogue in a message: in back quotes, on one line,
// cut where it is long.
func quote(s string) string {
	return "`" + shorten(strings.Trim(fmt.Sprintf("%q", s), `"`), 60) + "`"
}
