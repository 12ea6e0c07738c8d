package barman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// config is where a server's things are, as Barman's configuration says (barman(5)).
type config struct {
	server                    string
	home, locks               string // folders, as all below
	backups                   string
	wals, incoming, streaming string
	refused                   string   // files of the log that Barman did not take
	catalogue                 []string // paths of xlog.db: its name changed with 3.13
	identity                  string
	redundancy, retention     string // minimum_redundancy, retention_policy
	disabled                  bool   // active = false
}

const (
	// fileMax bounds a file of the configuration or of a catalogue.
	fileMax = 1 << 20
	// filesMax bounds the files of a configuration.
	filesMax = 1000
)

// section is a section of a configuration: its options by name, in lower case.
type section map[string]string

// readConfig reads Barman's configuration, the files of its
// configuration_files_directory included. What is wrong is said by its place and
// never quoted: the file may hold passwords.
func readConfig(ctx context.Context, path, server string) (config, error) {
	all := map[string]section{}
	if err := readSections(ctx, path, all); err != nil {
		return config{}, err
	}
	global := all["barman"]
	if dir, err := value("configuration_files_directory", global); err != nil {
		return config{}, probe.Unable("", "%s: %w", path, err)
	} else if dir != "" {
		names, _ := filepath.Glob(filepath.Join(dir, "*.conf"))
		for _, name := range names[:min(len(names), filesMax)] {
			if err := readSections(ctx, name, all); err != nil {
				return config{}, err
			}
		}
	}
	own, ok := all[server]
	if !ok || server == "barman" {
		return config{}, probe.Unable(holdfast.Missing, "%s has no server [%s]: name the section of the server, as barman list-servers does", path, server)
	}
	c, err := own.config(server, global)
	if err != nil {
		return c, probe.Unable("", "%s: %w", path, err)
	}
	return c, nil
}

// config fills in what the server's section, the global one and Barman's defaults say.
func (own section) config(server string, global section) (config, error) {
	c := config{server: server}
	var faults []error
	get := func(option, otherwise string, sections ...section) string {
		v, err := value(option, sections...)
		faults = append(faults, err)
		if v == "" {
			v = otherwise
		}
		return v
	}
	c.home = get("barman_home", "", global)
	c.locks = get("barman_lock_directory", c.home, global)
	base := get("backup_directory", filepath.Join(c.home, server), own)
	c.backups = get("basebackups_directory", filepath.Join(base, "base"), own)
	c.wals = get("wals_directory", filepath.Join(base, "wals"), own)
	c.incoming = get("incoming_wals_directory", filepath.Join(base, "incoming"), own)
	c.streaming = get("streaming_wals_directory", filepath.Join(base, "streaming"), own)
	c.refused = get("errors_directory", filepath.Join(base, "errors"), own)
	lists := get("xlogdb_directory", c.wals, own, global)
	c.catalogue = []string{filepath.Join(lists, server+"-xlog.db"), filepath.Join(c.wals, "xlog.db")}
	c.identity = filepath.Join(base, "identity.json")
	c.redundancy = get("minimum_redundancy", "0", own, global)
	c.retention = get("retention_policy", "none", own, global)
	c.disabled = slices.Contains([]string{"false", "off", "no", "0", "f", "n"}, strings.ToLower(get("active", "true", own)))
	for option, path := range map[string]string{"barman_home": c.home, "basebackups_directory": c.backups, "wals_directory": c.wals,
		"incoming_wals_directory": c.incoming, "streaming_wals_directory": c.streaming, "barman_lock_directory": c.locks} {
		if !filepath.IsAbs(path) {
			faults = append(faults, fmt.Errorf("%s is not an absolute path", option))
		}
	}
	return c, errors.Join(faults...)
}

// value returns an option from the first section that has it, with what it refers
// to by %(name)s filled in; "" where none has it.
func value(option string, sections ...section) (string, error) {
	text := ""
	for _, s := range sections {
		if v, ok := s[option]; ok {
			text = v
			break
		}
	}
	for range 10 { // a reference may hold another
		before, rest, ok := strings.Cut(text, "%(")
		if !ok {
			text = strings.ReplaceAll(text, "%%", "%")
			if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
				text = text[1 : n-1]
			}
			if strings.EqualFold(text, "none") {
				text = ""
			}
			return text, nil
		}
		name, after, ok := strings.Cut(rest, ")s")
		at := slices.IndexFunc(sections, func(s section) bool { _, ok := s[strings.ToLower(name)]; return ok })
		if !ok || at < 0 {
			break
		}
		if text = before + sections[at][strings.ToLower(name)] + after; len(text) > 4096 {
			break
		}
	}
	return "", fmt.Errorf("%s refers to what is not there", option)
}

// readSections adds a file's sections, in the form of Python's configparser.
func readSections(ctx context.Context, path string, all map[string]section) error {
	content, err := readFile(path, fileMax)
	if err != nil {
		var f *probe.Fault
		if err := (folder.Settings{Directory: path}).Fault(ctx, err); !errors.As(err, &f) {
			return err
		}
		return probe.Unable(holdfast.Missing, "there is no %s: say in config where Barman's configuration is", path)
	}
	var in section
	last, n := "", 0
	for line := range strings.Lines(string(content)) {
		n++
		text := strings.TrimSpace(line)
		switch {
		case text == "", text[0] == '#', text[0] == ';':
			continue
		case text[0] == '[' && text[len(text)-1] == ']' && line[0] == '[':
			name := text[1 : len(text)-1]
			if all[name] == nil {
				all[name] = section{}
			}
			in, last = all[name], ""
			continue
		case (line[0] == ' ' || line[0] == '\t') && last != "":
			in[last] += "\n" + text
			continue
		}
		at := strings.IndexAny(text, "=:")
		if at <= 0 || in == nil {
			return probe.Unable("", "%s, line %d: it is neither a [section] nor option = value", path, n)
		}
		last = strings.ToLower(strings.TrimSpace(text[:at]))
		in[last] = strings.TrimSpace(text[at+1:])
	}
	return nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hold us
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is no file")}
	case info.Size() > limit:
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it has %d bytes, more than %d", info.Size(), limit)}
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
