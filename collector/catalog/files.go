package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of a catalogue.
const (
	maxFiles    = 10_000
	maxFileSize = 4 << 20
	maxSize     = 64 << 20
)

// readFiles reads the catalogue files below dir, by their path below it.
// Names that begin with a dot are left out; dir itself may be a symbolic link.
func readFiles(dir string) (map[string][]byte, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	files, left := make(map[string][]byte), int64(maxSize)
	err = filepath.WalkDir(real, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == real:
			if !entry.IsDir() {
				return fmt.Errorf("%s is not a directory: name the directory that holds the YAML files", dir)
			}
			return nil
		case strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || !isCatalogueFile(entry.Name()):
			return nil
		case len(files) == maxFiles:
			return fmt.Errorf("more than %d files", maxFiles)
		}
		name, err := filepath.Rel(real, path)
		if err != nil {
			return err
		}
		content, err := readFile(path, name)
		if err != nil {
			return err
		}
		if left -= int64(len(content)); left < 0 {
			return fmt.Errorf("more than %d MiB in all", maxSize>>20)
		}
		files[name] = content
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("catalogue: no *.yaml or *.yml file in %s", dir)
	}
	return files, nil
}

func isCatalogueFile(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

func readFile(path, name string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would block
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(content) > maxFileSize {
		return nil, fmt.Errorf("%s is larger than %d MiB: split it", name, maxFileSize>>20)
	}
	return content, nil
}

// hashFiles digests names and contents.
func hashFiles(files map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, part := range [][]byte{[]byte(name), files[name]} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			h.Write(part)
		}
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}
