package discover_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJobs: what is understood of cron lines and the scripts they run. No secret
// that stands on a line ever comes out.
func TestJobs(t *testing.T) {
	scripts := map[string]string{
		"usr/local/bin/backup.sh": `#!/bin/bash
# restic backup /not/this
set -euo pipefail
. /etc/restic/env
export RESTIC_PASSWORD_FILE=/etc/restic/password
DIRS="/srv/www"
if ! mountpoint -q /mnt; then exit 1; fi
for d in a b; do
  pg_dump "$d" | gzip -9 > "/var/backups/pg/$d-$(date +%F).sql.gz"
done
nice -n 19 ionice -c3 restic backup --tag nightly --exclude '*.tmp' \
  "$DIRS" "${EXTRA:-/srv/extra}" && restic forget --keep-daily 7 --prune
cat <<EOF | mail root
pg_dump is done > /never
EOF
`,
		"etc/restic/env":                   "RESTIC_REPOSITORY=sftp:backup@nas1:/srv/restic\nAWS_SECRET_ACCESS_KEY=opensesame\n",
		"usr/local/bin/dump-all":           "#!/bin/sh\ncd /var/backups/my || exit 1\nmariadb-dump --all-databases -u root -popensesame > all-`date +%u`.sql\n",
		"usr/local/bin/args":               "#!/bin/sh\ntar -czf \"$2/site.tgz\" -C \"$1\" htdocs\n",
		"usr/local/bin/binary":             "\x7fELF\x00 restic backup /nothing",
		"usr/local/bin/loop":               "#!/bin/sh\n/usr/local/bin/loop\nrestic -r /srv/r backup /loop\n",
		"etc/autopostgresqlbackup":         "",
		"etc/default/autopostgresqlbackup": "BACKUPDIR=\"/srv/auto\"\n",
	}
	for name, x := range map[string]struct{ line, want string }{
		"a plain dump":              {`pg_dump -Fc -p 5433 ledger > /var/backups/ledger-$(date +\%F).dump 2>/dev/null`, "pg_dump port 5433 > /var/backups/ledger-*.dump"},
		"to a file it names":        {`PGPASSWORD=opensesame pg_dump -h db9 -f /b/x.sql "dbname=x password=opensesame"`, "pg_dump of db9 > /b/x.sql"},
		"by an address":             {`pg_dump postgres://me:opensesame@db9:5444/x -f /b/x.sql`, "pg_dump of db9 port 5444 > /b/x.sql"},
		"through a pipe":            {`mysqldump -uroot -popensesame.hx shop | gzip | tee /b/shop.sql.gz >/dev/null`, "mysqldump > /b/shop.sql.gz"},
		"with a lock and a user":    {`cd / && flock -n /run/lock sudo -u postgres -H -- timeout -k 5 1h pg_dumpall -f "/b/all %.sql"`, "pg_dumpall > /b/all"},
		"in a shell in a shell":     {`/bin/bash -lc "su - postgres -c 'pg_basebackup -D /b/base-\$(date) -Ft'"`, "pg_basebackup > /b/base-*"},
		"in a container":            {`docker exec -e PGPASSWORD=opensesame -i db pg_dump -U app app > /b/app.sql`, "pg_dump > /b/app.sql"},
		"a script":                  {`/usr/local/bin/backup.sh`, "pg_dump > /var/backups/pg/*.sql.gz; restic /srv/www, /srv/extra > sftp:backup@nas1:/srv/restic; restic looks after sftp:backup@nas1:/srv/restic"},
		"a script in a folder":      {`sh /usr/local/bin/dump-all`, "mariadb-dump > /var/backups/my/all-*.sql"},
		"a script with arguments":   {`/usr/local/bin/args /var/www /mnt/nas`, "tar /var/www/htdocs > /mnt/nas/site.tgz"},
		"no script":                 {`/usr/local/bin/binary`, ""},
		"a script that runs itself": {`/usr/local/bin/loop`, "restic /loop > /srv/r"},
		"borg":                      {`BORG_PASSCOMMAND="cat /etc/borg.pass" borg create --stats -C lz4 ssh://b@nas1/./repo::{now} /home /etc`, "borg /home, /etc > ssh://b@nas1/./repo"},
		"an address with a secret":  {`restic -r rest:https://me:opensesame@nas1:8000/r backup /srv`, "restic /srv > rest:https://me:xxxxx@nas1:8000/r"},
		"rsync":                     {`rsync -aH --delete -e 'ssh -i /k' --exclude=/tmp /srv/ /home backup@nas1:/mirror/`, "rsync /srv, /home > backup@nas1:/mirror/"},
		"rsync from elsewhere":      {`rsync -a web1:/srv /mirror`, ""},
		"rclone":                    {`rclone --config /etc/rclone.conf sync /srv/photos store:photos --transfers 8`, "rclone /srv/photos > store:photos"},
		"sqlite":                    {`sqlite3 /srv/app.db ".backup '/b/app-$(date +\%s).db'"`, "sqlite3 /srv/app.db > /b/app-*.db"},
		"sqlite, asked":             {`sqlite3 /srv/app.db "select 1"`, ""},
		"redis":                     {`redis-cli -a opensesame --rdb /b/redis.rdb`, "redis-cli > /b/redis.rdb"},
		"pgbackrest":                {`pgbackrest --stanza=main --type=diff backup`, "pgbackrest main"},
		"tar the old way":           {`tar czpf /b/etc.tgz --exclude=/etc/ssl /etc`, "tar /etc > /b/etc.tgz"},
		"unpacking":                 {`tar xzf /b/etc.tgz -C /`, ""},
		"what is only said":         {`echo restic backup /srv`, ""},
		"Debian's":                  {`/usr/sbin/autopostgresqlbackup`, "autopostgresqlbackup > /srv/auto/*/*"},
		"duplicity":                 {`duplicity incr --full-if-older-than 1M /srv sftp://b:opensesame@nas1//d`, "duplicity /srv > sftp://b:xxxxx@nas1//d"},
		"restic with a dry name":    {`systemd-run -p Nice=19 --unit b restic --password-command "cat /etc/p" -r /srv/r backup /srv/www`, "restic /srv/www > /srv/r"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			root := t.TempDir()
			write(t, root, scripts)
			write(t, root, map[string]string{"etc/cron.d/job": "MAILTO=root\n17 3 * * 1-5 ada " + x.line + "\n"})
			r := look(t, root)
			var got []string
			for _, j := range r.Jobs {
				if j.Name != "/etc/cron.d/job:2" || j.Schedule != "17 3 * * 1-5" || j.User != "ada" {
					t.Errorf("job %+v, want that of line 2", j)
				}
				for _, a := range j.Actions {
					got = append(got, say(a.Tool, a.Saves, a.Sources, a.Host, a.Port, a.Target))
				}
			}
			if diff := cmp.Diff(strings.Join(got, "; "), x.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
			if text := fmt.Sprintf("%+v", r); strings.Contains(text, "opensesame") {
				t.Errorf("a secret comes out: %s", text)
			}
		})
	}
}

func say(tool string, saves bool, sources []string, host string, port int, target string) string {
	if !saves {
		return tool + " looks after " + target
	}
	if len(sources) > 0 {
		tool += " " + strings.Join(sources, ", ")
	}
	if host != "" {
		tool += " of " + host
	}
	if port != 0 {
		tool += fmt.Sprintf(" port %d", port)
	}
	if target != "" {
		tool += " > " + target
	}
	return tool
}

// FuzzScript: no text makes the reader of scripts hang or panic.
func FuzzScript(f *testing.F) {
	for _, s := range []string{"a | b > c 2>&1 & d", "x=$(y `z` \"${q:-'}\") <<E\nE\n", "'", "\"", "$(", "${", "`", "\\", "<<", ">&", "&1", "a&2", "2>", "#", "su -c", "flock x -c", "docker exec", "((((((", "restic -r", "bash -c 'bash -c \"bash -c x\"'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 1<<16 {
			return
		}
		dir := t.TempDir()
		write(t, dir, map[string]string{"etc/cron.d/job": "* * * * * root " + script + "\n", "etc/crontab": script, "etc/cron.daily/x": "#!/bin/sh\n" + script})
		look(t, dir)
	})
}
