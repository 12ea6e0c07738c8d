package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
	"github.com/holdfast-monitor/holdfast/plugins/probe/sums"
)

var (
	errUnlisted = errors.New("the manifest does not list it")
	errDamaged  = errors.New("damaged")
)

// look lists the directory and judges the newest finished archive. Its errors are
// for settings.verdict.
func (s settings) look(ctx context.Context, root *os.Root) (probe.Observation, error) {
	start := time.Now()
	l, err := s.List(ctx, root, start, s.isManifest)
	if err != nil {
		return probe.Observation{}, err
	}
	whole, err := s.wholeManifest(root)
	if errors.Is(err, fs.ErrNotExist) {
		return probe.Failed(holdfast.Missing, "%s: there is no manifest %s", s.Directory, s.Manifest), nil
	}
	if err != nil {
		return probe.Observation{}, err
	}
	unlisted := 0
	for ; len(l.Files) > 0; l.Files = l.Files[1:] {
		want, err := s.expected(root, whole, l.Files[0])
		if errors.Is(err, folder.ErrWriting) {
			unlisted++
			continue
		}
		c := content{opaque: "only listed"}
		if err == nil && !s.ListOnly {
			c, err = s.read(ctx, root, l.Files[0], want)
		}
		if errors.Is(err, folder.ErrWriting) {
			l.Writing++
			continue
		}
		if err != nil && !errors.Is(err, errUnlisted) && !errors.Is(err, errDamaged) {
			return probe.Observation{}, err
		}
		o := s.facts(l, c, start)
		o.Facts["unfinished"] = strconv.Itoa(l.Writing + unlisted)
		s.judge(&o, l, c, want != nil, err, start)
		return o, nil
	}
	return s.nothing(l, unlisted)
}

// nothing says why there is no archive to judge.
func (s settings) nothing(l folder.Listing, unlisted int) (probe.Observation, error) {
	if unlisted > 0 {
		return probe.Failed(holdfast.Missing, "%s: none of %d archives is in its manifest %s", s.Directory, unlisted, s.Manifest), nil
	}
	return probe.Observation{}, s.Nothing(l, "archive")
}

// wholeManifest reads the manifest where there is one for all files.
func (s settings) wholeManifest(root *os.Root) (*sums.Manifest, error) {
	if s.Manifest == "" || strings.Contains(s.Manifest, "{file}") {
		return nil, nil
	}
	return sums.Read(root, s.Manifest)
}

// expected returns the sum the manifest has for an archive, nil without a
// manifest.
func (s settings) expected(root *os.Root, m *sums.Manifest, a folder.File) ([]byte, error) {
	if s.Manifest == "" {
		return nil, nil
	}
	if m == nil {
		var err error
		m, err = sums.Read(root, strings.ReplaceAll(s.Manifest, "{file}", a.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, folder.ErrWriting
		}
		if err != nil {
			return nil, err
		}
	}
	if sum := m.Sums[a.Name]; sum != nil {
		return sum, nil
	}
	if a.Changed.After(m.Changed) {
		return nil, folder.ErrWriting
	}
	return nil, errUnlisted
}

// read reads an archive to its end and compares its sum, where one is wanted. A
// file that is gone or changes meanwhile is folder.ErrWriting.
func (s settings) read(ctx context.Context, root *os.Root, a folder.File, want []byte) (content, error) {
	f, err := a.Open(root)
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	from := folder.NewReader(ctx, f)
	if want != nil {
		from.Sum = sha256.New()
	}
	c, damage := readContent(ctx, from, a.Name, a.Size)
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	if from.Fault != nil {
		return c, from.Fault
	}
	if err := a.Unchanged(f); err != nil {
		return c, err
	}
	if damage != nil {
		return c, fmt.Errorf("%w: %w", errDamaged, damage)
	}
	if want != nil && !bytes.Equal(from.Sum.Sum(nil), want) {
		return c, fmt.Errorf("%w: it differs from the manifest", errDamaged)
	}
	return c, nil
}
