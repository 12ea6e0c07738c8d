package web_test

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func (e *estate) Heard(checks []string) []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	times := make([]time.Time, len(checks))
	for i, id := range checks {
		times[i] = e.latest[id].At
	}
	return times
}

func (e *estate) Discovery() holdfast.Discovery {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.found
}

// foundAt is what the agents of the example found, most of it covered.
func foundAt(now time.Time) holdfast.Discovery {
	one := func(agent string, days int, d holdfast.FoundDatabase) holdfast.UnprotectedDatabase {
		return holdfast.UnprotectedDatabase{Agent: agent, Host: agent + ".example.org", Site: "fra", Since: now.AddDate(0, 0, -days), At: now.Add(-20 * time.Minute), FoundDatabase: d}
	}
	return holdfast.Discovery{Agents: 4, Databases: 9, Unprotected: []holdfast.UnprotectedDatabase{
		one("db1", 41, holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Name: "15/loyalty", Version: "15", Path: "/var/lib/postgresql/15/loyalty", Port: 5433, Running: true, Bytes: 38 << 30}),
		one("db1", 3, holdfast.FoundDatabase{Kind: holdfast.SQLite, Name: "grafana.db", Path: "/var/lib/grafana/grafana.db", Bytes: 71 << 20}),
		one("wiki1", 96, holdfast.FoundDatabase{Kind: holdfast.MariaDB, Version: "10.11.19", Path: "/var/lib/mysql", Port: 3306, Running: true, Bytes: 2 << 30, More: true,
			Seen: []string{"mysqldump by cron /etc/cron.d/wiki:4 to /var/backups/wiki-*.sql.gz", "restic by timer restic.timer copies its files, those of a running server to /srv/restic"}}),
		one("wiki1", 1, holdfast.FoundDatabase{Kind: holdfast.Redis, Path: "/data", Port: 6379, Running: true, Container: "4f0c9d1be2aa"}),
	}, Unread: []holdfast.UnreadPlaces{{Agent: "wiki1", Places: []string{"/root", "/var/lib/private"}}}}
}

// Target knows which settings name a thing as the probes of the example do.
func (e *estate) Target(k *holdfast.Check) string {
	d := holdfast.Description{Name: k.Probe, Target: []string{"repository", "url", "address", "directory", "server", "path"}}
	return d.TargetOf(k.With)
}
