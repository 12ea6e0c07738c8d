package host

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// packages stands for the set of packages installed on a host.
type packages struct {
	manager string
	count   int // 0 where the manager's files do not tell
	hash    []byte
}

// String writes "dpkg 412 9f86d081884c7d65": manager, number of packages, the
// beginning of a SHA-256.
func (p packages) String() string {
	switch {
	case p.manager == "":
		return "none"
	case p.count == 0:
		return fmt.Sprintf("%s %x", p.manager, p.hash[:8])
	}
	return fmt.Sprintf("%s %d %x", p.manager, p.count, p.hash[:8])
}

// databases are the files package managers keep, relative to the root; which one
// is there tells the manager. No program is run.
var databases = []struct {
	manager, path string
	read          func(context.Context, fs.FS, string) (packages, error)
}{
	{"dpkg", "var/lib/dpkg/status", readDpkg},
	{"apk", "lib/apk/db/installed", readApk},
	{"rpm", "usr/lib/sysimage/rpm/rpmdb.sqlite", readWhole},
	{"rpm", "var/lib/rpm/rpmdb.sqlite", readWhole},
	{"rpm", "var/lib/rpm/Packages.db", readWhole},
	{"rpm", "var/lib/rpm/Packages", readWhole},
}

// readPackages reads the first database there is; none is no error.
func readPackages(ctx context.Context, root fs.FS) (packages, error) {
	for _, d := range databases {
		p, err := d.read(ctx, root, d.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p.manager = d.manager
		return p, err
	}
	return packages{}, nil
}

// readDpkg hashes name, version and architecture of what dpkg has installed.
func readDpkg(ctx context.Context, root fs.FS, path string) (packages, error) {
	return readStanzas(ctx, root, path, ": ", func(p map[string]string) string {
		if !strings.HasSuffix(p["Status"], " installed") {
			return ""
		}
		return p["Package"] + ":" + p["Architecture"] + " " + p["Version"]
	})
}

// readApk hashes name, version and architecture of what apk has installed.
func readApk(ctx context.Context, root fs.FS, path string) (packages, error) {
	return readStanzas(ctx, root, path, ":", func(p map[string]string) string {
		return p["P"] + ":" + p["A"] + " " + p["V"]
	})
}

// readStanzas reads packages written as lines "key: value" with a blank line
// between two packages. The hash does not depend on their order.
func readStanzas(ctx context.Context, root fs.FS, path, separator string, name func(map[string]string) string) (packages, error) {
	f, err := root.Open(path)
	if err != nil {
		return packages{}, err
	}
	defer f.Close()
	var names []string
	stanza := map[string]string{}
	end := func() {
		if n := name(stanza); len(stanza) > 0 && n != "" {
			names = append(names, n)
		}
		clear(stanza)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() && ctx.Err() == nil {
		line := lines.Text()
		if line == "" {
			end()
			continue
		}
		if key, value, ok := strings.Cut(line, separator); ok && !strings.HasPrefix(line, " ") {
			stanza[key] = value
		}
	}
	end()
	if err := errors.Join(lines.Err(), ctx.Err()); err != nil {
		return packages{}, fmt.Errorf("%s: %w", path, err)
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, n := range names {
		fmt.Fprintln(sum, n)
	}
	return packages{count: len(names), hash: sum.Sum(nil)}, nil
}

// readWhole hashes a database that only its own program can read, and the changes
// sqlite has not yet folded into it: any rewrite of the file shows as a change.
func readWhole(ctx context.Context, root fs.FS, path string) (packages, error) {
	sum := sha256.New()
	if err := addFile(ctx, sum, root, path); err != nil {
		return packages{}, err
	}
	if err := addFile(ctx, sum, root, path+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return packages{}, err
	}
	return packages{hash: sum.Sum(nil)}, nil
}

func addFile(ctx context.Context, sum hash.Hash, root fs.FS, path string) error {
	f, err := root.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for ctx.Err() == nil {
		if _, err := io.CopyN(sum, f, 1<<20); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return ctx.Err()
}
