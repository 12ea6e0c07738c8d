package borg

import (
	"regexp"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// kinds are the errors borg names (msgid, the name of its class) and what they mean
// here. Those that are not listed are for the text to tell.
var kinds = map[string]holdfast.Reason{
	"PassphraseWrong": holdfast.Credential, "NoPassphraseFailure": holdfast.Credential, "PasswordRetriesExceeded": holdfast.Credential,
	"KeyfileNotFoundError": holdfast.Credential, "KeyfileMismatchError": holdfast.Credential, "KeyfileInvalidError": holdfast.Credential,

	"IntegrityError": holdfast.Damaged, "IntegrityErrorBase": holdfast.Damaged, "FileIntegrityError": holdfast.Damaged, "DecompressionError": holdfast.Damaged,
	"RepoKeyNotFoundError": holdfast.Damaged, "RepoKeyInvalidError": holdfast.Damaged, "NoManifestError": holdfast.Damaged,
	"UnsupportedPayloadError": holdfast.Damaged, "UnsupportedManifestError": holdfast.Damaged,
	"TAMInvalid": holdfast.Damaged, "ArchiveTAMInvalid": holdfast.Damaged, "ManifestTAMInvalid": holdfast.Damaged,
	"TAMRequiredError": holdfast.Damaged, "ArchiveTAMRequiredError": holdfast.Damaged,
	"Repository.CheckNeeded": holdfast.Damaged, "Repository.ObjectNotFound": holdfast.Damaged,

	"Repository.DoesNotExist": holdfast.Missing, "Repository.InvalidRepository": holdfast.Missing,
	"PathNotAllowed": holdfast.Refused, "Repository.InsufficientFreeSpaceError": holdfast.TooSmall,
}

// texts tell where the kind does not, or not well enough. The first that matches
// names the reason.
var texts = []struct {
	reason holdfast.Reason
	says   *regexp.Regexp
}{
	{holdfast.ToolMissing, regexp.MustCompile(`no such file or directory: '(ssh|borg)'|(borg|ssh): (command )?not found`)},
	{holdfast.Credential, regexp.MustCompile(`permission denied \((publickey|password|keyboard)`)},
	{holdfast.Unreachable, regexp.MustCompile(`connection refused|connection reset|connection timed out|could not resolve hostname|no route to host|` +
		`network is unreachable|host key verification failed|connection closed by|broken pipe`)},
	{holdfast.Refused, regexp.MustCompile(`permissionerror|permission denied|operation not permitted`)},
	{holdfast.TooSmall, regexp.MustCompile(`no space left on device|disk quota exceeded`)},
	{holdfast.Damaged, regexp.MustCompile(`\[errno (2|5|20|21|22)\]`)}, // a segment that is gone, or that the disk does not give
}

// Borg over content that makes no sense to it: a Python exception of any type but
// these, which are not the repository's doing.
var (
	crashed   = regexp.MustCompile(`^([A-Za-z_][\w]*\.)*[A-Z]\w*(: |$)`)
	notTheirs = regexp.MustCompile(`^(OSError|MemoryError|ImportError|ModuleNotFoundError|RecursionError|EOFError|TimeoutError|KeyboardInterrupt|\w*\.?SigTerm|\w*\.?SigHup)\b`)
)

// judge returns what a finished command says: nothing for exit code 0, a fault
// of the repository, or that nobody can tell.
func (l *look) judge(r result) error {
	if r.ExitCode == 0 {
		return nil
	}
	if f := l.blame(r); f != nil {
		return f
	}
	reason, text := r.reason()
	switch reason {
	case holdfast.Refused:
		return probe.Unable(reason, "borg: %s: let the agent's user read the repository", text)
	case holdfast.TooSmall, holdfast.ToolMissing:
		return probe.Unable(reason, "borg: %s", text)
	}
	return probe.Unable("", "borg ended with exit code %d: %s", r.ExitCode, text)
}

// blame returns the fault of the repository that the messages name, or nil.
func (l *look) blame(r result) *probe.Fault {
	reason, text := r.reason()
	switch reason {
	case holdfast.Missing:
		text = "there is no repository at " + l.Repository
	case holdfast.Credential:
		if strings.HasPrefix(text, "passphrase supplied") {
			text = "the passphrase does not open the repository's key, or the key is damaged"
		}
	case holdfast.Damaged, holdfast.Unreachable:
	default:
		return nil
	}
	if l.view != nil {
		text = strings.ReplaceAll(text, l.address, l.Repository)
	}
	return &probe.Fault{Reason: reason, Text: probe.Clip(text, 250), Raw: r.raw()}
}

// reason returns what the messages say is wrong, and in what words.
func (r result) reason() (holdfast.Reason, string) {
	text := "it said nothing"
	for i, m := range r.said {
		if bad := m.bad() || m.Level == ""; i == 0 || bad {
			text = m.Text
			if bad {
				break
			}
		}
	}
	for i, m := range r.said {
		switch kind := m.ID; {
		case !m.bad() && m.Level != "":
		case kind == "Repository.InvalidRepositoryConfig":
			if foreign.MatchString(m.Text) {
				return "", m.Text
			}
			return holdfast.Damaged, m.Text
		case kind == "ConnectionClosed" || kind == "ConnectionClosedWithHint":
			if reason, why := fromText(r.said); reason != "" {
				return reason, why
			}
			return holdfast.Unreachable, m.Text
		case kinds[kind] != "":
			return kinds[kind], m.Text
		case kind == "Exception" && i+1 < len(r.said):
			return fromException(r.said[i+1:])
		}
	}
	if reason, why := fromText(r.said); reason != "" {
		return reason, why
	}
	return "", text
}

// foreign are the repositories of borg 2.
var foreign = regexp.MustCompile(`repository version [2-9] is not supported`)

func fromText(said []message) (holdfast.Reason, string) {
	for _, t := range texts {
		for _, m := range said {
			if t.says.MatchString(strings.ToLower(m.Text)) {
				return t.reason, m.Text
			}
		}
	}
	return "", ""
}

// fromException reads the last line of a traceback.
func fromException(said []message) (holdfast.Reason, string) {
	if reason, text := fromText(said[:1]); reason != "" {
		return reason, text
	}
	text := said[0].Text
	if crashed.MatchString(text) && !notTheirs.MatchString(text) {
		return holdfast.Damaged, "borg crashed over what it read: " + text
	}
	return "", text
}

func damaged(err error) bool { return probe.IsFault(err, holdfast.Damaged) }
