package files

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

// manifestMax bounds a manifest; a line has about 100 bytes.
const manifestMax = 8 << 20

// manifest is the SHA-256 sums of files in the directory.
type manifest struct {
	changed time.Time
	sums    map[string][]byte // name → sum
}

// errManifest says that a manifest is there and cannot be used.
var errManifest = errors.New("manifest")

// readManifest reads what sha256sum writes. Its errors are errManifest with the
// line; an empty manifest, of which nobody can tell; and those of reading.
func readManifest(root *os.Root, name string) (*manifest, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > manifestMax {
		return nil, fmt.Errorf("%w %s is no file of at most %d MiB", errManifest, name, manifestMax>>20)
	}
	content, err := io.ReadAll(io.LimitReader(f, manifestMax))
	if err != nil {
		return nil, err
	}
	if len(content) == 0 { // sha256sum > SHA256SUMS empties it and then reads for long
		return nil, fmt.Errorf("manifest %s is empty: still being written?", name)
	}
	m := &manifest{changed: info.ModTime(), sums: map[string][]byte{}}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		if err := m.add(strings.TrimSuffix(lines.Text(), "\r")); err != nil {
			return nil, fmt.Errorf("%w %s, line %d: %w", errManifest, name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w %s: %w", errManifest, name, err)
	}
	return m, nil
}

// add reads a line: 64 hexadecimal digits, a space, a space or star, a name.
func (m *manifest) add(line string) error {
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
	m.sums[name] = sum
	return nil
}
