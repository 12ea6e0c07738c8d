// Package nagios holds the probe nagios.plugin: any monitoring plugin (Nagios,
// Icinga, Checkmk's local checks written for them) as a check of a recovery path.
//
//	needs:
//	  - {probe: nagios.plugin, on: dr1, every: 5m, name: licences,
//	     with: {command: [/usr/lib/nagios/plugins/check_file_age, -w, "86400", -c, "172800", -f, /srv/licences]}}
//
// The program runs with the agent's rights, so two keys of the agent's own
// configuration must name it: allow: [nagios.plugin], and under commands: its
// absolute path, the first of the setting command. It gets the arguments as they
// are, without a shell, and a fixed environment. Put no secret among them: plugins
// read theirs from a file.
//
// What a plugin answers is read by the Monitoring Plugins Development Guidelines,
// "Plugin Output for Nagios" and "Performance data":
//
//	exit code         outcome
//	0 OK              ok
//	1 WARNING         degraded assertion
//	2 CRITICAL        failed assertion
//	3 UNKNOWN         cannot tell
//	any other, or     cannot tell: that is a crash, or no monitoring plugin
//	  no text at all
//	none in time      cannot tell: timeout
//	no such program   cannot tell: tool-missing; may not be run: refused
//
// The first line is the summary, further lines are kept as they are. Each number
// of the performance data is a measure, in seconds, bytes or as a share where its
// unit says so, and a fact with its thresholds. Thresholds are the plugin's own
// and were already judged by it.
//
// A plugin that watches a backup mostly reports its age. recovery_point_age names
// that number, and the check attests a recovery point: now less the age.
package nagios

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{pluginProbe{}} }
