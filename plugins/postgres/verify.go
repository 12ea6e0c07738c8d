package postgres

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/manifest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// errFound ends the reading of a tar file whose member was found.
var errFound = errors.New("found")

// labelMax bounds backup_label; a real one has a few lines.
const labelMax = 64 << 10

// readLabel reads backup_label, which is the first member of base.tar.
func (b basebackup) readLabel(ctx context.Context, base string) ([]byte, error) {
	if !b.tar {
		f, err := os.Open(filepath.Join(b.path, "backup_label"))
		if err != nil {
			return nil, passMissing(b.path, err)
		}
		defer f.Close()
		label, err := io.ReadAll(io.LimitReader(f, labelMax))
		return label, fileFault(b.path, err)
	}
	if strings.HasSuffix(base, ".lz4") {
		return nil, errLZ4(b.name)
	}
	f, err := openPacked(ctx, base)
	if err != nil {
		return nil, passMissing(base, err)
	}
	defer f.Close()
	var label []byte
	members := 0
	err = readTar(f, func(h *tar.Header, content io.Reader) error {
		if members++; h.Name != "backup_label" {
			if members > 10 {
				return fs.ErrNotExist
			}
			return nil
		}
		var err error
		if label, err = io.ReadAll(io.LimitReader(content, labelMax)); err != nil {
			return err
		}
		return errFound
	})
	switch {
	case errors.Is(err, errFound):
		return label, nil
	case f.fault != nil:
		return nil, fileFault(base, f.fault)
	}
	return nil, fs.ErrNotExist // whatever else is wrong shows when the whole is read
}

// passMissing keeps an error that says that a file is not there.
func passMissing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fileFault(path, err)
}

func errLZ4(name string) error {
	return probe.Unable("", "%s is packed with lz4, which cannot be read here: use gzip or zstd", name)
}

// verifyPlain has pg_verifybackup compare every file with the manifest, and the
// log that came with the backup with what it needs.
func (b basebackup) verifyPlain(ctx context.Context, tool string) error {
	args := []string{"--quiet"}
	if !b.broughtLog() {
		args = append(args, "--no-parse-wal")
	}
	out, err := probe.Run(ctx, probe.Command{Path: tool, Args: append(args, "--", b.path)})
	if err != nil {
		return err
	}
	said := strings.TrimSpace(string(out.Stderr))
	first, _, _ := strings.Cut(said, "\n")
	first = strings.TrimPrefix(first, "pg_verifybackup: error: ")
	switch {
	case out.ExitCode == 0 && !strings.Contains(said, "error"):
		return nil
	case strings.Contains(said, "Permission denied"):
		return probe.Unable(holdfast.Refused, "%s: let the agent's user read it", probe.Clip(first, 300))
	case strings.Contains(said, "was not found by pg_verifybackup") || strings.Contains(said, "was found by") && strings.Contains(said, "pg_waldump"):
		return probe.Unable(holdfast.ToolMissing, "%s", probe.Clip(first, 300))
	}
	return &probe.Fault{Reason: holdfast.Damaged, Text: probe.Clip(b.name, 200) + ": " + probe.Clip(first, 250), Raw: said}
}

// broughtLog reports whether a plain backup holds a file of the log.
func (b basebackup) broughtLog() bool {
	entries, err := readFolder(filepath.Join(b.path, "pg_wal"))
	return err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return segmentForm.MatchString(e.Name()) })
}

