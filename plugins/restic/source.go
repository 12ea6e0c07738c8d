package restic

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Source is the part of the settings that every probe has: where the repository
// is, how it opens, and which of its snapshots are meant.
type Source struct {
	Repository   string `json:"repository" jsonschema:"where the repository is: an absolute folder, or an address that begins with rest:, s3:, sftp:, b2:, azure:, gs: or swift:"`
	PasswordFile string `json:"password_file" jsonschema:"absolute path of the file that holds the repository's password on the agent's host"`
	EnvFile      string `json:"env_file,omitempty" jsonschema:"absolute path of a file of NAME=value lines with the storage's credentials, like AWS_ACCESS_KEY_ID"`
	Host         string `json:"host,omitempty" jsonschema:"only snapshots of this host"`
	Path         string `json:"path,omitempty" jsonschema:"only snapshots that include this absolute path"`
	Tag          string `json:"tag,omitempty" jsonschema:"only snapshots with this tag; several, parted by commas, must all be there"`
}

// schemes are the backends restic reaches by itself, or by ssh. rclone is left
// out: its addresses may name programs to run.
var schemes = []string{"rest:", "s3:", "sftp:", "b2:", "azure:", "gs:", "swift:"}

func (s Source) validate() error {
	var faults []error
	wrong := func(setting, format string, args ...any) {
		faults = append(faults, fmt.Errorf("setting %q: %w", setting, fmt.Errorf(format, args...)))
	}
	remote := slices.ContainsFunc(schemes, func(p string) bool { return strings.HasPrefix(s.Repository, p) })
	switch {
	case !remote && !s.local():
		wrong("repository", "%q is neither an absolute folder nor an address with %s", s.Repository, strings.Join(schemes, ", "))
	case remote && carriesPassword(s.Repository):
		wrong("repository", "the address carries a password: put it into env_file as RESTIC_REST_PASSWORD (restic 0.16 and later)")
	case strings.HasPrefix(s.Repository, "sftp:") && strings.HasPrefix(strings.TrimLeft(s.Repository[len("sftp:"):], "/"), "-"):
		wrong("repository", "a host's name cannot begin with a dash")
	}
	if !filepath.IsAbs(s.PasswordFile) {
		wrong("password_file", "%q is not an absolute path", s.PasswordFile)
	}
	if s.EnvFile != "" && !filepath.IsAbs(s.EnvFile) {
		wrong("env_file", "%q is not an absolute path", s.EnvFile)
	}
	if s.Path != "" && !filepath.IsAbs(s.Path) {
		wrong("path", "%q is not an absolute path", s.Path)
	}
	return errors.Join(faults...)
}

// carriesPassword reports whether an address like rest:https://user:secret@host
// holds a secret, which never stands in a catalogue.
func carriesPassword(repository string) bool {
	_, address, _ := strings.Cut(repository, ":")
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return false
	}
	_, has := u.User.Password()
	return has
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

// unlocked reports why the password file cannot be read, as this process sees it.
func (s Source) unlocked() error {
	f, err := os.Open(s.PasswordFile)
	if err == nil {
		defer f.Close()
		var info os.FileInfo
		if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
			err = errors.New("not a regular file")
		}
	}
	if err != nil {
		return probe.Unable(holdfast.CredentialUnreadable, "password_file %s: %w: let the agent's user read it", s.PasswordFile, err)
	}
	return nil
}

// means reports whether the settings mean this snapshot.
func (s Source) means(sn snapshot) bool {
	if s.Host != "" && sn.Hostname != s.Host {
		return false
	}
	if s.Path != "" && !slices.Contains(sn.Paths, filepath.Clean(s.Path)) {
		return false
	}
	for tag := range strings.SplitSeq(s.Tag, ",") {
		if s.Tag != "" && !slices.Contains(sn.Tags, strings.TrimSpace(tag)) {
			return false
		}
	}
	return true
}

// remains reports whether a local folder without a config file still holds parts
// of a repository, so that something is damaged rather than not there.
func (s Source) remains() bool {
	for _, part := range []string{"data", "index", "keys", "snapshots"} {
		if info, err := os.Stat(filepath.Join(s.Repository, part)); s.local() && err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

// damagedKeys reports whether the key files of a local repository are to blame
// for a password that does not open it: there is none, or one whose content is
// not what its name, the SHA-256 of it, says.
func (s Source) damagedKeys() bool {
	if !s.local() {
		return false
	}
	dir := filepath.Join(s.Repository, "keys")
	keys, err := os.ReadDir(dir)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	for _, key := range keys {
		info, err := key.Info()
		if err != nil || info.Size() > 1<<20 {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, key.Name()))
		if sum := sha256.Sum256(content); err == nil && hex.EncodeToString(sum[:]) != key.Name() {
			return true
		}
	}
	return len(keys) == 0
}
