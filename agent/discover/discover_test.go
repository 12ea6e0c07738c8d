package discover_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent/discover"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/pgtest"
)

// TestFindsAllThree: a real cluster, a real restic repository and a cron dump, in a
// tree; and the cluster as it runs on this very host.
func TestFindsAllThree(t *testing.T) {
	farm, err := pgtest.NewFarm()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := farm.Close(); err != nil {
			t.Error(err)
		}
	})
	server, err := farm.Primary(nil)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, root, map[string]string{
		"etc/hostname":        "db1\n",
		"etc/restic.password": "sesame\n",
		"srv/www/index.html":  "pages",
		"etc/cron.d/dump":     "5 2 * * * postgres pg_dump -Fc ledger > /var/backups/pg/ledger-$(date +\\%F).dump\n",
		"var/lib/postgresql/": "",
	})
	run(t, "/bin/cp", "-a", "--", server.Dir, filepath.Join(root, "var/lib/postgresql/main"))
	repository := filepath.Join(root, "srv/restic")
	run(t, "/usr/bin/restic", "-q", "-r", repository, "--password-file", filepath.Join(root, "etc/restic.password"), "init")
	run(t, "/usr/bin/restic", "-q", "-r", repository, "--password-file", filepath.Join(root, "etc/restic.password"), "backup", filepath.Join(root, "srv/www"))

	r := look(t, root)
	if len(r.Databases) != 1 || len(r.Repositories) != 2 || len(r.Jobs) != 1 || r.Host != "db1" || r.Root != root {
		t.Fatalf("found %+v, want a cluster, a repository beside the folder of dumps, and a job", r)
	}
	d := r.Databases[0]
	if d.Kind != holdfast.PostgreSQL || d.Path != "/var/lib/postgresql/main" || d.Version == "" || d.Running || d.Bytes < 10<<20 ||
		!slices.Equal(d.Seen, []string{"pg_dump by cron /etc/cron.d/dump:1 to /var/backups/pg/ledger-*.dump"}) {
		t.Errorf("cluster %+v, want it with its version, its size and the cron dump", d)
	}
	if x := r.Repositories[1]; x.Kind != "restic" || x.Location != "/srv/restic" || x.Count != 1 || x.Newest.IsZero() {
		t.Errorf("repository %+v, want restic's with one snapshot", x)
	}

	r = look(t, "/", func(o *discover.Options) { o.Files = 1 }) // by the process table
	i := slices.IndexFunc(r.Databases, func(d holdfast.FoundDatabase) bool { return d.Path == server.Dir })
	if i < 0 || !r.Databases[i].Running || r.Databases[i].Port != server.Port || r.Databases[i].Kind != holdfast.PostgreSQL {
		t.Errorf("on this host %+v, want the cluster in %s running on port %d", r.Databases, server.Dir, server.Port)
	}
	if !slices.ContainsFunc(r.Unprotected, func(u discover.Unprotected) bool { return u.Path == server.Dir }) {
		t.Error("a cluster that nothing protects is not among what nothing protects")
	}
}

