package catalog_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

func resolved(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal(catalog.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// editorsView reads documents as an editor does: plain YAML to JSON values. A
// bare date is text there.
func editorsView(t *testing.T, content []byte) []any {
	t.Helper()
	loader, err := yaml.NewLoader(strings.NewReader(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	var out []any
	for {
		var n yaml.Node
		if err := loader.Load(&n); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		datesAreText(&n)
		var v any
		if err := n.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if v != nil {
			out = append(out, jsonValue(t, v))
		}
	}
}

func datesAreText(n *yaml.Node) {
	if n.ShortTag() == "!!timestamp" || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" && n.Value == "" {
		n.Tag = "!!str"
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			c.Tag = "!!str" // 1: is "1": in JSON
		}
		datesAreText(c)
	}
}

func jsonValue(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSchemaAccepts holds every good catalogue against the schema for editors.
func TestSchemaAccepts(t *testing.T) {
	schema := resolved(t)
	for _, dir := range []string{"testdata/valid", "../../deploy/catalog"} {
		names, err := filepath.Glob(dir + "/*.yaml")
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(names), err)
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for i, document := range editorsView(t, content) {
				if err := schema.Validate(document); err != nil {
					t.Errorf("%s, document %d: %v", name, i+1, err)
				}
			}
		}
	}
}

// TestSchemaRefuses plants an unknown key at every level of a good catalogue:
// reader and schema must both refuse each.
func TestSchemaRefuses(t *testing.T) {
	schema := resolved(t)
	content, err := os.ReadFile("testdata/valid/design.yaml")
	if err != nil {
		t.Fatal(err)
	}
	planted := 0
	for _, document := range editorsView(t, content) {
		eachMapping(document, "", func(path string, m map[string]any) {
			if free(path) {
				return
			}
			planted++
			m["unknown key"] = "x"
			defer delete(m, "unknown key")
			if schema.Validate(document) == nil {
				t.Errorf("schema takes an unknown key in %s", path)
			}
			text, err := json.Marshal(document) // JSON is YAML
			if err != nil {
				t.Fatal(err)
			}
			// JSON sorts keys; the reader wants the heading first.
			_, err = catalog.Parse(map[string][]byte{"a.yaml": headingFirst(t, document, text)}, catalog.Options{})
			if err == nil || !strings.Contains(err.Error(), "unknown key") {
				t.Errorf("reader takes an unknown key in %s: %v", path, err)
			}
		})
	}
	if planted < 40 {
		t.Errorf("%d keys planted, want at least 40", planted)
	}
}

// free reports mappings whose keys are not ours to know: a probe's settings.
func free(path string) bool { return strings.Contains(path, "/with") }

func eachMapping(v any, path string, visit func(string, map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(path, v)
		for key, below := range v {
			eachMapping(below, path+"/"+key, visit)
		}
	case []any:
		for _, below := range v {
			eachMapping(below, path+"[]", visit)
		}
	}
}

func headingFirst(t *testing.T, document any, text []byte) []byte {
	t.Helper()
	m := document.(map[string]any)
	for _, heading := range []string{"service", "team", "plan", "policy", "scenario", "site"} {
		name, ok := m[heading].(string)
		if !ok {
			continue
		}
		rest := strings.Replace(string(text), `"`+heading+`":"`+name+`"`, "", 1)
		rest = strings.NewReplacer("{,", "{", ",,", ",", ",}", "}").Replace(rest)
		return []byte(`{"` + heading + `":"` + name + `",` + rest[1:])
	}
	t.Fatalf("no heading in %s", text)
	return nil
}

// TestSchemaRefusesValues checks forms that the schema knows as the reader does.
func TestSchemaRefusesValues(t *testing.T) {
	schema := resolved(t)
	for _, bad := range []string{
		`{"service":"a b","tier":1}`, `{"service":"a"}`, `{"service":"a","tier":"1"}`, `{"site":"a","kind":"castle"}`,
		`{"service":"a","tier":1,"bia":{"rto":"1 hour","rpo":"1h"}}`, `{"service":"a","tier":1,"bia":{"rto":"1h"}}`,
		`{"service":"a","tier":1,"bia":{"rto":{"none":""},"rpo":"1h"}}`, `{"service":"a","tier":1,"data":{"b/c":{}}}`,
		`{"service":"a","tier":1,"data":{"b":{"probe":"x.y"}}}`, `{"service":"a","tier":1,"data":null}`,
		`{"service":"a","tier":1,"paths":{"p":{"tests":{"intact":{"probe":"x.y","on":"h"}}}}}`, `{}`, `{"title":"a"}`,
		`{"plan":"a","approved":"soon"}`, `{"policy":"p","void":{"tool":["restore"]}}`, `{"policy":"p","bands":{"proven":{"low":-1,"high":2}}}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(bad), &v); err != nil {
			t.Fatal(err)
		}
		if schema.Validate(v) == nil {
			t.Errorf("schema takes %s", bad)
		}
		if _, err := catalog.Parse(map[string][]byte{"a.yaml": []byte(bad)}, catalog.Options{}); err == nil {
			t.Errorf("reader takes %s", bad)
		}
	}
}
