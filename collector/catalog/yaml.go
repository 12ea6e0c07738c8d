package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// This file alone knows the YAML library.

// Values that are written out are bounded by the size of the files; these bound
// what aliases make of them.
const (
	maxAliased = 100_000 // values that stand in place of aliases, in all files
	maxDepth   = 100
)

// plainNumber is the only way to write a number: decimal, no leading zeros.
var plainNumber = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// converter turns the library's nodes into ours.
type converter struct {
	*faults
	file    string // being read
	aliased int    // values made in place of aliases so far, in all files
}

// documents reads every document of a file. Where the text breaks off at a
// syntax error, complete is false and the documents before it are returned.
func (c *converter) documents(file string, content []byte) (documents []*node, complete bool) {
	c.file = file
	if !utf8.Valid(content) {
		c.addAt(place{file, 1, 1}, "is not UTF-8 text", "save it as UTF-8")
		return nil, false
	}
	loader, err := yaml.NewLoader(bytes.NewReader(content))
	if err != nil {
		c.addAt(place{file, 1, 1}, err.Error(), "")
		return nil, false
	}
	for {
		var doc yaml.Node
		switch err := loader.Load(&doc); {
		case errors.Is(err, io.EOF):
			return documents, true
		case err != nil:
			c.syntax(err)
			return documents, false
		}
		for _, content := range doc.Content {
			n, ok := c.convert(content, &node{file: file}, 0, false)
			if !ok {
				return documents, false
			}
			if n.kind != scalar || n.tag != "null" { // an empty document says nothing
				documents = append(documents, n)
			}
		}
	}
}

func (c *converter) syntax(err error) {
	p, problem := place{c.file, 1, 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	var e *yaml.LoadError
	if errors.As(err, &e) {
		problem = e.Message
		if e.ContextMsg != "" {
			problem = fmt.Sprintf("%s %s", e.Message, e.ContextMsg)
			if e.ContextMark.Line > 0 && e.ContextMark.Line != e.Mark.Line {
				problem += fmt.Sprintf(" that begins in line %d", e.ContextMark.Line)
			}
		}
		if e.Mark.Line > 0 {
			p.line, p.column = e.Mark.Line, max(e.Mark.Column, 1)
		}
	}
	c.addAt(p, "not YAML: "+problem, "mend this first: nothing behind it in the file was read")
}

// convert fills n, whose place in its parent is known, from y and all below it;
// aliased says that it stands in place of an alias. It gives up (false) at a bound.
func (c *converter) convert(y *yaml.Node, n *node, depth int, aliased bool) (*node, bool) {
	n.line, n.column = y.Line, y.Column
	if aliased {
		c.aliased++
	}
	switch {
	case depth > maxDepth:
		c.add(n, fmt.Sprintf("nested deeper than %d levels", maxDepth), "an alias may not lie within its own anchor")
		return n, false
	case c.aliased > maxAliased:
		c.add(n, fmt.Sprintf("aliases stand for more than %d values", maxAliased), "write values out instead of nesting aliases")
		return n, false
	case y.Kind == yaml.AliasNode:
		return c.convert(y.Alias, n, depth+1, true)
	case y.Style&yaml.TaggedStyle != 0:
		c.add(n, fmt.Sprintf("tag %s is not read", quote(y.ShortTag())), "remove it; quote what is meant as text")
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapping
		return n, c.mapping(n, y.Content, depth, aliased)
	case yaml.SequenceNode:
		n.kind = list
		n.members = make([]*node, len(y.Content))
		for i, item := range y.Content {
			n.members[i] = &node{file: c.file, parent: n, key: fmt.Sprintf("[%d]", i)}
			if _, ok := c.convert(item, n.members[i], depth+1, aliased); !ok {
				return n, false
			}
		}
		return n, true
	}
	n.text, n.tag = y.Value, "str"
	if tag, ok := strings.CutPrefix(y.ShortTag(), "!!"); ok {
		n.tag = tag
	}
	return n, true
}

func (c *converter) mapping(n *node, content []*yaml.Node, depth int, aliased bool) bool {
	if n.parent == nil && len(content) > 1 {
		n.key = heading(content[0], content[1])
	}
	seen := make(map[string]*node, len(content)/2)
	for i := 0; i+1 < len(content); i += 2 {
		k := content[i]
		m := &node{file: c.file, parent: n, keyLine: k.Line, keyColumn: k.Column}
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if m.key = k.Value; k.Kind != yaml.ScalarNode {
			m.key = "?"
		}
		if _, ok := c.convert(content[i+1], m, depth+1, aliased); !ok {
			return false
		}
		switch first := seen[m.key]; {
		case k.Kind != yaml.ScalarNode:
			c.addKey(m, "a key must be a word", "")
		case k.ShortTag() == "!!merge":
			c.addKey(m, "merge keys are not read", "use an alias for a whole value, or write the keys out")
		case first != nil:
			c.addKey(m, fmt.Sprintf("duplicate key %s", quote(m.key)), fmt.Sprintf("it stands in line %d already", first.keyLine))
		default:
			seen[m.key] = m
			n.members = append(n.members, m)
		}
	}
	return true
}

// heading is where the path of a document's keys begins: "service.payments".
func heading(key, value *yaml.Node) string {
	if !slices.ContainsFunc(documents, func(d documentKind) bool { return d.heading == key.Value }) {
		return ""
	}
	if value.Kind != yaml.ScalarNode || badName(value.Value) != "" {
		return key.Value
	}
	return key.Value + "." + value.Value
}
