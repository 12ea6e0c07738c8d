// Package btrfs holds the probe btrfs.snapshot: the snapshots that lie in a folder
// of a btrfs file system, whether taken there or received from another host.
//
//	copies:
//	  snapshots: {probe: btrfs.snapshot, on: nas1, host: nas1, every: 15m,
//	              with: {directory: /srv/snapshots, pattern: "ledger-*", name_time: "ledger-%Y%m%dT%H%M%S"}}
//
// Every read-only snapshot whose name matches is a recovery point, as of its
// creation as the file system itself keeps it. One that was received from
// elsewhere came to be after what it holds: name_time reads the sender's time from
// its name, and the earlier counts. A writable one is none: it is being received, or
// anybody may have changed it. All this needs no more than to be allowed to open the
// folder.
//
// A finished scrub that compared everything with its checksum is a verification, as
// of its start. The tool btrfs says so, mostly to root alone; where it says nothing
// none is claimed. Files without checksums (nodatacow) were not compared: then none
// is claimed either.
//
// Read-only is not immutable: root makes a snapshot writable, or deletes it, by
// one command. So the flag is a fact and the copy is never said to be immutable;
// where the newest that matches is writable, it is said not to be.
//
//	what is seen                                       outcome
//	read-only snapshots that match                     ok
//	the last scrub found what it could not correct     failed damaged
//	nothing in the folder; no snapshot there           failed empty
//	snapshots, and none matches pattern or name_time   failed no-match
//	those that match are all writable                  failed assertion
//	no such folder                                     failed missing
//	the file system gives an error, does not answer    failed unreachable, timeout
//	not btrfs                                          cannot tell
//	not allowed to open                                cannot tell: refused
package btrfs

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{new(snapshots)} }
