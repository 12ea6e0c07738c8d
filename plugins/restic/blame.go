package restic

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Exit codes of restic 0.17 and later. Earlier ones say 1 for everything, so the
// messages are read as well.
const (
	exitNoRepository  = 10
	exitWrongPassword = 12
)

// What restic 0.14 to 0.19 says, tried with damaged, missing and unreachable
// repositories. The order of the table counts: the first match names the reason.
var messages = []struct {
	reason holdfast.Reason
	says   *regexp.Regexp
}{
	{holdfast.Credential, regexp.MustCompile(`wrong password or no key found|empty password|40[13] (unauthorized|forbidden)|access ?denied|` +
		`invalidaccesskeyid|access key id you provided does not exist|signaturedoesnotmatch|permission denied \(publickey`)},
	{holdfast.Refused, regexp.MustCompile(`permission denied|operation not permitted`)},
	{holdfast.TooSmall, regexp.MustCompile(`no space left on device|disk quota exceeded`)},
	{holdfast.Unreachable, regexp.MustCompile(`connection refused|connection reset|connection timed out|no such host|no route to host|` +
		`network is unreachable|i/o timeout|tls handshake|tls: |x509: |server misbehaving|could not resolve hostname|host key verification failed|` +
		`unable to start the sftp session|unexpected http response|50[0-9] (internal|bad gateway|service|gateway)|context deadline exceeded`)},
	{holdfast.Missing, regexp.MustCompile(`is there a repository at the following location|repository does not exist|bucket does not exist`)},
	{holdfast.Damaged, regexp.MustCompile(`is damaged|verification failed|invalid data returned|not found in repository|blob not found|` +
		`unmarshal|has zero size|does not match|unexpected file size|does not exist|contains errors|loadindex returned errors|` +
		`unable to load tree|could not load|failed to load|file is too short|unexpected eof|: eof|readfull|` +
		`^load\(|loadraw\(|no such file or directory|invalid character|not in index|decrypt|truncated|no matching id found|internal/walker\.walk`)},
}

// judge returns what a finished command says: nothing for exit code 0, a fault
// of the repository, or that nobody can tell.
func (r *repository) judge(out probe.Output) error {
	if out.ExitCode == 0 {
		return nil
	}
	if f := r.blame(out); f != nil {
		return f
	}
	lines := said(out.Stderr)
	switch reasonOf(lines) {
	case holdfast.Refused:
		return probe.Unable(holdfast.Refused, "restic: %s: let the agent's user read the repository", headline(lines))
	case holdfast.TooSmall:
		return probe.Unable(holdfast.TooSmall, "restic: %s", headline(lines))
	}
	return probe.Unable("", "restic ended with exit code %d: %s", out.ExitCode, headline(lines))
}

// blame returns the fault of the repository that the output names, or nil.
func (r *repository) blame(out probe.Output) *probe.Fault {
	lines := said(out.Stderr)
	reason := reasonOf(lines)
	switch out.ExitCode {
	case exitNoRepository:
		if reason != holdfast.Unreachable {
			reason = holdfast.Missing
		}
	case exitWrongPassword:
		reason = holdfast.Credential
	}
	text := headline(lines)
	switch reason {
	case holdfast.Missing:
		if r.remains() {
			reason, text = holdfast.Damaged, "the repository's config file is gone, its other files are there"
		} else {
			text = "there is no repository at " + r.Repository
		}
	case holdfast.Credential:
		if r.damagedKeys() {
			reason, text = holdfast.Damaged, "a key file of the repository is gone or damaged, so that no password opens it"
		}
	case holdfast.Damaged:
		if strings.Contains(text, "internal/walker.walk") { // restic 0.17 over a tree it cannot read
			text = "restic crashed over a folder of the snapshot that cannot be read"
		}
	case holdfast.Unreachable:
	default:
		return nil
	}
	return &probe.Fault{Reason: reason, Text: text, Raw: string(out.Stderr)}
}

// reasonOf returns the first reason of the table that a line gives. Lines that
// announce another try count only where no other line explains the failure.
func reasonOf(lines []string) holdfast.Reason {
	for _, again := range []bool{false, true} {
		for _, m := range messages {
			for _, line := range lines {
				if strings.Contains(line, "retrying after") == again && m.says.MatchString(strings.ToLower(line)) {
					return m.reason
				}
			}
		}
	}
	return ""
}

// said returns the lines of standard error, the message taken out of those that
// are JSON (restic 0.17 and later).
func said(stderr []byte) []string {
	var lines []string
	for line := range bytes.Lines(stderr) {
		var m struct {
			Message string `json:"message"`
			Error   struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		text := string(line)
		if json.Unmarshal(line, &m) == nil && m.Message+m.Error.Message != "" {
			text = m.Message + m.Error.Message
		}
		for part := range strings.SplitSeq(text, "\n") {
			if part = strings.TrimSpace(part); part != "" {
				lines = append(lines, part)
			}
		}
	}
	return lines
}

// headline picks the line that says most: the first that carries a reason, the
// fatal one, the first.
func headline(lines []string) string {
	if len(lines) == 0 {
		return "it said nothing"
	}
	best := lines[0]
	for _, line := range lines {
		if strings.HasPrefix(line, "Fatal: ") {
			best = strings.TrimPrefix(line, "Fatal: ")
		}
	}
	for _, line := range lines {
		if line != lines[len(lines)-1] && !strings.HasPrefix(line, "Fatal: ") && reasonOf([]string{line}) == holdfast.Damaged {
			best = line
			break
		}
	}
	return probe.Clip(best, 250)
}
