package catalog_test

import (
	"encoding/json"
	"flag"
	"os"
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
