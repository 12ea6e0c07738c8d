package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	holdfast "github.com/holdfast-monitor/holdfast"
)

// Decode reads settings into the author's struct T. It is strict: an unknown
// key, a missing key whose field has neither omitempty nor omitzero in its json
// tag, null, or a value of the wrong kind is an error that names the key. All
// faults are reported at once.
func Decode[T any](s holdfast.Settings) (T, error) {
	var v T
	if s == "" {
		s = "{}"
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &given); err != nil || given == nil {
		return v, errors.New("settings are not a JSON object")
	}
	var faults []error
	known := settingsFields(reflect.ValueOf(&v).Elem())
	var names []string
	for _, f := range known {
		names = append(names, f.name)
		raw, ok := given[f.name]
		delete(given, f.name)
		switch {
		case !ok && f.required:
			faults = append(faults, fmt.Errorf("setting %q is required", f.name))
		case ok:
			if err := decodeValue(raw, f.value.Addr().Interface()); err != nil {
				faults = append(faults, fmt.Errorf("setting %q: %w", f.name, err))
			}
		}
	}
	for _, key := range sortedKeys(given) {
		hint := ""
		if near := Nearest(key, names); near != "" {
			hint = fmt.Sprintf(": did you mean %q?", near)
		} else if len(names) > 0 {
			hint = "; known are " + strings.Join(names, ", ")
		}
		faults = append(faults, fmt.Errorf("unknown setting %q%s", key, hint))
	}
	return v, errors.Join(faults...)
}

// settingsField is one key of the settings and where its value goes.
type settingsField struct {
	name     string
	required bool
	value    reflect.Value
}

// settingsFields lists the exported fields of a struct, those of embedded
// structs among them, as encoding/json names them.
func settingsFields(v reflect.Value) []settingsField {
	var fields []settingsField
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		fields = append(fields, settingsField{name, !optional, v.FieldByIndex(f.Index)})
	}
	return fields
}

// decodeValue reads one value strictly and says in plain words what it should
// have been.
func decodeValue(raw json.RawMessage, into any) error {
	if string(bytes.TrimSpace(raw)) == "null" {
		return errors.New("has no value")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return fmt.Errorf("want %s, got %s", kindName(wrong.Type), wrong.Value)
	case err == nil && d.More():
		return io.ErrUnexpectedEOF
	}
	return err
}

func kindName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[holdfast.Duration]():
		return `a duration like "15m"`
	case reflect.TypeFor[holdfast.Bytes]():
		return `a size like "200GiB"`
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// Nearest returns the candidate a mistyped word most likely means, or "" where
// none is near: at most a third of its letters wrong.
func Nearest(word string, candidates []string) string {
	best, found := len(word)/3+1, ""
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); d <= best && (found == "" || d < best) {
			best, found = d, c
		}
	}
	return found
}

// editDistance counts the letters to insert, delete, replace or swap with their
// neighbour (optimal string alignment).
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(s)][len(t)]
}

func sortedKeys(m map[string]json.RawMessage) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Schemer is for a setting of a type with a JSON form of its own (an amount that
// may be a share, an address): its schema, for Schema to take over.
type Schemer interface {
	JSONSchema() *jsonschema.Schema
}

// Schema returns the JSON Schema (draft 2020-12) of settings that Decode reads
// into T: keys from json tags, required unless omitempty or omitzero, the text of
// the jsonschema tag as description. It panics where T cannot be described,
// which is a mistake in the plugin, not in its use.
func Schema[T any]() holdfast.Settings {
	types := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[holdfast.Duration](): {Type: "string", Pattern: `^(0|([0-9]+(y|w|d|h|m|s|ms))+)$`, Description: `a duration, like "15m" or "7d"`},
		reflect.TypeFor[holdfast.Bytes]():    {Types: []string{"integer", "string"}, Pattern: `^[0-9]+(\.[0-9]+)? *([PTGMK]iB|[PTGMKk]?B)?$`, Description: `a size, like "200GiB" or a number of bytes`},
	}
	addSchemers(types, reflect.TypeFor[T]())
	schema, err := jsonschema.For[T](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		panic(err)
	}
	dropNull(schema)
	b, err := json.Marshal(schema)
	if err != nil {
		panic(err)
	}
	return holdfast.Settings(b)
}

// addSchemers notes the schemas of the field types that bring their own.
func addSchemers(types map[reflect.Type]*jsonschema.Schema, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		addSchemers(types, t.Elem())
		return
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() || f.Anonymous {
				addSchemers(types, f.Type)
			}
		}
	}
	if s, ok := reflect.New(t).Interface().(Schemer); ok {
		types[t] = s.JSONSchema()
	}
}

// dropNull takes "null" off the types of pointers and slices: Decode refuses it.
func dropNull(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.Types = slices.DeleteFunc(s.Types, func(t string) bool { return t == "null" })
	if len(s.Types) == 1 {
		s.Type, s.Types = s.Types[0], nil
	}
	for _, p := range s.Properties {
		dropNull(p)
	}
	dropNull(s.Items)
	dropNull(s.AdditionalProperties)
}
