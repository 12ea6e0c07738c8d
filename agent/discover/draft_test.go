package discover_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent/discover"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/plugins"
)

// draft makes a draft of a tree.
func draft(t testing.TB, files map[string]string, change ...func(*discover.Terms)) (discover.Drafted, *holdfast.Catalogue) {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{"etc/hostname": "db1\n"})
	write(t, root, files)
	terms := discover.Terms{Site: "fra", Owner: "ops", Tier: 2, RPO: holdfast.Day, RTO: holdfast.Day / 3, Probes: map[string]bool{}}
	known := map[string]holdfast.Description{}
	for _, d := range plugins.Descriptions() {
		terms.Probes[d.Name], known[d.Name] = d.Privileges.Safe(), d
	}
	for _, f := range change {
		f(&terms)
	}
	out := discover.Draft(look(t, root, func(o *discover.Options) { o.Big = 1 << 20 }), terms)
	beside := "site: other\n"
	for _, s := range terms.Sites {
		beside += "---\nsite: " + s + "\n"
	}
	for _, s := range terms.Teams {
		beside += "---\nteam: " + s + "\n"
	}
	c, err := catalog.Parse(map[string][]byte{"db1.yaml": out.Text, "there.yaml": []byte(beside)}, catalog.Options{
		Probes: known, Warn: func(f catalog.Fault) { t.Errorf("warning: %s", f) },
	})
	if err != nil {
		t.Fatalf("the draft is no good catalogue: %v\n%s", err, out.Text)
	}
	return out, c
}

// copies lists what a catalogue says of its copies and their tests.
func copies(c *holdfast.Catalogue) (list []string) {
	for i := range c.Services {
		s := &c.Services[i]
		for _, d := range s.Datasets {
			for _, x := range d.Copies {
				line := s.Name + "/" + d.Name + "/" + x.Name + " on " + x.Host
				if x.Check != nil {
					line += " " + x.Check.Probe + " " + string(x.Check.With)
				}
				list = append(list, line)
			}
		}
		for _, p := range s.Paths {
			line := s.Name + "/" + p.Name
			for _, ref := range p.From {
				line += " " + ref.Dataset + "/" + ref.Copy
			}
			for _, test := range p.Tests {
				line += " " + test.Check.Probe
			}
			list = append(list, line)
		}
	}
	return list
}

