package demo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// archive keeps backups as NAME-TIME.tar.gz, each with a manifest as sha256sum
// writes it beside it.
type archive struct {
	dir, name string
}

// The archives that are kept, and how their names say when the backup began.
const (
	archivesKept = 12
	archiveTime  = "20060102T150405"
)

func (a *archive) create(context.Context) error { return os.MkdirAll(a.dir, 0o700) }

func (a *archive) backup(ctx context.Context, data string) error {
	began := time.Now().UTC()
	packed, err := pack(data)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s.tar.gz", a.name, began.Format(archiveTime))
	manifest := fmt.Sprintf("%x  %s\n", sha256.Sum256(packed), name)
	// The manifest first: an archive without one would be one that cannot be
	// verified.
	if err := writeWhole(filepath.Join(a.dir, name+".sha256"), []byte(manifest)); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(a.dir, name), packed); err != nil {
		return err
	}
	return a.prune()
}

// prune removes all but the newest archives.
func (a *archive) prune() error {
	all, err := a.list()
	if err != nil {
		return err
	}
	for _, name := range all[:max(0, len(all)-archivesKept)] {
		if err := errors.Join(os.Remove(name), os.Remove(name+".sha256")); err != nil {
			return err
		}
	}
	return nil
}

// list returns the archives, oldest first.
func (a *archive) list() ([]string, error) {
	all, err := filepath.Glob(filepath.Join(a.dir, a.name+"-*.tar.gz"))
	slices.Sort(all)
	return all, err
}

func (a *archive) restore(_ context.Context, into string) (restored, error) {
	all, err := a.list()
	if err != nil || len(all) == 0 {
		return restored{}, errors.Join(errors.New("no archive to restore from"), err)
	}
	newest := all[len(all)-1]
	stamp := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(newest), a.name+"-"), ".tar.gz")
	point, err := time.Parse(archiveTime, stamp)
	if err != nil {
		return restored{}, err
	}
	packed, err := os.ReadFile(newest)
	if err != nil {
		return restored{}, err
	}
	manifest, err := os.ReadFile(newest + ".sha256")
	if err != nil {
		return restored{}, err
	}
	if sum := sha256.Sum256(packed); !bytes.HasPrefix(manifest, []byte(hex.EncodeToString(sum[:]))) {
		return restored{}, fmt.Errorf("%s is not what its manifest says", newest)
	}
	n, err := unpack(packed, into)
	return restored{point, n}, err
}

// damage turns some bytes of the newest archive around.
func (a *archive) damage() (repair func() error, err error) {
	all, err := a.list()
	if err != nil || len(all) == 0 {
		return nil, errors.Join(errors.New("no archive to damage"), err)
	}
	return damageFile(all[len(all)-1])
}

// damageFile turns some bytes in the middle of a file around, and returns what puts
// it back as it was.
func damageFile(file string) (repair func() error, err error) {
	good, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	bad := slices.Clone(good)
	for i := len(bad) / 2; i < min(len(bad)/2+64, len(bad)); i++ {
		bad[i] ^= 0xff
	}
	return func() error { return writeWhole(file, good) }, writeWhole(file, bad)
}

// pack makes a tar.gz of the files in a folder.
func pack(folder string) ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	t := tar.NewWriter(zip)
	if err := t.AddFS(os.DirFS(folder)); err != nil {
		return nil, err
	}
	if err := errors.Join(t.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// unpack brings the files of a tar.gz back, and returns their size.
func unpack(packed []byte, into string) (total int64, err error) {
	root, err := os.OpenRoot(into)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return 0, err
	}
	t := tar.NewReader(zip)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return 0, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		f, err := root.Create(h.Name)
		if err != nil {
			return 0, err
		}
		n, err := io.Copy(f, t)
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, err
		}
		total += n
	}
}

// writeWhole writes a file under another name first, so that nobody finds half of
// it under the right one.
func writeWhole(file string, content []byte) error {
	part := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".part")
	if err := os.WriteFile(part, content, 0o600); err != nil {
		return err
	}
	return os.Rename(part, file)
}
