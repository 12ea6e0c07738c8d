// Package pgbackrest holds the probes of a pgBackRest repository.
package pgbackrest

import (
	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	return []probe.Probe{&repositoryProbe{}, verifyProbe{}, restoreProbe{}}
}

var tools = []string{"pgbackrest"}

var target = []string{"stanza", "repository", "config", "repo"}

// reasons are those every probe here can give.
var reasons = []holdfast.Reason{holdfast.Empty, holdfast.Damaged, holdfast.Credential, holdfast.CredentialUnreadable, holdfast.Missing,
	holdfast.Unreachable, holdfast.Timeout, holdfast.ToolMissing, holdfast.Refused, holdfast.TooSmall}
