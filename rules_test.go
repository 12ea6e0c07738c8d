package holdfast_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/holdfast-monitor/holdfast"

// rules say which packages may not import which, and why. A prefix matches the
// package and what is below it.
var rules = []struct {
	of, not []string // package prefixes, relative to the module; "std" below means: anything outside the standard library
	except  []string
	reason  string
}{
	{of: []string{"."}, not: []string{"std"}, reason: "the words are read by everyone and must drag nothing along"},
	{of: []string{"wire"}, not: []string{"agent", "collector", "plugins", "cmd", "evidence"}, reason: "the wire is spoken by both halves and belongs to neither"},
	{of: []string{"plugins/probe"}, not: []string{"agent", "collector", "cmd", "evidence"}, reason: "a plugin author must not inherit the whole program"},
	{of: []string{"plugins"}, not: []string{"agent", "collector", "cmd", "evidence"}, reason: "a plugin is a program of its own: it knows its tool and the SDK"},
	{of: []string{"agent"}, not: []string{"collector", "cmd", "evidence"}, reason: "hosts run the agent alone"},
	{of: []string{"collector"}, not: []string{"agent", "plugins", "cmd"}, reason: "the collector never runs a probe"},
	{of: []string{"collector/score"}, not: []string{"std"}, except: []string{""}, reason: "judgement is pure: the words and nothing else"},
	{of: []string{"collector/alert"}, not: []string{"collector", "wire"}, except: []string{"collector/store", "collector/agenda"}, reason: "rooms of the collector do not know each other; alerts are kept as documents of the store"},
	{of: []string{"collector/catalog"}, not: []string{"collector", "wire"}, reason: "rooms of the collector do not know each other"},
	{of: []string{"collector/drill"}, not: []string{"collector", "wire"}, except: []string{"collector/store"}, reason: "rooms of the collector do not know each other; drills are kept as documents of the store"},
	{of: []string{"collector/ingest"}, not: []string{"collector"}, reason: "rooms of the collector do not know each other"},
	{of: []string{"collector/score"}, not: []string{"collector", "wire"}, reason: "rooms of the collector do not know each other"},
	{of: []string{"collector/web"}, not: []string{"collector", "wire"}, reason: "rooms of the collector do not know each other"},
	{of: []string{"collector/store"}, not: []string{"collector", "wire"}, except: []string{"collector/store"}, reason: "a store keeps what it is given and knows no other room"},
	{of: []string{"agent", "collector", "evidence", "plugins", "wire"}, not: []string{"cmd"}, reason: "nothing imports the command line"},
	{of: []string{"agent", "cmd", "collector", "evidence", "plugins", "wire"}, not: []string{"dashboards"}, reason: "dashboards are made of the program's metrics; the program does not know them"},
}

type pkg struct {
	ImportPath string
	Doc        string
	Dir        string
	Imports    []string
	Module     *struct{ Path string }
	Standard   bool
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Doc,Dir,Imports,Module,Standard"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// under reports whether the module-relative package is the prefix or below it.
func under(p, prefix string) bool {
	if prefix == "." {
		return p == "."
	}
	return p == prefix || strings.HasPrefix(p, prefix+"/")
}

func relative(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// TestImports keeps the architecture: who may know whom (DESIGN.md 11).
func TestImports(t *testing.T) {
	standard := map[string]bool{}
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	for _, p := range list(t, "./...") {
		from, _ := relative(p.ImportPath)
		for _, imp := range p.Imports {
			to, ours := relative(imp)
			for _, r := range rules {
				if !slices.ContainsFunc(r.of, func(o string) bool { return under(from, o) }) {
					continue
				}
				for _, n := range r.not {
					outside := n == "std" && !standard[imp] && !(ours && to == "." && r.except != nil)
					inside := n != "std" && ours && under(to, n) && !under(to, from) &&
						!slices.ContainsFunc(r.except, func(e string) bool { return e != "" && under(to, e) })
					if outside || inside {
						t.Errorf("%s imports %s: %s", from, imp, r.reason)
					}
				}
			}
		}
	}
}

// TestPackageDocs asks every package to say what it is.
func TestPackageDocs(t *testing.T) {
	for _, p := range list(t, "./...") {
		if strings.HasSuffix(p.ImportPath, "/wirepb") {
			continue // generated
		}
		if len(p.Doc) < 20 {
			t.Errorf("%s: no package doc", p.ImportPath)
		}
	}
}

// TestDirectDependencies keeps the binary's own choice of modules small.
func TestDirectDependencies(t *testing.T) {
	direct := map[string]bool{}
	modules := map[string]string{}
	all := list(t, "-deps", "./cmd/holdfast")
	for _, p := range all {
		if p.Module != nil {
			modules[p.ImportPath] = p.Module.Path
		}
	}
	for _, p := range all {
		if p.Module == nil || p.Module.Path != module {
			continue
		}
		for _, imp := range p.Imports {
			if m := modules[imp]; m != "" && m != module {
				direct[m] = true
			}
		}
	}
	if len(direct) > 30 {
		t.Errorf("the binary depends on %d modules directly, at most 30: %v", len(direct), direct)
	}
}

// TestNoInit keeps registration explicit: no init function, no sleeping test.
func TestNoInit(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "wirepb" || d.Name() == ".git" || d.Name() == "demo-data") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init function: registration is a map in plain view", path)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// In a synctest bubble sleeping takes no time.
		if strings.HasSuffix(path, "_test.go") && path != "rules_test.go" && bytes.Contains(text, []byte("time.Sleep(")) && !bytes.Contains(text, []byte(`"testing/synctest"`)) {
			t.Errorf("%s: time.Sleep in a test: wait for the event, or use testing/synctest", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKnownHoles keeps away from versions with published vulnerabilities that the
// libraries here would choose by themselves: go-plugin asks for a grpc with
// GO-2026-4762 and GO-2026-6061, and Go below 1.26.6 has CVE-2026-56853.
func TestKnownHoles(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "google.golang.org/grpc").Output()
	if err != nil {
		t.Fatal(err)
	}
	if v := strings.TrimSpace(string(out)); semver(v) < semver("v1.85.0") {
		t.Errorf("grpc %s, want at least v1.85.0", v)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(mod), "\ngo ")
	if v, _, _ := strings.Cut(rest, "\n"); semver("v"+v) < semver("v1.26.6") {
		t.Errorf("go.mod asks for Go %s, want at least 1.26.6", v)
	}
}

// semver makes versions without a suffix comparable.
func semver(v string) int {
	var major, minor, patch int
	fmt.Sscanf(v, "v%d.%d.%d", &major, &minor, &patch)
	return major*1e6 + minor*1e3 + patch
}
