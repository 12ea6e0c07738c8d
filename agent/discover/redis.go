package discover

import (
	"path/filepath"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// findRedis finds servers of Redis and Valkey by their processes and their
// configuration.
func (f *finder) findRedis() {
	for _, p := range f.processes {
		if p.name != "redis-server" && p.name != "valkey-server" {
			continue
		}
		// A server writes over its command line: redis-server 127.0.0.1:6379.
		d := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.Redis, Path: p.flag("--dir"), Port: number(p.flag("--port")), Running: true, Container: p.container}}
		if !filepath.IsAbs(d.Path) {
			d.Path = p.folder // a server works in the folder of its data
		}
		for _, word := range strings.Fields(strings.Join(p.argv, " ")) {
			if i := strings.LastIndex(word, ":"); i >= 0 {
				fill(&d.Port, number(word[i+1:]))
			}
		}
		p.place(&d)
		f.add(d)
	}
	for _, dir := range []string{"/etc/redis", "/etc/valkey", "/etc"} {
		for _, name := range f.names(dir) {
			if !strings.HasSuffix(name, ".conf") || !strings.HasPrefix(name, "redis") && !strings.HasPrefix(name, "valkey") || strings.HasPrefix(name, "redis-sentinel") {
				continue
			}
			w := configWords(f.read(filepath.Join(dir, name)))
			d := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.Redis, Path: w["dir"], Port: number(w["port"]), Socket: w["unixsocket"]}}
			fill(&d.Port, 6379)
			if filepath.IsAbs(d.Path) && (f.isRedis(d.Path, w["dbfilename"]) || !f.seen(d.Path)) {
				f.add(d)
			}
		}
	}
}

// isRedis reports whether a folder holds what a server keeps; rdb is the name of its
// dump, empty the usual one.
func (f *finder) isRedis(dir, rdb string) bool {
	fill(&rdb, "dump.rdb")
	return f.isDir(filepath.Join(dir, "appendonlydir")) || strings.HasPrefix(string(f.readSome(filepath.Join(dir, rdb), 5)), "REDIS")
}