// TestDraft: what is found becomes services, datasets, copies with their probes,
// paths and tests; every draft is a good catalogue without a warning.
func TestDraft(t *testing.T) {
	for name, x := range map[string]struct {
		files map[string]string
		want  []string
		allow string
		asks  []string
	}{
		"a cluster with its dumps and their copies": {
			files: with(cluster("var/lib/postgresql/main"),
				"etc/crontab", "@daily postgres pg_dump -p 5433 x > /var/backups/pg/x-$(date +\\%F).dump\n@daily root RESTIC_PASSWORD=sesame restic -r sftp:b@nas1:/srv/r backup /etc /var/backups\n"),
			want: []string{
				"db1-files/etc/primary on db1",
				`db1-files/etc/restic on nas1 restic.repository {"password_file":"/etc/holdfast/restic-r.password","path":"/etc","repository":"sftp:b@nas1:/srv/r"}`,
				"db1-files/var-backups/primary on db1",
				`db1-files/var-backups/restic on nas1 restic.repository {"password_file":"/etc/holdfast/restic-r.password","path":"/var/backups","repository":"sftp:b@nas1:/srv/r"}`,
				"db1-files/restore etc/restic var-backups/restic restic.check restic.check restic.restore restic.restore",
				"db1-postgresql-5433/postgresql/primary on db1",
				`db1-postgresql-5433/postgresql/dump on db1 postgres.dump {"directory":"/var/backups/pg","list_only":true,"pattern":"x-*.dump"}`,
				`db1-postgresql-5433/postgresql/restic on nas1 restic.repository {"password_file":"/etc/holdfast/restic-r.password","path":"/var/backups","repository":"sftp:b@nas1:/srv/r"}`,
				"db1-postgresql-5433/restore-dump postgresql/dump postgres.dump postgres.restore",
				"db1-postgresql-5433/restore-restic postgresql/restic restic.check restic.restore",
			},
			allow: "postgres.restore restic.check restic.repository restic.restore",
			asks:  []string{"/etc/holdfast/restic-r.password"},
		},
		"nothing protects it": {
			files: with(cluster("srv/pg"), "srv/photos/1", strings.Repeat("x", 2<<20)),
			want:  []string{"db1-postgresql-5433/postgresql/primary on db1", "db1-srv-photos/srv-photos/primary on db1"},
		},
		"dumps nobody is seen to make": {
			files: with(cluster("srv/pg"), "srv/dumps/x-1.sql", "-- PostgreSQL database dump\n", "etc/crontab", "@daily root tar czf /b/srv.tgz /srv/dumps\n"),
			want: []string{
				"db1-postgresql-5433/postgresql/primary on db1",
				`db1-postgresql-5433/postgresql/archive on db1 files.archive {"directory":"/b","pattern":"srv.tgz"}`,
				`db1-postgresql-5433/postgresql/dump on db1 postgres.dump {"directory":"/srv/dumps","list_only":true,"pattern":"x-*.sql"}`,
				"db1-postgresql-5433/restore-archive postgresql/archive files.restore",
				"db1-postgresql-5433/restore-dump postgresql/dump postgres.dump postgres.restore",
			},
			allow: "files.restore postgres.restore",
		},
		"dumps of one of two clusters": {
			files: with(with(cluster("srv/pg"), "srv/dumps/x-1.sql", "-- PostgreSQL database dump\n"), "srv/pg2/PG_VERSION", "15", "srv/pg2/global/x", "x", "srv/pg2/base/x", "x"),
			want: []string{
				"db1-files/srv-dumps/primary on db1",
				`db1-files/srv-dumps/dump on db1 postgres.dump {"directory":"/srv/dumps","list_only":true,"pattern":"x-*.sql"}`,
				"db1-files/restore-dump srv-dumps/dump postgres.dump postgres.restore",
				"db1-postgresql/postgresql/primary on db1",
				"db1-postgresql-5433/postgresql/primary on db1",
			},
			allow: "postgres.restore",
		},
		"credentials that stand elsewhere": {
			files: map[string]string{
				"etc/cron.d/a": "@daily root . /etc/s3.env && restic -r s3:https://s3.example/b --password-file /etc/p backup /srv/a\n" +
					"@daily root restic -r rest:https://me:sesame@nas1/b --password-command 'cat /etc/q' backup /srv/a\n" +
					"@daily root BORG_PASSPHRASE=sesame borg create /mnt/borg::x /srv/b\n",
				"etc/s3.env": "export AWS_ACCESS_KEY_ID=sesame\nAWS_SECRET_ACCESS_KEY=sesame\n",
			},
			want: []string{
				"db1-files/srv-a/primary on db1",
				`db1-files/srv-a/restic on s3.example restic.repository {"env_file":"/etc/s3.env","password_file":"/etc/p","path":"/srv/a","repository":"s3:https://s3.example/b"}`,
				`db1-files/srv-a/restic-2 on nas1 restic.repository {"env_file":"/etc/holdfast/restic-b.env","password_file":"/etc/q","path":"/srv/a","repository":"rest:https://nas1/b"}`,
				"db1-files/srv-b/primary on db1",
				`db1-files/srv-b/borg on db1 borg.repository {"passphrase_file":"/etc/holdfast/borg-borg.passphrase","repository":"/mnt/borg"}`,
				"db1-files/restore srv-a/restic srv-b/borg restic.check borg.check restic.restore borg.restore",
			},
			allow: "borg.check borg.repository borg.restore restic.check restic.repository restic.restore",
			asks:  []string{"/etc/holdfast/restic-b.env", "/etc/holdfast/borg-borg.passphrase"},
		},
		"pgBackRest and Barman": {
			files: with(cluster("srv/pg"),
				"etc/pgbackrest.conf", "[global]\nrepo1-path=/b/one\nrepo2-path=/two\nrepo2-s3-bucket=far\nrepo2-s3-endpoint=s3.example\nrepo1-cipher-pass=sesame\n[main]\npg1-path=/srv/pg\n",
				"etc/crontab", "@daily postgres pgbackrest --stanza=main backup\n* * * * * barman barman cron\n",
				"etc/barman.d/db7.conf", "[db7]\nconninfo = host=db7 password=sesame\n"),
			want: []string{
				"db1-files/var-lib-barman-db7/primary on db1",
				`db1-files/var-lib-barman-db7/barman on db1 barman.server {"server":"db7"}`,
				"db1-files/restore-barman var-lib-barman-db7/barman",
				"db1-postgresql-5433/postgresql/primary on db1",
				`db1-postgresql-5433/postgresql/pgbackrest on db1 pgbackrest.repository {"config":"/etc/pgbackrest.conf","stanza":"main"}`,
				`db1-postgresql-5433/postgresql/pgbackrest-2 on s3.example pgbackrest.repository {"config":"/etc/pgbackrest.conf","repo":2,"stanza":"main"}`,
				"db1-postgresql-5433/restore-pgbackrest postgresql/pgbackrest pgbackrest.verify pgbackrest.restore",
				"db1-postgresql-5433/restore-pgbackrest-2 postgresql/pgbackrest-2 pgbackrest.verify pgbackrest.restore",
			},
			allow: "pgbackrest.repository pgbackrest.restore pgbackrest.verify",
		},
		"the other databases and tools": {
			files: map[string]string{
				"var/lib/mysql/ibdata1": "x", "var/lib/mysql/mysql/x": "x",
				"srv/app.db":   "SQLite format 3\x00" + strings.Repeat("x", 1<<20),
				"etc/crontab":  "@daily root mysqldump --all-databases | gzip > /b/my/all.sql.gz\n@daily root sqlite3 /srv/app.db \".backup /b/lite/app-$(date +\\%s).db\"\n@daily root tar czf /b/etc-$(date +\\%F).tgz /etc\n@daily root rsync -a /home/ /mnt/mirror\n@daily root rclone sync /srv/photos cloud:photos --config /etc/rclone.conf\n@daily root redis-cli --rdb /b/r.rdb\n",
				"srv/r/config": "x", "srv/r/data/": "", "srv/r/index/": "", "srv/r/keys/": "", "srv/r/snapshots/": "",
			},
			want: []string{
				"db1-files/b/primary on db1",
				`db1-files/b/dump on db1 files.archive {"directory":"/b","pattern":"r.rdb"}`,
				"db1-files/etc/primary on db1",
				`db1-files/etc/archive on db1 files.archive {"directory":"/b","pattern":"etc-*.tgz"}`,
				"db1-files/home/primary on db1",
				`db1-files/home/mirror on db1 rsync.tree {"directory":"/mnt/mirror"}`,
				"db1-files/srv-photos/primary on db1",
				`db1-files/srv-photos/remote on cloud rclone.remote {"config_file":"/etc/rclone.conf","remote":"cloud:photos"}`,
				"db1-files/srv-r/primary on db1",
				`db1-files/srv-r/restic on db1 restic.repository {"password_file":"/etc/holdfast/restic-r.password","repository":"/srv/r"}`,
				"db1-files/restore b/dump etc/archive home/mirror srv-photos/remote srv-r/restic restic.check files.restore restic.restore",
				"db1-mariadb/mariadb/primary on db1",
				`db1-mariadb/mariadb/dump on db1 mariadb.dump {"directory":"/b/my","pattern":"all.sql.gz"}`,
				"db1-mariadb/restore-dump mariadb/dump mariadb.restore",
				"db1-sqlite-app/sqlite/primary on db1",
				`db1-sqlite-app/sqlite/backup on db1 sqlite.backup {"directory":"/b/lite","pattern":"app-*.db"}`,
				"db1-sqlite-app/restore-backup sqlite/backup",
			},
			allow: "files.restore mariadb.restore rclone.remote restic.check restic.repository restic.restore",
			asks:  []string{"/etc/holdfast/restic-r.password"},
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			out, c := draft(t, x.files)
			if diff := cmp.Diff(copies(c), x.want); diff != "" {
				t.Errorf("copies and paths (-got +want):\n%s\n%s", diff, out.Text)
			}
			if got := strings.Join(out.Allow, " "); got != x.allow {
				t.Errorf("allow %q, want %q", got, x.allow)
			}
			var asks []string
			for _, a := range out.Asks {
				asks = append(asks, a.Where)
				if !strings.Contains(string(out.Text), a.Where) || strings.Contains(a.What, "sesame") {
					t.Errorf("asks for %+v, which the draft does not name, or gives away", a)
				}
			}
			if diff := cmp.Diff(asks, x.asks); diff != "" {
				t.Errorf("asks (-got +want):\n%s", diff)
			}
			if strings.Contains(string(out.Text), "sesame") {
				t.Errorf("the draft holds a secret:\n%s", out.Text)
			}
		})
	}
}

