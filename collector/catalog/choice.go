package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Choices: values from a closed list.
type (
	siteKind       struct{ choice[holdfast.SiteKind] }
	copyKind       struct{ choice[holdfast.CopyKind] }
	dependencyKind struct {
		choice[holdfast.DependencyKind]
	}
	rung struct{ choice[holdfast.Rung] }
	// damage is the one thing that can happen to data in a declared scenario.
	damage struct{ choice[string] }
)

func (l *siteKind) read(n *node, d *decoder)       { l.choose(n, d, holdfast.SiteKinds) }
func (l *copyKind) read(n *node, d *decoder)       { l.choose(n, d, holdfast.CopyKinds) }
func (l *dependencyKind) read(n *node, d *decoder) { l.choose(n, d, holdfast.DependencyKinds) }
func (l *rung) read(n *node, d *decoder)           { l.choose(n, d, holdfast.Rungs) }
func (l *damage) read(n *node, d *decoder)         { l.choose(n, d, []string{damaged}) }

func (*siteKind) schema(*schemas) *jsonschema.Schema { return enum(holdfast.SiteKinds) }
func (*copyKind) schema(*schemas) *jsonschema.Schema { return enum(holdfast.CopyKinds) }
func (*dependencyKind) schema(*schemas) *jsonschema.Schema {
	return enum(holdfast.DependencyKinds)
}
func (*rung) schema(*schemas) *jsonschema.Schema   { return enum(holdfast.Rungs) }
func (*damage) schema(*schemas) *jsonschema.Schema { return enum([]string{damaged}) }

const damaged = "damaged"

type choice[T ~string] struct {
	where
	V T
}

func (l *choice[T]) choose(n *node, d *decoder, known []T) {
	l.stand(n)
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	s, ok := d.scalarText(n, "one of "+strings.Join(words, ", "), "", "str")
	if !ok {
		return
	}
	if !slices.Contains(words, s) {
		d.add(n, fmt.Sprintf("%s is not one of %s", quote(s), strings.Join(words, ", ")), d.nearest(s, words))
		return
	}
	l.V = T(s)
}

func enum[T ~string](known []T) *jsonschema.Schema {
	s := &jsonschema.Schema{}
	for _, k := range known {
		s.Enum = append(s.Enum, string(k))
	}
	return s
}
