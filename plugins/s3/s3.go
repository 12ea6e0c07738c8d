// Package s3 holds the probe s3.objects: what a bucket of an S3 store really holds,
// and whether the newest of it can be deleted or changed.
//
//	copies:
//	  offsite: {probe: s3.objects, on: dr1, site: ams, medium: object, immutable: true, every: 1h,
//	            with: {endpoint: "https://s3.example", region: eu-west-1, bucket: backups, prefix: ledger/,
//	                   pattern: "*.dump.zst", credentials_file: /etc/holdfast/s3}}
//
// It lists the bucket under prefix and asks for the newest object's head, the
// bucket's versioning and its object lock; it reads no content and writes nothing.
// Rights it needs: s3:ListBucket, s3:GetObject; to see the rest s3:GetObjectRetention,
// s3:GetBucketVersioning, s3:GetBucketObjectLockConfiguration. Objects that match
// pattern are recovery points, as of their upload; so take the time of the upload for
// the end of a backup.
//
// credentials_file is written as the AWS tools write theirs: lines
// aws_access_key_id, aws_secret_access_key and perhaps aws_session_token, under
// [default] or no heading. No program in it is run and no other source is asked.
//
// # Immutable
//
// The copy is immutable, as seen and not as claimed, where the newest object is under
// retention in COMPLIANCE mode beyond now and its bucket keeps versions. Retention
// in GOVERNANCE mode and a legal hold can be lifted by whoever has the right; they
// are facts, and the copy is not immutable. Where the agent may not see the
// retention it says nothing either way.
//
//	what is seen                                    outcome
//	objects that match                              ok
//	no object under prefix                          failed empty
//	objects, and none matches                       failed no-match; all without a byte: failed empty
//	no such bucket                                  failed missing
//	the keys are wrong, or not allowed to list      failed credential
//	nobody answers, or only with its own errors     failed unreachable
//	no answer in the check's time                   cannot tell: timeout
//	the credentials cannot be read                  cannot tell: credential-unreadable
//	another region, a wrong clock on this host,     cannot tell
//	  more objects than are looked at
package s3

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{bucket{}} }
