package rsync

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
	"github.com/holdfast-monitor/holdfast/plugins/probe/sums"
)

// drift compares a sample of a mirror with what it should be.
type drift struct {
	settings
	mirror *os.Root
	seed   string    // of the sample
	asOf   time.Time // what changed later is not mirrored yet
	now    time.Time

	files, bytes int64 // compared
	bad          int64
	first        *probe.Fault // the first that is bad
}

// compare adds to o what a comparison shows; total is the mirror's bytes.
func (d *drift) compare(ctx context.Context, held *probe.Held[struct{}], o probe.Observation, total int64) (probe.Observation, error) {
	var err error
	switch {
	case d.Manifest != "":
		err = d.withManifest(ctx)
	case d.Source != "":
		err = d.withSource(ctx, held, &o)
	default:
		o.Summary += "; compared with nothing"
		return o, nil
	}
	if err != nil {
		return o, err
	}
	if d.files == 0 && d.first == nil {
		o.Summary += "; nothing to compare: what could be was changed since, or cannot be read"
		return o, nil
	}
	scope := 1.0
	if total > 0 {
		scope = min(1, float64(d.bytes)/float64(total))
	}
	o.Facts["seed"] = d.seed
	o.Measures = append(o.Measures, holdfast.Measure{Name: "compared_files", Value: float64(d.files)},
		holdfast.Measure{Name: "compared_bytes", Value: float64(d.bytes), Unit: "bytes"})
	o.Verification = &holdfast.Verification{Time: d.now.UTC(), Scope: scope, Errors: d.bad}
	if d.first != nil {
		f := *d.first
		f.Text = probe.OneLine(fmt.Sprintf("%d of %d files compared are not as they should be; the first: %s", d.bad, d.files, f.Text))
		return o, &f
	}
	o.Summary += fmt.Sprintf("; %d files, %.3g %% of the bytes, compared", d.files, 100*scope)
	return o, nil
}

// blame counts a file that is not as it should be.
func (d *drift) blame(reason holdfast.Reason, format string, args ...any) {
	d.bad++
	if d.first == nil {
		d.first = probe.Faulty(reason, format, args...)
	}
}

// withManifest compares a sample of the manifest's files.
func (d *drift) withManifest(ctx context.Context) error {
	m, err := sums.Read(d.mirror, d.Manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return probe.Faulty(holdfast.Missing, "%s: there is no manifest %s", d.Directory, d.Manifest)
	}
	if err != nil {
		return err
	}
	pick := newSample(d.seed, d.settings.files)
	for name := range m.Sums {
		pick.offer(name)
	}
	for _, name := range pick.names() {
		if d.bytes >= d.settings.bytes {
			break
		}
		probe.Progress(ctx, "compare", d.files, int64(len(pick.first)))
		sum, info, err := sumOf(ctx, d.mirror, name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoFile):
			d.files++
			d.blame(holdfast.Assertion, "%.200q is in the manifest and not in the mirror", name)
			continue
		case err != nil:
			return err
		case info.ModTime().After(m.Changed):
			continue
		}
		d.files, d.bytes = d.files+1, d.bytes+info.Size()
		if !bytes.Equal(sum, m.Sums[name]) {
			d.blame(holdfast.Damaged, "%.200q differs from the manifest", name)
		}
	}
	return nil
}

// withSource compares a sample of the source's files. A source that cannot be read
// says nothing about the mirror.
func (d *drift) withSource(ctx context.Context, held *probe.Held[struct{}], o *probe.Observation) error {
	away := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		o.Facts["source"] = probe.OneLine("cannot be read: " + err.Error())
		return nil
	}
	source, err := folder.Settings{Directory: d.Source}.Open(ctx, held)
	if err != nil {
		return away(err)
	}
	defer source.Close()
	if same(source, d.mirror) {
		return errors.New(`setting "source": it is the mirror itself`)
	}
	pick := newSample(d.seed, d.settings.files)
	if err := walk(ctx, source, func(path string, info fs.FileInfo) {
		if info.Mode().IsRegular() && !d.own(path) && !info.ModTime().After(d.asOf) && !changed(info).After(d.asOf) {
			pick.offer(path)
		}
	}); err != nil {
		return away(err)
	}
	for _, name := range pick.names() {
		if d.bytes >= d.settings.bytes {
			break
		}
		probe.Progress(ctx, "compare", d.files, int64(len(pick.first)))
		want, at, err := sumOf(ctx, source, name)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && changed(at).After(d.asOf):
			continue // gone or changed meanwhile
		case err != nil:
			return away(err)
		}
		if err := d.against(ctx, name, want, at); err != nil {
			return err
		}
	}
	return nil
}

// against compares a file of the mirror with the source's, of which it has the sum.
func (d *drift) against(ctx context.Context, name string, want []byte, at fs.FileInfo) error {
	got, info, err := sumOf(ctx, d.mirror, name)
	d.files++
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoFile):
		d.blame(holdfast.Assertion, "%.200q has been in the source since %s and is not in the mirror", name, changed(at).UTC().Format(time.RFC3339))
		return nil
	case err != nil:
		return err
	}
	d.bytes += info.Size()
	switch {
	case bytes.Equal(got, want):
	case info.Size() == at.Size() && info.ModTime().Equal(at.ModTime()):
		d.blame(holdfast.Damaged, "%.200q has the source's size and time and other content, which rsync does not notice", name)
	default:
		d.blame(holdfast.Damaged, "%.200q differs from the source, where it has not changed since %s", name, changed(at).UTC().Format(time.RFC3339))
	}
	return nil
}

// same reports whether two roots are one folder.
func same(a, b *os.Root) bool {
	x, errX := a.Stat(".")
	y, errY := b.Stat(".")
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// changed is when a file came to be as it is, also where it was moved in with an
// older time: its inode's change.
func changed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Sec, st.Ctim.Nsec)
	}
	return info.ModTime()
}

var errNoFile = errors.New("not a regular file")

// sumOf reads a file to its end.
func sumOf(ctx context.Context, root *os.Root, name string) ([]byte, fs.FileInfo, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hold us
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errNoFile
	}
	sum := sha256.New()
	if err := read(ctx, sum, f); err != nil {
		return nil, nil, err
	}
	return sum.Sum(nil), info, nil
}

// read is io.Copy that heeds ctx.
func read(ctx context.Context, into hash.Hash, f io.Reader) error {
	for ctx.Err() == nil {
		_, err := io.CopyN(into, f, 4<<20)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sample keeps the names whose hash with a seed comes first, so that each seed
// gives others and memory stays the same however many there are.
type sample struct {
	seed  string
	max   int
	first []ranked // a heap would save little: most names come too late to get in
}

type ranked struct {
	rank uint64
	name string
}

func newSample(seed string, max int) *sample { return &sample{seed: seed, max: max} }

func (s *sample) offer(name string) {
	sum := sha256.Sum256([]byte(s.seed + "\x00" + name))
	r := ranked{binary.BigEndian.Uint64(sum[:]), name}
	at, _ := slices.BinarySearchFunc(s.first, r, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	if at == s.max {
		return
	}
	s.first = slices.Insert(s.first, at, r)
	s.first = s.first[:min(s.max, len(s.first))]
}

func (s *sample) names() []string {
	var names []string
	for _, r := range s.first {
		names = append(names, r.name)
	}
	return names
}
