package alert

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// reader reads one strict YAML file and collects its faults. This file alone
// knows the YAML library.
type reader struct {
	file   string
	faults []fault
}

// fault is one thing that cannot be read, at a line and column from 1.
type fault struct {
	line, column int
	text         string
}

// value is one value of the file and the path of keys that leads to it.
type value struct {
	node *yaml.Node
	path string // receivers.oncall.webhook
}

// key is one key a mapping may have.
type key struct {
	name     string
	required bool
	read     func(v value)
}

// fault notes what is wrong with a value; the hint says how to mend it.
func (r *reader) fault(v value, problem, hint string) {
	if v.path != "" {
		problem = v.path + ": " + problem
	}
	if hint != "" {
		problem += "; " + hint
	}
	r.faults = append(r.faults, fault{v.node.Line, v.node.Column, problem})
}

// err returns every fault, one a line: FILE:LINE:COLUMN: KEY: PROBLEM; HINT.
func (r *reader) err() error {
	slices.SortStableFunc(r.faults, func(a, b fault) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column)) })
	errs := make([]error, len(r.faults))
	for i, f := range r.faults {
		errs[i] = fmt.Errorf("%s:%d:%d: %s", r.file, f.line, f.column, f.text)
	}
	return errors.Join(errs...)
}

// document returns the one document of a text; not ok where there is none, or
// nothing in it.
func (r *reader) document(text []byte) (v value, ok bool) {
	if !utf8.Valid(text) {
		r.faults = append(r.faults, fault{1, 1, "is not UTF-8 text; save it as UTF-8"})
		return value{}, false
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return value{}, false
	case err != nil:
		r.syntax(err)
		return value{}, false
	}
	if err := decoder.Decode(&second); err == nil {
		r.fault(value{node: &second}, "a second document", "one file holds one")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
	}
	v = value{node: first.Content[0]}
	return v, v.node.Tag != "!!null"
}

// syntax says where a text is no YAML.
func (r *reader) syntax(err error) {
	f := fault{1, 1, strings.TrimPrefix(err.Error(), "yaml: ")}
	var e *yaml.LoadError
	if errors.As(err, &e) {
		f = fault{max(e.Mark.Line, 1), max(e.Mark.Column, 1), e.Message}
	}
	f.text = "not YAML: " + f.text
	r.faults = append(r.faults, f)
}

// kind reports whether v has the kind; aliases and tags are not read.
func (r *reader) kind(v value, kind yaml.Kind, want string) bool {
	switch n := v.node; {
	case n.Kind == yaml.AliasNode:
		r.fault(v, "aliases are not read", "write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		r.fault(v, fmt.Sprintf("tag %s is not read", clip(n.ShortTag(), 40)), "remove it")
	case n.Kind != kind || n.Tag == "!!null":
		r.fault(v, "want "+want, "")
	default:
		return true
	}
	return false
}

// entries calls each for every key of a mapping, in the order written.
func (r *reader) entries(v value, want string, each func(name string, key, v value)) bool {
	if !r.kind(v, yaml.MappingNode, want) {
		return false
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		k := v.node.Content[i]
		name := clip(k.Value, 60)
		at := value{k, join(v.path, name)}
		switch {
		case k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge":
			r.fault(value{k, v.path}, "a key must be a word", "")
		case lines[k.Value] > 0:
			r.fault(at, "stands here again", fmt.Sprintf("it is in line %d already", lines[k.Value]))
		default:
			lines[k.Value] = k.Line
			each(k.Value, at, value{v.node.Content[i+1], at.path})
		}
	}
	return true
}

// mapping reads a mapping of known keys and reports those that are missing.
func (r *reader) mapping(v value, want string, keys ...key) bool {
	seen := map[string]bool{}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	ok := r.entries(v, want, func(name string, at, v value) {
		i := slices.Index(names, name)
		if i < 0 {
			hint := "known: " + strings.Join(names, ", ")
			if near := holdfast.Nearest(name, names); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			r.fault(at, "unknown key", hint)
			return
		}
		seen[name] = true
		keys[i].read(v)
	})
	for _, k := range keys {
		if ok && k.required && !seen[k.name] {
			r.fault(v, fmt.Sprintf("key %q is missing", k.name), "")
		}
	}
	return ok
}

// list calls each for every item of a list, which has at least one.
func (r *reader) list(v value, want string, each func(v value)) bool {
	if !r.kind(v, yaml.SequenceNode, want) {
		return false
	}
	if len(v.node.Content) == 0 {
		r.fault(v, "is empty", "leave the key out, or name something")
	}
	for i, item := range v.node.Content {
		each(value{item, fmt.Sprintf("%s[%d]", v.path, i)})
	}
	return true
}

// text returns a line of text, or "" and a fault.
func (r *reader) text(v value, want string) string {
	if !r.kind(v, yaml.ScalarNode, want) {
		return ""
	}
	s := v.node.Value
	if s == "" || len(s) > 2000 || clip(s, len(s)) != s {
		r.fault(v, "want "+want, "one line of at most 2000 printable characters")
		return ""
	}
	return s
}

// texts returns a list of texts, each read by each.
func (r *reader) texts(v value, want string, each func(value) string) (list []string) {
	r.list(v, want, func(v value) {
		if s := each(v); slices.Contains(list, s) && s != "" {
			r.fault(v, clip(s, 60)+" stands here again", "")
		} else if s != "" {
			list = append(list, s)
		}
	})
	return list
}

// word returns one of the known words.
func (r *reader) word(v value, known []string) string {
	want := "one of " + strings.Join(known, ", ")
	s := r.text(v, want)
	if s == "" || slices.Contains(known, s) {
		return s
	}
	hint := want
	if near := holdfast.Nearest(s, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.fault(v, fmt.Sprintf("%q is not known", clip(s, 60)), hint)
	return ""
}

// bare returns what a value that is neither list nor mapping says, else "".
func (r *reader) bare(v value) string {
	if v.node.Kind != yaml.ScalarNode {
		return ""
	}
	return v.node.Value
}

// number returns a whole number within the bounds, or 0 and a fault.
func (r *reader) number(v value, least, most int) int {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	if !r.kind(v, yaml.ScalarNode, want) {
		return 0
	}
	n, err := strconv.Atoi(v.node.Value)
	if err != nil || n < least || n > most || strconv.Itoa(n) != v.node.Value || v.node.ShortTag() != "!!int" {
		r.fault(v, fmt.Sprintf("%q is not %s", clip(v.node.Value, 60), want), "")
		return 0
	}
	return n
}

// span returns a duration of at least least and at most most.
func (r *reader) span(v value, least, most time.Duration) time.Duration {
	if !r.kind(v, yaml.ScalarNode, "a duration like 15m") {
		return 0
	}
	d, err := holdfast.ParseDuration(v.node.Value)
	switch {
	case err != nil:
		r.fault(v, err.Error(), "")
	case d.Std() < least || d.Std() > most:
		r.fault(v, fmt.Sprintf("%s is out of bounds", d), fmt.Sprintf("from %s to %s", holdfast.Duration(least), holdfast.Duration(most)))
	default:
		return d.Std()
	}
	return 0
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
