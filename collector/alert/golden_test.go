package alert_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// TestGolden raises the alerts of one estate per file of testdata. The comment
// says the rule it shows. Parts: catalog.yaml, facts.jsonl and at as in package
// score; silent (agent and since when, one a line); alerts, what is raised.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(bytes.Fields(archive.Comment)) < 8 {
				t.Error("the comment does not explain the rule")
			}
			got := render(raised(t, parts(archive)))
			for i := range archive.Files {
				f := &archive.Files[i]
				if f.Name != "alerts" {
					continue
				}
				if *update {
					f.Data = []byte(got)
				} else if diff := cmp.Diff(string(f.Data), got); diff != "" {
					t.Errorf("%s: alerts (-want +got); run go test ./collector/alert -update if it is meant:\n%s", file, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func parts(a *txtar.Archive) map[string]string {
	part := map[string]string{}
	for _, f := range a.Files {
		part[f.Name] = string(f.Data)
	}
	return part
}

// raised judges an estate and returns the alerts it gives rise to, sent or not.
func raised(t *testing.T, part map[string]string) (list []holdfast.Alert) {
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(part["at"]))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, part["catalog.yaml"], at)
		w.read(part["facts.jsonl"])
		for line := range strings.Lines(part["silent"]) {
			f := strings.Fields(line)
			since, err := time.Parse(time.RFC3339, f[1])
			if err != nil {
				t.Fatal(err)
			}
			w.hush(f[0], since)
		}
		w.start()
		w.judge()
		synctest.Wait()
		list = w.open()
		w.stop()
	})
	return list
}

// Every service that is not proven is named by an alert, in every case that the
// rules of posture are tried with: nothing bad goes unsaid. What somebody accepted
// or maintains is named too, and quiet.
func TestNothingBadGoesUnsaid(t *testing.T) {
	files, err := filepath.Glob("../score/testdata/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		part := parts(archive)
		if part["fault"] != "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(part["at"]))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, part["catalog.yaml"], at)
				w.read(part["facts.jsonl"])
				w.start()
				defer func() { w.stop() }()
				w.judge()
				synctest.Wait()
				alerts := w.open()
				for _, p := range w.model.Judge(w.facts, at) {
					named := slices.ContainsFunc(alerts, func(a holdfast.Alert) bool { return slices.Contains(a.Services, p.Name) })
					if bad := p.State != holdfast.Proven && p.State != holdfast.NotJudged; bad && !named {
						t.Errorf("%s is %s (%+v) and no alert names it:\n%s", p.Name, p.State, p.Cause, render(alerts))
					}
				}
				for _, a := range alerts {
					if a.What == "" || a.Effect == "" || a.Next == "" || a.Link == "" || a.Since.IsZero() || len(a.Services) == 0 || a.Tier < 1 {
						t.Errorf("incomplete: %+v", a)
					}
				}
			})
		})
	}
}

// Every finding that judgement knows has a row here, and no other has.
func TestEveryFindingHasARow(t *testing.T) {
	codes := score.Codes()
	for _, code := range codes {
		if !alert.KnowsFinding(code) {
			t.Errorf("finding %s: no row in rules.go says what alert it raises", code)
		}
	}
	if len(codes) != alert.Findings() {
		t.Errorf("rules.go has %d rows, judgement knows %d findings", alert.Findings(), len(codes))
	}
}
