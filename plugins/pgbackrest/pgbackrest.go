// Package pgbackrest holds the probes of a pgBackRest repository: up to when it can
// bring a PostgreSQL cluster back, whether it is intact, and whether it restores.
//
//	probe                  reads                                        attests
//	pgbackrest.repository  info, the list of the log's files, the       recovery points
//	                       newest of these
//	pgbackrest.verify      every file of every backup and of the log    a verification
//	pgbackrest.restore     a backup and the log behind it, into a       a restoration: recovered, every
//	                       scratch cluster                              database opened, assertions put
//
// In a catalogue:
//
//	data:
//	  ledger:
//	    copies:
//	      archive: {probe: pgbackrest.repository, on: dr1, every: 5m, with: {stanza: main, repository: /srv/pgbackrest,
//	                cipher_pass_file: /etc/holdfast/pgbackrest}}
//	paths:
//	  restore:
//	    tests:
//	      intact:   {probe: pgbackrest.verify, on: dr1, every: 1d, with: {stanza: main, repository: /srv/pgbackrest, …}}
//	      restored: {probe: pgbackrest.restore, on: dr1, every: 7d, with: {stanza: main, repository: /srv/pgbackrest, …,
//	                 database: ledger, assertions: ["select count(*) > 0 from entry"]}}
//
// A repository that is no folder of the agent's host (S3, Azure, GCS, SFTP, another
// host) is named by a configuration in place of repository, best one of the agent's own
// that says where the repository is and nothing of the servers.
//
// # When a point is of
//
// What can be recovered ends not with the last backup but with the last file of the log
// (WAL) that is reached from a usable backup without a gap; recovery follows the newest
// timeline, as PostgreSQL does. When a file was archived only bounds what is in it:
// after archiving was stuck for a day, a file of yesterday is archived now. So the file
// is read, and a point is of the newest commit in it; of the files before it where it
// holds none; of when it was archived only where none of the newest eight holds any. A
// backup alone is of when it ended.
//
// A cluster in which nobody commits writes no log, and what it would lose seems to grow
// from the last commit on. Where that raises false alarms, have something commit now
// and then, oftener than the RPO, and set archive_timeout.
//
// A gap degrades the copy once it is two minutes old: several processes that archive
// may overtake one another. It does not show as damage, as all before it can be used;
// that the point stands still behind it does.
//
// # What is not trusted
//
// Tried with pgBackRest 2.45, by damaging every kind of file it keeps:
//   - verify ends with exit code 0 whatever it finds, and finds neither a backup whose
//     folder is gone, nor a file of the log that is, nor one of two info files or
//     manifests that is damaged. Its text is read, and these are looked for here. A
//     newest file of the log that is gone leaves no trace that anybody could find.
//   - info names a backup whose folder, manifest or log is gone as if it were there.
//   - archive-get does not look at the checksum in the name of a file of the log; one of
//     an encrypted repository packed with zstd comes back altered without a word. Here
//     every file that is read is compared with that checksum.
//   - PostgreSQL ends recovery at a file that it cannot read, without a word, and takes
//     what it has for all. The last transaction that was recovered is compared with the
//     last in the log.
//   - A wrong passphrase gives rubbish in place of an error for one file in 256.
//
// # What is not disturbed
//
// Nothing is written to the repository. info would take the lock of a backup for an
// instant to see whether somebody has it, and a backup beginning in that instant fails;
// so it is told to look for locks where there are none, and whether a backup is at work
// is not known here.
//
// A restore is kept apart from its source thrice: pgBackRest is told to put tablespaces
// in scratch, and to use lock, log and spool folders there; package scratchpg lets the
// cluster neither archive nor listen; and the cluster gets no access to the repository:
// the log is fetched before it starts, which takes room for all of it. Log that makes a
// tablespace since the backup began is not recovered, since PostgreSQL would write to
// the folder that the source has it in.
package pgbackrest

import (
	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	return []probe.Probe{&repositoryProbe{}, verifyProbe{}, restoreProbe{}}
}

var tools = []string{"pgbackrest"}

var target = []string{"stanza", "repository", "config", "repo"}

// paths are the settings that name data on the host.
var paths = []string{"repository"}

// reasons are those every probe here can give.
var reasons = []holdfast.Reason{holdfast.Empty, holdfast.Damaged, holdfast.Credential, holdfast.CredentialUnreadable, holdfast.Missing,
	holdfast.Unreachable, holdfast.Timeout, holdfast.ToolMissing, holdfast.Refused, holdfast.TooSmall}
