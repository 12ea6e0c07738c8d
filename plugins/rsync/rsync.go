// Package rsync holds the probe rsync.tree: a folder that rsync, or anything like
// it, keeps as a mirror of another. It reads the mirror alone, asks no job how it
// went, writes nothing and runs no program.
//
//	copies:
//	  mirror: {probe: rsync.tree, on: nas1, host: nas1, every: 15m,
//	           with: {directory: /srv/mirror/ledger, marker: .mirrored, manifest: SHA256SUMS}}
//
// # As of when the mirror is
//
// rsync leaves no note of its own. Two things tell, and the fact
// recovery_point_from says which was used:
//
//   - marker, a file in the mirror that is written at the source just before each
//     run (date +%s > .mirrored && rsync …): the time in it, Unix seconds or
//     RFC 3339, else its last change, which rsync -t carries over.
//   - Without one, the newest change of any file. That is never too young, but in a
//     quiet source it is older than the mirror really is.
//
// Files that rsync is just receiving (.name.a1B2c3) and those dated in the future
// are not the newest. A mirror holds one state, so there is one recovery point.
//
// # Drift
//
// rsync passes over a file of the same size and time, so a mirror can rot unseen.
// Each look compares a sample, other files each time, with one of
//
//   - manifest, SHA-256 sums as sha256sum writes them, of files in the mirror; or
//   - source, the mirrored folder itself, where this host can read it.
//
// What was changed after the recovery point, or after the manifest was written, is
// passed over: it is not mirrored yet; so a source is best compared with a marker. The share of the bytes that was compared is
// the scope of a verification.
//
//	what is seen                                          outcome
//	files, and nothing compared differs                   ok
//	a file differs from the manifest, or from a source    failed damaged
//	  of the same size and time; an unreadable manifest
//	a file of the manifest, or one the source has had     failed assertion
//	  since before the recovery point, is not there
//	no file at all                                        failed empty
//	no such folder, no marker, no manifest                failed missing
//	the file system gives an error, does not answer       failed unreachable, timeout
//	not allowed to read                                   cannot tell: refused
//	the source cannot be read                             as without it, and said in the fact source
package rsync

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{new(tree)} }