// TestDatabases: where databases are seen in a tree, and what is no database.
func TestDatabases(t *testing.T) {
	root := t.TempDir()
	big := "SQLite format 3\x00" + strings.Repeat("x", 1<<20)
	write(t, root, cluster("var/lib/postgresql/15/main"))
	write(t, root, cluster("srv/volumes/pg"))
	write(t, root, cluster("srv/scratch/holdfast-restore-1234/pg")) // a restore test's
	write(t, root, map[string]string{
		"etc/postgresql/15/main/postgresql.conf": "data_directory = '/var/lib/postgresql/15/main'   # where\nport = 5444\nunix_socket_directories = '/run/pg, /tmp'\n",
		"etc/postgresql/14/gone/postgresql.conf": "data_directory = '/var/lib/postgresql/14/gone'\n",
		"var/lib/mysql/ibdata1":                  "x", "var/lib/mysql/mysql/db.frm": "x", "var/lib/mysql/mariadb_upgrade_info": "10.11.6-MariaDB\n",
		"etc/mysql/mariadb.conf.d/50-server.cnf": "[mysqld]\nport = 3310\n[mysqldump]\nport = 1\n",
		"etc/redis/redis.conf":                   "# x\nport 6400\ndir /var/lib/redis\nrequirepass sesame\n",
		"etc/redis/empty.conf":                   "port 6401\ndir /var/lib/redis2\n",
		"etc/redis/redis-second.conf":            "port 6402\ndir /var/lib/redis2\n",
		"var/lib/redis/dump.rdb":                 "REDIS0011", "var/lib/redis2/": "",
		"srv/app/app.db": big, "srv/app/small.db": big[:1000], "srv/app/no.db": strings.Repeat("y", 2<<20), "srv/app/app.txt": big,
		"home/ada/.cache/x.db": big, "var/lib/dpkg/x.db": big, "var/lib/docker/overlay2/1/x.db": big,
		"var/lib/docker/volumes/grafana/_data/grafana.db": big,
		"data": "->/srv/elsewhere",
	})
	r := look(t, root)
	var got []string
	for _, d := range r.Databases {
		got = append(got, strings.Join(strings.Fields(strings.Join([]string{d.Kind, d.Name, d.Version, d.Path, d.Socket, strconv.Itoa(d.Port)}, " ")), " "))
	}
	want := []string{
		"mariadb 10.11.6 /var/lib/mysql 3310",
		"postgresql 15 /srv/volumes/pg 5433",
		"postgresql 15/main 15 /var/lib/postgresql/15/main /run/pg 5444",
		"redis /var/lib/redis 6400",
		"sqlite app.db /srv/app/app.db 0",
		"sqlite grafana.db /var/lib/docker/volumes/grafana/_data/grafana.db 0",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("databases (-got +want):\n%s", diff)
	}
	if r.Databases[2].Port != 5444 || len(r.Unread) != 0 || len(r.Limits) != 0 {
		t.Errorf("%+v, unread %v, limits %v; want the port of its configuration, all read, no bound reached", r.Databases[2], r.Unread, r.Limits)
	}
}

