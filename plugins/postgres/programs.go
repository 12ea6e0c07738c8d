package postgres

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// folders is where distributions put PostgreSQL's programs, a folder for each
// major version: Debian, then the PostgreSQL project's own packages for others.
var folders = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"}

// program finds one of PostgreSQL's programs: the one the agent's policy named or
// found, else that of the newest version installed. Debian's /usr/bin/pg_restore
// and its like are a script that guesses a version; it is passed over. "" where
// there is none.
func program(tools map[string]string, name string) string {
	path := tools[name]
	if real, err := filepath.EvalSymlinks(path); path != "" && (err != nil || filepath.Base(real) != "pg_wrapper") {
		return path
	}
	return newestProgram(folders, name)
}

func newestProgram(folders []string, name string) string {
	var found []string
	for _, pattern := range folders {
		some, _ := filepath.Glob(filepath.Join(pattern, name)) // the patterns are right
		found = append(found, some...)
	}
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return majorOf(a) - majorOf(b) })
}

// majorOf returns the number in the name of a version's folder.
func majorOf(path string) int {
	version := filepath.Base(filepath.Dir(filepath.Dir(path)))
	n, _ := strconv.Atoi(strings.TrimPrefix(version, "pgsql-"))
	return n
}

// major shortens a version like "15.18 (Debian 15.18-0+deb12u1)" to what decides
// whether a copy fits: "15".
func major(version string) string {
	return version[:len(version)-len(strings.TrimLeft(version, "0123456789"))]
}
