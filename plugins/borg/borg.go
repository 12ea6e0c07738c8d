// Package borg holds the probes of a Borg repository: which recovery points it
// really has, whether they are intact, and whether they restore.
//
//	probe            reads                                             attests
//	borg.repository  manifest, metadata of the newest archives, every  recovery points
//	                 entry of the newest one
//	borg.check       every segment's checksums and all archives; with  a verification with its scope
//	                 verify_data every chunk's authenticity
//	borg.restore     an archive, whole or a stated sample, into        a restoration, every restored
//	                 scratch                                           file compared byte for byte
//
// What was measured with borg 1.2.4 shapes every call:
//   - No borg command only reads. A shared lock makes a backup fail that starts
//     beside it; without a lock (--bypass-lock) list and extract delete a damaged
//     index and write a new one, replay what a backup is just committing, and check
//     rewrites the config. So borg is never shown a repository of this host. It gets
//     a view: a folder in scratch with copies of config, index and hints, and a
//     symbolic link for every segment up to the last commit. What borg mends, it
//     mends there.
//   - Borg rebuilds a damaged index in silence, and where the last segment is damaged
//     it goes back to the transaction before in silence: the newest archive was
//     never there. Both are looked for before borg is called (the hashes in
//     integrity.N; the commit at the end of the last segment).
//   - list of a repository reads the manifest alone, list of an archive reads its
//     entries and no data; neither attests a verification.
//   - A flipped bit in the sealed key cannot be told from a wrong passphrase.
//
// A repository behind ssh:// cannot be viewed like that. It is read with
// --bypass-lock, and only by commands that write nothing as long as its index is
// whole; a look that falls between a backup's commit and its index makes the far
// borg write the index, too. Where that matters, run an agent on the host of the
// repository, or mount it read-only (sshfs -o ro) and name the folder. borg.check
// refuses such a repository: check reserves nonces there, and a backup that
// reserves some at the same time fails.
//
// A backup at work holds the exclusive lock, which is therefore no fault by
// itself; one older than twelve hours is. Checkpoints are no recovery points. What
// is known to differ in borg 1.4 (exit codes from 3, times with an offset) is
// understood and was not tried; repositories of borg 2 are not read.
//
// A catalogue's checks of it:
//
//	checks:
//	  archives:
//	    probe: borg.repository
//	    every: 1h
//	    with:
//	      repository: /srv/borg/ledger
//	      passphrase_file: /etc/holdfast/secrets/borg-ledger
//	      archives: ledger-*
//	  intact:
//	    probe: borg.check
//	    every: 7d
//	    with:
//	      repository: /srv/borg/ledger
//	      passphrase_file: /etc/holdfast/secrets/borg-ledger
//	      verify_data: true
//	  restores:
//	    probe: borg.restore
//	    every: 30d
//	    with:
//	      repository: /srv/borg/ledger
//	      passphrase_file: /etc/holdfast/secrets/borg-ledger
//	      archives: ledger-*
//	      target_bytes_max: 20GiB
package borg

import (
	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	return []probe.Probe{&repositoryProbe{counts: counts{known: map[string]contents{}}}, checkProbe{}, restoreProbe{}}
}

var tools = []string{"borg"}

// reasons are those every probe here can give.
var reasons = []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Damaged, holdfast.Locked, holdfast.Credential, holdfast.CredentialUnreadable,
	holdfast.Missing, holdfast.Unreachable, holdfast.Timeout, holdfast.ToolMissing, holdfast.Refused, holdfast.TooSmall}
