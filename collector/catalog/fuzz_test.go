package catalog_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

// FuzzParse feeds anything to the reader: it never panics, never takes long, and
// what it refuses it refuses with a place in a file.
func FuzzParse(f *testing.F) {
	good, err := os.ReadFile("testdata/valid/design.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	names, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Add([]byte("\xff\xfes\x00"))
	f.Add([]byte("{service: a, tier: 1, paths: {p: {tests: {restored: x, intact: {ledger: []}}, needs: [~, {plan: [x]}]}}}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		started := time.Now()
		c, err := catalog.Parse(map[string][]byte{"a.yaml": content}, catalog.Options{Probes: probes(), Warn: func(catalog.Fault) {}})
		if took := time.Since(started); took > time.Minute {
			t.Errorf("took %v", took)
		}
		var faults catalog.Errors
		switch {
		case err == nil:
			if changes := catalog.Changes(c, c); len(changes) > 0 {
				t.Errorf("differs from itself: %v", changes)
			}
		case !errors.As(err, &faults) || len(faults) == 0 || faults[0].File != "a.yaml" || faults[0].Line < 1:
			t.Errorf("got %#v, want faults with their place", err)
		}
	})
}
