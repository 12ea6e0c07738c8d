// Package plugins lists the plugins that come with Holdfast.
package plugins

import (
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/barman"
	"github.com/holdfast-monitor/holdfast/plugins/borg"
	"github.com/holdfast-monitor/holdfast/plugins/btrfs"
	"github.com/holdfast-monitor/holdfast/plugins/files"
	"github.com/holdfast-monitor/holdfast/plugins/host"
	"github.com/holdfast-monitor/holdfast/plugins/mariadb"
	"github.com/holdfast-monitor/holdfast/plugins/nagios"
	"github.com/holdfast-monitor/holdfast/plugins/net"
	"github.com/holdfast-monitor/holdfast/plugins/pgbackrest"
	"github.com/holdfast-monitor/holdfast/plugins/postgres"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/prometheus"
	"github.com/holdfast-monitor/holdfast/plugins/rclone"
	"github.com/holdfast-monitor/holdfast/plugins/redis"
	"github.com/holdfast-monitor/holdfast/plugins/restic"
	"github.com/holdfast-monitor/holdfast/plugins/rsync"
	"github.com/holdfast-monitor/holdfast/plugins/s3"
	"github.com/holdfast-monitor/holdfast/plugins/sqlite"
)

// All returns every plugin by name. A probe's name begins with its plugin's.
func All() map[string]func() []probe.Probe {
	return map[string]func() []probe.Probe{
		"barman":     barman.Probes,
		"borg":       borg.Probes,
		"btrfs":      btrfs.Probes,
		"files":      files.Probes,
		"host":       host.Probes,
		"mariadb":    mariadb.Probes,
		"nagios":     nagios.Probes,
		"net":        net.Probes,
		"pgbackrest": pgbackrest.Probes,
		"postgres":   postgres.Probes,
		"prometheus": prometheus.Probes,
		"rclone":     rclone.Probes,
		"redis":      redis.Probes,
		"restic":     restic.Probes,
		"rsync":      rsync.Probes,
		"s3":         s3.Probes,
		"sqlite":     sqlite.Probes,
	}
}

// ByPlugin returns what every probe is, by plugin.
func ByPlugin() map[string][]holdfast.Description {
	all := map[string][]holdfast.Description{}
	for name, probes := range All() {
		for _, p := range probes() {
			all[name] = append(all[name], p.Describe())
		}
	}
	return all
}

// Descriptions returns what every probe is, sorted by name.
func Descriptions() []holdfast.Description {
	var all []holdfast.Description
	for _, some := range ByPlugin() {
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b holdfast.Description) int { return strings.Compare(a.Name, b.Name) })
	return all
}
