package discover

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// call is a command line of a known tool.
type call struct {
	f    *finder
	read func(path string) []byte // a file that the command leads to
	name string
	args []string
	env  map[string]string
	out  string // file its output ends in
}

// first returns the first that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// tools are the programs that make backups, and how their command lines are read.
// ok is false for a command that neither makes one nor names a repository.
var tools = map[string]func(call) (a Action, ok bool){
	"restic": resticCall, "borg": borgCall, "borgmatic": borgmaticCall,
	"pg_dump": pgDumpCall, "pg_dumpall": pgDumpCall, "pg_basebackup": baseBackupCall, "pgbackrest": pgBackRestCall, "barman": barmanCall,
	"mysqldump": mysqlDumpCall, "mariadb-dump": mysqlDumpCall, "mydumper": myDumperCall,
	"mariabackup": mariabackupCall, "mariadb-backup": mariabackupCall, "xtrabackup": mariabackupCall,
	"redis-cli": redisCall, "valkey-cli": redisCall, "sqlite3": sqliteCall,
	"rsync": rsyncCall, "rclone": rcloneCall, "tar": tarCall, "duplicity": duplicityCall, "kopia": kopiaCall,
	"rsnapshot": namedOnly("mirror"), "btrbk": namedOnly("btrfs"), "snapper": namedOnly("btrfs"), "timeshift": namedOnly("mirror"), "btrfs": btrfsCall,
	"autopostgresqlbackup": autoCall(holdfast.PostgreSQL), "automysqlbackup": autoCall(holdfast.MariaDB), "wal-g": walGCall, "duplicati-cli": namedOnly("duplicati"),
}

func resticCall(c call) (Action, bool) {
	g := mixed(c.args, "rpoleHF", "--repo", "--repository-file", "--password-file", "--password-command", "--option", "--cacert", "--cache-dir", "--key-hint", "--tls-client-cert",
		"--limit-upload", "--limit-download", "--exclude", "--iexclude", "--exclude-file", "--iexclude-file", "--exclude-if-present", "--exclude-larger-than", "--exclude-caches-of",
		"--files-from", "--files-from-raw", "--files-from-verbatim", "--tag", "--host", "--hostname", "--parent", "--stdin-filename", "--group-by", "--time", "--read-data-subset",
		"--keep-last", "--keep-hourly", "--keep-daily", "--keep-weekly", "--keep-monthly", "--keep-yearly", "--keep-within", "--keep-tag", "--pack-size", "--compression", "--retry-lock")
	a := Action{kind: "restic", Target: first(g.get("-r", "--repo"), c.env["RESTIC_REPOSITORY"]), password: first(g.get("-p", "--password-file"), c.env["RESTIC_PASSWORD_FILE"])}
	if file := first(g.get("--repository-file"), c.env["RESTIC_REPOSITORY_FILE"]); a.Target == "" && file != "" {
		line, _, _ := strings.Cut(string(c.read(file)), "\n")
		a.Target = strings.TrimSpace(line)
	}
	if a.password == "" {
		a.password = fileOfCommand(first(g.get("--password-command"), c.env["RESTIC_PASSWORD_COMMAND"]))
	}
	if a.password == "" && c.env["RESTIC_PASSWORD"] != "" {
		a.secret = "RESTIC_PASSWORD in the job's environment"
	}
	if filepath.IsAbs(c.env[envFileOf]) && onlyCredentials(c.read(c.env[envFileOf])) {
		a.env = c.env[envFileOf]
	}
	if len(g.operands) > 0 && g.operands[0] == "backup" {
		a.Saves, a.Sources = true, absolutes(g.operands[1:])
	}
	return a, a.Target != "" || a.Saves
}

