package borg

import (
	"context"
	"io"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// compare holds what was restored against the archive, which it reads a second
// time: every file's size and bytes, then the number of files and bytes. Borg reads
// each chunk through the index, opens it and checks it against the ID in the
// archive; the comparison with the restored file is made here.
// It returns what came back, without what is tolerated.
func (t test) compare(ctx context.Context, p restoration, target string, tolerated *scratch.Tolerated) (came scratch.Tally, err error) {
	c, err := scratch.Compare(target, tolerated)
	if err != nil {
		return came, err
	}
	defer c.Close()
	for _, it := range p.sample {
		err := t.stream(ctx, func(content io.Reader) error { return c.File(it.Path, it.Size, content) }, "extract", "--stdout", "--", t.in(p.archive), exactly(it))
		if err != nil {
			return came, err
		}
	}
	if p.sample == nil {
		if err := t.stream(ctx, c.Tree, "export-tar", "--", t.in(p.archive), "-"); err != nil {
			return came, err
		}
	}
	found, err := c.Found()
	if err != nil {
		return came, err
	}
	came = c.Less(p.expect)
	if found.Files != p.expect.Files || found.OnceBytes != p.expect.OnceBytes {
		return came, probe.Faulty(holdfast.Assertion, "%d files with %d bytes were restored, the archive lists %d with %d", found.Files, found.OnceBytes, p.expect.Files, p.expect.OnceBytes)
	}
	// Folders above what was backed up are made without being listed, so only links
	// are counted; every listed folder was looked at above.
	if p.sample == nil && found.Links != p.expect.Links {
		return came, probe.Faulty(holdfast.Assertion, "%d links were restored, the archive lists %d", found.Links, p.expect.Links)
	}
	return came, nil
}
