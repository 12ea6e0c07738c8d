package postgres

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// read reads a dump to its end. The fault is damaged, or empty where there is
// nothing in it to restore.
func (d dump) read(ctx context.Context, tools map[string]string) (content, error) {
	c := content{script: newScript()}
	var err error
	if d.format == "plain" || strings.HasPrefix(d.format, "plain,") {
		c.checked, err = d.readPlain(ctx, c.script)
	} else {
		c.entries, c.checked, err = d.readArchive(ctx, program(tools, "pg_restore"), c.script)
	}
	switch {
	case err != nil:
		return c, err
	case !c.whole():
		return c, probe.Faulty(holdfast.Damaged, "%.200s ends before the mark that ends a dump", d.name)
	case c.zeros:
		return c, probe.Faulty(holdfast.Damaged, "%.200s holds zeros where its text should be", d.name)
	case c.tables == 0:
		return c, probe.Faulty(holdfast.Empty, "%.200s holds no table", d.name)
	case c.rows == 0 && c.objects == 0:
		return c, probe.Faulty(holdfast.Empty, "%.200s holds %d tables and not one row", d.name, c.tables)
	}
	return c, nil
}

func (d dump) readPlain(ctx context.Context, into *script) (checked bool, err error) {
	f, err := openPacked(ctx, d.path)
	if err != nil {
		return false, fileFault(d.path, err)
	}
	defer f.Close()
	_, err = io.Copy(into, f)
	if f.fault != nil {
		return false, fileFault(d.path, f.fault)
	}
	if err != nil {
		return false, probe.Faulty(holdfast.Damaged, "%.200s cannot be read to its end: after %d bytes: %v", d.name, into.bytes, err)
	}
	return f.checked, nil
}

// readArchive has pg_restore list the table of contents, and then write all of the
// archive as SQL, for which it unpacks every table. pg_restore 15 is not to be
// trusted alone: over a data file of a directory that is cut off or empty it goes
// on as if all were well, and over a tar file that is cut off it never ends. So
// those are read here first.
func (d dump) readArchive(ctx context.Context, pgRestore string, into *script) (entries int64, checked bool, err error) {
	objects := -1
	switch {
	case d.folder:
		if objects, err = d.readDataFiles(ctx); err != nil {
			return 0, false, err
		}
	case strings.HasPrefix(d.format, "tar"):
		if err := d.checkTar(ctx); err != nil {
			return 0, false, err
		}
	}
	list, _, err := d.pgRestore(ctx, pgRestore, nil, "--list")
	if err != nil {
		return 0, false, err
	}
	withData := int64(0)
	for line := range strings.Lines(string(list)) {
		if line[0] != ';' && line[0] != '\n' {
			entries++
		}
		if strings.Contains(line, " TABLE DATA ") {
			withData++
		}
	}
	_, packedSum, err := d.pgRestore(ctx, pgRestore, into, "--file=-")
	switch {
	case err != nil:
		return entries, false, err
	case into.copies > 0 && into.copies != withData:
		return entries, false, probe.Faulty(holdfast.Damaged, "%.200s: its table of contents lists %d tables with data, %d could be read", d.name, withData, into.copies)
	case objects >= 0 && into.objects != int64(objects):
		return entries, false, probe.Faulty(holdfast.Damaged, "%.200s holds %d large objects, %d could be read", d.name, objects, into.objects)
	}
	return entries, d.compressed || packedSum, nil
}

// pgRestore runs pg_restore over the archive and returns what it wrote, where that
// does not go to a writer, and whether the archive is packed with checksums.
func (d dump) pgRestore(ctx context.Context, path string, to io.Writer, args ...string) (out []byte, sum bool, err error) {
	c := probe.Command{Path: path, StdoutTo: to}
	var f *packed
	if d.squeeze == "" {
		c.Args = append(args, "--", d.path)
	} else {
		if f, err = openPacked(ctx, d.path); err != nil {
			return nil, false, fileFault(d.path, err)
		}
		defer f.Close()
		c.Args, c.Stdin = args, f
	}
	o, err := probe.Run(ctx, c)
	if f != nil {
		// What follows what pg_restore wanted, and the checksum behind it.
		_, _ = io.Copy(io.Discard, f)
		switch {
		case f.fault != nil:
			return nil, false, fileFault(d.path, f.fault)
		case f.bad != nil:
			return nil, false, probe.Faulty(holdfast.Damaged, "%.200s cannot be unpacked to its end: %v", d.name, f.bad)
		}
		sum = f.checked
	}
	if err != nil {
		return nil, false, err
	}
	return o.Stdout, sum, d.blame(o)
}

