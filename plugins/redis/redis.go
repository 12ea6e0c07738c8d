// Package redis holds the probes of Redis: whether what it keeps on disk would bring
// its data back, and how far a replica is behind.
//
//	probe              reads                                           attests
//	redis.persistence  INFO of a server, its RDB and AOF files, or     recovery points; a verification
//	                   both                                            where the files were read
//	redis.replica      INFO of the replica, and of the primary where   how far the replica is behind
//	                   that may be asked
//
// A catalogue says:
//
//	copies:
//	  disk:    {probe: redis.persistence, on: db1, host: db1, site: fra, medium: disk, every: 1m,
//	            with: {address: "unix:/run/redis/redis.sock", password_file: /etc/holdfast/redis, directory: /var/lib/redis}}
//	  nightly: {probe: redis.persistence, on: dr1, host: nas1, site: ams, medium: disk, every: 15m,
//	            with: {directory: /srv/redis-copy}}
//	  standby: {probe: redis.replica, on: dr1, host: dr1, site: ams, kind: replica, every: 15s,
//	            with: {address: "127.0.0.1:6379", password_file: /etc/holdfast/redis, primary: "db1:6379", primary_password_file: /etc/holdfast/redis}}
//
// Three things were seen with Redis 7.0 and shape the probes:
//   - rdb_last_save_time is the time of the server's start until it has saved once. It
//     counts only where rdb_saves says that it has.
//   - redis-check-aof opens the files for writing even where it is not asked to mend
//     them. They are read here instead; redis-check-rdb, which reads only, is run on
//     RDB files, and never on anything else.
//   - An RDB file holds the time its save began (ctime), which is when its data is of,
//     however often the file was copied.
//
// An account needs INFO and, to know how soon the AOF reaches the disk, CONFIG GET;
// without the latter it is taken for the slowest. Servers behind TLS are not read.
package redis

import (
	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{&persistenceProbe{}, replicaProbe{}} }

// serverReasons are those every probe that asks a server can give.
var serverReasons = []holdfast.Reason{holdfast.Credential, holdfast.CredentialUnreadable, holdfast.Unreachable, holdfast.Timeout, holdfast.Refused}
