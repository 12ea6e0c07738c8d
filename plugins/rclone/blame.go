package rclone

import (
	"regexp"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// The exit codes of rclone's documentation, "List of exit codes", that name a cause.
const (
	exitNoFolder = 3
	exitNoFile   = 4
)

// What rclone and the stores' libraries in it say. The first match names the
// reason; credential comes first, as a refused key is also said of a bucket.
var messages = []struct {
	reason holdfast.Reason
	says   *regexp.Regexp
}{
	{holdfast.Credential, regexp.MustCompile(`access ?denied|invalidaccesskeyid|signaturedoesnotmatch|forbidden|unauthorized|\b40[13]\b|` +
		`unable to authenticate|invalid_grant|invalid credentials|login incorrect|authentication failed|nocredentialproviders`)},
	{holdfast.Unreachable, regexp.MustCompile(`connection refused|connection reset|i/o timeout|no such host|no route to host|network is unreachable|` +
		`tls: |x509: |connection timed out|server misbehaving|\b50[234]\b|unexpected eof`)},
	{holdfast.Missing, regexp.MustCompile(`directory not found|nosuchbucket|bucket not found|container not found|object not found`)},
	{holdfast.Refused, regexp.MustCompile(`permission denied|operation not permitted`)},
}

// judge returns what a finished call says: nothing for exit code 0, a fault of the
// store, or that nobody can tell.
func (l *lister) judge(code int, lines []string, raw string) error {
	if code == 0 {
		return nil
	}
	reason, said := holdfast.Reason(""), "it said nothing"
	if len(lines) > 0 {
		said = lines[len(lines)-1]
	}
	all := strings.ToLower(strings.Join(lines, "\n"))
	for _, m := range messages {
		if m.says.MatchString(all) {
			reason = m.reason
			break
		}
	}
	if reason == "" && (code == exitNoFolder || code == exitNoFile) {
		reason = holdfast.Missing
	}
	switch reason {
	case holdfast.Missing:
		return &probe.Fault{Reason: reason, Text: "there is no " + l.Remote, Raw: raw}
	case holdfast.Credential, holdfast.Unreachable:
		return &probe.Fault{Reason: reason, Text: probe.OneLine(l.Remote + ": " + said), Raw: raw}
	case holdfast.Refused:
		return probe.Unable(reason, "rclone: %s: let the agent's user read it", probe.OneLine(said))
	}
	return probe.Unable("", "rclone ended with exit code %d: %s", code, probe.OneLine(said))
}

// stamped is how rclone begins a line of its log.
var stamped = regexp.MustCompile(`^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} (?:(?:NOTICE|ERROR) *: *(?:: *)?)?`)

// linesOf returns what rclone wrote on standard error, without the time.
func linesOf(stderr []byte) []string {
	var lines []string
	for line := range strings.Lines(string(stderr)) {
		if line = strings.TrimSpace(stamped.ReplaceAllString(line, "")); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