// verifyTar compares every file in the tar files with the manifest, as
// pg_verifybackup cannot before PostgreSQL 18. The log is there in whole files,
// from the start of the backup to its end; what is in them has no checksum here.
// It reports whether there is any: in a tar file of its own, or with
// --wal-method=fetch among the other files.
func (b basebackup) verifyTar(ctx context.Context) (hasLog bool, err error) {
	missing := make(map[string]bool, len(b.manifest.Files))
	for name := range b.manifest.Files {
		missing[name] = !slices.Contains(unsummed, name)
	}
	entries, err := readFolder(b.path)
	if err != nil {
		return false, fileFault(b.path, err)
	}
	logs := map[string]int64{}
	for _, e := range entries {
		name, packing, isTar := strings.Cut(e.Name(), ".tar")
		switch {
		case !isTar || !e.Type().IsRegular():
			continue
		case packing == ".lz4":
			return false, errLZ4(e.Name())
		}
		err := b.readMembers(ctx, e.Name(), func(h *tar.Header, content io.Reader) error {
			dir, file := path.Split(h.Name)
			if segmentForm.MatchString(file) && (name == "pg_wal" || dir == "pg_wal/") && h.Size > 0 {
				logs[file] = h.Size
			}
			if name == "pg_wal" || dir == "pg_wal/" { // no manifest lists it
				return nil
			}
			at := h.Name
			if tablespaceForm.MatchString(name) {
				at = path.Join("pg_tblspc", name, h.Name)
			}
			return b.sameFile(at, h, content, missing)
		})
		if err != nil {
			return false, err
		}
	}
	for name, is := range missing {
		if !is {
			continue
		}
		return false, probe.Faulty(holdfast.Damaged, "%.200s lacks %.200s, which is in its manifest", b.name, name)
	}
	if b.member("pg_wal") == "" && len(logs) == 0 {
		return false, nil
	}
	return true, b.hasLog(logs)
}

var (
	segmentForm    = regexp.MustCompile(`^[0-9A-F]{24}$`)
	tablespaceForm = regexp.MustCompile(`^[0-9]+$`)
)

// readMembers reads one tar file to its end.
func (b basebackup) readMembers(ctx context.Context, name string, each func(*tar.Header, io.Reader) error) error {
	f, err := openPacked(ctx, filepath.Join(b.path, name))
	if err != nil {
		return fileFault(name, err)
	}
	defer f.Close()
	err = readTar(f, each)
	var known *probe.Fault
	switch {
	case f.fault != nil:
		return fileFault(name, f.fault)
	case err == nil, errors.As(err, &known), probe.ReasonOf(err) != "":
		return err
	}
	return probe.Faulty(holdfast.Damaged, "%.200s: %s cannot be read to its end: %v", b.name, name, err)
}

// sameFile compares one member with the manifest.
func (b basebackup) sameFile(name string, h *tar.Header, content io.Reader, missing map[string]bool) error {
	if h.Typeflag != tar.TypeReg || slices.Contains(unsummed, name) {
		return nil
	}
	want, ok := b.manifest.Files[name]
	switch {
	case !ok:
		return probe.Faulty(holdfast.Damaged, "%.200s: %.200s is not in the manifest", b.name, name)
	case h.Size != want.Size:
		return probe.Faulty(holdfast.Damaged, "%.200s: %.200s has %d bytes, %d in the manifest", b.name, name, h.Size, want.Size)
	}
	missing[name] = false
	if want.Algorithm == "" {
		return nil
	}
	sum := manifest.Hasher(want.Algorithm)
	if sum == nil {
		return probe.Unable(holdfast.ToolMissing, "%s: checksums by %s cannot be made here", b.name, want.Algorithm)
	}
	if _, err := io.Copy(sum, content); err != nil {
		return err
	}
	if manifest.SumOf(want.Algorithm, sum) != want.Sum {
		return probe.Faulty(holdfast.Damaged, "%.200s: %.200s differs from the manifest", b.name, name)
	}
	return nil
}

// unsummed are the files that pg_basebackup and a restore change after the
// manifest was made; pg_verifybackup passes them over too.
var unsummed = []string{"postgresql.auto.conf", "standby.signal", "recovery.signal"}

// hasLog reports a gap in the log that the backup needs: files of one size, from
// the start of the backup to its end.
func (b basebackup) hasLog(logs map[string]int64) error {
	var size int64
	for _, n := range logs {
		size = max(size, n)
	}
	for _, r := range b.manifest.Ranges {
		from, errFrom := parsePosition(r.Start)
		to, errTo := parsePosition(r.End)
		if err := errors.Join(errFrom, errTo); err != nil || size == 0 || to <= from || (to-from)/position(size) > entriesMax {
			return probe.Faulty(holdfast.Damaged, "%.200s: pg_wal does not hold the log from %.40s to %.40s", b.name, r.Start, r.End)
		}
		for n := from / position(size); n <= (to-1)/position(size); n++ {
			perID := position(1<<32) / position(size)
			if name := fmt.Sprintf("%08X%08X%08X", r.Timeline, n/perID, n%perID); logs[name] != size {
				return probe.Faulty(holdfast.Damaged, "%.200s: pg_wal lacks %s, without which it cannot be started", b.name, name)
			}
		}
	}
	return nil
}
