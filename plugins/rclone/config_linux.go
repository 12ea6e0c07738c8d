package rclone

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// configMax bounds a configuration; a remote has about ten lines.
const configMax = 1 << 20

// readConfig reads a configuration and refuses one that is dangerous or of no use.
func readConfig(path, name string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "config_file: %w: let the agent's user read it", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > configMax {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "config_file %s: not a regular file of at most %v", path, holdfast.Bytes(configMax))
	}
	content, err := io.ReadAll(io.LimitReader(f, configMax))
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "config_file: %w", err)
	}
	if bytes.Contains(content, []byte("RCLONE_ENCRYPT_V")) {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "config_file %s: it is encrypted: give the check one of its own that is not, readable by the agent's user alone", path)
	}
	found, err := check(content, name)
	if err != nil {
		return nil, probe.Unable(holdfast.Refused, "config_file %s: %w", path, err)
	}
	if !found {
		return nil, probe.Unable("", "config_file %s: it has no remote [%s]", path, name)
	}
	return content, nil
}

// onTheFar are keys that name programs of the other side of an sftp connection.
var onTheFar = regexp.MustCompile(`^([a-z0-9]+sum_command|server_command)$`)

// commanding are keys that make rclone run something on this host, or set options
// of the whole of rclone, some of which do.
var commanding = regexp.MustCompile(`command|^ssh$|mapper|^global\.|^override\.`)

// check reads the lines of a configuration, an INI file, and reports whether it has
// the remote. Values of a remote on the
// fly (":webdav,bearer_token_command=…:") are read for what keys they hold.
func check(content []byte, name string) (found bool, err error) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, configMax)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			found = found || line == "["+name+"]"
			continue
		}
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		if i := strings.Index(key, ":"); i >= 0 { // INI knows both signs
			key, value = key[:i], key[i+1:]+"="+value
		}
		key = strings.ToLower(strings.TrimSpace(key))
		if commanding.MatchString(key) && !onTheFar.MatchString(key) {
			return found, fmt.Errorf("line %d: %.40q makes rclone run a program or changes its options: give the check a configuration of its own without it", n, key)
		}
		for part := range strings.SplitSeq(value, ",") {
			option, _, given := strings.Cut(part, "=")
			option = strings.ToLower(strings.Trim(option, " \"'"))
			if given && commanding.MatchString(option) && !onTheFar.MatchString(option) {
				return found, fmt.Errorf("line %d: a remote with the option %.40q makes rclone run a program: give the check a configuration of its own without it", n, option)
			}
		}
	}
	return found, lines.Err()
}

// inMemory is a file of nothing but memory with this content, at its start. What
// was checked is what rclone reads.
func inMemory(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("rclone.conf", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory for the configuration: %w", err)
	}
	f := os.NewFile(uintptr(fd), "rclone.conf")
	_, err = f.Write(content)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("memory for the configuration: %w", err), f.Close())
	}
	return f, nil
}
