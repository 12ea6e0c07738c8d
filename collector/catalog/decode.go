package catalog

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// leaf is a value that reads itself from a node and knows its own JSON Schema.
type leaf interface {
	read(n *node, d *decoder)
	schema(s *schemas) *jsonschema.Schema
}

// where is what a document struct or leaf embeds to know its place.
type where struct{ node *node }

func (w *where) stand(n *node) { w.node = n }

// given reports whether the value is written in the catalogue.
func (w where) given() bool { return w.node != nil }

// decoder reads nodes into document structs: the structs whose tags are also the
// JSON Schema, so that reader and schema cannot differ.
type decoder struct {
	*faults
	types map[reflect.Type][]key
}

// key is one key of a document struct.
type key struct {
	name      string
	mandatory bool
	index     []int
}

// keys lists the keys of a struct, from its json tags.
func (d *decoder) keys(t reflect.Type) []key {
	if keys, ok := d.types[t]; ok {
		return keys
	}
	var keys []key
	for _, field := range reflect.VisibleFields(t) {
		tag, ok := field.Tag.Lookup("json")
		if !ok {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		keys = append(keys, key{name, options == "", field.Index})
	}
	d.types[t] = keys
	return keys
}

// decode reads n into v, which must be settable.
func (d *decoder) decode(n *node, v reflect.Value) {
	if l, ok := v.Addr().Interface().(leaf); ok {
		l.read(n, d)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem())
	case reflect.Slice:
		d.list(n, v)
	case reflect.Map:
		d.names(n, v)
	case reflect.Struct:
		d.document(n, v)
	default:
		panic(fmt.Sprintf("catalog: no way to read a %s", v.Type()))
	}
}

func (d *decoder) list(n *node, v reflect.Value) {
	if !d.want(n, list, "a list") {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.members), len(n.members)))
	for i, m := range n.members {
		d.decode(m, v.Index(i))
	}
}

func (d *decoder) names(n *node, v reflect.Value) {
	if !d.want(n, mapping, "a mapping") {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.members)))
	for _, m := range n.members {
		if problem := badName(m.key); problem != "" {
			d.addKey(m, problem, nameHint)
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(m, element)
		v.SetMapIndex(reflect.ValueOf(m.key), element)
	}
}

func (d *decoder) document(n *node, v reflect.Value) {
	v.Addr().Interface().(interface{ stand(*node) }).stand(n)
	if !d.want(n, mapping, "a mapping") {
		return
	}
	keys := d.keys(v.Type())
	for _, m := range n.members {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == m.key })
		if i < 0 {
			d.unknownKey(m, keys)
			continue
		}
		d.decode(m, v.FieldByIndex(keys[i].index))
	}
	var missing []string
	for _, k := range keys {
		if k.mandatory && n.member(k.name) == nil {
			missing = append(missing, k.name)
		}
	}
	d.addMissing(n, missing, "")
}

func (d *decoder) unknownKey(m *node, keys []key) {
	known := make([]string, len(keys))
	for i, k := range keys {
		known[i] = k.name
	}
	problem, best := fmt.Sprintf("unknown key %s", quote(m.key)), closest(m.key, known)
	if best != "" {
		d.addKey(m, problem+": did you mean "+quote(best)+"?", "")
		return
	}
	hint := "known here: " + strings.Join(known, ", ")
	if m.parent.parent == nil && slices.ContainsFunc(documents, func(d documentKind) bool { return d.heading == m.key }) {
		hint = fmt.Sprintf("the first key says what a document is: put %s there", quote(m.key))
	}
	d.addKey(m, problem, hint)
}

// want reports a node of another shape.
func (d *decoder) want(n *node, k kind, what string) bool {
	if n.kind == k {
		return true
	}
	hint := ""
	if n.describe() == "empty" {
		hint = "leave the key out, or write {} or []"
	}
	d.add(n, fmt.Sprintf("is %s, want %s", n.describe(), what), hint)
	return false
}

// scalarText returns the text of a scalar whose YAML type is one of tags.
func (d *decoder) scalarText(n *node, what, hint string, tags ...string) (string, bool) {
	if n.kind != scalar || !slices.Contains(tags, n.tag) {
		switch {
		case n.kind == scalar && n.tag == "null":
			hint = "leave the key out, or give it a value"
		case n.kind == scalar && slices.Contains(tags, "str"):
			hint = fmt.Sprintf("quote it: \"%s\"", n.text)
		case n.kind == scalar && n.tag == "str" && plainNumber.MatchString(n.text):
			hint = "write it without quotes"
		}
		d.add(n, fmt.Sprintf("is %s, want %s", n.describe(), what), hint)
		return "", false
	}
	if (n.tag == "int" || n.tag == "float") && !plainNumber.MatchString(n.text) {
		d.add(n, fmt.Sprintf("%s is not a plain decimal number", quote(n.text)), "no leading zeros, no 0x, no _; quote it if it is text")
		return "", false
	}
	return n.text, true
}

const (
	namePattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`
	nameHint    = "a name has 1 to 100 of a-z A-Z 0-9 . _ - and begins with a letter or digit"
)

var nameSyntax = regexp.MustCompile(namePattern)

func badName(s string) string {
	if nameSyntax.MatchString(s) {
		return ""
	}
	return quote(s) + " is not a name"
}
