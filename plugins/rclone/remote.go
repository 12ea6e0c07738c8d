package rclone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/objects"
)

type remote struct{}

type settings struct {
	Remote        string `json:"remote" jsonschema:"the remote's name in the configuration and where in it, like store:backups/ledger"`
	ConfigFile    string `json:"config_file" jsonschema:"absolute path of rclone's configuration on the agent's host"`
	Pattern       string `json:"pattern,omitempty" jsonschema:"which objects are recovery points, as a shell matches names, like *.dump.zst; with a slash it is matched against the whole path; every object by default"`
	ServerModtime bool   `json:"server_modtime,omitempty" jsonschema:"take the time of the upload, and do not ask the store for each object's own time"`
	Hashes        bool   `json:"hashes,omitempty" jsonschema:"say how many objects have a checksum; a folder or sftp server reads every file for that"`
}

func (remote) Describe() probe.Description {
	return probe.Description{
		Name:       "rclone.remote",
		Observes:   "What a store that rclone reaches holds: the newest objects as recovery points, how many there are, and their bytes.",
		Settings:   probe.Schema[settings](),
		Cost:       holdfast.IO,
		Privileges: holdfast.Privileges{Secrets: true, Tools: []string{"rclone"}, Note: "reads config_file; lists the store and writes nothing"},
		Target:     []string{"remote", "config_file"},
		Reasons: []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Missing, holdfast.Credential, holdfast.CredentialUnreadable,
			holdfast.Unreachable, holdfast.Timeout, holdfast.ToolMissing, holdfast.Refused},
	}
}

// remoteForm is a configured remote and a path: neither one made up on the fly
// (":type,option=value:") nor a local path.
var remoteForm = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.+@-]*):([^\x00]*)$`)

func decode(given holdfast.Settings) (s settings, name string, err error) {
	if s, err = probe.Decode[settings](given); err != nil {
		return s, "", err
	}
	m := remoteForm.FindStringSubmatch(s.Remote)
	if m == nil {
		return s, "", fmt.Errorf("setting \"remote\": %q is not NAME:PATH of a remote in the configuration: write it like store:backups", s.Remote)
	}
	if !filepath.IsAbs(s.ConfigFile) {
		return s, "", fmt.Errorf("setting \"config_file\": %q is not an absolute path", s.ConfigFile)
	}
	if _, err := path.Match(s.Pattern, ""); err != nil {
		return s, "", fmt.Errorf("setting \"pattern\": %q is not a pattern: write it like *.tar.gz", s.Pattern)
	}
	return s, m[1], nil
}

func (remote) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, name, err := decode(r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	config, err := readConfig(s.ConfigFile, name)
	if err != nil {
		return probe.Observation{}, err
	}
	l := &lister{settings: s, tool: r.Tools["rclone"], config: config}
	return probe.Verdict(l.look(ctx))
}

// lister lists a remote once.
type lister struct {
	settings
	tool   string
	config []byte
}

func (l *lister) look(ctx context.Context) (probe.Observation, error) {
	o, err := l.describe(ctx)
	if err != nil {
		return o, err
	}
	began := time.Now()
	found := objects.New(l.Pattern, began)
	listed, hashed, kinds := 0, 0, map[string]bool{}
	said, err := l.list(ctx, func(it object) {
		listed++
		if found.Add(objects.Object{Name: it.Path, Size: it.Size, Changed: it.ModTime}) && len(it.Hashes) > 0 {
			hashed++
			for kind := range it.Hashes {
				kinds[kind] = true
			}
		}
	})
	if len(said) > 0 {
		o.Facts["said"] = probe.OneLine(fmt.Sprintf("%d lines, the first: %s", len(said), said[0]))
	}
	if err != nil {
		return o, err
	}
	found.Report(&o)
	if l.Hashes {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "hashed_objects", Value: float64(hashed)})
		o.Facts["hashes"] = probe.OneLine(strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	err = found.Fault(l.Remote)
	if listed == 0 && err != nil && crypts.Match(l.config) {
		return o, l.sealed(ctx, err)
	}
	return o, err
}

// crypts finds a remote that encrypts.
var crypts = regexp.MustCompile(`(?mi)^\s*type\s*[=:]\s*crypt\s*$|:crypt,`)

// sealed tells a crypt remote that holds nothing from one whose names do not open:
// rclone passes over those, with exit code 0, and says so only where it says all.
func (l *lister) sealed(ctx context.Context, empty error) error {
	said, err := l.list(ctx, func(object) {}, "--max-depth=1", "--log-level=DEBUG")
	if err != nil {
		return err
	}
	for _, line := range said {
		if strings.Contains(line, "Skipping undecryptable") {
			return probe.Faulty(holdfast.Credential, "%s holds names that do not open: the password of its crypt remote is another", l.Remote)
		}
	}
	return empty
}

// describe starts an observation with the tool's version.
func (l *lister) describe(ctx context.Context) (probe.Observation, error) {
	out, err := probe.Run(ctx, probe.Command{Path: l.tool, Args: []string{"version", "--config="}, Env: environment})
	if err != nil {
		return probe.Observation{}, err
	}
	first, _, _ := strings.Cut(string(out.Stdout), "\n")
	version, ok := strings.CutPrefix(strings.TrimSpace(first), "rclone v")
	if !ok || len(version) > 40 {
		return probe.Observation{}, probe.Unable(holdfast.ToolMissing, "%s: %.80q is not an answer of rclone", l.tool, first)
	}
	parts := strings.SplitN(version, ".", 3)
	return probe.Observation{
		Outcome:     holdfast.OK,
		Fingerprint: map[string]string{"tool": "rclone " + strings.Join(parts[:min(2, len(parts))], ".")},
		Facts:       map[string]string{"version": version},
	}, nil
}

// environment keeps rclone away from anybody's own folders.
var environment = []string{"HOME=/nonexistent"}

// list calls each for every object, and returns what rclone said besides.
func (l *lister) list(ctx context.Context, each func(object), more ...string) ([]string, error) {
	config, err := inMemory(l.config)
	if err != nil {
		return nil, probe.Unable("", "%w", err)
	}
	defer config.Close()
	args := []string{"lsjson", "--config=/proc/self/fd/0", "--ask-password=false", "--cache-dir=/nonexistent", "--use-json-log=false",
		"--retries=1", "--low-level-retries=2", "--contimeout=10s", "--timeout=60s", "--recursive", "--files-only", "--no-mimetype", "--fast-list"}
	if l.ServerModtime {
		args = append(args, "--use-server-modtime")
	}
	if l.Hashes {
		args = append(args, "--hash")
	}
	args = append(args, more...)
	from, to := io.Pipe()
	done := make(chan error, 1)
	go func() { // ends with the tool, which is the other end of the pipe
		err := readObjects(from, each)
		if err == nil {
			_, err = io.Copy(io.Discard, from) // what follows the list
		}
		from.CloseWithError(err)
		done <- err
	}()
	out, err := probe.Run(ctx, probe.Command{Path: l.tool, Args: append(args, "--", l.Remote), Env: environment, Stdin: config, StdoutTo: to})
	to.Close()
	broken := <-done
	lines := linesOf(out.Stderr)
	switch {
	case errors.Is(broken, errTooMany):
		return lines, probe.Unable("", "%s: %w: check its parts one by one", l.Remote, broken)
	case err != nil:
		return lines, err
	}
	if err := l.judge(out.ExitCode, lines, string(out.Stderr)); err != nil {
		return lines, err
	}
	if broken != nil {
		return lines, probe.Unable("", "rclone lsjson: %w", broken)
	}
	return lines, nil
}
