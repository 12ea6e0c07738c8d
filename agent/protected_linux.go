package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// databaseServers are programs whose working folder is the one they keep their data
// in.
var databaseServers = []string{"postgres", "postmaster", "mariadbd", "mysqld", "redis-server", "valkey-server"}

// databaseFolders are where distributions have them keep it, running or not.
var databaseFolders = []string{
	"/var/lib/postgresql/*/*", "/var/lib/pgsql/data", "/var/lib/pgsql/*/data",
	"/var/lib/mysql", "/var/lib/redis", "/var/lib/valkey",
}

// DatabaseFolders lists where databases of this host keep their data, sorted: folders
// that running servers work in, as far as this user may know, and those that packages
// made. Scratch servers of restore tests are left out.
func DatabaseFolders() []string {
	var found []string
	for _, pattern := range databaseFolders {
		some, _ := filepath.Glob(pattern) // the patterns are right
		found = append(found, some...)
	}
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || !slices.Contains(databaseServers, strings.TrimSpace(string(comm))) {
			continue // ended meanwhile, or something else
		}
		folder, err := os.Readlink(filepath.Join(filepath.Dir(name), "cwd"))
		if err == nil && folder != "/" && !scratch.InWorkspace(folder) {
			found = append(found, folder)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// protected lists the paths of this host that nothing may be restored in, on or above:
// what its checks read, and what its databases write.
func (a *Agent) protected() []string {
	paths := DatabaseFolders()
	for _, c := range a.checks() {
		d := a.looker.known(c.Probe)
		paths = append(paths, d.PathsOf(c.With)...)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
