package catalog

import "strings"

// kind is the shape of a node.
type kind int

const (
	scalar kind = iota
	mapping
	list
)

// node is one value of a document with its place. Aliases are already expanded,
// so that every node has one parent.
type node struct {
	kind         kind
	tag          string // of a scalar: str, int, float, bool, null or timestamp
	text         string // of a scalar, as written
	file         string
	line, column int
	// keyLine and keyColumn are where the key stands, 0 outside mappings.
	keyLine, keyColumn int
	parent             *node
	key                string  // in the parent: "rto", or "[2]" for an item
	members            []*node // of a mapping, in the order written; of a list
}

// path writes the way from the document to n: "service.payments.bia.rto".
func (n *node) path() string {
	if n.parent == nil {
		return n.key
	}
	return joinPath(n.parent.path(), n.key)
}

func joinPath(parent, key string) string {
	if parent == "" || strings.HasPrefix(key, "[") {
		return parent + key
	}
	return parent + "." + key
}

// member returns the value under a key of a mapping, or nil.
func (n *node) member(key string) *node {
	for _, m := range n.members {
		if m.key == key {
			return m
		}
	}
	return nil
}

// describe says what n is, for messages: "a list", "a number".
func (n *node) describe() string {
	switch {
	case n.kind == mapping:
		return "a mapping"
	case n.kind == list:
		return "a list"
	case n.tag == "null":
		return "empty"
	case n.tag == "int", n.tag == "float":
		return "a number"
	case n.tag == "bool":
		return "true or false"
	case n.tag == "timestamp":
		return "a date"
	}
	return "text"
}
