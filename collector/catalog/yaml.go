package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// This file alone knows the YAML library.

const (
	maxValues = 1_000_000 // values of a file, aliases expanded
	maxDepth  = 100
)

// plainNumber is the only way to write a number: decimal, no leading zeros.
var plainNumber = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// parseYAML reads every document of a file. Where the text breaks off at a
// syntax error, complete is false and the documents before it are returned.
func parseYAML(file string, content []byte, f *faults) (documents []*node, complete bool) {
	if !utf8.Valid(content) {
		f.addAt(place{file, 1, 1}, "", "is not UTF-8 text", "save it as UTF-8")
		return nil, false
	}
	loader, err := yaml.NewLoader(bytes.NewReader(content))
	if err != nil {
		f.addAt(place{file, 1, 1}, "", err.Error(), "")
		return nil, false
	}
	c := converter{file: file, faults: f, left: maxValues}
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
			n, ok := c.convert(content, nil, 0)
			if !ok {
				return documents, false
			}
			if n.kind != scalar || n.tag != "null" { // an empty document says nothing
				documents = append(documents, n)
			}
		}
	}
}

// converter turns the library's nodes into ours.
type converter struct {
	file   string
	faults *faults
	left   int // values that may still be made
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
	c.faults.addAt(p, "", "not YAML: "+problem, "mend this first: nothing behind it in the file was read")
}

// convert makes a node of y and all below it. It gives up (false) at a bound.
func (c *converter) convert(y *yaml.Node, parent *node, depth int) (*node, bool) {
	n := &node{file: c.file, line: y.Line, column: y.Column, parent: parent}
	if c.left--; c.left < 0 || depth > maxDepth {
		bound := fmt.Sprintf("more than %d values once aliases are expanded", maxValues)
		if depth > maxDepth {
			bound = fmt.Sprintf("nested deeper than %d levels", maxDepth)
		}
		c.faults.add(n, bound, "write values out instead of nesting aliases")
		return n, false
	}
	if y.Kind == yaml.AliasNode {
		return c.convert(y.Alias, parent, depth+1)
	}
	if tag := y.ShortTag(); y.Style&yaml.TaggedStyle != 0 {
		c.faults.add(n, fmt.Sprintf("tag %s is not read", quote(tag)), "remove it; quote what is meant as text")
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapping
		return n, c.mapping(n, y.Content, depth)
	case yaml.SequenceNode:
		n.kind = list
		for i, item := range y.Content {
			m, ok := c.convert(item, n, depth+1)
			if !ok {
				return n, false
			}
			m.key = fmt.Sprintf("[%d]", i)
			n.members = append(n.members, m)
		}
		return n, true
	}
	n.text, n.tag = y.Value, strings.TrimPrefix(y.ShortTag(), "!!")
	return n, true
}

func (c *converter) mapping(n *node, content []*yaml.Node, depth int) bool {
	seen := make(map[string]*node, len(content)/2)
	for i := 0; i+1 < len(content); i += 2 {
		k := content[i]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		m, ok := c.convert(content[i+1], n, depth+1)
		if !ok {
			return false
		}
		m.key, m.keyLine, m.keyColumn = k.Value, content[i].Line, content[i].Column
		switch first := seen[m.key]; {
		case k.Kind != yaml.ScalarNode:
			m.key = "?"
			c.faults.addKey(m, "a key must be a word", "")
		case k.ShortTag() == "!!merge":
			c.faults.addKey(m, "merge keys are not read", "use an alias for a whole value, or write the keys out")
		case first != nil:
			c.faults.addKey(m, fmt.Sprintf("duplicate key %s", quote(m.key)), fmt.Sprintf("it stands in line %d already", first.keyLine))
		default:
			seen[m.key] = m
			n.members = append(n.members, m)
		}
	}
	return true
}
