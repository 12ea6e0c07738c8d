package files

import (
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// isManifest reports whether a name is that of a manifest.
func (s settings) isManifest(name string) bool {
	before, after, perFile := strings.Cut(s.Manifest, "{file}")
	if !perFile {
		return name == s.Manifest
	}
	return len(name) > len(before)+len(after) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after)
}

// points returns the recovery points: the newest four and the oldest.
func points(archives []folder.File) []holdfast.RecoveryPoint {
	all := folder.Points(archives)
	for i := range all {
		a := archives[i]
		if i == len(all)-1 {
			a = archives[len(archives)-1]
		}
		if formatByName(a.Name) == plain {
			all[i].Bytes, all[i].Files = holdfast.Bytes(a.Size), 1
		}
	}
	return all
}

// median is the middle size of some archives.
func median(archives []folder.File) float64 {
	sizes := make([]int64, len(archives))
	for i, a := range archives {
		sizes[i] = a.Size
	}
	slices.Sort(sizes)
	n := len(sizes)
	return (float64(sizes[(n-1)/2]) + float64(sizes[n/2])) / 2
}
