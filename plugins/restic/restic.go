// Package restic holds the probes of a restic repository: which recovery points
// it really has, whether they are intact, and whether they restore.
//
//	probe              reads                                          attests
//	restic.repository  snapshots, index, root trees, locks; of the    recovery points
//	                   newest snapshot all trees
//	restic.check       the structure, and the share of data asked     a verification with its scope
//	                   for in read_data_subset
//	restic.restore     a snapshot, whole or a stated sample, into     a restoration, every restored
//	                   scratch                                        file compared byte for byte
//
// Three things were measured with restic 0.14 and shape every call:
//   - A warm cache hides damaged snapshot, index and tree files behind exit code
//     0. Every call says --no-cache.
//   - check locks exclusively, and a backup started beside it fails. Every call
//     says --no-lock, and unlock is never called. Without a lock a failure may be
//     the trace of a prune at work, so it counts when a second look sees it too.
//   - restic tries a short or missing file of a local repository again for 43 s
//     before it gives up. On a local disk the first such message is enough: the
//     call is ended and the repository called damaged.
//
// restic.repository never claims verification: without reading the data a
// damaged pack looks like a good one.
//
// In a catalogue:
//
//	data:
//	  files:
//	    copies:
//	      offsite: {probe: restic.repository, on: dr1, every: 15m, with: {repository: /srv/restic/files, password_file: /etc/holdfast/restic}}
//	…
//	tests:
//	  intact:   {probe: restic.check, on: dr1, every: 1d, with: {repository: /srv/restic/files, password_file: /etc/holdfast/restic, read_data_subset: 5%}}
//	  restored: {probe: restic.restore, on: dr1, every: 7d,
//	             with: {repository: /srv/restic/files, password_file: /etc/holdfast/restic, scratch: /srv/scratch,
//	                    point: random, target_bytes_max: 50GiB, tolerate: [/var/cache/]}}
package restic

import (
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	return []probe.Probe{&repositoryProbe{sizes: sizes{known: map[string]size{}}}, checkProbe{}, restoreProbe{}}
}

var tools = []string{"restic"}