// TestTimers: timers by what their services run, started by something or not,
// templates and drop-ins included.
func TestTimers(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"etc/systemd/system/web.timer":                          "[Timer]\nOnCalendar=hourly\n",
		"etc/systemd/system/web.service":                        "[Service]\nUser=backup\nEnvironment=\"RESTIC_REPOSITORY=/srv/r\" RESTIC_PASSWORD=sesame\nEnvironmentFile=-/etc/default/web\nExecStartPre=/bin/true\nExecStart=-/usr/bin/restic backup \\\n  /srv/www %i\n",
		"etc/default/web":                                       "RESTIC_PASSWORD_FILE=/etc/web.password\n",
		"etc/systemd/system/timers.target.wants/web.timer":      "->/etc/systemd/system/web.timer",
		"usr/lib/systemd/system/off.timer":                      "[Timer]\nOnCalendar=daily\nUnit=other.service\n",
		"usr/lib/systemd/system/other.service":                  "[Service]\nExecStart=/usr/bin/borg create /srv/borg::x /home\n",
		"usr/lib/systemd/system/b@.timer":                       "[Timer]\nOnUnitActiveSec=1d\n",
		"usr/lib/systemd/system/b@.service":                     "[Service]\nExecStart=/usr/bin/false\n",
		"etc/systemd/system/b@.service.d/run.conf":              "[Service]\nExecStart=\nExecStart=/usr/bin/tar -cf /b/%i.tar /srv/%i\n",
		"etc/systemd/system/timers.target.wants/b@photos.timer": "->/usr/lib/systemd/system/b@.timer",
		"usr/lib/systemd/system/apt-daily.timer":                "[Timer]\nOnCalendar=daily\n",
		"usr/lib/systemd/system/apt-daily.service":              "[Service]\nExecStart=/usr/lib/apt/apt.systemd.daily update\n",
		"etc/cron.daily/dpkg":                                   "#!/bin/sh\ncd /var/backups\ntar -cf alternatives.tar -C /var/lib/dpkg alternatives\n",
		"etc/borgmatic/config.yaml":                             "repositories:\n  - path: ssh://b@nas1/./r\nsource_directories: [/etc, /home]\nencryption_passphrase: sesame\npostgresql_databases: [{name: all}]\n",
		"etc/cron.daily/borgmatic":                              "#!/bin/sh\nborgmatic --verbosity -1\n",
		"etc/cron.daily/not.this":                               "#!/bin/sh\nrestic -r /x backup /y\n",
		"etc/crontab":                                           "@daily root pg_dumpall | zstd > /b/all.zst\n# 1 2 3 4 5 root restic backup /x\n1 2 3\n",
		"var/spool/cron/crontabs/ada":                           "0 1 * * * rclone copy /home/ada cloud:ada\n",
	})
	r := look(t, root)
	var got []string
	for _, j := range r.Jobs {
		for _, a := range j.Actions {
			on := "off"
			if j.Enabled {
				on = "on"
			}
			got = append(got, strings.Join([]string{j.Kind, j.Name, j.Schedule, j.User, on, say(a.Tool, a.Saves, a.Sources, a.Host, a.Port, a.Target)}, " | "))
		}
	}
	want := []string{
		"timer | web.timer | hourly | backup | on | restic /srv/www > /srv/r",
		"timer | off.timer | daily | root | off | borg /home > /srv/borg",
		"timer | b@photos.timer | 1d | root | on | tar /srv/photos > /b/photos.tar",
		"cron | /etc/crontab:1 | @daily | root | on | pg_dumpall > /b/all.zst",
		"cron | /var/spool/cron/crontabs/ada:1 | 0 1 * * * | ada | on | rclone /home/ada > cloud:ada",
		"cron | /etc/cron.daily/borgmatic | daily | root | on | borgmatic /etc, /home > ssh://b@nas1/./r",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("jobs (-got +want):\n%s", diff)
	}
	for _, x := range r.Repositories {
		switch x.Location {
		case "/srv/r":
			if x.Password != "/etc/web.password" || x.Secret != "" {
				t.Errorf("restic %+v, want its password's file", x)
			}
		case "ssh://b@nas1/./r":
			if x.Host != "nas1" || x.Secret != "encryption_passphrase in /etc/borgmatic/config.yaml" {
				t.Errorf("borg %+v, want its host and where its passphrase stands, not the passphrase", x)
			}
		}
	}
}

// TestRepositories: by what lies in a folder and by what configurations say.
func TestRepositories(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"srv/r/config": "x", "srv/r/data/": "", "srv/r/index/": "", "srv/r/keys/k": "x", "srv/r/snapshots/1": "x", "srv/r/snapshots/2": "x",
		"srv/b/config": "[repository]\nversion = 1\n", "srv/b/data/0/1": "x", "srv/b/README": "x",
		"srv/config": "x", "srv/data/": "", // neither
		"var/lib/pgbackrest/backup/main/backup.info": "x", "var/lib/pgbackrest/backup/main/20261101-010000F/": "", "var/lib/pgbackrest/archive/main/": "",
		"etc/pgbackrest.conf":             "[global]\nrepo1-path=/var/lib/pgbackrest\nrepo1-cipher-pass=sesame\n[main]\npg1-path=/srv/pg\n",
		"etc/barman.d/db7.conf":           "[db7]\nconninfo = host=db7 user=barman password=sesame\n",
		"root/.config/rclone/rclone.conf": "[cloud]\ntype = s3\nsecret_access_key = sesame\n",
		"srv/dumps/shop-2026-10-30.sql":   "-- PostgreSQL database dump\n", "srv/dumps/shop-2026-10-31.sql": "-- PostgreSQL database dump\n",
		"srv/mixed/a-1.sql": "-- MariaDB dump 10\n", "srv/mixed/b-1.sql": "-- MariaDB dump 10\n",
		"srv/words/x.sql": "select 1;\n", // no dump
	})
	write(t, root, cluster("srv/pg"))
	r := look(t, root)
	var got []string
	for _, x := range r.Repositories {
		got = append(got, strings.TrimSpace(strings.Join([]string{x.Kind, x.Location, x.Pattern, x.Stanza, strings.Join(x.Of, ","), strings.Join(x.Named, ",")}, " ")))
	}
	want := []string{
		"barman /var/lib/barman/db7  db7  /etc/barman.d/db7.conf",
		"borg /srv/b    folder",
		"dumps /srv/dumps shop-*.sql  postgresql folder",
		"dumps /srv/mixed *.sql  mariadb folder",
		"pgbackrest /var/lib/pgbackrest  main  /etc/pgbackrest.conf,folder",
		"rclone cloud:    /root/.config/rclone/rclone.conf",
		"restic /srv/r    folder",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("repositories (-got +want):\n%s", diff)
	}
	if seen := r.Databases[0].Seen; !slices.Equal(seen, []string{"dumps in /srv/dumps; no job was seen that makes them", "pgbackrest, stanza main of /etc/pgbackrest.conf"}) {
		t.Errorf("backups of the cluster %q, want the dumps and the stanza", seen)
	}
}

