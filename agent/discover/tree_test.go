package discover_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/agent/discover"
)

// write writes files below a root: path → content. A content that begins with -> is
// a link, a path that ends in / a folder.
func write(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		to := filepath.Join(root, path)
		dir := filepath.Dir(to)
		if strings.HasSuffix(path, "/") {
			dir = to
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		link, isLink := strings.CutPrefix(content, "->")
		switch {
		case strings.HasSuffix(path, "/"):
		case isLink:
			err = os.Symlink(link, to)
		default:
			err = os.WriteFile(to, []byte(content), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// look looks at a tree.
func look(t testing.TB, root string, change ...func(*discover.Options)) discover.Report {
	t.Helper()
	o := discover.Options{Root: root, Urgent: true}
	for _, f := range change {
		f(&o)
	}
	r, err := discover.Look(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs a program and returns what it says.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "RESTIC_CACHE_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// cluster is what a stopped PostgreSQL leaves of its data directory for who looks
// at it.
func cluster(dir string) map[string]string {
	return map[string]string{dir + "/PG_VERSION": "15\n", dir + "/global/pg_control": "x", dir + "/base/1/1": "x", dir + "/postgresql.conf": "#port = 5432\nport = 5433\t\t\t# (change requires restart)\n"}
}
