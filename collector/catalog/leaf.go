package catalog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/jsonschema-go/jsonschema"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// name is a name, or a reference to one.
type name struct {
	where
	V string
}

func (l *name) read(n *node, d *decoder) {
	l.stand(n)
	s, ok := d.scalarText(n, "a name", nameHint, "str")
	if !ok {
		return
	}
	if problem := badName(s); problem != "" {
		d.add(n, problem, nameHint)
		return
	}
	l.V = s
}

func (*name) schema(*schemas) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: namePattern}
}

// text is anything people write, on one or more lines.
type text struct {
	where
	V string
}

const maxText = 64 << 10

func (l *text) read(n *node, d *decoder) {
	l.stand(n)
	s, ok := d.scalarText(n, "text", "", "str")
	if ok && cleanText(n, s, d) {
		l.V = s
	}
}

func (*text) schema(*schemas) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", MinLength: jsonschema.Ptr(1)}
}

func cleanText(n *node, s string, d *decoder) bool {
	switch {
	case strings.TrimSpace(s) == "":
		d.add(n, "is empty", "leave the key out, or say it")
	case len(s) > maxText:
		d.add(n, "is longer than 64 KiB", "")
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		d.add(n, "holds a control character", "")
	default:
		return true
	}
	return false
}

// version is text that may look like a number: 7, 1.10.
type version text

func (l *version) read(n *node, d *decoder) {
	l.stand(n)
	s, ok := d.scalarText(n, "a version", "", "str", "int", "float", "timestamp")
	if ok && cleanText(n, s, d) {
		l.V = s
	}
}

func (*version) schema(*schemas) *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"string", "number"}}
}

// duration is a span of time above zero.
type duration struct {
	where
	V holdfast.Duration
}

const durationPattern = `^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$`

func (l *duration) read(n *node, d *decoder) {
	l.stand(n)
	l.V = readDuration(n, d)
}

func readDuration(n *node, d *decoder) holdfast.Duration {
	if n.kind != scalar || n.tag == "null" {
		d.add(n, fmt.Sprintf("is %s, want a duration", n.describe()), "write it like 15m, 1h30m or 7d")
		return 0
	}
	v, err := holdfast.ParseDuration(n.text)
	switch {
	case err != nil:
		problem, hint, _ := strings.Cut(err.Error(), ": ")
		d.add(n, problem, hint)
	case v == 0:
		d.add(n, "must be longer than 0", "")
	}
	return v
}

func (*duration) schema(*schemas) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: durationPattern, MinLength: jsonschema.Ptr(2)}
}

// cadence is a duration, or none: not required.
type cadence struct {
	where
	V holdfast.Duration // 0: none
}

func (l *cadence) read(n *node, d *decoder) {
	l.stand(n)
	if n.kind == scalar && n.text == "none" {
		return
	}
	l.V = readDuration(n, d)
}

func (*cadence) schema(s *schemas) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{(*duration).schema(nil, s), {Enum: []any{"none"}}}}
}

// objective is a duration, or {none: reason}.
type objective struct {
	where
	V holdfast.Objective
}

func (l *objective) read(n *node, d *decoder) {
	l.stand(n)
	if n.kind != mapping {
		l.V.Limit = readDuration(n, d)
		return
	}
	for _, m := range n.members {
		if m.key != "none" {
			d.unknownKey(m, []key{{name: "none"}})
			continue
		}
		var reason text
		reason.read(m, d)
		l.V.None = reason.V
	}
	if n.member("none") == nil {
		d.addKey(n, "key `none` is missing", "write a duration, or {none: reason}")
	}
}

func (*objective) schema(s *schemas) *jsonschema.Schema {
	none := &jsonschema.Schema{
		Type:                 "object",
		Properties:           map[string]*jsonschema.Schema{"none": (*text).schema(nil, s)},
		Required:             []string{"none"},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{(*duration).schema(nil, s), none}}
}

// date is a day or an instant.
type date struct {
	where
	V holdfast.Date
}

func (l *date) read(n *node, d *decoder) {
	l.stand(n)
	if n.kind != scalar || n.tag == "null" {
		d.add(n, fmt.Sprintf("is %s, want a date", n.describe()), "write it like 2026-03-01")
		return
	}
	v, err := holdfast.ParseDate(n.text)
	if err != nil {
		problem, hint, _ := strings.Cut(err.Error(), ": ")
		d.add(n, problem, hint)
		return
	}
	l.V = v
}

func (*date) schema(*schemas) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].+)?$`}
}

// flag is true or false.
type flag struct {
	where
	V bool
}

func (l *flag) read(n *node, d *decoder) {
	l.stand(n)
	if n.kind != scalar || n.tag != "bool" {
		hint := ""
		if n.kind == scalar && n.tag == "str" {
			hint = "write true or false, without quotes"
		}
		d.add(n, fmt.Sprintf("is %s, want true or false", n.describe()), hint)
		return
	}
	l.V = strings.EqualFold(n.text, "true")
}

func (*flag) schema(*schemas) *jsonschema.Schema { return &jsonschema.Schema{Type: "boolean"} }

// pointer returns nil where the flag is not stated.
func (l flag) pointer() *bool {
	if !l.given() {
		return nil
	}
	v := l.V // a pointer into l would keep the whole document alive
	return &v
}

// count is a whole number from 0.
type count struct {
	where
	V  int
	ok bool // it is one
}

func (l *count) read(n *node, d *decoder) {
	l.stand(n)
	s, ok := d.scalarText(n, "a whole number", "", "int")
	if !ok {
		return
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 || v > math.MaxInt32 {
		d.add(n, fmt.Sprintf("%s is not a whole number from 0", quote(s)), "")
		return
	}
	l.V, l.ok = v, true
}

func (*count) schema(*schemas) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "integer", Minimum: jsonschema.Ptr(0.0)}
}

// number is a decimal number.
type number struct {
	where
	V float64
}

func (l *number) read(n *node, d *decoder) {
	s, ok := d.scalarText(n, "a number", "", "int", "float")
	if !ok {
		return
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		d.add(n, fmt.Sprintf("%s is out of range", quote(s)), "")
		return
	}
	l.stand(n) // one that cannot be read is as good as not given
	l.V = v
}

func (*number) schema(*schemas) *jsonschema.Schema { return &jsonschema.Schema{Type: "number"} }

// reference is several names joined by slashes: a copy or a check.
type reference struct {
	where
	V []string
}

func (l *reference) read(n *node, d *decoder) {
	l.stand(n)
	s, ok := d.scalarText(n, "a reference like ledger/offsite", "", "str")
	if !ok {
		return
	}
	parts := strings.Split(s, "/")
	for _, p := range parts {
		if badName(p) != "" {
			d.add(n, fmt.Sprintf("%s is not a reference", quote(s)), "write names joined by slashes, like ledger/offsite or identity/failover/login")
			return
		}
	}
	l.V = parts
}

func (*reference) schema(*schemas) *jsonschema.Schema {
	part := strings.Trim(namePattern, "^$")
	return &jsonschema.Schema{Type: "string", Pattern: "^" + part + "(/" + part + ")*$"}
}
