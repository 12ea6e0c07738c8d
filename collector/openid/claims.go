package openid

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// claims is what a provider says of a person.
type claims map[string]any

// maxName is how long a person's name may be, in bytes.
const maxName = 100

// find returns a claim: by its whole name, else a.b as b within a.
func (c claims) find(name string) (any, bool) {
	if v, ok := c[name]; ok {
		return v, true
	}
	outer, inner, nested := strings.Cut(name, ".")
	if within, ok := c[outer].(map[string]any); nested && ok {
		return claims(within).find(inner)
	}
	return nil, false
}

// values are the texts of a claim: one, or a list of them.
func (c claims) values(name string) (list []string) {
	v, _ := c.find(name)
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}

// name is how a person is called: the claim asked for, else another that tells
// it, else the subject.
func (c claims) name(claim, subject string) string {
	for _, from := range []string{claim, "email", "name"} {
		v, _ := c.find(from)
		if s, _ := v.(string); presentable(s) {
			return s
		}
	}
	if presentable(subject) {
		return subject
	}
	return "somebody"
}

// presentable reports whether a text can stand for a person: short, and nothing
// that hides or turns what is written.
func presentable(s string) bool {
	if s == "" || len(s) > maxName || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
