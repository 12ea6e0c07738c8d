package collector

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// TestFoundIsKept: a database keeps when it was found first, over looks and over a
// restart; one that is gone and comes back is new.
func TestFoundIsKept(t *testing.T) {
	dir := t.TempDir()
	open := func() (*found, *int, func()) {
		s, err := bolt.Open(dir, bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		changes := 0
		f := newFound(s, func() { changes++ })
		if err := f.recall(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f, &changes, func() { s.Close() }
	}
	f, changes, shut := open()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pg := holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Path: "/srv/pg", Port: 5432, Bytes: 1}
	redis := holdfast.FoundDatabase{Kind: holdfast.Redis, Path: "/srv/redis", Port: 6379}
	look := func(hours int, list ...holdfast.FoundDatabase) {
		t.Helper()
		if err := f.put(t.Context(), "db1", holdfast.Found{At: noon.Add(time.Duration(hours) * time.Hour), Databases: list}); err != nil {
			t.Fatal(err)
		}
	}
	look(0, pg)
	pg.Bytes = 2
	look(1, pg)
	if *changes != 1 {
		t.Errorf("%d changes, want one: that it grew changes no page", *changes)
	}
	look(2, pg, redis)
	look(1, redis) // said again late
	shut()
	f, changes, shut = open()
	defer shut()
	look(3, redis)
	look(4, pg, redis)
	got := f.all()["db1"]
	want := map[string]time.Time{pg.Key(): noon.Add(4 * time.Hour), redis.Key(): noon.Add(2 * time.Hour)}
	if diff := cmp.Diff(got.Since, want); diff != "" || !got.At.Equal(noon.Add(4*time.Hour)) || *changes != 2 {
		t.Errorf("found since (-got +want), %d changes:\n%s", *changes, diff)
	}
}

const coverCatalogue = `
service: shop
title: Shop
owner: ops
tier: 3
site: fra
host: db1
bia: {rto: 1d, rpo: 1d}
data:
  titled: {title: /srv/pg/titled, copies: {dump: {probe: postgres.dump, on: nas, every: 1h, with: {directory: /dumps/a}}}}
  ported:
    probe: net.tcp
    on: db1
    every: 1h
    with: {address: "127.0.0.1:5433"}
    copies: {dump: {probe: postgres.dump, on: nas, every: 1h, with: {directory: /dumps/b}}}
  saved: {copies: {restic: {probe: restic.repository, on: nas, every: 1h, with: {repository: /r, password_file: /p, path: /srv/saved}}}}
  alive: {probe: net.tcp, on: db1, every: 1h, with: {address: "127.0.0.1:5434"}}
  unseen: {title: /srv/pg/unseen, copies: {tape: {kind: backup, medium: tape}}}
  cache: {copies: {rdb: {probe: redis.persistence, on: nas, every: 1h, with: {directory: /copies/redis}}}}
---
service: elsewhere
title: Elsewhere
owner: ops
tier: 3
site: fra
host: db2
bia: {rto: 1d, rpo: 1d}
data:
  pg: {title: /srv/pg/other, copies: {dump: {probe: postgres.dump, on: nas, every: 1h, with: {directory: /dumps/c}}}}
  my: {copies: {dump: {probe: mariadb.dump, on: nas, every: 1h, with: {directory: /dumps/d}}}}
---
service: placeless
title: No host is stated
owner: ops
tier: 3
site: fra
bia: {rto: 1d, rpo: 1d}
data:
  q: {copies: {live: {probe: redis.persistence, on: db1, every: 1h, with: {directory: /var/lib/queue}}}}
  n: {copies: {live: {probe: redis.persistence, on: nas, every: 1h, with: {directory: /var/lib/else}}}}
`

// TestCover: what a dataset covers, and what it does not although it looks like it.
func TestCover(t *testing.T) {
	c, err := catalog.Parse(map[string][]byte{"c.yaml": []byte("site: fra\n---" + coverCatalogue)}, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := newCover(c)
	pg := func(path string, port int) holdfast.FoundDatabase {
		return holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Path: path, Port: port}
	}
	for name, x := range map[string]struct {
		is     holdfast.FoundDatabase
		beside []holdfast.FoundDatabase
		host   string // default DB1.example.org
		want   bool
	}{
		"the dataset's title is its path":         {is: pg("/srv/pg/titled", 5432), beside: []holdfast.FoundDatabase{pg("/a", 1)}, want: true},
		"a check names its port":                  {is: pg("/srv/pg/x", 5433), beside: []holdfast.FoundDatabase{pg("/a", 1)}, want: true},
		"another port":                            {is: pg("/srv/pg/x", 5435), beside: []holdfast.FoundDatabase{pg("/a", 1)}},
		"it is only seen to be alive":             {is: pg("/srv/pg/x", 5434), beside: []holdfast.FoundDatabase{pg("/a", 1)}},
		"nobody looks at its copy":                {is: pg("/srv/pg/unseen", 0), beside: []holdfast.FoundDatabase{pg("/a", 1)}},
		"its folder is saved":                     {is: pg("/srv/saved/pg", 0), beside: []holdfast.FoundDatabase{pg("/a", 1)}, want: true},
		"a folder beside it is saved":             {is: pg("/srv/savedpg", 0), beside: []holdfast.FoundDatabase{pg("/a", 1)}},
		"the only one of its kind":                {is: holdfast.FoundDatabase{Kind: holdfast.Redis, Path: "/srv/r"}, want: true},
		"one of two of its kind":                  {is: holdfast.FoundDatabase{Kind: holdfast.Redis, Path: "/srv/r"}, beside: []holdfast.FoundDatabase{{Kind: holdfast.Redis, Path: "/srv/s"}}},
		"the only one of a kind nobody saves":     {is: holdfast.FoundDatabase{Kind: holdfast.MariaDB, Path: "/srv/m"}},
		"the only one, and saved":                 {is: pg("/srv/pg/any", 0), want: true},
		"saved on another host":                   {is: pg("/srv/pg/other", 0), beside: []holdfast.FoundDatabase{pg("/a", 1)}},
		"in a container at a path that is saved":  {is: holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Path: "/srv/saved/pg", Container: "0123456789ab"}, beside: []holdfast.FoundDatabase{pg("/a", 1)}},
		"a check of its agent names its folder":   {is: holdfast.FoundDatabase{Kind: holdfast.Redis, Path: "/var/lib/queue"}, beside: []holdfast.FoundDatabase{{Kind: holdfast.Redis, Path: "/srv/s"}}, want: true},
		"a check of another agent names it":       {is: holdfast.FoundDatabase{Kind: holdfast.Redis, Path: "/var/lib/else"}, beside: []holdfast.FoundDatabase{{Kind: holdfast.Redis, Path: "/srv/s"}}},
		"nothing stands on this host":             {is: pg("/srv/pg/titled", 5433), host: "db9"},
		"another host, the only one of its kind":  {is: holdfast.FoundDatabase{Kind: holdfast.MariaDB, Path: "/srv/m"}, host: "db2", want: true},
		"no path and no port is known of several": {is: holdfast.FoundDatabase{Kind: holdfast.PostgreSQL}, beside: []holdfast.FoundDatabase{pg("/a", 1)}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			host, agent := "DB1.example.org", "db1"
			if x.host != "" {
				host, agent = x.host, x.host
			}
			if got := v.covered(&x.is, append(x.beside, x.is), agent, []string{agent, host}); got != x.want {
				t.Errorf("covered %v, want %v", got, x.want)
			}
		})
	}
}
