package score_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// mustGetRight are the files of the cases that JUDGEMENT.md 8 says every
// implementation must get right, in its order.
var mustGetRight = []string{
	"nightly-backup-beside-a-replica", "replica-replicates-the-damage", "day-one-unknown-then-untested",
	"path-with-no-needs-is-unknown", "silent-after-an-rpo-breach", "tool-upgraded-voids-the-proof",
	"host-and-patch-levels-void-nothing", "broken-dependency-limits-where-both-are-lost",
	"dependency-elsewhere-does-not-limit", "data-doubled-since-the-test", "data-shrank-since-the-test",
	"standby-smaller-than-the-data", "second-dataset-not-in-the-path", "drill-on-yesterdays-data",
	"sample-counts-as-intact", "error-is-no-test", "failed-exercise-where-none-is-required",
	"recovery-time-is-the-longest-chain", "last-backup-three-weeks-ago", "restore-test-of-2021-is-untested",
	"plan-review-a-day-late", "nobody-ever-trained", "maintenance-changes-nothing", "sequence-decides-not-the-clock",
	"agent-retired-is-unknown", "agent-retired-bad-stays-bad", "check-moved-to-another-agent", "declared-fact-lapses",
	"cycle-is-judged-as-one-unit", "ransomware-struck-from-the-bia", "single-cloud-tier-1-four-scenarios",
	"every-beyond-the-validity-limit", "copy-silent-past-mtdl-is-broken",
}

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
	for _, name := range mustGetRight {
		if !slices.Contains(files, "testdata/"+name+".txtar") {
			t.Errorf("no case %s", name)
		}
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
	if diff := cmp.Diff(strings.Split(part["posture.json"], "\n"), strings.Split(got, "\n")); diff != "" {
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

// encode writes postures as JSON that reads well in a diff: a line for each field,
// and in a list of things a line for each thing.
func encode(t *testing.T, postures []holdfast.Posture) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("[")
	for i := range postures {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n{")
		d := json.NewDecoder(bytes.NewReader(oneLine(t, postures[i])))
		if _, err := d.Token(); err != nil { // the opening brace
			t.Fatal(err)
		}
		for n := 0; d.More(); n++ {
			key, err := d.Token()
			var value json.RawMessage
			if err == nil {
				err = d.Decode(&value)
			}
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, "\n  %q: %s", key, perLine(value))
		}
		b.WriteString("\n}")
	}
	b.WriteString("\n]\n")
	return b.String()
}

func oneLine(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// perLine writes a list with a line for each thing in it, anything else as it is.
func perLine(value json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil || len(list) == 0 {
		return string(value)
	}
	lines := make([]string, len(list))
	for i, x := range list {
		lines[i] = "\n    " + string(x)
	}
	return "[" + strings.Join(lines, ",") + "\n  ]"
}

// rewrite replaces posture.json and leaves every other byte of the file alone.
func rewrite(t *testing.T, file string, archive *txtar.Archive, posture string) {
	t.Helper()
	files := slices.DeleteFunc(slices.Clone(archive.Files), func(f txtar.File) bool { return f.Name == "posture.json" })
	files = append(files, txtar.File{Name: "posture.json", Data: []byte(posture)})
	if err := os.WriteFile(file, txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: files}), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestUpdateTouchesThePostureOnly(t *testing.T) {
	const before = "What the rule is.\n-- at --\n2026-03-01T09:00:00Z\n-- expect --\na state = broken   # by hand\n\n"
	file := filepath.Join(t.TempDir(), "case.txtar")
	rewrite(t, file, txtar.Parse([]byte(before+"-- posture.json --\nold\n")), "new\n")
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before+"-- posture.json --\nnew\n", string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
