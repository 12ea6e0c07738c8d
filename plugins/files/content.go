package files

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
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
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return format{"gzip", ""}
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return format{"zstd", ""}
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
	bytes   int64  // unpacked
	files   int64  // without directories
	checked bool   // every byte agreed with a checksum of the format
	opaque  string // why the content could not be judged; "" where it was
}

// errOpaque says that an archive may be sound and cannot be judged here.
var errOpaque = errors.New("cannot be judged")

// windowMax is the largest zstd window; the zstd program's own limit.
const windowMax = 128 << 20

// readContent reads an archive to its end. Its errors are those of the content;
// the file system's are in s.fault.
func readContent(ctx context.Context, s *source, name string, size int64) (content, error) {
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
		if _, err := drain(ctx, raw); err != nil { // for the sum
			return c, err
		}
		err = c.readZip(ctx, s, size)
	} else {
		err = c.readStream(ctx, raw, head)
	}
	if errors.Is(err, errOpaque) || errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrUnknownDictionary) {
		c.opaque, c.checked, err = err.Error(), false, nil
	}
	if err != nil {
		return c, err
	}
	_, err = drain(ctx, raw) // the sum is of the whole file
	return c, err
}

// readStream unpacks what is read from beginning to end.
func (c *content) readStream(ctx context.Context, raw *bufio.Reader, head []byte) error {
	var unpacked io.Reader = raw
	switch c.format.squeeze {
	case "gzip":
		z, err := gzip.NewReader(raw)
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		unpacked, c.checked = z, true
	case "zstd":
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowMax))
		if err != nil {
			return err
		}
		defer z.Close()
		var header zstd.Header
		c.checked = header.Decode(head) == nil && header.HasCheckSum
		unpacked = z
	}
	if c.format.pack == "tar" {
		if err := c.readTar(ctx, unpacked); err != nil {
			return err
		}
		_, err := drain(ctx, unpacked) // what pads it, and the checksum behind it
		return err
	}
	n, err := drain(ctx, unpacked)
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
		n, err := drain(ctx, t)
		c.bytes += n
		if err != nil {
			return fmt.Errorf("%q: %w", header.Name, err)
		}
		if header.Typeflag != tar.TypeDir && header.Typeflag != tar.TypeXGlobalHeader {
			c.files++
		}
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
func (c *content) readZip(ctx context.Context, s *source, size int64) error {
	s.budget = directoryMax
	z, err := zip.NewReader(s, size)
	s.budget = -1
	if errors.Is(err, errBudget) {
		s.fault = nil
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
	return drain(ctx, r)
}