// TestProtection: what a job protects and what only looks like it.
func TestProtection(t *testing.T) {
	for name, x := range map[string]struct {
		files map[string]string
		want  string // first backup seen; empty: none
	}{
		"nothing":                   {nil, ""},
		"a dump by its port":        {map[string]string{"etc/cron.d/j": "@daily root pg_dump -p 5433 x > /b/x.sql\n"}, "pg_dump by cron /etc/cron.d/j:1 to /b/x.sql"},
		"the only one":              {map[string]string{"etc/cron.d/j": "@daily root pg_dump x > /b/x.sql\n"}, "pg_dump by cron /etc/cron.d/j:1 to /b/x.sql"},
		"another port":              {map[string]string{"etc/cron.d/j": "@daily root pg_dump -p 5999 x > /b/x.sql\n"}, ""},
		"another host":              {map[string]string{"etc/cron.d/j": "@daily root pg_dump -h db9 x > /b/x.sql\n"}, ""},
		"another kind":              {map[string]string{"etc/cron.d/j": "@daily root mysqldump x > /b/x.sql\n"}, ""},
		"in a container":            {map[string]string{"etc/cron.d/j": "@daily root docker exec db pg_dump x > /b/x.sql\n"}, ""},
		"its files":                 {map[string]string{"etc/cron.d/j": "@daily root restic -r /srv/r backup /srv\n"}, "restic by cron /etc/cron.d/j:1 copies its files to /srv/r"},
		"files beside it":           {map[string]string{"etc/cron.d/j": "@daily root restic -r /srv/r backup /srv/p /srv/pg2\n"}, ""},
		"a timer nobody starts":     {map[string]string{"etc/systemd/system/j.timer": "[Timer]\n", "etc/systemd/system/j.service": "[Service]\nExecStart=pg_dumpall -f /b/x\n"}, ""},
		"archiving by a tool":       {map[string]string{"srv/pg/postgresql.auto.conf": "archive_mode = 'on'\narchive_command = 'pgbackrest --stanza=main archive-push %p'\n"}, "its archive_command runs pgbackrest"},
		"archiving, switched off":   {map[string]string{"srv/pg/postgresql.auto.conf": "archive_mode = 'off'\narchive_command = 'pgbackrest --stanza=main archive-push %p'\n"}, ""},
		"a second, and no port":     {with(cluster("srv/pg3"), "srv/pg3/postgresql.conf", "port = 5440\n", "etc/cron.d/j", "@daily root pg_dump x > /b/x.sql\n"), ""},
		"a repository looked after": {map[string]string{"etc/cron.d/j": "@daily root restic -r /srv/r forget /srv --prune\n"}, ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root, cluster("srv/pg"))
			write(t, root, x.files)
			r := look(t, root)
			i := slices.IndexFunc(r.Databases, func(d holdfast.FoundDatabase) bool { return d.Path == "/srv/pg" })
			if i < 0 {
				t.Fatalf("databases %+v, want the cluster", r.Databases)
			}
			got := ""
			if len(r.Databases[i].Seen) > 0 {
				got = r.Databases[i].Seen[0]
			}
			listed := slices.ContainsFunc(r.Unprotected, func(u discover.Unprotected) bool { return u.Path == "/srv/pg" })
			if got != x.want || listed != (x.want == "") {
				t.Errorf("seen %q, listed as unprotected: %v; want %q", got, listed, x.want)
			}
		})
	}
}

