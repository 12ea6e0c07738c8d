package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Where an agent's files are by default.
const (
	DefaultConfig = "/etc/holdfast/agent.yaml"
	DefaultData   = "/var/lib/holdfast/agent"
)

// Config is what the owner of a host lets the agent do there. It is law on its
// host: what it does not allow is not run, whatever the collector asks for.
type Config struct {
	Data       string            // folder of the agent's own: key, certificate, spool
	Join       string            // HOST:PORT of the collector
	TokenFile  string            // the one-use join token; "-" is standard input
	Allow      []string          // probes that may run, by name or glob, beyond AllowSafe
	AllowSafe  bool              // first-party probes that neither write, nor read secrets, nor run a named program
	Tools      map[string]string // program → absolute path; else looked up in /usr/bin and /usr/local/bin
	Commands   []string          // absolute paths of programs that a check's setting may name
	Plugins    map[string]string // outside plugins: absolute path → "sha256:…"
	Discover   holdfast.Duration // how often the host is looked over for databases that no check covers; 0: never
	SpoolBytes holdfast.Bytes    // room for results that wait for the collector
	SpoolAge   holdfast.Duration // how long unchanged results wait at most
	LogLevel   slog.Level
	LogFormat  string // "text" or "json"

	DiscoverExcept []string // globs of paths where databases are left out
}

// Default returns the configuration of an agent that was told nothing.
func Default() Config {
	return Config{
		Data:       DefaultData,
		AllowSafe:  true,
		Discover:   holdfast.Duration(time.Hour),
		SpoolBytes: 64 << 20,
		SpoolAge:   7 * holdfast.Day,
		LogFormat:  "text",
	}
}

// Form says how the value of a setting is written.
type Form int

// The forms: one text, a list of texts, or a mapping from text to text, whose
// entries are written KEY=VALUE as a flag.
const (
	One Form = iota
	List
	Pairs
)

// Setting is one key of the configuration file and the flag of the same name,
// with hyphens for underscores.
type Setting struct {
	Key   string
	Form  Form
	Usage string // as pflag takes it: the value's name in back quotes
	// Set replaces the setting's value. The values of Pairs are "KEY=VALUE".
	Set func(c *Config, values []string) error
}

// Flag returns the name of the setting's flag.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Key, "_", "-") }

// Settings lists every key of the configuration.
func Settings() []Setting {
	return []Setting{
		one("data", "`folder` for the agent's key, certificate and spool", func(c *Config, v string) error {
			var err error
			c.Data, err = filepath.Abs(v)
			return err
		}),
		one("join", "`host:port` of the collector", func(c *Config, v string) error {
			c.Join = v
			if host, _, err := net.SplitHostPort(v); err != nil || host == "" {
				return fmt.Errorf("%q is not HOST:PORT: write it like collector.example.org:8481", v)
			}
			return nil
		}),
		one("token_file", "`file` holding the one-use join token, or - for standard input", func(c *Config, v string) error {
			c.TokenFile = v
			return nil
		}),
		{"allow", List, "`probe` that may run, by name or glob, beside the safe ones (may be repeated)", func(c *Config, v []string) error {
			c.Allow = v
			return each(v, probePattern)
		}},
		one("allow_safe", "`true|false`: first-party probes that neither write nor read secrets may run unnamed", func(c *Config, v string) (err error) {
			if c.AllowSafe, err = strconv.ParseBool(v); err != nil {
				err = fmt.Errorf("%q is neither true nor false", v)
			}
			return err
		}),
		{"tools", Pairs, "`name=/path` of a program that probes run (may be repeated)", func(c *Config, v []string) (err error) {
			c.Tools, err = pairs(v, func(name, file string) error {
				if strings.Contains(name, "/") {
					return fmt.Errorf("%q is not the name of a program", name)
				}
				return absolute(file)
			})
			return err
		}},
		{"commands", List, "`/path` of a program that a check's setting may name (may be repeated)", func(c *Config, v []string) error {
			c.Commands = v
			return each(v, absolute)
		}},
		{"plugins", Pairs, "`/path=sha256:HEX` of an outside plugin (may be repeated)", func(c *Config, v []string) (err error) {
			c.Plugins, err = pairs(v, func(file, sum string) error { return errors.Join(absolute(file), checksum(sum)) })
			return err
		}},
		one("discover", "`duration` between looks for databases on this host that no check covers, or off", func(c *Config, v string) (err error) {
			if v == "off" {
				c.Discover = 0
				return nil
			}
			if c.Discover, err = holdfast.ParseDuration(v); err == nil && c.Discover < holdfast.Duration(time.Second) {
				err = errors.New("at least 1s; write off for never")
			}
			return err
		}),
		{"discover_except", List, "`/path` of databases to leave out, or of a folder they lie in; * and ? as in a shell (may be repeated)", func(c *Config, v []string) error {
			c.DiscoverExcept = v
			return each(v, pathPattern)
		}},
		one("spool_bytes", "`size` of the room for results that wait for the collector", func(c *Config, v string) (err error) {
			if c.SpoolBytes, err = holdfast.ParseBytes(v); err == nil && c.SpoolBytes < minSpool {
				err = fmt.Errorf("%s is too small: at least %s", c.SpoolBytes, minSpool)
			}
			return err
		}),
		one("spool_age", "`duration` that unchanged results wait for the collector at most", func(c *Config, v string) (err error) {
			if c.SpoolAge, err = holdfast.ParseDuration(v); err == nil && c.SpoolAge <= 0 {
				err = errors.New("must be more than nothing")
			}
			return err
		}),
		one("log_level", "`level`: debug, info, warn or error", func(c *Config, v string) error {
			if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
				return fmt.Errorf("%q is not a level: debug, info, warn or error", v)
			}
			return nil
		}),
		one("log_format", "`format`: text or json", func(c *Config, v string) error {
			c.LogFormat = v
			if v != "text" && v != "json" {
				return fmt.Errorf("%q is not a format: text or json", v)
			}
			return nil
		}),
	}
}

