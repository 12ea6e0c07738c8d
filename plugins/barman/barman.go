// Package barman holds the probe of Barman, which keeps base backups of PostgreSQL
// and the log (WAL) that follows them.
//
//	probe           reads                                         attests
//	barman.server   the server's folder in Barman's home: the     recovery points
//	                catalogue of backups, their files by name
//	                and size, the log file by file
//
// In a catalogue:
//
//	data:
//	  ledger:
//	    copies:
//	      barman: {probe: barman.server, on: backup1, every: 5m, with: {server: ledger}}
//
// # No command is run
//
// Every command of Barman 3.4 that lists backups writes: a lock file, a line in its
// log, and where xlog.db is gone an empty new one, which hides the loss from the
// next. It runs as Barman's user alone, which an agent is not. check, status and
// show-servers ask the source. And list-backup exits with 0 where a backup's files,
// the log or the base folder are gone, where backup.info is empty or gone, and
// where xlog.db is empty or lacks files. So what Barman keeps is read as it lies
// there, with Barman's own configuration saying where.
//
// # What the newest point is
//
// The newest moment that can be recovered to is where the log ends that follows a
// whole backup without a gap: in wals, then what waits in incoming and streaming,
// then the file that is being received. Its time is the last change of that last
// file, the earlier of what the file and xlog.db say: a source without work writes
// no log, so its point grows older though nothing would be lost.
//
// Any moment between a backup and the end of its log can be recovered to. Of a log
// that is received as it is written, three moments a second apart stand for them;
// of one that arrives in whole files, the ends of the last files do, as what lies
// between was at risk until the file was full. The oldest point is the end of the
// oldest whole backup.
//
// # What is not seen
//
// The content of data files and of the log beyond each file's first page is not
// read: what was changed there without changing a size shows in a restore alone.
// The files of the newest and the oldest backup are counted, of the others only
// whether they are there. Without a manifest (backup_method other than postgres) a
// backup is measured as a whole, so a loss smaller than its backup.info stays
// hidden. Backups by snapshot lie elsewhere and are not looked at.
package barman

import (
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{&serverProbe{}} }
