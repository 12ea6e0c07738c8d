package catalog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// settings is a probe's settings, kept as canonical JSON.
type settings struct {
	where
	V holdfast.Settings
}

const maxSettings = 64 << 10

func (l *settings) read(n *node, d *decoder) {
	l.stand(n)
	if !d.want(n, mapping, "a mapping") {
		return
	}
	var b strings.Builder
	if !d.writeJSON(&b, n) || len(n.members) == 0 {
		return
	}
	if b.Len() > maxSettings {
		d.add(n, "is larger than 64 KiB", "")
		return
	}
	l.V = holdfast.Settings(b.String())
}

func (*settings) schema(*schemas) *jsonschema.Schema { return &jsonschema.Schema{Type: "object"} }

// writeJSON writes n as JSON without white space, keys sorted. It reports what
// JSON cannot say and answers false.
func (d *decoder) writeJSON(b *strings.Builder, n *node) bool {
	switch n.kind {
	case mapping:
		good := true
		members := slices.SortedFunc(slices.Values(n.members), func(x, y *node) int { return strings.Compare(x.key, y.key) })
		b.WriteByte('{')
		for i, m := range members {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(jsonString(m.key) + ":")
			good = d.writeJSON(b, m) && good
		}
		b.WriteByte('}')
		return good
	case list:
		good := true
		b.WriteByte('[')
		for i, m := range n.members {
			if i > 0 {
				b.WriteByte(',')
			}
			good = d.writeJSON(b, m) && good
		}
		b.WriteByte(']')
		return good
	}
	s, ok := d.scalarJSON(n)
	b.WriteString(s)
	return ok
}

func (d *decoder) scalarJSON(n *node) (string, bool) {
	switch n.tag {
	case "null":
		d.add(n, "is empty, want a value", "leave the key out, or write \"\"")
		return "null", false
	case "bool":
		return strings.ToLower(n.text), true
	case "int", "float":
		s, ok := d.scalarText(n, "a number", "", "int", "float")
		if !ok {
			return "0", false
		}
		if n.tag == "int" && strings.Trim(s, "+-0123456789") == "" {
			return strings.TrimPrefix(s, "+"), true
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			d.add(n, fmt.Sprintf("%s is out of range", quote(s)), "")
			return "0", false
		}
		return jsonString(v), true
	}
	return jsonString(n.text), true
}

// jsonString writes a text or number as JSON, without escapes for HTML.
func jsonString(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // texts and finite numbers always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var (
	secretKey = regexp.MustCompile(`(?i)(password|passwd|passphrase|secret|token|api_?key|private_?key)$`)
	secretURL = regexp.MustCompile(`://[^/@\s]*:[^/@\s]+@`)
)

// secrets warns of settings that seem to hold a secret instead of naming where it
// is kept.
func (f *faults) secrets(n *node) {
	for _, m := range n.members {
		if m.kind == scalar && (n.kind == mapping && secretKey.MatchString(m.key) || secretURL.MatchString(m.text)) {
			f.warn(m, "looks like a secret", "secrets never stand in the catalogue: name a file that the agent reads on its own host")
		}
		f.secrets(m)
	}
}
