package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// The buckets of the spool file. Every value begins with the CRC-32C of its key
// and the rest.
//
//	meta
//	└── "standing"            → JSON standing
//	reports
//	└── sequence (8 bytes)    → JSON letter
//	checks
//	└── check ID              → JSON seen
var (
	metaBucket    = []byte("meta")
	reportsBucket = []byte("reports")
	checksBucket  = []byte("checks")
	standingKey   = []byte("standing")
)

// standing is where the spool stood when it was last written.
type standing struct {
	Format   int    `json:"format"`
	Epoch    uint64 `json:"epoch"`
	Last     uint64 `json:"last"`
	Observed uint64 `json:"observed"`
	Reports  int    `json:"reports"` // in the file: one that vanished is noticed
}

const spoolFormat = 1

// A spool smaller than this holds too little to be worth having.
const minSpool = holdfast.Bytes(256 << 10)

var (
	errDamaged = errors.New("the file is damaged")
	errNewer   = errors.New("written by a newer holdfast")
	errRecord  = errors.New("the record is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// OpenOutbox opens the spool at path, or begins it. A damaged one is set aside,
// loudly, and a new one begun.
func OpenOutbox(path string, options OutboxOptions, log *slog.Logger) (*Outbox, error) {
	o := &Outbox{path: path, options: options, log: log, appended: make(chan struct{}, 1),
		seen: map[string]seen{}, unsaved: map[string]bool{}}
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = o.create()
	case err == nil:
		if err = o.open(); errors.Is(err, errDamaged) {
			err = o.replace(err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open spool %s: %w", path, err)
	}
	if len(o.waiting) > 0 {
		o.appended <- struct{}{}
	}
	return o, nil
}

// open reads an existing file and everything in it.
func (o *Outbox) open() error {
	err := guard(func() error {
		if err := o.openBolt(); err != nil {
			return err
		}
		return o.db.View(o.read)
	})
	if err == nil {
		return o.checkSound()
	}
	if o.db != nil {
		_ = guard(o.db.Close)
		o.db = nil
	}
	var system syscall.Errno
	if errors.As(err, &system) || errors.Is(err, bolterrors.ErrTimeout) || errors.Is(err, errNewer) {
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// checkSound begins a new epoch where sequence numbers may have been given out
// that the file knows nothing of: the last run ended with reports in memory only,
// or the newest write is gone because one of bbolt's two first pages, of which
// the other is as old as the write before, cannot be read.
func (o *Outbox) checkSound() error {
	_, unsound := os.Stat(o.path + soundSuffix)
	if unsound == nil && firstPagesSound(o.path) {
		return nil
	}
	o.begin(o.epoch)
	o.log.Warn("the spool may lack what was written last: new epoch", "file", o.path, "epoch", o.epoch)
	if err := o.save(); err != nil {
		return err
	}
	return o.trust()
}

// firstPagesSound reports whether both of bbolt's meta pages carry their
// checksum (bbolt, internal/common/meta.go: 56 bytes and their FNV-1a, after a
// page header of 16).
func firstPagesSound(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for page := range int64(2) {
		meta := make([]byte, 64)
		if _, err := f.ReadAt(meta, page*int64(os.Getpagesize())+16); err != nil {
			return false
		}
		h := fnv.New64a()
		h.Write(meta[:56])
		if binary.NativeEndian.Uint64(meta[56:]) != h.Sum64() {
			return false
		}
	}
	return true
}

func (o *Outbox) boltOptions() *bbolt.Options {
	return &bbolt.Options{
		Timeout:      time.Second,
		FreelistType: bbolt.FreelistMapType,
		// Waiting reports are bounded by Bytes; pages half full, the tree and the
		// copies of pages a write makes may take as much again.
		MaxSize: 2*int(o.options.Bytes) + 4<<20,
	}
}

// read takes in the whole file. Reports with a wrong checksum are left for
// report to name; anything else that is wrong makes the file damaged.
func (o *Outbox) read(tx *bbolt.Tx) error {
	meta, reports, checks := tx.Bucket(metaBucket), tx.Bucket(reportsBucket), tx.Bucket(checksBucket)
	if meta == nil || reports == nil || checks == nil {
		return fmt.Errorf("%w: a bucket is missing", errDamaged)
	}
	var s standing
	if err := decode(standingKey, meta.Get(standingKey), &s); err != nil {
		return fmt.Errorf("%w: standing: %w", errDamaged, err)
	}
	if s.Format > spoolFormat {
		return fmt.Errorf("%w: it has format %d, this one reads up to %d\nhint: run the newer version, or move the file away", errNewer, s.Format, spoolFormat)
	}
	o.epoch, o.last, o.observed = s.Epoch, s.Last, s.Observed
	var before uint64
	err := reports.ForEach(func(k, v []byte) error {
		if len(k) != 8 || binary.BigEndian.Uint64(k) <= before || binary.BigEndian.Uint64(k) > s.Last {
			return fmt.Errorf("%w: key %x after report %d of %d", errDamaged, k, before, s.Last)
		}
		before = binary.BigEndian.Uint64(k)
		e := entry{seq: before, bytes: len(v), born: o.options.Elapsed(), same: true}
		var l letter
		if decode(k, v, &l) == nil {
			e.born -= max(0, o.options.Now().Sub(l.At))
			e.same = len(l.Same) > 0
		}
		o.waiting = append(o.waiting, e)
		o.bytes += int64(len(v))
		return nil
	})
	if err != nil {
		return err
	}
	if missing := s.Reports - len(o.waiting); missing != 0 {
		return fmt.Errorf("%w: it holds %d reports and should hold %d", errDamaged, len(o.waiting), s.Reports)
	}
	return checks.ForEach(func(k, v []byte) error {
		var s seen
		if decode(k, v, &s) == nil { // else the check runs soon, and that is all
			o.seen[string(k)] = s
		}
		return nil
	})
}

// create begins a file: under a temporary name, complete and on disk before it
// is given its own. Numbers given out so far count on; what waits in memory stays
// there for the next write.
func (o *Outbox) create() error {
	o.db, o.waiting, o.gone, o.bytes = nil, nil, nil, 0
	for id := range o.seen {
		o.unsaved[id] = true
	}
	o.begin(o.epoch)
	temporary := o.path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(temporary, 0o600, o.boltOptions())
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, bucket := range [][]byte{metaBucket, reportsBucket, checksBucket} {
			if _, err := tx.CreateBucket(bucket); err != nil {
				return err
			}
		}
		return o.putStanding(tx, 0)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, o.path); err != nil {
		return err
	}
	if err := o.trust(); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(o.path)); err != nil {
		return err
	}
	o.problem = nil
	return o.openBolt()
}

func (o *Outbox) openBolt() (err error) {
	o.db, err = bbolt.Open(o.path, 0o600, o.boltOptions())
	if err == nil {
		o.db.AllocSize = 1 << 20
	}
	return err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// replace sets a damaged file aside and begins a new one with a new epoch. At
// most three set aside are kept.
func (o *Outbox) replace(damage error) error {
	if o.db != nil {
		_ = guard(o.db.Close)
	}
	aside := o.path + ".damaged-" + o.options.Now().UTC().Format("20060102T150405Z")
	if err := os.Rename(o.path, aside); err != nil {
		return fmt.Errorf("set a damaged file aside: %w", err)
	}
	o.log.Error("the spool is damaged: set aside, a new one begun; results that waited in it are lost unless the collector has them",
		"file", aside, "reports", len(o.waiting), "error", damage)
	if old, _ := filepath.Glob(o.path + ".damaged-*"); len(old) > 3 {
		slices.Sort(old)
		_ = os.Remove(old[0])
	}
	return o.create()
}

// A disk that takes nothing is tried again after this time.
const retryAfter = 5 * time.Second

// trySave is save, unless it failed a moment ago: what waits in memory then goes
// with a later write.
func (o *Outbox) trySave() error {
	if o.problem != nil && o.options.Elapsed() < o.retry {
		o.forget()
		return fmt.Errorf("write spool: %w", o.problem)
	}
	return o.save()
}

// save writes what is not on disk yet: reports in memory, acknowledgements, the
// newest result of each check, the standing. If the disk refuses, the reports go
// on waiting in memory.
func (o *Outbox) save() error {
	var cuts []cut
	err := guard(func() (err error) {
		if o.db == nil {
			if err := o.create(); err != nil {
				return err
			}
		}
		if cuts, err = o.makeRoom(); err != nil {
			return err
		}
		return o.write(cuts)
	})
	if errors.Is(err, errDamaged) {
		if err = o.replace(err); err == nil {
			cuts, err = nil, o.write(nil)
		}
	}
	if err != nil {
		o.refused(err)
		return fmt.Errorf("write spool: %w", err)
	}
	o.saved(cuts)
	return nil
}

func (o *Outbox) write(cuts []cut) error {
	return o.db.Update(func(tx *bbolt.Tx) error {
		reports, checks := tx.Bucket(reportsBucket), tx.Bucket(checksBucket)
		reports.FillPercent = 0.9 // keys only grow
		for _, seq := range o.gone {
			if err := reports.Delete(sequenceKey(seq)); err != nil {
				return err
			}
		}
		waiting := len(o.waiting) + len(o.memory)
		for _, c := range cuts {
			key := sequenceKey(c.seq)
			if c.left != nil {
				if err := put(reports, key, c.left); err != nil {
					return err
				}
				continue
			}
			waiting--
			if err := reports.Delete(key); err != nil {
				return err
			}
		}
		for i := range o.memory {
			if err := put(reports, sequenceKey(o.memory[i].seq), &o.memory[i]); err != nil {
				return err
			}
		}
		for id := range o.unsaved {
			if err := put(checks, []byte(id), o.seen[id]); err != nil {
				return err
			}
		}
		return o.putStanding(tx, waiting)
	})
}

func (o *Outbox) putStanding(tx *bbolt.Tx, reports int) error {
	return put(tx.Bucket(metaBucket), standingKey, standing{spoolFormat, o.epoch, o.last, o.observed, reports})
}

// saved takes over what write has put on disk.
func (o *Outbox) saved(cuts []cut) {
	for _, c := range cuts {
		i, _ := o.find(c.seq)
		o.bytes -= int64(o.waiting[i].bytes)
		if c.left == nil {
			o.waiting = slices.Delete(o.waiting, i, i+1)
			continue
		}
		o.waiting[i].bytes, o.waiting[i].same = c.bytes, false
		o.bytes += int64(c.bytes)
	}
	for _, l := range o.memory {
		e := entry{seq: l.seq, born: o.options.Elapsed(), bytes: l.size(), same: len(l.Same) > 0}
		o.waiting = append(o.waiting, e)
		o.bytes += int64(e.bytes)
	}
	o.memory, o.gone = nil, nil
	clear(o.unsaved)
	if o.problem == nil {
		return
	}
	o.problem = nil
	o.log.Info("the spool can be written again: nothing is in memory only", "file", o.path)
	if err := o.trust(); err != nil {
		o.log.Warn("mark the spool sound; the next start begins a new epoch", "error", err)
	}
}

// refused notes that the disk takes nothing.
func (o *Outbox) refused(err error) {
	if o.problem == nil {
		o.log.Error("the spool cannot be written: results are kept in memory only, and are lost if the agent stops", "file", o.path, "error", err)
		if err := o.distrust(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.log.Error("mark the spool unsound", "error", err)
		}
	}
	o.problem, o.retry = err, o.options.Elapsed()+retryAfter
	o.forget()
}

// load reads one report.
func (o *Outbox) load(seq uint64) (l letter, err error) {
	err = guard(func() error {
		return o.db.View(func(tx *bbolt.Tx) error {
			key := sequenceKey(seq)
			return decode(key, tx.Bucket(reportsBucket).Get(key), &l)
		})
	})
	l.seq = seq
	return l, err
}

func sequenceKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func put(b *bbolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, append(binary.BigEndian.AppendUint32(nil, sum(key, text)), text...))
}

func decode(key, value []byte, v any) error {
	if len(value) < 4 || binary.BigEndian.Uint32(value) != sum(key, value[4:]) {
		return errRecord
	}
	return json.Unmarshal(value[4:], v)
}

func sum(key, text []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, text)
}

// guard turns a panic of bbolt, which trusts its pages, and a page that cannot be
// read into errDamaged.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return do()
}
