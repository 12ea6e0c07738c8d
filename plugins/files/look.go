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
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

var (
	errWriting  = errors.New("still being written") // pass the archive over
	errUnlisted = errors.New("the manifest does not list it")
	errDamaged  = errors.New("damaged")
)

// look lists the directory and judges the newest finished archive. Its errors are
// those settings.fault knows.
func (s settings) look(ctx context.Context, root *os.Root) (probe.Observation, error) {
	start := time.Now()
	l, err := s.list(ctx, root, start)
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
	for ; len(l.archives) > 0; l.archives = l.archives[1:] {
		want, err := s.expected(root, whole, l.archives[0])
		if errors.Is(err, errWriting) {
			unlisted++
			continue
		}
		c := content{opaque: "only listed"}
		if err == nil && !s.ListOnly {
			c, err = s.read(ctx, root, l.archives[0], want)
		}
		if errors.Is(err, errWriting) {
			l.writing++
			continue
		}
		if err != nil && !errors.Is(err, errUnlisted) && !errors.Is(err, errDamaged) {
			return probe.Observation{}, err
		}
		o := s.facts(l, c, start)
		o.Facts["unfinished"] = strconv.Itoa(l.writing + unlisted)
		s.judge(&o, l, c, want != nil, err, start)
		return o, nil
	}
	return s.nothing(l, unlisted), nil
}

// nothing says why there is no archive to judge.
func (s settings) nothing(l listing, unlisted int) probe.Observation {
	switch {
	case unlisted > 0:
		return probe.Failed(holdfast.Missing, "%s: none of %d archives is in its manifest %s", s.Directory, unlisted, s.Manifest)
	case l.writing > 0:
		return probe.Failed(holdfast.Empty, "%s: no archive is finished, %d being written", s.Directory, l.writing)
	case l.timeless > 0:
		return probe.Failed(holdfast.NoMatch, "%s: none of %d names has a time like %s", s.Directory, l.timeless, s.NameTime)
	case l.entries > 0:
		return probe.Failed(holdfast.NoMatch, "%s: none of %d names matches %s", s.Directory, l.entries, s.Pattern)
	}
	return probe.Failed(holdfast.Empty, "%s is empty", s.Directory)
}

// wholeManifest reads the manifest where there is one for all files.
func (s settings) wholeManifest(root *os.Root) (*manifest, error) {
	if s.Manifest == "" || strings.Contains(s.Manifest, "{file}") {
		return nil, nil
	}
	return readManifest(root, s.Manifest)
}

// expected returns the sum the manifest has for an archive, nil without a
// manifest.
func (s settings) expected(root *os.Root, m *manifest, a archive) ([]byte, error) {
	if s.Manifest == "" {
		return nil, nil
	}
	if m == nil {
		var err error
		m, err = readManifest(root, strings.ReplaceAll(s.Manifest, "{file}", a.name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errWriting
		}
		if err != nil {
			return nil, err
		}
	}
	if sum := m.sums[a.name]; sum != nil {
		return sum, nil
	}
	if a.changed.After(m.changed) {
		return nil, errWriting
	}
	return nil, errUnlisted
}

// read reads an archive to its end and compares its sum, where one is wanted. A
// file that is gone or changes meanwhile is errWriting.
func (s settings) read(ctx context.Context, root *os.Root, a archive, want []byte) (content, error) {
	f, err := root.OpenFile(a.name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hold us
	if errors.Is(err, fs.ErrNotExist) {
		return content{}, errWriting
	}
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	if err := a.unchanged(f); err != nil {
		return content{}, err
	}
	from := &source{ctx: ctx, file: f, budget: -1}
	if want != nil {
		from.sum = sha256.New()
	}
	c, damage := readContent(ctx, from, a.name, a.size)
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	if from.fault != nil {
		return c, from.fault
	}
	if err := a.unchanged(f); err != nil {
		return c, err
	}
	if damage != nil {
		return c, fmt.Errorf("%w: %w", errDamaged, damage)
	}
	if want != nil && !bytes.Equal(from.sum.Sum(nil), want) {
		return c, fmt.Errorf("%w: it differs from the manifest", errDamaged)
	}
	return c, nil
}

// unchanged returns errWriting where the file is no longer as it was listed.
func (a archive) unchanged(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != a.size || !info.ModTime().Equal(a.changed) {
		return errWriting
	}
	return nil
}
