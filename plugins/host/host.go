// Package host holds the probes that look at the host they run on: is there room,
// is the file system mounted, does the process run, does the clock keep time.
// They read /proc and make system calls; they run no program, write nothing and
// need no privilege.
//
// A limit in the settings is what a recovery path needs of this host. Without a
// limit the outcome is ok and the observation holds the facts.
//
//	probe           settings                       ok / degraded / failed                                  cannot tell
//	host.resources  cpu, memory, swap (percent),   degraded too-small: a limit is crossed                  timeout
//	                load (per core)
//	host.disk       path, free, inodes             failed too-small: less is free than the path needs      refused: not allowed to look
//	                (amount or percent)            failed missing: no such path                            timeout: cancelled
//	                                               failed unreachable: the file system gives an error
//	                                               failed timeout: the file system does not answer
//	host.process    name, count (default 1)        failed missing: none runs                               refused: other users' processes are hidden
//	                                               failed too-small: fewer than count run
//	host.mount      path                           failed missing: nothing is mounted there                as host.disk
//	                                               failed unreachable, timeout: as host.disk
//	host.capacity   path, free, memory, cores      failed too-small: less than the path needs              as host.disk
//	                                               failed missing, unreachable, timeout: as host.disk
//	host.time       offset (default 1s)            degraded assertion: not synchronised, or further off    refused: the kernel does not say
//	host.facts      none                           always ok                                               –
//
// An exhausted resource slows a recovery down, so host.resources is degraded at
// worst; too little space stops one, so host.disk and host.capacity fail.
// A clock that nobody sets still runs: host.time is degraded, not failed, because
// how far off an unsynchronised clock is cannot be known from the host itself.
//
// host.facts names the fingerprint parts os, kernel, packages and hypervisor.
// They are shown, and void no test.
package host

import (
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	storage := new(storage)
	return []probe.Probe{
		resources{},
		disk{storage},
		process{},
		mount{storage},
		capacity{storage},
		clock{},
		facts{},
	}
}

// short turns o into one that says what the path lacks, if it lacks anything.
func short(o probe.Observation, outcome holdfast.Outcome, lacks []string) probe.Observation {
	if len(lacks) > 0 {
		o.Outcome, o.Reason, o.Summary = outcome, holdfast.TooSmall, probe.OneLine(strings.Join(lacks, "; "))
	}
	return o
}
