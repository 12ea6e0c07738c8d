package catalog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

// probes are two descriptions as plugins give them, for catalogues under test.
func probes() map[string]holdfast.Description {
	return map[string]holdfast.Description{
		"files.archive": {Name: "files.archive", Cost: holdfast.IO, Settings: `{"type":"object","properties":{` +
			`"directory":{"type":"string","description":"where the archives lie"},"count":{"type":"integer","minimum":1},` +
			`"size_ratio":{"type":"number"},"manifest":{"type":"boolean"},"kind":{"enum":["tar","zip"]},` +
			`"space":{"type":"string","pattern":"^[0-9]+(GiB|TiB)$","description":"write it like 200GiB"},` +
			`"labels":{"type":"object","additionalProperties":{"type":"string"}},"paths":{"type":["null","array"],"items":{"type":"string"}}},` +
			`"required":["directory"],"additionalProperties":{"not":{}}}`},
		"files.copy": {Name: "files.copy", Cost: holdfast.Heavy},
	}
}

// TestBad reads every catalogue of testdata/bad, each beside its exact messages.
func TestBad(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 40 {
		t.Errorf("%d bad catalogues, want at least 40", len(names))
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := make(map[string][]byte), ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
				} else {
					files[f.Name] = f.Data
				}
			}
			_, err = catalog.Parse(files, catalog.Options{Probes: probes(), Costs: []string{"rpo-missed", "untested"}})
			var faults catalog.Errors
			if !errors.As(err, &faults) {
				t.Fatalf("got error %v, want catalog.Errors", err)
			}
			got := ""
			for _, f := range faults {
				got += f.String() + "\n" + f.Excerpt + "\n"
			}
			if *update {
				rewrite(t, name, archive, got)
			} else if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("messages (-got +want):\n%s", diff)
			}
		})
	}
}

// rewrite puts the messages into the archive's last file, "want".
func rewrite(t *testing.T, name string, archive *txtar.Archive, got string) {
	t.Helper()
	last := len(archive.Files) - 1
	if archive.Files[last].Name != "want" {
		archive.Files = append(archive.Files, txtar.File{Name: "want"})
		last++
	}
	archive.Files[last].Data = []byte(got)
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
