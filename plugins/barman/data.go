package barman

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/manifest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// entriesMax bounds the files of a backup that are counted.
const entriesMax = 5_000_000

// present reports the fault of a backup whose files are not there at all.
func (b *backup) present() error {
	if b.snapshot {
		return nil
	}
	for _, name := range []string{"data/PG_VERSION", "data/base.tar", "data/base.tar.gz", "data/base.tar.lz4", "data/base.tar.zst", "data/base.tar.gpg",
		"data/base.tar.gz.gpg", "data/base.tar.lz4.gpg", "data/base.tar.zst.gpg", "pgdata/PG_VERSION"} {
		if info, err := os.Stat(filepath.Join(b.dir, name)); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return nil
		} else if errors.Is(err, fs.ErrPermission) {
			return probe.Unable(holdfast.Refused, "read backup %s: %w: let the agent's user read it", b.id, err)
		}
	}
	return probe.Faulty(holdfast.Damaged, "the files of backup %s are gone, its backup.info is there", b.id)
}

// count compares the files of a backup, by name and size, with its manifest where
// they lie there as they were, and all of them with the size Barman noted.
func (b *backup) count(ctx context.Context) error {
	if b.snapshot {
		return nil
	}
	m, err := manifest.Read(filepath.Join(b.dir, "data", "backup_manifest"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case probe.IsFault(err, holdfast.Damaged):
		return probe.Faulty(holdfast.Damaged, "the backup_manifest of backup %s is damaged", b.id)
	case err != nil:
		return probe.Unable("", "read backup %s: %w", b.id, err)
	}
	missing, files := m.Files, int64(len(m.Files))
	if info, err := os.Stat(filepath.Join(b.dir, "data", "PG_VERSION")); err != nil || !info.Mode().IsRegular() {
		if b.compressed == "" && m.Files != nil && b.tarless() {
			return probe.Faulty(holdfast.Damaged, "backup %s lacks data/PG_VERSION", b.id)
		}
		missing = nil // they are in tar files
	}
	total, err := b.walk(ctx, missing)
	if err != nil {
		return err
	}
	for name := range missing {
		return probe.Faulty(holdfast.Damaged, "backup %s lacks %.200s, which is in its manifest", b.id, probe.OneLine(name))
	}
	// Barman measured while backup.info was there too, and shorter than it is now.
	if total < b.size-b.info-32 {
		return probe.Faulty(holdfast.Damaged, "the files of backup %s have %d bytes, Barman noted %d", b.id, total, b.size)
	}
	if b.parent != "" { // its files are parts of files
		return nil
	}
	b.files, b.restored = files, m.Bytes
	if m.Files == nil && b.compressed == "" {
		b.restored = total
	}
	return nil
}

// tarless reports whether no tar file holds the backup.
func (b *backup) tarless() bool {
	found, _ := filepath.Glob(filepath.Join(b.dir, "data", "base.tar*"))
	return len(found) == 0
}

// walk adds up the sizes of a backup's files. Those in the manifest that are there
// with their size are taken out of missing.
func (b *backup) walk(ctx context.Context, missing map[string]manifest.File) (total int64, err error) {
	entries := 0
	err = filepath.WalkDir(b.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if entries++; entries > entriesMax && err == nil {
			err = probe.Unable("", "backup %s has more than %d files", b.id, entriesMax)
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(b.dir, path)
		if err != nil || name == "backup.info" {
			return err
		}
		total += info.Size()
		return b.compare(name, info.Size(), missing)
	})
	var known *probe.Fault
	switch {
	case err == nil, errors.As(err, &known), probe.ReasonOf(err) != "":
		return total, err
	case errors.Is(err, fs.ErrPermission):
		return total, probe.Unable(holdfast.Refused, "read backup %s: %w: let the agent's user read it", b.id, err)
	}
	return total, probe.Unable("", "read backup %s: %w", b.id, err)
}

// unsummed are the files that may change after the manifest was made; Barman makes
// them anew in a restore.
var unsummed = []string{"postgresql.auto.conf", "standby.signal", "recovery.signal"}

// compare takes a file that is as the manifest says out of missing. A tablespace
// lies beside data, by its number.
func (b *backup) compare(name string, size int64, missing map[string]manifest.File) error {
	if rel, err := filepath.Rel("data", name); err == nil && filepath.IsLocal(rel) {
		name = rel
	} else {
		name = filepath.Join("pg_tblspc", name)
	}
	want, ok := missing[name]
	if ok && size != want.Size && !slices.Contains(unsummed, name) {
		return probe.Faulty(holdfast.Damaged, "%.200s of backup %s has %d bytes, %d in its manifest", probe.OneLine(name), b.id, size, want.Size)
	}
	delete(missing, name)
	return nil
}
