// Package postgres holds the probes of PostgreSQL: its dumps, base backups, standbys
// and archiver, and whether a dump restores.
//
//	probe                reads                                         attests
//	postgres.dump        headers; of the newest dump every byte        recovery points; a verification where the
//	                                                                   data has checksums
//	postgres.basebackup  manifests; of the newest backup every file    recovery points, a verification
//	postgres.replica     the standby and its primary                   how far it is behind, its timeline
//	postgres.archiver    pg_stat_archiver and the files that wait      a recovery point: the log archived last
//	postgres.restore     a dump, into a scratch cluster                a restoration, every table's rows counted
//
// In a catalogue:
//
//	data:
//	  ledger:
//	    copies:
//	      nightly: {probe: postgres.dump, on: dr1, every: 15m, with: {directory: /srv/dumps, pattern: "ledger-*.dump", zone: Europe/Berlin}}
//	      weekly:  {probe: postgres.basebackup, on: dr1, every: 1h, with: {directory: /srv/base, pattern: "2*"}}
//	      log:     {probe: postgres.archiver, on: db1, every: 1m, with: {dsn_file: /etc/holdfast/db1.dsn}}
//	      standby: {probe: postgres.replica, on: dr1, kind: replica, every: 15s,
//	                with: {dsn_file: /etc/holdfast/dr1.dsn, primary_dsn_file: /etc/holdfast/db1.dsn, slot: dr1}}
//	paths:
//	  restore:
//	    tests:
//	      restored: {probe: postgres.restore, on: dr1, every: 7d, with: {directory: /srv/dumps, pattern: "ledger-*.dump",
//	                 roles: [app], assertions: ["select count(*) > 0 from entry"]}}
//
// # When a copy is of
//
// A dump is of the moment it began, which its header holds as the wall clock of the
// host that made it, without an offset: zone says which clock. Plain SQL holds it
// only with --verbose; without, the last change of the file has to do, which is
// when the dump ended, and the fact time_from says so. A base backup is of the
// moment it ended: never earlier than the newest change in its manifest. What a
// server has archived is of the moment the file archived last was finished. A
// standby that has replayed all that the primary had when it was asked is of that
// moment; else of the last commit it replayed.
//
// # What is not trusted
//
// Tried with PostgreSQL 15: pg_restore goes on without a word over a data file of
// the directory format that is empty or cut off, and never ends over a tar file
// that is. So those are read here first, and what pg_restore writes is followed to
// the mark that ends a dump, and its tables counted against the table of contents.
// That table has no checksum itself, nor has any data that is not compressed: what
// is changed there without becoming unreadable shows in postgres.restore alone.
//
// # Bytes
//
// The size of a dump's recovery point and of its restoration is that of its SQL, so
// that they can be compared; how much the restored databases take is a measure.
//
// # Restoring runs what a dump holds
//
// A dump is a program: its SQL and, where it is plain, commands to psql. It runs as
// the user of the scratch cluster, never as root; assertions run as a role that
// can read and nothing else, one statement each.
package postgres

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	return []probe.Probe{&dumpProbe{}, &restoreProbe{}, &basebackupProbe{}, replicaProbe{}, archiverProbe{}}
}