// blame returns what is wrong where pg_restore has failed.
func (d dump) blame(o probe.Output) error {
	said := strings.TrimSpace(string(o.Stderr))
	first, _, _ := strings.Cut(said, "\n")
	first = strings.TrimPrefix(first, "pg_restore: error: ")
	switch {
	case o.ExitCode == 0 && !strings.Contains(said, "pg_restore: error: "):
		return nil
	case strings.Contains(said, "unsupported version ("):
		return probe.Unable(holdfast.ToolMissing, "%.200s was made by pg_dump %s: %s: install a pg_restore as new", d.name, d.by, first)
	case strings.Contains(said, "Permission denied"):
		return probe.Unable(holdfast.Refused, "%s: let the agent's user read it", probe.Clip(first, 300))
	case o.ExitCode < 0:
		first = "pg_restore crashed over it"
	}
	return &probe.Fault{Reason: holdfast.Damaged, Text: probe.Clip(d.name, 200) + " cannot be read to its end: " + probe.Clip(first, 250), Raw: said}
}

// endOfRows is how pg_dump ends the rows of a table in a file of their own.
const endOfRows = "\\.\n\n\n"

// readDataFiles reads every data file of a directory dump to its end, and counts those
// of large objects.
func (d dump) readDataFiles(ctx context.Context) (objects int, err error) {
	entries, err := readFolder(d.path)
	if err != nil {
		return 0, fileFault(d.path, err)
	}
	for _, e := range entries {
		name := e.Name()
		object := strings.HasPrefix(name, "blob_")
		if object {
			objects++
		}
		bare := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst"), ".lz4")
		if !strings.HasSuffix(bare, ".dat") || name == "toc.dat" {
			continue
		}
		if err := d.readData(ctx, name, !object); err != nil {
			return 0, err
		}
	}
	return objects, nil
}

// readData reads one data file. What pg_dump 16 and later pack with lz4 cannot be
// unpacked here and is left to pg_restore.
func (d dump) readData(ctx context.Context, name string, rows bool) error {
	path := filepath.Join(d.path, name)
	f, err := openPacked(ctx, path)
	if err != nil {
		return fileFault(path, err)
	}
	defer f.Close()
	end := &lastBytes{}
	_, err = io.Copy(end, f)
	suffix := map[string]string{"gzip": ".gz", "zstd": ".zst"}[f.squeeze]
	switch {
	case f.fault != nil:
		return fileFault(path, f.fault)
	case err != nil:
		return probe.Faulty(holdfast.Damaged, "%.200s: %s cannot be unpacked: %v", d.name, name, err)
	case strings.HasSuffix(name, ".lz4"):
	case !strings.HasSuffix(name, ".dat"+suffix):
		return probe.Faulty(holdfast.Damaged, "%.200s: %s is not packed as its name says", d.name, name)
	case rows && !bytes.HasSuffix(end.kept, []byte(endOfRows)):
		return probe.Faulty(holdfast.Damaged, "%.200s: %s ends in the middle of a table", d.name, name)
	}
	return nil
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ kept []byte }

func (l *lastBytes) Write(p []byte) (int, error) {
	l.kept = append(l.kept, p[max(0, len(p)-len(endOfRows)):]...)
	l.kept = l.kept[max(0, len(l.kept)-len(endOfRows)):]
	return len(p), nil
}

// checkTar reads a tar file to the mark that ends it.
func (d dump) checkTar(ctx context.Context) error {
	f, err := openPacked(ctx, d.path)
	if err != nil {
		return fileFault(d.path, err)
	}
	defer f.Close()
	err = readTar(f, func(*tar.Header, io.Reader) error { return nil })
	switch {
	case f.fault != nil:
		return fileFault(d.path, f.fault)
	case err != nil:
		return probe.Faulty(holdfast.Damaged, "%.200s cannot be read to its end: %v", d.name, err)
	}
	return nil
}

// readTar reads a tar stream to its end: each takes a member or leaves it. The end
// is a block of zeros; without it, a file cut off between two members would pass.
func readTar(r io.Reader, each func(*tar.Header, io.Reader) error) error {
	const block = 512
	counted := &counter{r: r}
	in := tar.NewReader(counted)
	for end := int64(0); ; {
		h, err := in.Next()
		if err == io.EOF && counted.n < end+block {
			err = io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			_, err = io.Copy(io.Discard, r) // what pads it, and a checksum behind it
			return err
		}
		if err == nil {
			err = each(h, in)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, in)
		}
		if err != nil {
			return err
		}
		end = (counted.n + block - 1) / block * block
	}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
