// Package postgres holds the probes of PostgreSQL: its dumps, base backups, standbys
// and archiver, and whether a dump restores.
package postgres

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	return []probe.Probe{&dumpProbe{}, &restoreProbe{}, &basebackupProbe{}, replicaProbe{}, archiverProbe{}}
}
