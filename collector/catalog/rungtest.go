package catalog

import (
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"
)

// testDoc is what stands under a rung: one check for the whole path, or one per
// dataset.
type testDoc struct {
	where
	one      *oneTest
	datasets map[string]oneTest
}

func (l *testDoc) read(n *node, d *decoder) {
	l.stand(n)
	if n.kind == mapping && perDataset(n) {
		l.datasets = make(map[string]oneTest)
		d.decode(n, reflect.ValueOf(&l.datasets).Elem())
		return
	}
	l.one = new(oneTest)
	d.decode(n, reflect.ValueOf(l.one).Elem())
}

// perDataset tells the two forms apart: a check has a probe, datasets have
// mappings only.
func perDataset(n *node) bool {
	if probe := n.member("probe"); probe != nil && probe.kind == scalar {
		return false
	}
	for _, m := range n.members {
		if m.kind != mapping {
			return false
		}
	}
	return len(n.members) > 0
}

func (*testDoc) schema(s *schemas) *jsonschema.Schema {
	one := s.of(reflect.TypeFor[oneTest]())
	one.Required = []string{"probe", "on", "every"}
	each := &jsonschema.Schema{Type: "object", AdditionalProperties: one.CloneSchemas(), MinProperties: jsonschema.Ptr(1)}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, each}}
}