// onlyCredentials reports whether a file of variables holds those of storages and
// no other, as restic's probes want it.
func onlyCredentials(text []byte) bool {
	vars := map[string]string{}
	pipelines(string(text), vars, nil)
	for name := range vars {
		if !slices.ContainsFunc([]string{"AWS_", "AZURE_", "B2_", "GOOGLE_", "OS_", "ST_", "RESTIC_REST_"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return false
		}
	}
	return len(vars) > 0
}

// fileOfCommand returns the file that a command like "cat /etc/secret" prints.
func fileOfCommand(command string) string {
	words := strings.Fields(command)
	if len(words) == 2 && filepath.Base(words[0]) == "cat" && filepath.IsAbs(words[1]) {
		return words[1]
	}
	return ""
}

func borgCall(c call) (Action, bool) {
	g := mixed(c.args, "rCeps", "--repo", "--rsh", "--compression", "--exclude", "--exclude-from", "--pattern", "--patterns-from", "--exclude-if-present", "--comment", "--remote-path", "--umask",
		"--lock-wait", "--prefix", "--glob-archives", "--keep-daily", "--keep-weekly", "--keep-monthly", "--keep-yearly", "--keep-hourly", "--keep-within", "--checkpoint-interval", "--files-cache", "--upload-ratelimit")
	if len(g.operands) == 0 {
		return Action{}, false
	}
	a := Action{kind: "borg", Target: first(g.get("-r", "--repo"), c.env["BORG_REPO"]), password: fileOfCommand(c.env["BORG_PASSCOMMAND"]), key: c.env["BORG_KEY_FILE"]}
	if c.env["BORG_PASSPHRASE"] != "" {
		a.secret = "BORG_PASSPHRASE in the job's environment"
	}
	rest := g.operands[1:]
	if len(rest) > 0 {
		if repo, _, archive := strings.Cut(rest[0], "::"); archive {
			a.Target = first(repo, a.Target)
			rest = rest[1:]
		} else if a.Target == "" {
			a.Target = rest[0]
		}
	}
	if g.operands[0] == "create" {
		a.Saves, a.Sources = true, absolutes(rest)
	}
	return a, a.Target != "" || a.Saves
}

func pgDumpCall(c call) (Action, bool) {
	g := mixed(c.args, "fFhpUdntNTjZEWlS", "--file", "--format", "--host", "--port", "--username", "--dbname", "--schema", "--table", "--exclude-schema", "--exclude-table", "--exclude-table-data", "--jobs",
		"--compress", "--encoding", "--lock-wait-timeout", "--role", "--snapshot", "--section", "--superuser", "--exclude-database", "--database")
	conninfo := strings.Join(append(g.operands, g.get("-d", "--dbname")), " ")
	host := first(g.get("-h", "--host"), wordOf(conninfo, "host"), hostOf(conninfo), c.env["PGHOST"])
	port := first(g.get("-p", "--port"), wordOf(conninfo, "port"), portOf(conninfo), c.env["PGPORT"])
	a := Action{Saves: true, kind: "dumps", Database: holdfast.PostgreSQL, Host: other(host), Port: number(port), Target: first(g.get("-f", "--file"), c.out)}
	return a, true
}

func baseBackupCall(c call) (Action, bool) {
	g := mixed(c.args, "DFhpUdlXrcZTt", "--pgdata", "--format", "--host", "--port", "--username", "--dbname", "--label", "--wal-method", "--max-rate", "--checkpoint", "--compress", "--waldir", "--target")
	return Action{Saves: true, kind: "basebackups", Database: holdfast.PostgreSQL, Host: other(first(g.get("-h", "--host"), wordOf(g.get("-d"), "host"), c.env["PGHOST"])),
		Port: number(first(g.get("-p", "--port"), c.env["PGPORT"])), Target: g.get("-D", "--pgdata")}, true
}

func pgBackRestCall(c call) (Action, bool) {
	g := mixed(c.args, "", "--stanza", "--config", "--type", "--repo")
	stanza := first(g.get("--stanza"), c.env["PGBACKREST_STANZA"])
	a := Action{kind: "pgbackrest", Database: holdfast.PostgreSQL, config: first(g.get("--config"), c.env["PGBACKREST_CONFIG"])}
	if stanza != "" {
		a.Sources = []string{stanza}
	}
	a.Saves = slices.Contains(g.operands, "backup") || slices.Contains(g.operands, "archive-push")
	return a, a.Saves
}

func barmanCall(c call) (Action, bool) {
	g := mixed(c.args, "cf", "--config", "--format")
	if len(g.operands) == 0 || g.operands[0] != "backup" && g.operands[0] != "cron" {
		return Action{}, false
	}
	return Action{Saves: true, kind: "barman", Database: holdfast.PostgreSQL, Host: "the servers it names", Sources: g.operands[1:], config: g.get("-c", "--config")}, true
}

func walGCall(c call) (Action, bool) {
	if len(c.args) < 1 || c.args[0] != "backup-push" && c.args[0] != "wal-push" {
		return Action{}, false
	}
	target := first(c.env["WALG_S3_PREFIX"], c.env["WALG_FILE_PREFIX"], c.env["WALG_GS_PREFIX"], c.env["WALG_AZ_PREFIX"])
	return Action{Saves: true, kind: "wal-g", Database: holdfast.PostgreSQL, Sources: absolutes(c.args[1:]), Target: target}, true
}

// withoutPassword leaves -pSECRET out, which would be taken for other options.
func withoutPassword(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "-p") })
}

