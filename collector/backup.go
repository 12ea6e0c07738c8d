package collector

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// A backup is a tar file: the authority of the agents, then the store. Without
// the authority every agent would have to join again.

// maxAuthority bounds the authority's file, bytes.
const maxAuthority = 1 << 20

// backup writes a consistent image of everything the collector keeps, while it
// works.
func (c *Collector) backup(ctx context.Context, w io.Writer) error {
	authority, err := os.ReadFile(filepath.Join(c.cfg.Data, ingest.FileName))
	if err != nil {
		return fmt.Errorf("back up the authority: %w", err)
	}
	// A tar file says sizes first, and the store's is known when it is written.
	image, err := os.CreateTemp(c.cfg.Data, "backup-*")
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer os.Remove(image.Name())
	defer image.Close()
	if err := c.store.Backup(ctx, image); err != nil {
		return err
	}
	size, err := image.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if _, err := image.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	t := tar.NewWriter(w)
	now := c.now()
	if err := tarFile(t, ingest.FileName, int64(len(authority)), now); err != nil {
		return err
	}
	if _, err := t.Write(authority); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := tarFile(t, bolt.FileName, size, now); err != nil {
		return err
	}
	if _, err := io.Copy(t, image); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

func tarFile(t *tar.Writer, name string, size int64, at time.Time) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("back up %s: %w", name, err)
	}
	return nil
}

// Restore fills an empty data folder from a backup. Every record is checked
// before the store gets its name; on an error the folder holds no store.
func Restore(ctx context.Context, src io.Reader, data, version string) error {
	t := tar.NewReader(src)
	authority, err := restorePart(t, ingest.FileName)
	if err != nil {
		return err
	}
	pem, err := io.ReadAll(io.LimitReader(authority, maxAuthority))
	if err != nil {
		return fmt.Errorf("backup: %s: %w", ingest.FileName, err)
	}
	image, err := restorePart(t, bolt.FileName)
	if err != nil {
		return err
	}
	if err := bolt.Restore(ctx, image, data, bolt.Options{Program: version}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, ingest.FileName), pem, 0o600); err != nil {
		return errors.Join(fmt.Errorf("restore the authority: %w", err), os.Remove(filepath.Join(data, bolt.FileName)))
	}
	return nil
}

// restorePart moves on to the next part, which must have the name.
func restorePart(t *tar.Reader, name string) (io.Reader, error) {
	h, err := t.Next()
	if err != nil || h.Name != name {
		return nil, fmt.Errorf("backup: %s is missing: this is no backup of a collector, or a cut one (made with: holdfast collector backup FILE)", name)
	}
	return t, nil
}
