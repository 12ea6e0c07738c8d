package catalog

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
)

// documentKind is a kind of document, known by its first key.
type documentKind struct {
	heading string
	what    reflect.Type
}

// documents lists every kind.
var documents = []documentKind{
	{"service", reflect.TypeFor[serviceDoc]()},
	{"site", reflect.TypeFor[siteDoc]()},
	{"team", reflect.TypeFor[teamDoc]()},
	{"plan", reflect.TypeFor[planDoc]()},
	{"policy", reflect.TypeFor[policyDoc]()},
	{"scenario", reflect.TypeFor[scenarioDoc]()},
}

// Schema returns the JSON Schema (draft 2020-12) of a document of the catalogue,
// for editors. It is made from the very structs that the reader fills. It knows
// keys, types and forms; references between documents are the reader's.
func Schema() []byte {
	root := &jsonschema.Schema{
		Schema:      "https://json-schema.org/draft/2020-12/schema",
		Title:       "Holdfast catalogue",
		Description: "A document of a Holdfast catalogue. Its first key says what it is.",
		Defs:        make(map[string]*jsonschema.Schema),
	}
	s := &schemas{leaves: make(map[reflect.Type]*jsonschema.Schema)}
	for _, d := range documents {
		root.Defs[d.heading] = s.of(d.what)
		root.OneOf = append(root.OneOf, &jsonschema.Schema{Ref: "#/$defs/" + d.heading})
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // the schema is made of constants
	}
	return append(out, '\n')
}

// schemas makes JSON Schemas from document structs.
type schemas struct {
	leaves map[reflect.Type]*jsonschema.Schema
}

func (s *schemas) of(t reflect.Type) *jsonschema.Schema {
	s.gather(t)
	schema, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: s.leaves})
	if err != nil {
		panic(err) // a document struct that is no JSON: found by the first test
	}
	tidy(schema)
	return schema
}

// gather asks every leaf below t for its schema.
func (s *schemas) gather(t reflect.Type) {
	if l, ok := reflect.New(t).Interface().(leaf); ok {
		if s.leaves[t] == nil {
			s.leaves[t] = l.schema(s)
		}
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		s.gather(t.Elem())
	case reflect.Struct:
		for _, field := range reflect.VisibleFields(t) {
			if _, ok := field.Tag.Lookup("json"); ok {
				s.gather(field.Type)
			}
		}
	}
}

// tidy says what Go types cannot: no nulls, keys of mappings are names, and a
// check needs its probe, agent and interval.
func tidy(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if i := slices.Index(s.Types, "null"); i >= 0 {
		s.Types = slices.Delete(slices.Clone(s.Types), i, i+1)
	}
	if len(s.Types) == 1 {
		s.Type, s.Types = s.Types[0], nil
	}
	if s.AdditionalProperties != nil && s.Properties == nil {
		s.PropertyNames = &jsonschema.Schema{Pattern: namePattern}
	}
	if s.Properties["probe"] != nil {
		s.DependentRequired = map[string][]string{
			"probe": {"on", "every"}, "on": {"probe"}, "with": {"probe"}, "timeout": {"probe"},
		}
		if s.Properties["attest"] != nil {
			s.DependentRequired["attest"] = []string{"every"}
		}
	}
	for _, p := range s.Properties {
		tidy(p)
	}
	tidy(s.AdditionalProperties)
	tidy(s.Items)
	for _, a := range slices.Concat(s.AnyOf, s.OneOf) {
		tidy(a)
	}
}
