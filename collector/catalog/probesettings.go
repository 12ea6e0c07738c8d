package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// probeSchema is what a probe says its settings look like.
type probeSchema struct {
	description holdfast.Description
	schema      *jsonschema.Schema // nil: it does not say
	// optional is the schema without what it requires: a missing setting is a
	// warning here, and the probe's own answer on the host.
	optional *jsonschema.Resolved
}

// newProbeSchema reads a probe's schema. One that cannot be read checks nothing:
// the probe itself still decodes its settings strictly.
func newProbeSchema(d holdfast.Description) *probeSchema {
	p := &probeSchema{description: d}
	var full, optional jsonschema.Schema
	if json.Unmarshal([]byte(d.Settings), &full) != nil || json.Unmarshal([]byte(d.Settings), &optional) != nil {
		return p
	}
	dropRequired(&optional)
	resolved, err := optional.Resolve(nil)
	if err != nil {
		return p
	}
	p.schema, p.optional = &full, resolved
	return p
}

func dropRequired(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.Required = nil
	for _, p := range s.Properties {
		dropRequired(p)
	}
	dropRequired(s.Items)
}

// settings holds a check's settings against its probe's schema; n is where the
// check stands.
func (r *resolver) settings(p *probeSchema, k *checkKeys, n *node) {
	if p.schema == nil || k.With.given() && k.With.node.kind != mapping {
		return
	}
	at := k.With.node
	if at == nil {
		at = &node{kind: mapping, file: n.file, line: n.line, column: n.column, parent: n, key: "with"}
	}
	before := len(r.errors)
	r.holds(p, at, p.schema)
	if len(r.errors) > before || p.optional == nil || len(at.members) > 0 && k.With.V == "" {
		return
	}
	// What the walk above does not know (combinations, lengths) the library does.
	var v any = map[string]any{}
	if k.With.V != "" {
		if err := json.Unmarshal([]byte(k.With.V), &v); err != nil {
			return
		}
	}
	if err := p.optional.Validate(v); err != nil {
		r.add(at, fmt.Sprintf("settings of %s: %s", quote(p.description.Name), oneLine(err)), "see: holdfast probe describe "+p.description.Name)
	}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// holds walks a setting along its schema, to point at the very key.
func (r *resolver) holds(p *probeSchema, n *node, s *jsonschema.Schema) {
	if n.kind == scalar && n.tag == "null" {
		return // reported when it was read
	}
	types := s.Types
	if s.Type != "" {
		types = []string{s.Type}
	}
	if len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return isType(n, t) }) {
		r.add(n, fmt.Sprintf("is %s, want %s", n.describe(), wanted(types)), s.Description)
		return
	}
	switch n.kind {
	case mapping:
		r.holdsMapping(p, n, s)
	case list:
		for _, m := range n.members {
			if s.Items != nil {
				r.holds(p, m, s.Items)
			}
		}
	case scalar:
		r.holdsScalar(n, s)
	}
}

func (r *resolver) holdsMapping(p *probeSchema, n *node, s *jsonschema.Schema) {
	known := slices.Sorted(maps.Keys(s.Properties))
	for _, m := range n.members {
		switch below := s.Properties[m.key]; {
		case below != nil:
			r.holds(p, m, below)
		case closed(s):
			problem := fmt.Sprintf("%s has no setting %s", quote(p.description.Name), quote(m.key))
			r.addKey(m, problem, r.didYouMean(m.key, known))
		case s.AdditionalProperties != nil:
			r.holds(p, m, s.AdditionalProperties)
		}
	}
	for _, key := range s.Required {
		if n.member(key) == nil {
			r.warn(n, fmt.Sprintf("%s needs the setting %s", quote(p.description.Name), quote(key)), "without it the check is unknown")
		}
	}
}

// closed reports whether a schema refuses other keys: {"not": {}}.
func closed(s *jsonschema.Schema) bool {
	return s.AdditionalProperties != nil && s.AdditionalProperties.Not != nil
}

func (r *resolver) holdsScalar(n *node, s *jsonschema.Schema) {
	if len(s.Enum) > 0 {
		var words []string
		for _, e := range s.Enum {
			words = append(words, fmt.Sprint(e))
		}
		if !slices.Contains(words, n.text) {
			r.add(n, fmt.Sprintf("%s is not one of %s", quote(n.text), strings.Join(words, ", ")), r.nearest(n.text, words))
		}
	}
	if n.tag == "int" || n.tag == "float" {
		v, err := strconv.ParseFloat(n.text, 64)
		switch {
		case err != nil:
		case s.Minimum != nil && v < *s.Minimum:
			r.add(n, fmt.Sprintf("%s is less than %v", n.text, *s.Minimum), s.Description)
		case s.Maximum != nil && v > *s.Maximum:
			r.add(n, fmt.Sprintf("%s is more than %v", n.text, *s.Maximum), s.Description)
		}
		return
	}
	if s.Pattern == "" || n.tag == "bool" {
		return
	}
	if pattern, err := regexp.Compile(s.Pattern); err == nil && !pattern.MatchString(n.text) {
		hint := s.Description
		if hint == "" {
			hint = "it must match " + s.Pattern
		}
		r.add(n, fmt.Sprintf("%s does not have the form of this setting", quote(n.text)), hint)
	}
}

func isType(n *node, t string) bool {
	switch t {
	case "object":
		return n.kind == mapping
	case "array":
		return n.kind == list
	case "integer":
		return n.kind == scalar && n.tag == "int"
	case "number":
		return n.kind == scalar && (n.tag == "int" || n.tag == "float")
	case "boolean":
		return n.kind == scalar && n.tag == "bool"
	case "string":
		return n.kind == scalar && (n.tag == "str" || n.tag == "timestamp")
	}
	return false // null is never written
}

// wanted words the types of a schema for people.
func wanted(types []string) string {
	words := map[string]string{
		"object": "a mapping", "array": "a list", "integer": "a whole number",
		"number": "a number", "boolean": "true or false", "string": "text",
	}
	var out []string
	for _, t := range types {
		if w := words[t]; w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " or ")
}
