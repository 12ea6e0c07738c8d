package borg

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Source is the part of the settings that every probe has: where the repository
// is, how it opens, and which of its archives are meant.
type Source struct {
	Repository     string `json:"repository" jsonschema:"where the repository is: an absolute folder, or ssh://user@host:port/path, reached with the keys of the agent's user and without asking anything"`
	PassphraseFile string `json:"passphrase_file,omitempty" jsonschema:"absolute path of the file that holds the passphrase on the agent's host; none for a repository without one"`
	KeyFile        string `json:"key_file,omitempty" jsonschema:"absolute path of the key on the agent's host, for a repository of mode keyfile"`
	Archives       string `json:"archives,omitempty" jsonschema:"only archives whose name matches this pattern, like ledger-*"`
}

func (s Source) validate() error {
	var faults []error
	wrong := func(setting, format string, args ...any) {
		faults = append(faults, fmt.Errorf("setting %q: %w", setting, fmt.Errorf(format, args...)))
	}
	if err := s.validAddress(); err != nil {
		wrong("repository", "%w", err)
	}
	if s.PassphraseFile != "" && !filepath.IsAbs(s.PassphraseFile) {
		wrong("passphrase_file", "%q is not an absolute path", s.PassphraseFile)
	}
	if s.KeyFile != "" && !filepath.IsAbs(s.KeyFile) {
		wrong("key_file", "%q is not an absolute path", s.KeyFile)
	}
	if _, err := path.Match(s.Archives, ""); err != nil {
		wrong("archives", "%q is no pattern: %w", s.Archives, err)
	}
	return errors.Join(faults...)
}

func (s Source) validAddress() error {
	if s.local() {
		return nil
	}
	u, err := url.Parse(s.Repository)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" || len(u.Path) < 2 {
		return fmt.Errorf("%q is neither an absolute folder nor an address like ssh://user@host:22/path", s.Repository)
	}
	_, secret := u.User.Password()
	switch {
	case secret:
		return errors.New("the address carries a password: let the agent's user in with a key")
	case strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-"):
		return errors.New("a host's or user's name cannot begin with a dash")
	case strings.Contains(s.Repository, "::") || strings.ContainsAny(s.Repository, "{}"):
		return errors.New("it names an archive or has braces: name the repository alone")
	}
	return nil
}

// local reports whether the repository is a folder of this host.
func (s Source) local() bool { return filepath.IsAbs(s.Repository) }

// folders lists the folder of a local repository.
func (s Source) folders() []string {
	if !s.local() {
		return nil
	}
	return []string{s.Repository}
}

// means reports whether the settings mean this archive.
func (s Source) means(a archive) bool {
	ok, err := path.Match(s.Archives, a.Name)
	return s.Archives == "" || err == nil && ok
}

// secretMax bounds a passphrase and a key file.
const secretMax = 64 << 10

// readSecret reads a secret's file, "" for none.
func readSecret(setting, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s: %w: let the agent's user read it", setting, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > secretMax {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s %s: not a regular file of at most 64 KiB", setting, name)
	}
	secret, err := io.ReadAll(io.LimitReader(f, secretMax))
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s: %w", setting, err)
	}
	return secret, nil
}
