// Package files holds the probes of a directory into which archives are written
// one after the other (dumps, exports, tar files, a document). Neither follows a link
// out of the directory or writes into it.
//
//	probe          reads                           attests
//	files.archive  the newest archive to its end   recovery points; a verification where there are checksums
//	files.restore  an archive, and unpacks it      a restoration, every file compared byte for byte
//
// # The newest archive
//
// Archives are the regular files whose name matches pattern; hidden ones count
// only where pattern begins with a dot, as in a shell. The newest is judged. A
// file that was changed less than settle ago, that changes while it is read, or
// that is newer than the manifest and not in it, is still being written: it is
// passed over, and no recovery point.
//
// An archive's time is the time it was last changed, which is when its backup
// ended. The data is consistent as of the start: where the name says when that
// was, name_time reads it ("db-%Y%m%dT%H%M%S", in name_zone, default UTC); the
// earlier of the two counts.
//
// # What is verified
//
// The archive is read to its end in one pass: tar, gzip, zstd and zip, also
// .tar.gz and .tar.zst, told by name and else by content; anything else is plain
// bytes. A Verification is claimed only where every byte was compared with
// something: the manifest's SHA-256, or the checksums inside gzip, zip or zstd.
// A tar or plain file without a manifest is read and not verified. Scope is of
// the newest archive, which alone holds the newest recovery point. Encrypted or
// unusual content is not judged, and said to be so; the manifest still is.
//
// The manifest is what sha256sum writes, for one or many files ("SHA256SUMS"), or
// one a file ("{file}.sha256"); of two lines for one name the later counts.
//
//	what is seen                                         outcome
//	newest archive readable, as in the manifest          ok
//	it is smaller than size_ratio × the median size of   degraded too-small: a backup that lost part of its source
//	  those before it                                      still restores, and somebody should look
//	it cannot be read to its end, differs from the       failed damaged
//	  manifest; or the manifest itself is unreadable
//	no file in it, or no byte                            failed empty
//	the manifest is newer and does not list it           failed assertion
//	nothing in the directory, or nothing finished        failed empty
//	files, and none matches pattern (or name_time)       failed no-match
//	no such directory; no manifest                       failed missing
//	the file system gives an error                       failed unreachable
//	the file system does not answer                      failed timeout
//	not allowed to read                                  cannot tell: refused
//	not read within the check's time                     cannot tell: timeout
//	more files than can be looked at; an empty manifest  cannot tell
//
// list_only looks at names, times and sizes and reads nothing, for a check that
// runs more often than an archive can be read.
//
// # A restore test
//
//	tests:
//	  restored: {probe: files.restore, on: dr1, every: 7d,
//	             with: {directory: /srv/backup, pattern: "etc-*.tar.zst", manifest: SHA256SUMS, must_exist: [etc/fstab, "etc/ssl/*.pem"]}}
//
// files.restore takes the newest finished archive, or with point: random any: a tar
// file, as it is or packed with gzip or zstd. It reads that to its end and compares the manifest's
// sum, has the tar program unpack it into scratch, which must have room for it, and
// then compares every file and link with a second reading of the archive by other
// code than tar's, counts what is there, and looks for what must exist. Scratch is
// empty afterwards, however the test ends. Owners are not restored, and devices only
// where the agent may make them. Its reasons are those above, and
//
//	a file that differs, is missing or too many; a       failed assertion
//	  pattern of must_exist that nothing matches
//	tar cannot unpack what could be read                 failed damaged
//	no room in scratch                                   cannot tell: too-small
//	no tar, or no gzip or zstd for it                    cannot tell: tool-missing
//	not a tar file, a name in it twice, files with       cannot tell
//	  holes in tar's old form
package files

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{new(archives), new(restores)} }