func one(key, usage string, set func(*Config, string) error) Setting {
	return Setting{key, One, usage, func(c *Config, values []string) error { return set(c, values[len(values)-1]) }}
}

func each(values []string, check func(string) error) error {
	for _, v := range values {
		if err := check(v); err != nil {
			return err
		}
	}
	return nil
}

func pairs(values []string, check func(key, value string) error) (map[string]string, error) {
	m := make(map[string]string, len(values))
	for _, v := range values {
		key, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not KEY=VALUE", v)
		}
		if err := check(key, value); err != nil {
			return nil, err
		}
		m[key] = value
	}
	return m, nil
}

func absolute(file string) error {
	if !filepath.IsAbs(file) || filepath.Clean(file) != file {
		return fmt.Errorf("%q is not a plain absolute path: write it like %s", file, path.Join("/", file))
	}
	return nil
}

func pathPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || !filepath.IsAbs(pattern) || filepath.Clean(pattern) != pattern {
		return fmt.Errorf("%q is not the glob of an absolute path: write it like /var/lib/test-* or /home", pattern)
	}
	return nil
}

func checksum(sum string) error {
	digits, ok := strings.CutPrefix(sum, "sha256:")
	if !ok || len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is not a checksum: write sha256: and the 64 digits that sha256sum prints", sum)
	}
	return nil
}

func probePattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
		return fmt.Errorf("%q is not a probe's name or glob: write it like restic.check or restic.*", pattern)
	}
	return nil
}

// Check reports what is missing or contradicts itself once the file and the
// flags are read.
func (c Config) Check() error {
	if c.Data == "" {
		return errors.New("data: the agent needs a folder of its own\nhint: --data " + DefaultData)
	}
	return nil
}

// LoadConfig reads a configuration file over c and returns the result. The error
// names every fault as FILE:LINE:COLUMN. A file that others than root and the
// agent's own user may write is refused: who writes it decides what runs here.
func LoadConfig(c Config, file string) (Config, error) {
	info, err := os.Stat(file)
	if err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	if err := trusted(info); err != nil {
		return c, fmt.Errorf("configuration %s: %w", file, err)
	}
	if info.Size() > maxConfig {
		return c, fmt.Errorf("configuration %s: larger than %s", file, holdfast.Bytes(maxConfig))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	return ParseConfig(c, file, text)
}

const maxConfig = 1 << 20

func trusted(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to user %d, who could let anything run here\nhint: chown root %s", stat.Uid, info.Name())
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write it (%v), and could let anything run here\nhint: chmod go-w %s", info.Mode().Perm(), info.Name())
	}
	return nil
}
