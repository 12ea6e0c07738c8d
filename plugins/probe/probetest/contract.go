package probetest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// quick is how soon a probe must return once its context is done.
const quick = 2 * time.Second

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9]*\.[a-z][a-z0-9-]*$`)

func testDescribe(t *testing.T, p probe.Probe) {
	d := p.Describe()
	if diff := cmp.Diff(d, p.Describe()); diff != "" {
		t.Errorf("Describe changes between calls (-first +second):\n%s", diff)
	}
	if !nameForm.MatchString(d.Name) {
		t.Errorf("Name is %q, want PLUGIN.THING in small letters", d.Name)
	}
	if d.Observes == "" {
		t.Error("Observes is empty, want one sentence")
	}
	if !slices.Contains([]holdfast.Cost{holdfast.Cheap, holdfast.IO, holdfast.Heavy}, d.Cost) {
		t.Errorf("Cost is %q, want cheap, io or heavy", d.Cost)
	}
	for _, r := range d.Reasons {
		if !slices.Contains(holdfast.Reasons, r) {
			t.Errorf("Reasons has %q, which is not in holdfast.Reasons", r)
		}
	}
	schema := resolve(t, d.Settings).Schema()
	for field, names := range map[string][]string{"Target": d.Target, "Secret": d.Secret, "Paths": d.Paths} {
		for _, name := range names {
			if schema.Properties[name] == nil {
				t.Errorf("%s has %q, which is not a setting", field, name)
			}
		}
	}
}

// resolve reads the settings' schema; it must describe an object whose every
// setting is explained.
func resolve(t *testing.T, settings holdfast.Settings) *jsonschema.Resolved {
	t.Helper()
	var schema jsonschema.Schema
	if err := json.Unmarshal([]byte(settings), &schema); err != nil {
		t.Fatalf("Settings is not a JSON Schema: %v", err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatalf("Settings is not a JSON Schema: %v", err)
	}
	if schema.Type != "object" {
		t.Errorf("Settings has type %q, want object", schema.Type)
	}
	for name, s := range schema.Properties {
		if s.Description == "" {
			t.Errorf("setting %q has no description: add a jsonschema tag", name)
		}
	}
	return resolved
}

func testObserve(t *testing.T, p probe.Probe, r probe.Request) {
	d := p.Describe()
	fill := func(t *testing.T) probe.Request {
		r := r
		if r.Check == "" {
			r.Check = "test/check"
		}
		if d.Privileges.Writes {
			r.Scratch = t.TempDir()
		}
		if r.Tools == nil {
			r.Tools = lookUp(d.Privileges.Tools)
		}
		return r
	}
	t.Run("settings fit the schema", func(t *testing.T) {
		var v any = map[string]any{}
		if r.Settings != "" {
			if err := json.Unmarshal([]byte(r.Settings), &v); err != nil {
				t.Fatalf("settings: %v", err)
			}
		}
		if err := resolve(t, d.Settings).Validate(v); err != nil {
			t.Errorf("the schema refuses the settings: %v", err)
		}
	})
	t.Run("answers with facts or an error", func(t *testing.T) {
		o, err := p.Observe(t.Context(), fill(t))
		checkAnswer(t, d, o, err)
	})
	t.Run("refuses an unknown setting", func(t *testing.T) {
		r := fill(t)
		r.Settings = withUnknown(t, r.Settings)
		if o, err := p.Observe(t.Context(), r); err == nil {
			t.Errorf("Observe with settings %s answered %q, want an error", r.Settings, o.Outcome)
		}
	})
	t.Run("ends when cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		o, err := p.Observe(ctx, fill(t))
		if took := time.Since(start); took > quick {
			t.Errorf("Observe took %v after its context was done, want less than %v", took, quick)
		}
		checkAnswer(t, d, o, err)
	})
	t.Run("may be called at once from several places", func(t *testing.T) {
		var calls sync.WaitGroup
		for range 3 {
			r := fill(t)
			calls.Go(func() {
				o, err := p.Observe(t.Context(), r)
				checkAnswer(t, d, o, err)
			})
		}
		calls.Wait()
	})
}

// checkAnswer tests that an answer is one a plugin host takes.
func checkAnswer(t *testing.T, d probe.Description, o probe.Observation, err error) {
	t.Helper()
	if err != nil {
		if diff := cmp.Diff(probe.Observation{}, o); diff != "" {
			t.Errorf("Observe returned an error and an observation (-nothing +got):\n%s", diff)
		}
		checkReason(t, d, probe.ReasonOf(err))
		return
	}
	if err := o.Validate(); err != nil {
		t.Errorf("Observe: %v", err)
	}
	switch {
	case o.Outcome == holdfast.OutcomeUnknown:
		t.Error("Outcome is unknown, want an error where the probe could not tell")
	case o.Outcome != holdfast.OK && o.Reason == "":
		t.Errorf("Outcome is %s without a Reason", o.Outcome)
	case o.Outcome == holdfast.OK && o.Reason != "":
		t.Errorf("Outcome is ok with Reason %q", o.Reason)
	}
	if o.Summary == "" {
		t.Error("Summary is empty, want one line for people")
	}
	checkReason(t, d, o.Reason)
}

func checkReason(t *testing.T, d probe.Description, r holdfast.Reason) {
	t.Helper()
	if r != "" && r != holdfast.Timeout && !slices.Contains(d.Reasons, r) {
		t.Errorf("reason %q is not among those Describe lists: %v", r, d.Reasons)
	}
}

// withUnknown adds a key that no probe knows.
func withUnknown(t *testing.T, s holdfast.Settings) holdfast.Settings {
	t.Helper()
	m := map[string]any{}
	if s != "" {
		if err := json.Unmarshal([]byte(s), &m); err != nil {
			t.Fatalf("settings: %v", err)
		}
	}
	m["no-such-setting"] = true
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return holdfast.Settings(b)
}

// lookUp finds tools where an agent without a policy of its own would.
func lookUp(names []string) map[string]string {
	found := map[string]string{}
	for _, name := range names {
		for _, dir := range []string{"/usr/bin", "/usr/local/bin"} {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && found[name] == "" {
				found[name] = path
			}
		}
	}
	return found
}
