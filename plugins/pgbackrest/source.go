package pgbackrest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Source is the part of the settings that every probe has: where the repository is
// and how it opens.
type Source struct {
	Stanza         string `json:"stanza" jsonschema:"the stanza, like main"`
	Repository     string `json:"repository,omitempty" jsonschema:"the repository, where it is an absolute folder of the agent's host"`
	CipherPassFile string `json:"cipher_pass_file,omitempty" jsonschema:"absolute path of the file that holds the repository's passphrase on the agent's host; none for a repository that is not encrypted"`
	Config         string `json:"config,omitempty" jsonschema:"absolute path of a pgBackRest configuration on the agent's host that says where the repository is, in place of repository"`
	Repo           int    `json:"repo,omitempty" jsonschema:"the number of the repository in config; 1 by default"`
}

var stanzaName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

func (s Source) validate() error {
	var faults []error
	wrong := func(setting, format string, args ...any) {
		faults = append(faults, fmt.Errorf("setting %q: %w", setting, fmt.Errorf(format, args...)))
	}
	if !stanzaName.MatchString(s.Stanza) {
		wrong("stanza", "%.70q is no name of a stanza: letters, digits, dots, dashes", s.Stanza)
	}
	for setting, path := range map[string]string{"repository": s.Repository, "config": s.Config, "cipher_pass_file": s.CipherPassFile} {
		if path != "" && !filepath.IsAbs(path) {
			wrong(setting, "%q is not an absolute path", path)
		}
	}
	switch {
	case s.Repository == "" && s.Config == "":
		wrong("repository", "name the repository's folder, or a config that says where it is")
	case s.Repository != "" && s.Config != "":
		wrong("config", "leave it out where repository names the folder")
	case s.Repository != "" && s.Repo > 1:
		wrong("repo", "it is the number of a repository in config")
	case s.Repo < 0 || s.Repo > 256:
		wrong("repo", "%d is not between 1 and 256", s.Repo)
	}
	return errors.Join(faults...)
}

// secretMax bounds a passphrase and a configuration.
const secretMax = 1 << 20

// readFile reads a small file that a setting names.
func readFile(setting, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s: %w: let the agent's user read it", setting, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > secretMax {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s %s: not a regular file of at most 1 MiB", setting, name)
	}
	b, err := io.ReadAll(io.LimitReader(f, secretMax))
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s: %w", setting, err)
	}
	return b, nil
}

// pathOption is an option whose value is a folder that belongs to somebody: a
// repository, a cluster, what pgBackRest itself writes to.
var pathOption = regexp.MustCompile(`^(repo[0-9]*-path|pg[0-9]*-path|spool-path|lock-path|log-path)$`)

// folders lists the folders that a restore must keep away from.
func (s Source) folders() ([]string, error) {
	if s.Config == "" {
		return []string{s.Repository}, nil
	}
	b, err := readFile("config", s.Config)
	if err != nil {
		return nil, err
	}
	var all []string
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if value = strings.TrimSpace(value); pathOption.MatchString(strings.TrimSpace(key)) && filepath.IsAbs(value) {
			all = append(all, value)
		}
	}
	return all, nil
}
