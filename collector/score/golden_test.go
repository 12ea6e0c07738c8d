package score_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

var update = flag.Bool("update", false, "rewrite the posture.json of the golden cases; never what they expect")

// leastCases is how many golden cases there are at the least: an empty glob must
// not pass.
const leastCases = 75

// TestGolden judges one catalogue and its facts per file of testdata. A file is
// named for the rule it shows; its comment says the rule in plain English and
// why the result follows. Its parts:
//
//	catalog.yaml   the catalogue
//	before.yaml    the catalogue before it, and `changed` when it was replaced (both optional)
//	agents         the agents that are enrolled, one a line (optional; else all are)
//	facts.jsonl    observations and records, as `holdfast judge` reads them
//	at             the judged instant
//	expect         what the rule demands, written by hand (expect_test.go says how)
//	posture.json   everything that was answered at that instant: `-update` rewrites it
//
// A case of a catalogue that is refused has only catalog.yaml and `fault`, the
// message.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < leastCases {
		t.Errorf("got %d golden cases, want at least %d", len(files), leastCases)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			golden(t, file)
		})
	}
}

func golden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.Fields(archive.Comment)) < 8 {
		t.Error("the comment does not explain the rule")
	}
	part := map[string]string{}
	for _, f := range archive.Files {
		part[f.Name] = string(f.Data)
	}
	if want, refused := part["fault"]; refused {
		_, err := parse(part["catalog.yaml"])
		if got := fmt.Sprint(err); got != strings.TrimSpace(want) {
			t.Errorf("catalogue: got %s\nwant %s", got, want)
		}
		return
	}
	c := readCase(t, part)
	for _, complaint := range c.expect(part["expect"]) {
		t.Errorf("%s: expect:%s", file, complaint)
	}
	got := encode(t, c.judge(c.at))
	if *update {
		rewrite(t, file, archive, got)
		return
	}
	if diff := cmp.Diff(part["posture.json"], got); diff != "" {
		t.Errorf("%s: posture.json (-want +got); run go test ./collector/score -update if it is meant:\n%s", file, diff)
	}
}

// goldenCase is a case as read.
type goldenCase struct {
	model *score.Model
	facts *score.Facts
	at    time.Time
}

func (c *goldenCase) judge(at time.Time) []holdfast.Posture { return c.model.Judge(c.facts, at) }

func parse(text string) (*holdfast.Catalogue, error) {
	return catalog.Parse(map[string][]byte{"catalog.yaml": []byte(text)}, catalog.Options{Costs: score.Codes()})
}

func readCase(t *testing.T, part map[string]string) *goldenCase {
	t.Helper()
	now, err := parse(part["catalog.yaml"])
	if err != nil {
		t.Fatalf("catalog.yaml: %v", err)
	}
	c := &goldenCase{model: score.NewModel(now), facts: score.NewFacts(), at: instant(t, part["at"])}
	if text, ok := part["before.yaml"]; ok {
		before, err := parse(text)
		if err != nil {
			t.Fatalf("before.yaml: %v", err)
		}
		for _, change := range score.TermChanges(before, now, instant(t, part["changed"])) {
			change.By = "continuity-manager"
			c.facts.Change(change)
		}
	}
	if text, ok := part["agents"]; ok {
		enrolled := map[string]bool{}
		for _, name := range strings.Fields(text) {
			enrolled[name] = true
		}
		c.facts.Enrolled(enrolled)
	}
	n := 0
	for line := range strings.Lines(part["facts.jsonl"]) {
		n++
		if err := takeIn(c.facts, []byte(line)); err != nil {
			t.Fatalf("facts.jsonl:%d: %v", n, err)
		}
	}
	return c
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// takeIn reads one fact: an observation has a check, a record says its kind.
func takeIn(facts *score.Facts, line []byte) error {
	var o holdfast.Observation
	var r holdfast.Record
	if bytes.Contains(line, []byte(`"record":`)) {
		if err := strictly(line, &r); err != nil {
			return err
		}
		facts.Record(r)
		return nil
	}
	if err := strictly(line, &o); err != nil {
		return err
	}
	if o.Check == "" {
		return errors.New("neither check nor record")
	}
	facts.Observe(o)
	return o.Validate()
}

func strictly(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func encode(t *testing.T, postures []holdfast.Posture) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(postures); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// rewrite replaces posture.json and leaves every other byte of the file alone.
func rewrite(t *testing.T, file string, archive *txtar.Archive, posture string) {
	t.Helper()
	kept := archive.Files[:0]
	for _, f := range archive.Files {
		if f.Name != "posture.json" {
			kept = append(kept, f)
		}
	}
	archive.Files = append(kept, txtar.File{Name: "posture.json", Data: []byte(posture)})
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
