package restic

import (
	"context"
	"io"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// compare holds what was restored against the snapshot, which it reads a second
// time: every file's size and bytes, then the number of files and bytes. It does
// not ask restic to verify its own work: dump reads each chunk through the index,
// decrypts it and checks its SHA-256 against the snapshot's tree, and the
// comparison with the restored file is made here.
// It returns what came back, without what is tolerated.
func (t test) compare(ctx context.Context, p restoration, target string, tolerated *scratch.Tolerated) (came scratch.Tally, err error) {
	c, err := scratch.Compare(target, tolerated)
	if err != nil {
		return came, err
	}
	defer c.Close()
	for _, n := range p.sample {
		err := t.stream(ctx, func(content io.Reader) error { return c.File(n.Path, n.Size, content) }, "dump", "--", p.snapshot.ID, n.Path)
		if err != nil {
			return came, err
		}
	}
	if p.sample == nil {
		if err := t.stream(ctx, c.Tree, "dump", "--archive=tar", "--", p.snapshot.ID, "/"); err != nil {
			return came, err
		}
	}
	found, err := c.Found()
	if err != nil {
		return came, err
	}
	came = c.Less(p.expect)
	switch {
	case found.Files != p.expect.Files || found.Bytes != p.expect.Bytes:
		return came, probe.Faulty(holdfast.Assertion, "%d files with %d bytes were restored, the snapshot lists %d with %d", found.Files, found.Bytes, p.expect.Files, p.expect.Bytes)
	case p.sample != nil:
		return came, nil
	case found.Folders != p.expect.Folders || found.Links != p.expect.Links:
		return came, probe.Faulty(holdfast.Assertion, "%d folders and %d links were restored, the snapshot lists %d and %d", found.Folders, found.Links, p.expect.Folders, p.expect.Links)
	case tolerated.Any(): // what is tolerated does not come out of stats
		return came, nil
	}
	return came, t.sameAsStats(ctx, p, found)
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
