// Package sums reads manifests of SHA-256 sums, as sha256sum(1) writes them.
package sums

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// max bounds a manifest; a line has about 100 bytes.
const max = 8 << 20

// Manifest is the SHA-256 sums of files under one folder.
type Manifest struct {
	Changed time.Time
	Sums    map[string][]byte // name, relative to the folder → sum
}

// ErrManifest says that a manifest is there and cannot be used.
var ErrManifest = errors.New("manifest")

// Read reads a manifest under root. Its errors are ErrManifest with the line; an
// empty manifest, of which nobody can tell; and those of reading. Of two lines for
// one name the later counts.
func Read(root *os.Root, name string) (*Manifest, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > max {
		return nil, fmt.Errorf("%w %s is no file of at most %d MiB", ErrManifest, name, max>>20)
	}
	content, err := io.ReadAll(io.LimitReader(f, max))
	if err != nil {
		return nil, err
	}
	if len(content) == 0 { // sha256sum > SHA256SUMS empties it and then reads for long
		return nil, fmt.Errorf("manifest %s is empty: still being written?", name)
	}
	m := &Manifest{Changed: info.ModTime(), Sums: map[string][]byte{}}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		if err := m.add(strings.TrimSuffix(lines.Text(), "\r")); err != nil {
			return nil, fmt.Errorf("%w %s, line %d: %w", ErrManifest, name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrManifest, name, err)
	}
	return m, nil
}

// add reads a line: 64 hexadecimal digits, a space, a space or star, a name.
func (m *Manifest) add(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if len(line) < 67 || line[64] != ' ' || line[65] != ' ' && line[65] != '*' {
		return errors.New("not a SHA-256 sum, two spaces and a name")
	}
	sum, err := hex.DecodeString(line[:64])
	if err != nil {
		return errors.New("not a SHA-256 sum")
	}
	name := filepath.Clean(line[66:])
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%q lies outside the directory", line[66:])
	}
	m.Sums[name] = sum
	return nil
}
