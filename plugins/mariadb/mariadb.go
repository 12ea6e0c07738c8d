// Package mariadb holds the probes of MariaDB: dumps, whether they restore, and
// replicas. Each reads where the data would be recovered from; none speaks to the
// primary unless it is told to ask for its position.
//
//	probe            reads                                        attests
//	mariadb.dump     files of mariadb-dump, plain, gzip or zstd;  recovery points; a verification where
//	                 the newest to its end                        the compression has a checksum
//	mariadb.replica  the replica's status, and the primary's      how far the replica is behind
//	                 GTID position where that may be asked
//	mariadb.restore  a dump, loaded into a server of its own      a restoration, every row read back and
//	                                                              every assertion of the catalogue true
//
// A catalogue says:
//
//	copies:
//	  nightly: {probe: mariadb.dump, on: dr1, host: nas1, site: fra, medium: disk, every: 15m,
//	            with: {directory: /srv/dumps, pattern: "shop-*.sql.gz", name_time: "%Y%m%dT%H%M%S"}}
//	  standby: {probe: mariadb.replica, on: dr1, host: dr1, site: ams, kind: replica, every: 15s,
//	            with: {defaults_file: /etc/holdfast/replica.cnf, primary_defaults_file: /etc/holdfast/primary.cnf}}
//	…
//	tests:
//	  restored: {probe: mariadb.restore, on: dr1, every: 7d,
//	             with: {directory: /srv/dumps, pattern: "shop-*.sql.gz",
//	                    assertions: ["SELECT COUNT(*) > 1000 FROM orders", "SELECT MAX(placed) > NOW() - INTERVAL 2 DAY FROM orders"]}}
//
// # When a dump is of
//
// A dump does not say when it began. Its name may (name_time); else the file's last
// change counts, which is its end, and is said to. The last line of a dump says when
// it ended, by the clock on the wall of its server: with zone: that is believed
// where it is earlier than the file; without, only where the file is newer than the
// line in every time zone there is, as a copied file is.
//
// # What is not here
//
// Dumps without comments (--skip-comments, --compact) end without the line that
// says they are whole; they count as damaged. mydumper, --tab and mariabackup are
// other formats. MySQL's servers answer in other words and are refused.
package mariadb

import (
	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	return []probe.Probe{&dumpProbe{}, &replicaProbe{}, &restoreProbe{}}
}

// dumpReasons are those every probe of dumps can give.
var dumpReasons = []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Damaged, holdfast.Missing, holdfast.Unreachable,
	holdfast.Timeout, holdfast.Refused}
