package borg

import (
	"context"
	"io"
	"os"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// compare holds what was restored against the archive, which it reads a second
// time: every file's size and bytes, then the number of files and bytes. Borg reads
// each chunk through the index, opens it and checks it against the ID in the
// archive; the comparison with the restored file is made here.
func (t test) compare(ctx context.Context, p restoration, target string) error {
	if err := scratch.LetIn(target); err != nil {
		return probe.Unable("", "read what was restored: %w", err)
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return probe.Faulty(holdfast.Empty, "borg ended well and restored nothing")
	}
	defer root.Close()
	if p.sample != nil {
		for _, it := range p.sample {
			err := t.stream(ctx, func(content io.Reader) error { return scratch.SameFile(root, it.Path, it.Size, content) },
				"extract", "--stdout", "--", t.in(p.archive), exactly(it))
			if err != nil {
				return err
			}
		}
	} else {
		err := t.stream(ctx, func(archive io.Reader) error { return scratch.SameTree(root, archive) },
			"export-tar", "--", t.in(p.archive), "-")
		if err != nil {
			return err
		}
	}
	found, err := scratch.Count(target)
	if err != nil {
		return probe.Unable("", "count what was restored: %w", err)
	}
	if found.Files != p.expect.Files || found.OnceBytes != p.expect.OnceBytes {
		return probe.Faulty(holdfast.Assertion, "%d files with %d bytes were restored, the archive lists %d with %d", found.Files, found.OnceBytes, p.expect.Files, p.expect.OnceBytes)
	}
	// Folders above what was backed up are made without being listed, so only links
	// are counted; every listed folder was looked at above.
	if p.sample == nil && found.Links != p.expect.Links {
		return probe.Faulty(holdfast.Assertion, "%d links were restored, the archive lists %d", found.Links, p.expect.Links)
	}
	return nil
}
