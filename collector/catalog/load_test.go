package catalog_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

var update = flag.Bool("update", false, "rewrite the expected files in testdata")

// TestLoadGolden reads a catalogue with every key and compares all that came of it.
func TestLoadGolden(t *testing.T) {
	var warnings []string
	c, err := catalog.Load("testdata/valid", catalog.Options{Warn: func(f catalog.Fault) { warnings = append(warnings, f.String()) }})
	if err != nil {
		t.Fatal(err)
	}
	c.Hash = ""
	got, err := json.MarshalIndent(struct{ Warnings, Catalogue any }{warnings, c}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/valid.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("catalogue (-got +want):\n%s", diff)
	}
}

// TestExample reads the annotated example that is shipped: no warning, and every
// key there is shown in it.
func TestExample(t *testing.T) {
	const dir = "../../deploy/catalog"
	c, err := catalog.Load(dir, catalog.Options{Warn: func(f catalog.Fault) { t.Errorf("warning: %s", f) }})
	if err != nil {
		t.Fatal(err)
	}
	tiers := make(map[int]int)
	for _, s := range c.Services {
		tiers[s.Tier]++
	}
	if len(c.Services) < 6 || len(tiers) != 4 {
		t.Errorf("got %d services, by tier %v; want at least six of all four tiers", len(c.Services), tiers)
	}

	shown := make(map[string]bool)
	names, err := filepath.Glob(dir + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range editorsView(t, content) {
			eachMapping(document, "", func(_ string, m map[string]any) {
				for key := range m {
					shown[key] = true
				}
			})
		}
	}
	var schema any
	if err := json.Unmarshal(catalog.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	eachMapping(schema, "", func(path string, m map[string]any) {
		properties, _ := m["properties"].(map[string]any)
		for key := range properties {
			if !shown[key] {
				t.Errorf("key %q (%s) is not shown in the example", key, path)
			}
		}
	})
}
