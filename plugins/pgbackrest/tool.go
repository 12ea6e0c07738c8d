package pgbackrest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// repository is a repository as the settings and the request give it.
type repository struct {
	Source
	tools  map[string]string
	check  string
	number string // of the repository in its configuration
	env    []string
	plain  bool // no passphrase was given
}

// open checks what can be known without the tool.
func open(s Source, r probe.Request) (*repository, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	repo := &repository{Source: s, tools: r.Tools, check: r.Check, number: strconv.Itoa(max(1, s.Repo)), plain: s.CipherPassFile == ""}
	if s.Config != "" {
		if _, err := readFile("config", s.Config); err != nil {
			return nil, err
		}
	}
	if s.CipherPassFile != "" {
		pass, err := readFile("cipher_pass_file", s.CipherPassFile)
		if err != nil {
			return nil, err
		}
		secret := strings.TrimRight(string(pass), "\r\n")
		if secret == "" || strings.ContainsAny(secret, "\x00\n") {
			return nil, probe.Unable(holdfast.CredentialUnreadable, "cipher_pass_file %s: it is not one line", s.CipherPassFile)
		}
		repo.env = []string{"PGBACKREST_REPO" + repo.number + "_CIPHER_PASS=" + secret}
	}
	return repo, nil
}

// command is a command of pgBackRest's with the options that say where the
// repository is. It logs nowhere but to standard error.
func (r *repository) command(name string, args ...string) probe.Command {
	all := []string{"--stanza=" + r.Stanza, "--log-level-console=off", "--log-level-stderr=warn", "--log-level-file=off", "--no-log-timestamp"}
	if r.Config != "" {
		all = append(all, "--config="+r.Config)
	} else {
		all = append(all, "--no-config", "--repo1-path="+r.Repository)
	}
	all = append(all, "--repo="+r.number)
	if !r.plain {
		all = append(all, "--repo"+r.number+"-cipher-type=aes-256-cbc")
	}
	return probe.Command{Path: r.tools["pgbackrest"], Args: append(append(all, name), args...), Env: r.env}
}

// call runs a command that must succeed.
func (r *repository) call(ctx context.Context, name string, args ...string) (probe.Output, error) {
	out, err := probe.Run(ctx, r.command(name, args...))
	if err == nil {
		err = r.judge(out)
	}
	if err == nil && out.Truncated {
		err = probe.Unable("", "pgbackrest %s: it answered more than %d bytes", name, probe.DefaultStdoutMax)
	}
	return out, err
}

// noLock is where info looks for the locks of the stanza: nowhere. It takes the lock
// of a backup for an instant to see whether somebody has it, and a backup that starts
// in that instant fails.
const noLock = "--lock-path=/nonexistent/holdfast"

// noRetry has a file that cannot be read fail at once, not after 15 s and a second try.
// What changes under a look is what the second look is for.
const noRetry = "--job-retry=0"

// info asks for the stanza. It is opened with both of its info files then.
func (r *repository) info(ctx context.Context) (stanzaInfo, error) {
	out, err := r.call(ctx, "info", "--output=json", noLock)
	if err != nil {
		return stanzaInfo{}, err
	}
	i, err := parseInfo(out.Stdout)
	if err != nil {
		return stanzaInfo{}, probe.Unable("", "%w", err)
	}
	if i == nil {
		return stanzaInfo{}, r.noStanza()
	}
	return *i, r.judgeStatus(ctx, *i)
}

// version asks which pgBackRest this is.
func (r *repository) version(ctx context.Context) (string, error) {
	out, err := probe.Run(ctx, probe.Command{Path: r.tools["pgbackrest"], Args: []string{"version"}, StdoutMax: 4096})
	words := strings.Fields(string(out.Stdout))
	switch {
	case err != nil:
		return "", err
	case len(words) != 2 || words[0] != "pgBackRest" || len(words[1]) > 64:
		return "", probe.Unable(holdfast.ToolMissing, "%s is not pgBackRest: asked for its version it says %.80q", r.tools["pgbackrest"], out.Stdout)
	}
	return words[1], nil
}

// entry is what `repo-ls` says of a file or folder.
type entry struct {
	Type string `json:"type"` // file, path, link, special
	Size int64  `json:"size"`
	Time int64  `json:"time"` // of its last change, in Unix seconds
}

// list lists a folder of the repository; one that is not there is empty.
func (r *repository) list(ctx context.Context, path string) (map[string]entry, error) {
	out, err := r.call(ctx, "repo-ls", "--output=json", path)
	if err != nil {
		return nil, err
	}
	var entries map[string]entry
	if err := json.Unmarshal(out.Stdout, &entries); err != nil {
		return nil, probe.Unable("", "pgbackrest repo-ls: %w", err)
	}
	delete(entries, ".")
	return entries, nil
}

// get reads a small file of the repository, decrypted.
func (r *repository) get(ctx context.Context, path string, limit int) ([]byte, error) {
	c := r.command("repo-get", path)
	c.StdoutMax = limit
	out, err := probe.Run(ctx, c)
	if err == nil {
		err = r.judge(out)
	}
	if err == nil && out.Truncated {
		err = probe.Unable("", "%s has more than %d bytes", path, limit)
	}
	return out.Stdout, err
}

// errTool ends a stream whose tool has failed: the tool's own error says why.
var errTool = errors.New("the tool ended early")

// stream reads a file of the repository, decrypted, as it comes. The tool's error
// wins over that of read.
func (r *repository) stream(ctx context.Context, path string, read func(io.Reader) error) error {
	from, to := io.Pipe()
	var reading sync.WaitGroup
	var readErr error
	reading.Go(func() {
		readErr = read(from)
		_, _ = io.Copy(io.Discard, from) // so that the tool ends by itself
	})
	c := r.command("repo-get", path)
	c.StdoutTo = to
	out, err := probe.Run(ctx, c)
	if err == nil {
		err = r.judge(out)
	}
	if err != nil {
		to.CloseWithError(errTool)
	} else {
		to.Close()
	}
	reading.Wait()
	if err != nil {
		return err
	}
	return readErr
}

// same reports whether two files of the repository have the same content.
func (r *repository) same(ctx context.Context, a, b string) (bool, error) {
	sumA, err := r.digest(ctx, a)
	if err != nil {
		return false, err
	}
	sumB, err := r.digest(ctx, b)
	return bytes.Equal(sumA, sumB), err
}

// local reports whether the repository is a folder of this host.
func (r *repository) local() bool { return r.Repository != "" }

// there reports whether a local repository's folder is there.
func (r *repository) there() bool {
	info, err := os.Stat(r.Repository)
	return err == nil && info.IsDir()
}