// TestDraftBeside: what the catalogue has already is not written again, and names
// that are taken are not taken twice.
func TestDraftBeside(t *testing.T) {
	files := cluster("srv/pg")
	out, c := draft(t, files, func(terms *discover.Terms) {
		terms.Sites, terms.Teams, terms.Services, terms.Agent = []string{"fra"}, []string{"ops"}, []string{"db1-postgresql-5433"}, "watcher"
	})
	if strings.Contains(string(out.Text), "\nteam:") || !slices.Equal(out.Services, []string{"db1-postgresql-5433-2"}) || len(c.Sites) != 2 {
		t.Errorf("services %v in\n%s\nwant one of a new name, and neither the site nor the team again", out.Services, out.Text)
	}
}

// TestDraftOfHostileNames: whatever a host calls its things, the draft is YAML.
func TestDraftOfHostileNames(t *testing.T) {
	files := cluster("srv/it's: \"a\" #{test}\x1b[2J")
	for path, content := range cluster("srv/yes") {
		files[path] = content
	}
	files["etc/crontab"] = "@daily root tar czf '/b/\u202e%s: &x.tgz' '/srv/- a: [b'\n@daily root restic -r '/srv/\"\n' --password-file /p backup '/srv/{x}'\n"
	files["etc/hostname"] = "- no: \"host\"\n"
	draft(t, files)
}
