// Package sqlite holds the probe of SQLite backups: files written one after the other
// by .backup, VACUUM INTO or a copy of a database at rest.
//
// A catalogue says:
//
//	copies:
//	  nightly: {probe: sqlite.backup, on: dr1, host: nas1, site: fra, medium: disk, every: 15m,
//	            with: {directory: /srv/backup/app, pattern: "app-*.db", name_time: "%Y%m%dT%H%M%S",
//	                   assertions: ["SELECT COUNT(*) > 1000 FROM orders"]}}
//
// The newest finished file is judged. It is opened read-only and immutable, so that
// SQLite neither locks it nor makes a -wal or -shm file beside it, as it does for a
// database in WAL mode that is only opened read-only.
//
//	what is seen                                          outcome
//	PRAGMA integrity_check says ok, assertions hold       ok
//	a -wal or -journal with changes lies beside it: the   degraded assertion
//	  file was copied from a database in use
//	no heading, cut off, or what integrity_check finds    failed damaged
//	no byte, or no table                                  failed empty
//	an assertion does not hold                            failed assertion
//	nothing in the folder, or nothing finished            failed empty
//	files, and none matches pattern (or name_time)        failed no-match
//	no such folder                                        failed missing
//
// integrity_check compares every page with the structure and every index with its
// table. SQLite keeps no checksums: a byte changed within a value is not noticed, here
// or by SQLite, unless an assertion asks for it. check: quick leaves the indexes out
// and is no verification. Compressed files are for files.archive.
package sqlite

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{&backupProbe{}} }
