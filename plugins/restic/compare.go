package restic

import (
	"context"
	"io"
	"os"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// compare holds what was restored against the snapshot, which it reads a second
// time: every file's size and bytes, then the number of files and bytes. It does
// not ask restic to verify its own work: dump reads each chunk through the index,
// decrypts it and checks its SHA-256 against the snapshot's tree, and the
// comparison with the restored file is made here.
func (t test) compare(ctx context.Context, p restoration, target string) error {
	if err := scratch.LetIn(target); err != nil {
		return probe.Unable("", "read what was restored: %w", err)
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return probe.Faulty(holdfast.Empty, "restic ended well and restored nothing")
	}
	defer root.Close()
	if p.sample != nil {
		for _, n := range p.sample {
			err := t.stream(ctx, func(content io.Reader) error { return scratch.SameFile(root, n.Path, n.Size, content) }, "dump", "--", p.snapshot.ID, n.Path)
			if err != nil {
				return err
			}
		}
	} else {
		err := t.stream(ctx, func(archive io.Reader) error { return scratch.SameTree(root, archive) }, "dump", "--archive=tar", "--", p.snapshot.ID, "/")
		if err != nil {
			return err
		}
	}
	found, err := scratch.Count(target)
	if err != nil {
		return probe.Unable("", "count what was restored: %w", err)
	}
	if found.Files != p.expect.Files || found.Bytes != p.expect.Bytes {
		return probe.Faulty(holdfast.Assertion, "%d files with %d bytes were restored, the snapshot lists %d with %d", found.Files, found.Bytes, p.expect.Files, p.expect.Bytes)
	}
	if p.sample != nil {
		return nil
	}
	if found.Folders != p.expect.Folders || found.Links != p.expect.Links {
		return probe.Faulty(holdfast.Assertion, "%d folders and %d links were restored, the snapshot lists %d and %d", found.Folders, found.Links, p.expect.Folders, p.expect.Links)
	}
	return t.sameAsStats(ctx, p, found)
}

// sameAsStats compares the numbers with those stats gives, which counts anew.
func (t test) sameAsStats(ctx context.Context, p restoration, found scratch.Tally) error {
	stats, err := t.stats(ctx, p.snapshot)
	if err != nil {
		return err
	}
	if stats.Entries != p.expect.Entries() || stats.Bytes != found.OnceBytes {
		return probe.Faulty(holdfast.Assertion, "%d bytes were restored of %d entries, stats counts %d bytes in %d", found.OnceBytes, p.expect.Entries(), stats.Bytes, stats.Entries)
	}
	return nil
}
