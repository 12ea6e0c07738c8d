package plugins_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/plugins"
)

// TestNames checks that an agent finds the plugin of every probe: by the name
// before the dot.
func TestNames(t *testing.T) {
	for name, all := range plugins.ByPlugin() {
		for _, d := range all {
			if !strings.HasPrefix(d.Name, name+".") {
				t.Errorf("plugin %s has a probe named %s", name, d.Name)
			}
		}
	}
	all := plugins.Descriptions()
	for i := 1; i < len(all); i++ {
		if all[i-1].Name >= all[i].Name {
			t.Errorf("%s comes before %s", all[i-1].Name, all[i].Name)
		}
	}
}

// TestPaths checks that a probe whose setting names a folder of data says so: no restore
// test may write there.
func TestPaths(t *testing.T) {
	for _, d := range plugins.Descriptions() {
		var schema struct{ Properties map[string]any }
		if err := json.Unmarshal([]byte(d.Settings), &schema); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"directory", "repository", "source"} {
			if schema.Properties[name] != nil && !slices.Contains(d.Paths, name) {
				t.Errorf("%s: the setting %s is not among its Paths %q", d.Name, name, d.Paths)
			}
		}
	}
}

// TestTemplate builds and tests the template, and checks that the README shows
// it as it is.
func TestTemplate(t *testing.T) {
	const dir = "probe/testdata/template"
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"main.go", "main_test.go"} {
		code, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "```go\n"+string(code)+"```\n") {
			t.Errorf("README.md does not show %s/%s as it is; copy it there", dir, name)
		}
	}
	cmd := exec.Command("go", "test", "./...")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the template fails: %v\n%s", err, out)
	}
}
