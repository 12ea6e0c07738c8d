package pgbackrest

import (
	"compress/bzip2"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// moment is a recovery point: the end of a file of the log, or of a backup.
type moment struct {
	file   segmentFile
	backup backup
	ends   bool      // the backup ends in this file
	at     time.Time // as of when the data is; zero: not read yet
}

// Bounds of a look.
const (
	newest   = 4 // recovery points that are told, besides the oldest
	readMost = 8 // files of the log that are read to date them
)

// track is the log from a backup on, as far as it reaches.
type track struct {
	backup backup
	first  uint64        // number of the file the backup begins in
	files  []segmentFile // from there on
	stop   int           // index of the file the backup ends in; beyond files: its own log is not whole
}

func (t track) whole() bool { return t.stop < len(t.files) }

// end is the number of the first segment that is missing.
func (t track) end() uint64 { return t.first + uint64(len(t.files)) }

// track follows the log from a backup on, to its end at least and before a segment.
func (a *archive) track(ctx context.Context, b backup, before uint64) (track, error) {
	start, errStart := a.parse(b.Archive.Start)
	stop, errStop := a.parse(b.Archive.Stop)
	if err := errors.Join(errStart, errStop); err != nil || stop.number < start.number {
		return track{}, probe.Unable("", "pgbackrest info: backup %s has a log from %.40q to %.40q", b.Label, b.Archive.Start, b.Archive.Stop)
	}
	if err := a.follow(ctx, stop); err != nil {
		return track{}, err
	}
	files, err := a.run(ctx, start.number, max(before, stop.number+1))
	return track{b, start.number, files, int(stop.number - start.number)}, err
}

// ended is as of when the backup alone is: when it ended, which pgBackRest notes after
// it has waited for the log; so never later than when the log's last file that the
// backup needs was archived.
func (t track) ended() time.Time {
	return notAfter(t.backup.stop(), t.files[t.stop].at)
}

// notAfter bounds a time by one that is known to the second.
func notAfter(at, limit time.Time) time.Time {
	if limit.Add(time.Second).Before(at) {
		return limit
	}
	return at
}

// moments lists what can be recovered with a track, newest first, down to the end of
// its backup; below is where those of a newer backup end.
func (t track) moments(below uint64) []moment {
	var all []moment
	for i := len(t.files) - 1; i >= t.stop; i-- {
		if t.files[i].number < below {
			all = append(all, moment{file: t.files[i], backup: t.backup, ends: i == t.stop})
		}
	}
	return all
}

// dates remembers as of when files of the log are, which never changes: a file's name
// holds the checksum of its content. The zero dates is ready.
type dates struct {
	mu    sync.Mutex
	known map[string]time.Time // newest commit by path, zero: it holds none; guarded by mu
}

func (d *dates) get(key string) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.known[key]
	return at, ok
}

func (d *dates) put(key string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= 256 {
		d.known = map[string]time.Time{}
	}
	d.known[key] = at
}

// date finds as of when the newest moments are. A file of the log is of the newest
// commit in it, where it holds none of that in the files before it; never later than
// when it was archived. The fault is of the first file that is damaged, going back;
// what comes after it cannot be recovered, and moments are cut to what comes before.
func (d *dates) date(ctx context.Context, r *repository, moments []moment) ([]moment, error) {
	var fault error
	var commits []time.Time
	for reads := 0; len(commits) < len(moments) && reads < 2*readMost; reads++ {
		m := moments[len(commits)]
		at, err := d.commit(ctx, r, m.file)
		switch {
		case damaged(err):
			fault, moments, commits = err, moments[len(commits)+1:], nil
			continue
		case err != nil:
			return nil, err
		}
		commits = append(commits, at)
		if dated := m.ends || !at.IsZero(); len(commits) >= newest && dated || len(commits) == readMost {
			break
		}
	}
	last := time.Time{}
	for i := len(commits) - 1; i >= 0; i-- {
		m := &moments[i]
		switch at := commits[i]; {
		case m.ends:
			m.at = m.backup.stop()
		case !at.IsZero():
			m.at = at
		case !last.IsZero():
			m.at = last
		default:
			m.at = m.file.at
		}
		m.at = notAfter(m.at, m.file.at)
		if m.at.Before(last) { // clocks that disagree; the log is in order
			m.at = last
		}
		last = m.at
	}
	return moments[:min(len(moments), len(commits))], fault
}

