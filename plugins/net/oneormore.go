package net

import (
	"bytes"
	"encoding/json"

	"github.com/google/jsonschema-go/jsonschema"
)

// oneOrMore is a setting that is one value or a list of them.
type oneOrMore[T any] struct{ list []T }

// UnmarshalJSON reads 200 or [200, 301].
func (o *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return json.Unmarshal(b, &o.list)
	}
	o.list = make([]T, 1)
	return json.Unmarshal(b, &o.list[0])
}

// statuses is one HTTP status or several.
type statuses struct{ oneOrMore[int] }

// JSONSchema describes statuses for probe.Schema.
func (statuses) JSONSchema() *jsonschema.Schema {
	least, most := 100.0, 599.0
	return &jsonschema.Schema{
		Types: []string{"integer", "array"}, Minimum: &least, Maximum: &most,
		Items: &jsonschema.Schema{Type: "integer", Minimum: &least, Maximum: &most},
	}
}

// texts is one text or several.
type texts struct{ oneOrMore[string] }

// JSONSchema describes texts for probe.Schema.
func (texts) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"string", "array"}, Items: &jsonschema.Schema{Type: "string"}}
}
