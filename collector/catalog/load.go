package catalog

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Options is what the reader knows besides the files.
type Options struct {
	// Probes are the probes known here, by name: settings of their checks are
	// held against their JSON Schema, deadlines come from their cost. A probe of
	// another family (the part before the dot) is taken as it is.
	Probes map[string]holdfast.Description
	// Costs are the finding codes a policy may price; nil: any.
	Costs []string
	// Warn is told, once the catalogue is accepted, what reads well and is
	// probably not meant; by place. May be nil.
	Warn func(Fault)
}

// Load reads the catalogue of a directory. The error is [Errors] where the files
// were read and are wrong; the catalogue is refused whole.
func Load(dir string, o Options) (*holdfast.Catalogue, error) {
	files, err := readFiles(dir)
	if err != nil {
		return nil, err
	}
	return Parse(files, o)
}

// Parse reads a catalogue from the contents of its files, by name.
func Parse(files map[string][]byte, o Options) (*holdfast.Catalogue, error) {
	r := &resolver{faults: &faults{}, options: o}
	decoder := &decoder{faults: r.faults, types: make(map[reflect.Type][]key)}
	converter := &converter{faults: r.faults}
	complete := true
	for _, name := range slices.Sorted(maps.Keys(files)) {
		documents, ok := converter.documents(name, files[name])
		for _, n := range documents {
			complete = r.take(n, decoder) && complete
		}
		complete = complete && ok
	}
	var c *holdfast.Catalogue
	if complete { // else names that stand in unread text would seem to dangle
		c = r.resolve()
	}
	if len(r.errors) > 0 {
		return nil, Errors(arrange(r.errors, files))
	}
	c.Hash = hashFiles(files)
	if o.Warn != nil {
		for _, w := range arrange(r.warnings, files) {
			o.Warn(w)
		}
	}
	return c, nil
}

// take decodes a document into the list of its kind. It answers false where it
// cannot be told what the document is.
func (r *resolver) take(n *node, d *decoder) bool {
	headings := make([]string, len(documents))
	for i, kind := range documents {
		headings[i] = kind.heading
	}
	if n.kind != mapping || len(n.members) == 0 {
		what := n.describe()
		if n.kind == mapping {
			what = "empty"
		}
		r.add(n, fmt.Sprintf("the document is %s, want a mapping", what), "its first key says what it is: "+strings.Join(headings, ", "))
		return false
	}
	first := n.members[0]
	if !slices.Contains(headings, first.key) {
		hint := "it is one of " + strings.Join(headings, ", ")
		if best := closest(first.key, headings); best != "" {
			hint = "did you mean " + quote(best) + "?"
		}
		for _, m := range n.members {
			if slices.Contains(headings, m.key) {
				hint = fmt.Sprintf("move %s from line %d to the top", quote(m.key), m.keyLine)
				break
			}
		}
		r.addKey(first, fmt.Sprintf("the first key %s does not say what the document is", quote(first.key)), hint)
		return false
	}
	switch first.key {
	case "service":
		decodeInto(&r.services, n, d)
	case "site":
		decodeInto(&r.sites, n, d)
	case "team":
		decodeInto(&r.teams, n, d)
	case "plan":
		decodeInto(&r.plans, n, d)
	case "policy":
		decodeInto(&r.policies, n, d)
	case "scenario":
		decodeInto(&r.scenarios, n, d)
	}
	return true
}

func decodeInto[T any](list *[]*T, n *node, d *decoder) {
	document := new(T)
	d.decode(n, reflect.ValueOf(document).Elem())
	*list = append(*list, document)
}
