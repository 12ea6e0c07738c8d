package folder

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// windowMax is the largest zstd window; the zstd program's own limit.
const windowMax = 128 << 20

// Squeezed tells by a file's first bytes how it is compressed: "gzip", "zstd" or "".
func Squeezed(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "gzip"
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return "zstd"
	}
	return ""
}

// Unpack reads what is compressed with gzip or zstd, or as it is. Checked says that
// every byte will agree with a checksum once the end is reached; head is the file's
// beginning, which says so of zstd.
func Unpack(raw io.Reader, squeeze string, head []byte) (unpacked io.ReadCloser, checked bool, err error) {
	switch squeeze {
	case "gzip":
		z, err := gzip.NewReader(raw)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return z, err == nil, err
	case "zstd":
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowMax))
		if err != nil {
			return nil, false, err
		}
		var header zstd.Header
		return z.IOReadCloser(), header.Decode(head) == nil && header.HasCheckSum, nil
	}
	return io.NopCloser(raw), false, nil
}

// Opaque reports whether an error of unpacking says that the content may be sound
// and cannot be judged here.
func Opaque(err error) bool {
	return errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrUnknownDictionary)
}