func mysqlDumpCall(c call) (Action, bool) {
	g := mixed(withoutPassword(c.args), "hPuSrw", "--host", "--port", "--user", "--socket", "--result-file", "--where", "--ignore-table", "--defaults-file", "--defaults-extra-file", "--max-allowed-packet", "--default-character-set", "--tab")
	return Action{Saves: true, kind: "dumps", Database: holdfast.MariaDB, Host: other(g.get("-h", "--host")), Port: number(g.get("-P", "--port")), Target: first(g.get("-r", "--result-file"), c.out)}, true
}

func myDumperCall(c call) (Action, bool) {
	g := mixed(c.args, "hPupSBTot", "--host", "--port", "--user", "--password", "--socket", "--database", "--outputdir", "--threads")
	return Action{Saves: true, kind: "dumps", Database: holdfast.MariaDB, Host: other(g.get("-h", "--host")), Port: number(g.get("-P", "--port")), Target: g.get("-o", "--outputdir")}, true
}

func mariabackupCall(c call) (Action, bool) {
	g := mixed(withoutPassword(c.args), "hPuS", "--target-dir", "--datadir", "--host", "--port", "--user", "--socket", "--stream")
	if !g.has("--backup") {
		return Action{}, false
	}
	return Action{Saves: true, kind: "physical", Database: holdfast.MariaDB, Host: other(g.get("-h", "--host")), Port: number(g.get("-P", "--port")), Sources: absolutes([]string{g.get("--datadir")}), Target: first(g.get("--target-dir"), c.out)}, true
}

func redisCall(c call) (Action, bool) {
	g := mixed(c.args, "hpasnru", "--rdb", "--user", "--pass", "--cacert", "--cert", "--key")
	if !g.has("--rdb") {
		return Action{}, false
	}
	return Action{Saves: true, kind: "dumps", Database: holdfast.Redis, Host: other(g.get("-h")), Port: number(g.get("-p")), Target: g.get("--rdb"), format: "rdb"}, true
}

var sqliteBackup = regexp.MustCompile(`(?i)^\s*(?:\.backup\s+(?:'?main'?\s+)?|\.clone\s+|vacuum\s+(?:main\s+)?into\s+)["']?([^"';]+)`)

func sqliteCall(c call) (Action, bool) {
	g := mixed(c.args, "", "-cmd", "-init", "-separator", "-vfs")
	if len(g.operands) < 1 {
		return Action{}, false
	}
	a := Action{Saves: true, kind: "dumps", Database: holdfast.SQLite, Sources: absolutes(g.operands[:1])}
	for _, statement := range g.operands[1:] {
		if m := sqliteBackup.FindStringSubmatch(statement); m != nil {
			a.Target, a.format = strings.TrimSpace(m[1]), "sqlite"
			return a, true
		}
		if strings.HasPrefix(strings.TrimSpace(statement), ".dump") {
			a.Target, a.format = c.out, "sql"
			return a, true
		}
	}
	return a, false
}

func rsyncCall(c call) (Action, bool) {
	g := mixed(c.args, "efTB", "--rsh", "--exclude", "--include", "--exclude-from", "--include-from", "--files-from", "--filter", "--log-file", "--log-file-format", "--password-file", "--bwlimit", "--link-dest",
		"--compare-dest", "--copy-dest", "--backup-dir", "--suffix", "--max-size", "--min-size", "--port", "--timeout", "--contimeout", "--temp-dir", "--partial-dir", "--chown", "--chmod", "--rsync-path", "--out-format", "--iconv")
	n := len(g.operands)
	if n < 2 {
		return Action{}, false
	}
	a := Action{Saves: true, kind: "mirror", Target: g.operands[n-1], Sources: absolutes(g.operands[:n-1])}
	return a, len(a.Sources) > 0
}

func rcloneCall(c call) (Action, bool) {
	g := mixed(c.args, "v", "--config", "--exclude", "--include", "--filter", "--filter-from", "--exclude-from", "--include-from", "--files-from", "--bwlimit", "--transfers", "--checkers", "--log-file", "--log-level",
		"--max-age", "--min-age", "--max-size", "--min-size", "--backup-dir", "--suffix", "--retries", "--tpslimit", "--password-command", "--drive-root-folder-id", "--fast-list", "--timeout")
	if len(g.operands) < 3 || !slices.Contains([]string{"sync", "copy", "move", "copyto", "bisync"}, g.operands[0]) {
		return Action{}, false
	}
	a := Action{Saves: true, kind: "rclone", Sources: absolutes(g.operands[1:2]), Target: g.operands[2], config: first(g.get("--config"), c.env["RCLONE_CONFIG"])}
	return a, len(a.Sources) > 0
}

