package pgbackrest

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// What pgBackRest says, on standard error with the number of the error, in the status
// of info with its name. The first that matches names the reason.
var messages = []struct {
	reason holdfast.Reason
	says   *regexp.Regexp
}{
	{holdfast.Refused, regexp.MustCompile(`(?i)\[13\] permission denied|operation not permitted`)},
	{holdfast.TooSmall, regexp.MustCompile(`(?i)no space left on device|disk quota exceeded`)},
	{holdfast.Credential, regexp.MustCompile(`(?i)accessdenied|invalidaccesskeyid|signaturedoesnotmatch|authenticationfailed|permission denied \(publickey|` +
		`http request failed with 40[13]|Salted__`)}, // the last: an encrypted file read as if it were none
	{holdfast.Missing, regexp.MustCompile(`(?i)nosuchbucket|containernotfound`)},
	{holdfast.Unreachable, regexp.MustCompile(`(?i)HostConnectError|\[049\]|connection refused|connection reset|timed? ?out|could not resolve|` +
		`unable to get address|no route to host|network is unreachable|terminated unexpectedly|http request failed with 50|TlsError|host key verification failed`)},
	{encrypted, regexp.MustCompile(`CryptoError|\[095\]`)},
	{holdfast.Damaged, regexp.MustCompile(`(?:Checksum|Format|JsonFormat|FileMissing|FileRead|BackupSetInvalid|FileInvalid|ArchiveMismatch|ArchiveDuplicate)Error|` +
		`\[0(?:26|29|42|44|45|55|75)\]|[Uu]nable to (?:open missing|load info) file`)},
}

// encrypted marks what cannot be decrypted: whether that is the passphrase's fault or
// the file's is for judgeCipher to find out.
const encrypted holdfast.Reason = "cipher"

func reasonOf(text string) holdfast.Reason {
	for _, m := range messages {
		if m.says.MatchString(text) {
			return m.reason
		}
	}
	return ""
}

// judge returns what a finished command says: nothing for exit code 0, a fault of
// the repository, or that nobody can tell. What opens with the passphrase is known
// then, as info is asked first, so what cannot be decrypted is damaged.
func (r *repository) judge(out probe.Output) error {
	if out.ExitCode == 0 {
		return nil
	}
	text := headline(out.Stderr)
	switch reason := reasonOf(string(out.Stderr)); reason {
	case encrypted:
		return &probe.Fault{Reason: holdfast.Damaged, Text: "a file of the repository cannot be decrypted: " + text, Raw: string(out.Stderr)}
	case "":
		return probe.Unable("", "pgbackrest ended with exit code %d: %s", out.ExitCode, text)
	default:
		return r.fault(reason, text, string(out.Stderr))
	}
}

// fault is the repository's fault, or that nobody can tell for a reason of this host.
func (r *repository) fault(reason holdfast.Reason, text, raw string) error {
	switch reason {
	case holdfast.Refused:
		return probe.Unable(reason, "pgbackrest: %s: let the agent's user read the repository", text)
	case holdfast.TooSmall:
		return probe.Unable(reason, "pgbackrest: %s", text)
	}
	return &probe.Fault{Reason: reason, Text: probe.Clip(probe.OneLine(text), 250), Raw: raw}
}

// headline picks the message that the command ended with.
func headline(stderr []byte) string {
	said := "it said nothing"
	for line := range bytes.Lines(stderr) {
		text := strings.TrimSpace(string(line))
		if _, after, ok := strings.Cut(text, "ERROR: "); ok {
			return probe.Clip(probe.OneLine(after), 250)
		}
		if text != "" && said == "it said nothing" {
			said = probe.Clip(probe.OneLine(text), 250)
		}
	}
	return said
}

// judgeStatus returns what the status of a stanza says.
func (r *repository) judgeStatus(ctx context.Context, i stanzaInfo) error {
	s := i.Repo[0].Status
	switch s.Code {
	case statusOK:
		return nil
	case statusNoBackup:
		return probe.Faulty(holdfast.Empty, "stanza %s holds no backup", r.Stanza)
	case statusNoStanza:
		return r.noStanza()
	case statusNoInfo:
		return r.noInfo(ctx)
	case statusOtherDB:
		return probe.Faulty(holdfast.Damaged, "backup.info and archive.info are of different databases: a stanza-upgrade was forgotten or one of them is old")
	case statusOtherError:
		text, _, _ := strings.Cut(s.Message, "\n")
		reason := reasonOf(s.Message)
		// A wrong passphrase gives rubbish for 1 file in 256, by its padding.
		if reason == encrypted || reason == holdfast.Damaged && i.Cipher != "none" {
			return r.judgeCipher(ctx, s.Message)
		}
		switch reason {
		case "":
			return probe.Unable("", "pgbackrest info: %s", probe.Clip(probe.OneLine(s.Message), 250))
		case holdfast.Credential:
			if strings.Contains(s.Message, "Salted__") {
				return probe.Faulty(reason, "the repository is encrypted, and no passphrase is given")
			}
			return r.fault(reason, text, s.Message)
		default:
			return r.fault(reason, text, s.Message)
		}
	}
	return probe.Unable("", "pgbackrest info: status %d: %s", s.Code, probe.Clip(probe.OneLine(s.Message), 200))
}

// noStanza says what is not there.
func (r *repository) noStanza() error {
	if r.local() && !r.there() {
		return probe.Faulty(holdfast.Missing, "there is no repository at %s", r.Repository)
	}
	return probe.Faulty(holdfast.Missing, "the repository has no stanza %s", r.Stanza)
}

// noInfo tells a stanza that was never made from one that has lost its backup.info
// and the copy of it.
func (r *repository) noInfo(ctx context.Context) error {
	for _, folder := range []string{"backup/", "archive/"} {
		entries, err := r.list(ctx, folder+r.Stanza)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return probe.Faulty(holdfast.Damaged, "backup.info and its copy are gone, %d other entries of %s%s are there", len(entries), folder, r.Stanza)
		}
	}
	return r.noStanza()
}

// judgeCipher tells a passphrase that opens nothing from an info file and its copy
// that are damaged: the repository has two such pairs, which one passphrase opens.
func (r *repository) judgeCipher(ctx context.Context, said string) error {
	var text string
	for _, name := range []string{"backup/%s/backup.info", "backup/%s/backup.info.copy", "archive/%s/archive.info", "archive/%s/archive.info.copy"} {
		out, err := probe.Run(ctx, r.command("repo-get", fmt.Sprintf(name, r.Stanza)))
		switch {
		case err != nil:
			return err
		case out.ExitCode == 0 && bytes.HasPrefix(out.Stdout, []byte("[backrest]")):
			return &probe.Fault{Reason: holdfast.Damaged, Text: "an info file and its copy cannot be decrypted, the others can", Raw: said}
		case strings.Contains(string(out.Stderr), "cipher header invalid"):
			text = "a passphrase is given, and the repository is not encrypted"
		}
	}
	if text == "" {
		text = "the passphrase does not open the repository"
	}
	return &probe.Fault{Reason: holdfast.Credential, Text: text, Raw: said}
}

func damaged(err error) bool { return probe.IsFault(err, holdfast.Damaged) }