func with(files map[string]string, more ...string) map[string]string {
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return files
}

// TestFolders: large folders that no job copies are told of, once.
func TestFolders(t *testing.T) {
	root := t.TempDir()
	data := strings.Repeat("x", 300<<10)
	write(t, root, map[string]string{
		"srv/photos/1/a": data, "srv/photos/1/b": data, "srv/photos/2/c": data, "srv/small/a": data, "srv/saved/a": data + data + data,
		"storage/a/b/c": data + data + data, "var/lib/app/x": data + data + data, "var/lib/dpkg/x": data + data + data, "usr/share/x": data + data + data,
		"etc/crontab": "@daily root tar czf /b/saved.tgz /srv/saved\n",
	})
	r := look(t, root, func(o *discover.Options) { o.Big = 800 << 10 })
	var got []string
	for _, u := range r.Unprotected {
		got = append(got, u.Kind+" "+u.Path)
	}
	slices.Sort(got)
	if diff := cmp.Diff(got, []string{"folder /srv/photos", "folder /storage", "folder /var/lib/app"}); diff != "" {
		t.Errorf("unprotected (-got +want):\n%s", diff)
	}
}

// TestBounds: a walk that is cut off says so, and a look that is stopped ends.
func TestBounds(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{}
	for i := range 60 {
		files["srv/"+strings.Repeat("d/", i%7)+"f"+holdfast.Bytes(i).String()] = strings.Repeat("x", 100<<10)
	}
	write(t, root, files)
	r := look(t, root, func(o *discover.Options) { o.Files, o.Big = 20, 1 })
	if len(r.Limits) != 1 || !strings.HasPrefix(r.Limits[0], "not every folder was walked through") || len(r.Unprotected) == 0 || !r.Unprotected[0].More {
		t.Errorf("limits %q, unprotected %+v; want that the walk was cut off and the folder holds more", r.Limits, r.Unprotected)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r, err := discover.Look(ctx, discover.Options{Root: root})
	if err != nil || len(r.Limits) != 1 {
		t.Errorf("stopped: got %v, %q, want a report that says so", err, r.Limits)
	}
	if _, err := discover.Look(t.Context(), discover.Options{Root: filepath.Join(root, "nowhere")}); err == nil {
		t.Error("a root that is not there was looked at")
	}
}

// TestRootIsNeverLeft: links of a tree are followed as its own host would.
func TestRootIsNeverLeft(t *testing.T) {
	root := t.TempDir()
	outside := t.TempDir()
	write(t, outside, cluster("pg"))
	write(t, root, cluster("disk2/pg"))
	write(t, root, map[string]string{
		"var/lib/postgresql/15/main": "->/disk2/pg", "etc/postgresql/15/main/postgresql.conf": "port = 5433\n",
		"etc/postgresql/15/out/postgresql.conf": "data_directory = '" + outside + "/pg'\n",
		"etc/postgresql/15/up/postgresql.conf":  "data_directory = '/../../../../../../../.." + outside + "/pg'\n",
		"etc/crontab":                           "->../../../../../../../.." + outside + "/crontab", "srv/loop": "->/srv/loop", "etc/cron.d": "->/etc/cron.d",
	})
	write(t, outside, map[string]string{"crontab": "@daily root restic -r /r backup /x\n"})
	r := look(t, root)
	if len(r.Databases) != 1 || r.Databases[0].Path != "/disk2/pg" || r.Databases[0].Name != "15/main" || len(r.Jobs) != 0 {
		t.Errorf("databases %+v, jobs %+v; want the one cluster in the tree and nothing from outside", r.Databases, r.Jobs)
	}
}

// TestUnread: what may not be read is said, a folder once, and what a configuration
// tells of it is found all the same.
func TestUnread(t *testing.T) {
	const rootIn = "HOLDFAST_TEST_ROOT"
	if root := os.Getenv(rootIn); root != "" { // as nobody
		if err := json.NewEncoder(os.Stdout).Encode(look(t, root)); err != nil {
			t.Fatal(err)
		}
		return
	}
	root := t.TempDir()
	write(t, root, cluster("var/lib/postgresql/15/main"))
	write(t, root, map[string]string{
		"etc/postgresql/15/main/postgresql.conf": "data_directory = '/var/lib/postgresql/15/main'\nport = 5433\n",
		"srv/closed/a.db":                        "x", "srv/closed/below/b.db": "x", "etc/cron.d/secret": "x",
	})
	for path, mode := range map[string]os.FileMode{"var/lib/postgresql/15": 0, "srv/closed": 0, "etc/cron.d/secret": 0} {
		if err := os.Chmod(filepath.Join(root, path), mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(root, path), 0o755) })
	}
	dir := t.TempDir()
	for _, d := range []string{root, dir, filepath.Dir(root)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run(t, "/bin/cp", "--", self, filepath.Join(dir, "look")) // where nobody may run it
	cmd := exec.Command(filepath.Join(dir, "look"), "-test.run=^TestUnread$")
	cmd.Env, cmd.Dir = append(os.Environ(), rootIn+"="+root, "GOCOVERDIR="), "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r discover.Report
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got []string
	for _, u := range r.Unread {
		got = append(got, u.Path+": "+u.Why)
	}
	want := []string{"/etc/cron.d/secret: permission denied", "/srv/closed: permission denied", "/var/lib/postgresql/15: permission denied"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("unread (-got +want):\n%s", diff)
	}
	if len(r.Databases) != 1 || r.Databases[0].Path != "/var/lib/postgresql/15/main" || r.Databases[0].Port != 5433 {
		t.Errorf("databases %+v, want the one its configuration tells of", r.Databases)
	}
}