func tarCall(c call) (Action, bool) {
	args := slices.Clone(c.args)
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") && strings.Trim(args[0], "cfvzjJpPhSWa") == "" {
		args[0] = "-" + args[0] // the old way: tar czf FILE
	}
	g := mixed(args, "fCTXbgIVNKFL", "--file", "--directory", "--exclude", "--exclude-from", "--files-from", "--listed-incremental", "--use-compress-program", "--transform", "--owner", "--group", "--newer", "--label")
	if !g.has("-c", "--create") {
		return Action{}, false
	}
	folder := g.get("-C", "--directory")
	var sources []string
	for _, s := range g.operands {
		if !filepath.IsAbs(s) && filepath.IsAbs(folder) {
			s = filepath.Join(folder, s)
		}
		sources = append(sources, s)
	}
	a := Action{Saves: true, kind: "archives", Sources: absolutes(sources), Target: first(strings.TrimPrefix(g.get("-f", "--file"), "-"), c.out)}
	return a, a.Target != ""
}

func duplicityCall(c call) (Action, bool) {
	g := mixed(c.args, "vt", "--exclude", "--include", "--full-if-older-than", "--encrypt-key", "--sign-key", "--archive-dir", "--tempdir", "--volsize", "--name", "--log-file", "--exclude-filelist", "--include-filelist", "--ssh-options", "--gpg-options")
	operands := g.operands
	if len(operands) > 0 && slices.Contains([]string{"full", "incr", "incremental", "backup", "inc"}, operands[0]) {
		operands = operands[1:]
	}
	if len(operands) != 2 || !filepath.IsAbs(operands[0]) {
		return Action{}, false
	}
	return Action{Saves: true, kind: "duplicity", Sources: operands[:1], Target: operands[1]}, true
}

func kopiaCall(c call) (Action, bool) {
	g := mixed(c.args, "", "--config-file", "--tags", "--description", "--password", "--parallel")
	if len(g.operands) < 2 || g.operands[0] != "snapshot" && g.operands[0] != "snap" || g.operands[1] != "create" {
		return Action{}, false
	}
	return Action{Saves: true, kind: "kopia", Sources: absolutes(g.operands[2:])}, true
}

func btrfsCall(c call) (Action, bool) {
	g := mixed(c.args, "i")
	if len(g.operands) == 4 && strings.HasPrefix("subvolume", g.operands[0]) && strings.HasPrefix("snapshot", g.operands[1]) {
		return Action{Saves: true, kind: "btrfs", Sources: absolutes(g.operands[2:3]), Target: g.operands[3]}, true
	}
	return Action{}, false
}

// namedOnly is a tool whose name says enough: what it saves stands in its own
// configuration.
func namedOnly(kind string) func(call) (Action, bool) {
	return func(call) (Action, bool) { return Action{Saves: true, kind: kind}, true }
}

// autoCall is a script of Debian's that dumps every database of this host; where
// to, its defaults say.
func autoCall(kind string) func(call) (Action, bool) {
	return func(c call) (Action, bool) {
		dir := "/var/lib/" + c.name
		for _, file := range []string{"/etc/default/" + c.name, "/etc/" + c.name + ".conf", "/etc/" + c.name + "/autopostgresqlbackup.conf"} {
			vars := map[string]string{}
			pipelines(string(c.read(file)), vars, nil)
			dir = first(vars["BACKUPDIR"], vars["CONFIG_backup_dir"], dir)
		}
		return Action{Saves: true, kind: "dumps", Database: kind, Target: filepath.Join(dir, unknown, unknown)}, true
	}
}

// absolutes are the absolute paths among words, without what else they say.
func absolutes(words []string) []string {
	var list []string
	for _, w := range words {
		if filepath.IsAbs(w) {
			list = append(list, filepath.Clean(w))
		}
	}
	return list
}

// other is a host that is not this one.
func other(host string) string {
	if host == "" || host[0] == '/' || slices.Contains([]string{"localhost", "127.0.0.1", "::1", unknown}, host) {
		return ""
	}
	return host
}

// wordOf returns a word of a conninfo string like "host=db1 port=5433".
func wordOf(conninfo, name string) string {
	for _, word := range strings.Fields(conninfo) {
		if v, ok := strings.CutPrefix(word, name+"="); ok {
			return strings.Trim(v, "'")
		}
	}
	return ""
}

func hostOf(conninfo string) string {
	if u := urlIn(conninfo); u != nil {
		return u.Hostname()
	}
	return ""
}

func portOf(conninfo string) string {
	if u := urlIn(conninfo); u != nil {
		return u.Port()
	}
	return ""
}

func urlIn(text string) *url.URL {
	for _, word := range strings.Fields(text) {
		if strings.HasPrefix(word, "postgres://") || strings.HasPrefix(word, "postgresql://") {
			if u, err := url.Parse(word); err == nil {
				return u
			}
		}
	}
	return nil
}