// commit returns the newest commit of a file of the log, zero where it holds none. It
// is a fault where the content is not what its name says.
func (d *dates) commit(ctx context.Context, r *repository, f segmentFile) (time.Time, error) {
	key := r.Repository + r.Config + ":" + r.number + ":" + f.path
	if at, ok := d.get(key); ok {
		return at, nil
	}
	var log logReader
	if err := r.readSegment(ctx, f, &log); err != nil {
		return time.Time{}, err
	}
	d.put(key, log.newest)
	return log.newest, nil
}

// readSegment reads a file of the log into log.
func (r *repository) readSegment(ctx context.Context, f segmentFile, log *logReader) error {
	err := r.stream(ctx, f.path, func(packed io.Reader) error {
		unpacked, closeUnpacked, err := unpack(path.Ext(f.path), packed)
		if err != nil {
			return broken(f, err)
		}
		defer closeUnpacked()
		sum := sha1.New()
		if err := log.read(io.TeeReader(unpacked, sum)); err != nil {
			return broken(f, err)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != f.sum {
			return probe.Faulty(holdfast.Damaged, "%s: its content is not the one that was archived: its SHA-1 is %s", path.Base(f.path), got)
		}
		return nil
	})
	if damaged(err) {
		var fault *probe.Fault
		errors.As(err, &fault)
		return &probe.Fault{Reason: holdfast.Damaged, Text: path.Base(f.path)[:24] + ": " + fault.Text, Raw: fault.Raw}
	}
	return err
}

// broken is what an error of reading a file's content means.
func broken(f segmentFile, err error) error {
	if errors.Is(err, errTool) {
		return err
	}
	return probe.Faulty(holdfast.Damaged, "%s: %v", path.Base(f.path), err)
}

// windowMax is the largest zstd window; the zstd program's own limit.
const windowMax = 128 << 20

// unpack unpacks a file of the archive by the end of its name.
func unpack(suffix string, packed io.Reader) (io.Reader, func(), error) {
	none := func() {}
	switch suffix {
	case ".gz":
		z, err := gzip.NewReader(packed)
		return z, none, err
	case ".bz2":
		return bzip2.NewReader(packed), none, nil
	case ".lz4":
		return lz4.NewReader(packed), none, nil
	case ".zst":
		z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowMax))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return packed, none, nil
}

// digest is the SHA-1 of a file of the repository, decrypted.
func (r *repository) digest(ctx context.Context, path string) ([]byte, error) {
	sum := sha1.New()
	err := r.stream(ctx, path, func(content io.Reader) error {
		_, err := io.Copy(sum, content)
		return err
	})
	return sum.Sum(nil), err
}

// points are the newest moments and the oldest as recovery points.
func points(i stanzaInfo, dated []moment, oldest *moment) []holdfast.RecoveryPoint {
	var all []holdfast.RecoveryPoint
	add := func(m moment, name string) {
		p := holdfast.RecoveryPoint{Time: m.at, ID: name, Bytes: holdfast.Bytes(m.backup.Info.Size)}
		if m.ends {
			p.ID, p.Changed = m.backup.Label, i.changed(m.backup)
		}
		if !slices.ContainsFunc(all, func(q holdfast.RecoveryPoint) bool { return q.ID == p.ID }) {
			all = append(all, p)
		}
	}
	for _, m := range dated[:min(newest, len(dated))] {
		add(m, path.Base(m.file.path)[:24])
	}
	if oldest != nil {
		add(*oldest, "")
	}
	slices.SortStableFunc(all, func(a, b holdfast.RecoveryPoint) int { return b.Time.Compare(a.Time) })
	return all
}