// TestAuthors: a user's crontab does not have us read, and show, what that user may
// not read; root's may.
func TestAuthors(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("giving files away needs root")
		}
		t.Skip("giving files away needs root")
	}
	root := t.TempDir()
	line := "@daily . /etc/secret.env && tar cf /b/$TOKEN.tar /srv\n@daily restic --repository-file /etc/secret.env backup /srv\n@daily . /home/ada/own.env && tar cf /b/$OWN.tar /srv\n@daily /usr/local/bin/ours\n"
	write(t, root, map[string]string{
		"etc/secret.env": "TOKEN=sesame\n", "home/ada/own.env": "OWN=mine\n", "var/spool/cron/crontabs/ada": line, "var/spool/cron/crontabs/root": line,
		"usr/local/bin/ours": "#!/bin/sh\n. /etc/secret.env\ntar cf /c/$TOKEN.tar /srv\n",
	})
	for path, mode := range map[string]os.FileMode{"etc/secret.env": 0o600, "home/ada/own.env": 0o600, "var/spool/cron/crontabs/ada": 0o600, "": 0o755} {
		if err := os.Chmod(filepath.Join(root, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"home/ada/own.env", "var/spool/cron/crontabs/ada"} {
		if err := os.Chown(filepath.Join(root, path), 4711, 4711); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, j := range look(t, root).Jobs {
		for _, a := range j.Actions {
			got = append(got, j.User+" "+a.Tool+" "+a.Target)
		}
	}
	want := []string{
		"ada tar /b/*.tar", "ada restic ", "ada tar /b/mine.tar", "ada tar /c/*.tar",
		"root tar /b/sesame.tar", "root restic TOKEN=xxxxx", "root tar /b/mine.tar", "root tar /c/sesame.tar",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}
