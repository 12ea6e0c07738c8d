package restic

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// envFileMax bounds an env_file; a real one has a few lines.
const envFileMax = 64 << 10

// envNames are the variables an env_file may set: the credentials restic reads
// for its backends. Names that make restic or the loader run something
// (RESTIC_PASSWORD_COMMAND, LD_PRELOAD, PATH) are not among them.
var (
	envNames    = []string{"RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"}
	envPrefixes = []string{"AWS_", "AZURE_", "B2_", "GOOGLE_", "OS_", "ST_"}
)

// readEnv reads an env_file: NAME=value lines, empty ones and # comments left
// out. Errors never quote a value.
func readEnv(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "env_file: %w: let the agent's user read it", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "env_file %s: not a regular file", path)
	}
	env, err := parseEnv(io.LimitReader(f, envFileMax))
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "env_file %s: %w", path, err)
	}
	return env, nil
}

func parseEnv(r io.Reader) ([]string, error) {
	var env []string
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d is not NAME=value", n)
		}
		named := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		if !slices.Contains(envNames, name) && !slices.ContainsFunc(envPrefixes, named) {
			return nil, fmt.Errorf("line %d: %.40q is not a storage credential; known are %s and names with %s", n, name,
				strings.Join(envNames, ", "), strings.Join(envPrefixes, ", "))
		}
		env = append(env, name+"="+value)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, errors.New("a line is too long")
	}
	return env, lines.Err()
}
