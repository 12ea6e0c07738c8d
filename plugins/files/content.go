package files

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// format is how an archive is packed.
type format struct {
	squeeze string // "gzip", "zstd" or ""
	pack    string // "tar", "zip" or ""
}

var (
	plain    = format{}
	bySuffix = []struct {
		suffix string
		format format
	}{
		{".tar.gz", format{"gzip", "tar"}}, {".tgz", format{"gzip", "tar"}},
		{".tar.zst", format{"zstd", "tar"}}, {".tzst", format{"zstd", "tar"}},
		{".tar", format{"", "tar"}}, {".zip", format{"", "zip"}},
		{".gz", format{"gzip", ""}}, {".zst", format{"zstd", ""}},
	}
)

// String writes "tar, gzip".
func (f format) String() string {
	switch {
	case f == plain:
		return "plain"
	case f.squeeze == "" || f.pack == "":
		return f.pack + f.squeeze
	}
	return f.pack + ", " + f.squeeze
}

// formatByName tells the format by the end of the name; plain where it says
// nothing.
func formatByName(name string) format {
	for _, s := range bySuffix {
		if strings.HasSuffix(strings.ToLower(name), s.suffix) {
			return s.format
		}
	}
	return plain
}

// formatByContent tells it by the first bytes (at least 262 where there are).
func formatByContent(head []byte) format {
	switch {
	case folder.Squeezed(head) != "":
		return format{folder.Squeezed(head), ""}
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return format{"", "zip"}
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return format{"", "tar"}
	}
	return plain
}

// content is what an archive was found to hold.
type content struct {
	format  format
	bytes   int64   // unpacked
	files   int64   // without directories
	members members // of a tar
	checked bool    // every byte agreed with a checksum of the format
	opaque  string  // why the content could not be judged; "" where it was
}

// errOpaque says that an archive may be sound and cannot be judged here.
var errOpaque = errors.New("cannot be judged")

// readContent reads an archive to its end. Its errors are those of the content;
// the file system's are in s.Fault.
func readContent(ctx context.Context, s *folder.Reader, name string, size int64) (content, error) {
	raw := bufio.NewReaderSize(s, 64<<10)
	c := content{format: formatByName(name)}
	head, err := raw.Peek(512)
	if err != nil && err != io.EOF {
		return c, err
	}
	if c.format == plain {
		c.format = formatByContent(head)
	}
	if c.format.pack == "zip" {
		if _, err := folder.Drain(ctx, raw); err != nil { // for the sum
			return c, err
		}
		err = c.readZip(ctx, s, size)
	} else {
		err = c.readStream(ctx, raw, head)
	}
	if errors.Is(err, errOpaque) || folder.Opaque(err) {
		c.opaque, c.checked, err = err.Error(), false, nil
	}
	if err != nil {
		return c, err
	}
	_, err = folder.Drain(ctx, raw) // the sum is of the whole file
	return c, err
}

// readStream unpacks what is read from beginning to end.
func (c *content) readStream(ctx context.Context, raw *bufio.Reader, head []byte) error {
	unpacked, checked, err := folder.Unpack(raw, c.format.squeeze, head)
	if err != nil {
		return err
	}
	defer unpacked.Close()
	c.checked = checked
	if c.format.pack == "tar" {
		if err := c.readTar(ctx, unpacked); err != nil {
			return err
		}
		_, err := folder.Drain(ctx, unpacked) // what pads it, and the checksum behind it
		return err
	}
	n, err := folder.Drain(ctx, unpacked)
	c.bytes, c.files = n, min(n, 1)
	return err
}

// readTar reads to the mark that ends an archive: without it, a file cut off
// between two members would pass.
func (c *content) readTar(ctx context.Context, r io.Reader) error {
	const block = 512
	counted := &counter{r: r}
	t := tar.NewReader(counted)
	var end int64 // of the last member, padded
	for {
		header, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d members: %w", c.files, err)
		}
		n, err := folder.Drain(ctx, t)
		c.bytes += n
		if err != nil {
			return fmt.Errorf("%q: %w", header.Name, err)
		}
		if header.Typeflag != tar.TypeDir && header.Typeflag != tar.TypeXGlobalHeader {
			c.files++
		}
		c.members.add(header.Typeflag, n)
		end = (counted.n + block - 1) / block * block
	}
	if counted.n > 0 && counted.n < end+block {
		return fmt.Errorf("after %d members: %w", c.files, io.ErrUnexpectedEOF)
	}
	return nil
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

// directoryMax bounds a zip's table of contents, which is held in memory.
const directoryMax = 32 << 20

// readZip reads every member and compares its CRC-32.
func (c *content) readZip(ctx context.Context, s *folder.Reader, size int64) error {
	s.Budget = directoryMax
	z, err := zip.NewReader(s, size)
	s.Budget = -1
	if errors.Is(err, folder.ErrBudget) {
		s.Fault = nil
		return fmt.Errorf("its table of contents is larger than %d MiB: %w", directoryMax>>20, errOpaque)
	}
	if err != nil {
		return err
	}
	for _, f := range z.File {
		if f.Flags&1 != 0 {
			return fmt.Errorf("%q is encrypted: %w", f.Name, errOpaque)
		}
		n, err := readMember(ctx, f)
		c.bytes += n
		if !strings.HasSuffix(f.Name, "/") {
			c.files++
		}
		if errors.Is(err, zip.ErrAlgorithm) {
			return fmt.Errorf("%q is packed in an unknown way: %w", f.Name, errOpaque)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", f.Name, err)
		}
	}
	c.checked = true
	return nil
}

func readMember(ctx context.Context, f *zip.File) (int64, error) {
	r, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return folder.Drain(ctx, r)
}
