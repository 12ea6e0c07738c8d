// Package rclone holds the probe rclone.remote: what a store that rclone reaches
// really holds, which is any of some fifty: object stores, sftp, WebDAV, folders.
//
//	copies:
//	  offsite: {probe: rclone.remote, on: dr1, site: ams, medium: object, every: 1h,
//	            with: {remote: "store:backups/ledger", config_file: /etc/holdfast/rclone.conf, pattern: "*.dump.zst"}}
//
// It lists the store by "rclone lsjson", with nothing cached and nothing written.
// Objects whose name matches pattern are recovery points, as of their time of
// change: the source's where the store keeps it, else of the upload, which
// server_modtime always takes (and saves S3 a question for every object). Objects
// dated in the future and names ending in .partial, which rclone gives what it is
// writing, are no recovery points.
//
// With hashes rclone also says which objects have a checksum. A folder or sftp
// server reads every file for that. Nothing is compared, so no verification is
// claimed.
//
// The configuration stays in a file of the agent's host, readable by its user and
// best with this one remote in it. One that would make rclone run a program here
// (bearer_token_command, ssh) or set options for the whole of rclone is refused.
// rclone gets a copy in memory: what it would write back, a renewed OAuth token,
// is not kept, so use a service account where a store offers one.
//
//	what is seen                                     outcome
//	objects that match                               ok
//	no object at all                                 failed empty
//	objects, and none matches pattern                failed no-match; all of them empty: failed empty
//	no such folder or bucket                         failed missing
//	the store does not take the credentials, or      failed credential
//	  no name of a crypt remote opens
//	nobody answers                                   failed unreachable
//	rclone said nothing in time                      cannot tell: timeout
//	the configuration cannot be read, or is          cannot tell: credential-unreadable
//	  encrypted
//	not allowed to read a folder of this host;       cannot tell: refused
//	  a configuration that runs programs
//	any other failure                                cannot tell
package rclone

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{remote{}} }
