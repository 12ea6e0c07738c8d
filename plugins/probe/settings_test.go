package probe_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type limits struct {
	Free   holdfast.Bytes `json:"free,omitempty" jsonschema:"room the path needs"`
	Inodes percent        `json:"inodes,omitempty" jsonschema:"inodes the path needs"`
}

// percent is a setting with a form of its own.
type percent float64

func (p *percent) UnmarshalText(text []byte) error {
	return json.Unmarshal(text[:len(text)-1], (*float64)(p))
}

func (percent) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^[0-9]+%$"}
}

type settings struct {
	Path  string            `json:"path" jsonschema:"folder to look at"`
	Age   holdfast.Duration `json:"age,omitempty" jsonschema:"how old it may be"`
	Names []string          `json:"names,omitempty" jsonschema:"names to expect"`
	Count *int              `json:"count,omitempty" jsonschema:"how many"`
	Exact bool              `json:"exact,omitempty" jsonschema:"no more than that"`
	limits
}

func TestDecode(t *testing.T) {
	three := 3
	for _, c := range []struct {
		in   holdfast.Settings
		want settings
		err  string
	}{
		{in: `{"path":"/srv"}`, want: settings{Path: "/srv"}},
		{in: `{"path":"/srv","age":"1d12h","names":["a"],"count":3,"exact":true,"free":"200GiB"}`,
			want: settings{Path: "/srv", Age: 36 * 3600e9, Names: []string{"a"}, Count: &three, Exact: true, limits: limits{Free: 200 << 30}}},
		{in: `{"path":"/srv","free":4096,"inodes":"10%"}`, want: settings{Path: "/srv", limits: limits{Free: 4096, Inodes: 10}}},
		{in: ``, err: `setting "path" is required`},
		{in: `[]`, err: `settings are not a JSON object`},
		{in: `null`, err: `settings are not a JSON object`},
		{in: `{"path":"/srv","exat":true}`, err: `unknown setting "exat": did you mean "exact"?`},
		{in: `{"path":"/srv","zzzzzz":1}`, err: `unknown setting "zzzzzz"; known are path, age, names, count, exact, free, inodes`},
		{in: `{"path":7,"age":"soon","names":"a"}`, err: `setting "path": want text, got number
setting "age": "soon" is not a duration: write it like 15m, 1h30m or 7d (units y w d h m s ms, largest first)
setting "names": want a list, got string`},
		{in: `{"path":null}`, err: `setting "path": has no value`},
		{in: `{"path":"/srv","age":15}`, err: `setting "age": want a duration like "15m", got number`},
		{in: `{"path":"/srv","free":"lots"}`, err: `setting "free": "lots" is not a size: write it like 200GiB, 1.5TB or 4096`},
		{in: `{"path":"/srv","count":1.5}`, err: `setting "count": want a whole number, got number 1.5`},
	} {
		got, err := probe.Decode[settings](c.in)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("Decode(%s): got error %v, want %s", c.in, err, c.err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(settings{})); err != nil || diff != "" {
			t.Errorf("Decode(%s): %v (-want +got):\n%s", c.in, err, diff)
		}
	}
}

// TestSchema checks that the schema takes exactly what Decode takes.
func TestSchema(t *testing.T) {
	var schema jsonschema.Schema
	if err := json.Unmarshal([]byte(probe.Schema[settings]()), &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := schema.Properties["path"].Description, "folder to look at"; got != want {
		t.Errorf("description: got %q, want %q", got, want)
	}
	for _, in := range []holdfast.Settings{
		`{"path":"/srv"}`, `{"path":"/srv","age":"1d12h","names":["a"],"count":3,"free":"200GiB","inodes":"5%"}`,
		`{"path":"/srv","free":4096}`, `{}`, `{"path":"/srv","exat":true}`, `{"path":7}`, `{"path":"/srv","age":"soon"}`,
		`{"path":"/srv","names":"a"}`, `{"path":"/srv","names":null}`, `{"path":"/srv","count":null}`, `{"path":"/srv","free":"lots"}`, `{"path":"/srv","count":1.5}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		_, decode := probe.Decode[settings](in)
		if valid := resolved.Validate(v); (valid == nil) != (decode == nil) {
			t.Errorf("%s: schema says %v, Decode says %v", in, valid, decode)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"repositroy", "repository"}, {"Host", "host"}, {"xyz", ""}, {"pasword_file", "password_file"},
	} {
		if got := probe.Nearest(c.word, []string{"host", "repository", "password_file"}); got != c.want {
			t.Errorf("Nearest(%q): got %q, want %q", c.word, got, c.want)
		}
	}
}
