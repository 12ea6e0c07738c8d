package agent

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Result is what a check saw, with the check as it was then.
type Result struct {
	Check       holdfast.Check
	Observation holdfast.Observation
}

// OutboxOptions bound an outbox.
type OutboxOptions struct {
	Bytes   holdfast.Bytes       // of waiting reports
	Age     holdfast.Duration    // that unchanged results wait at most
	Elapsed func() time.Duration // since a fixed instant, suspend included
	Now     func() time.Time     // wall clock
}

// Outbox is the agent's Spool: a bbolt file of reports that wait for the
// collector.
//
// A report is on disk before Next gives it away, except while the disk takes
// nothing: then reports wait in memory, are given away from there, and are
// written when it can be. When there is no room, the oldest results that changed
// nothing go first; a result that says something new goes only when nothing else
// is left. Acknowledged reports leave the disk with the next write; a crash
// before that sends them again, and the collector passes over them.
//
// A file that cannot be read is set aside under another name and a new one begun
// with a new epoch; a single damaged report is passed over by name.
type Outbox struct {
	path     string
	options  OutboxOptions
	log      *slog.Logger
	appended chan struct{}

	mu       sync.Mutex // guards all below
	db       *bbolt.DB
	epoch    uint64
	last     uint64          // sequence number of the newest report
	observed uint64          // sequence number of the newest observation
	waiting  []entry         // on disk, ascending
	bytes    int64           // of waiting
	memory   []letter        // not on disk, ascending, all newer than waiting
	gone     []uint64        // acknowledged, to be deleted with the next write
	seen     map[string]seen // check → its newest result
	unsaved  map[string]bool // checks whose seen is not on disk
	lost     uint64          // results given up since the start
	problem  error           // why the last write failed; nil: it did not
	retry    time.Duration   // not to write before, after a failure; on the elapsed clock
}

// entry is one report on disk.
type entry struct {
	seq   uint64
	born  time.Duration // on the elapsed clock
	bytes int
	same  bool // holds results that changed nothing
}

// letter is a report as it is stored.
type letter struct {
	seq     uint64
	At      time.Time              `json:"at"`
	Changed []holdfast.Observation `json:"changed,omitempty"` // said something new when they were appended
	Same    []holdfast.Observation `json:"same,omitempty"`
}

// seen is the newest result of a check.
type seen struct {
	At      time.Time `json:"at"`
	Check   uint64    `json:"check"`   // digest of the check's definition
	Content uint64    `json:"content"` // digest of what it said
}

// What is kept in memory while the disk takes nothing.
const memoryResults = 5000

var _ Spool = (*Outbox)(nil)

// Append adds one report of results and returns when it is on disk. An error says
// that it is not, and waits in memory. Observations are given their Seq.
func (o *Outbox) Append(results []Result) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	l := letter{seq: o.last, At: o.options.Now()}
	for _, r := range results {
		o.observed++
		r.Observation.Seq = o.observed
		now := seen{r.Observation.At, digestCheck(r.Check), digestContent(r.Observation)}
		before, known := o.seen[r.Check.ID]
		if known && before.Content == now.Content {
			l.Same = append(l.Same, r.Observation)
		} else {
			l.Changed = append(l.Changed, r.Observation)
		}
		o.seen[r.Check.ID] = now
		o.unsaved[r.Check.ID] = true
	}
	o.memory = append(o.memory, l)
	err := o.trySave()
	select {
	case o.appended <- struct{}{}:
	default:
	}
	return err
}

// Says reports whether a result says something that its check's last one did not.
func (o *Outbox) Says(r Result) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, known := o.seen[r.Check.ID]
	return !known || before.Content != digestContent(r.Observation)
}

// Ages returns how long ago each of the checks ran, as it is defined now.
func (o *Outbox) Ages(checks []holdfast.Check) map[string]time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	ages := map[string]time.Duration{}
	for _, c := range checks {
		if s, ok := o.seen[c.ID]; ok && s.Check == digestCheck(c) {
			ages[c.ID] = o.options.Now().Sub(s.At)
		}
	}
	return ages
}

// Appended gives a value after a report was appended.
func (o *Outbox) Appended() <-chan struct{} { return o.appended }

// State says where the outbox stands.
func (o *Outbox) State() SpoolState {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := SpoolState{Epoch: o.epoch, First: o.last + 1, Last: o.last, Waiting: len(o.waiting) + len(o.memory), Dropped: o.lost}
	switch {
	case len(o.waiting) > 0:
		s.First = o.waiting[0].seq
	case len(o.memory) > 0:
		s.First = o.memory[0].seq
	}
	return s
}

// Problem returns why results are kept in memory only, or nil.
func (o *Outbox) Problem() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.problem
}

// Next returns the waiting report with the lowest sequence number above after.
func (o *Outbox) Next(after uint64) (holdfast.Report, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		i, found := o.find(after)
		if found {
			i++
		}
		if i < len(o.waiting) {
			if r, ok, err := o.report(i); ok || err != nil {
				return r, ok, err
			}
			continue // it was damaged and is gone
		}
		j, found := slices.BinarySearchFunc(o.memory, after, bySeq)
		if found {
			j++
		}
		if j == len(o.memory) {
			return holdfast.Report{}, false, nil
		}
		return o.memory[j].report(o.epoch), true, nil
	}
}

// Previous returns the waiting report with the highest sequence number below
// before.
func (o *Outbox) Previous(before uint64) (holdfast.Report, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if j, _ := slices.BinarySearchFunc(o.memory, before, bySeq); j > 0 {
			return o.memory[j-1].report(o.epoch), true, nil
		}
		i, _ := o.find(before)
		if i == 0 {
			return holdfast.Report{}, false, nil
		}
		if r, ok, err := o.report(i - 1); ok || err != nil {
			return r, ok, err
		}
	}
}

// Drop forgets reports: at once here, on disk with the next write.
func (o *Outbox) Drop(seqs ...uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, seq := range seqs {
		if i, ok := o.find(seq); ok {
			o.remove(i)
		} else if j, ok := slices.BinarySearchFunc(o.memory, seq, bySeq); ok {
			o.memory = slices.Delete(o.memory, j, j+1)
		}
	}
	if len(o.gone) > maxGone {
		return o.trySave()
	}
	return nil
}

// A drain of a long backlog without new results frees its room every so often.
const maxGone = 1000

// Renew begins a new epoch above floor. A crash before it is on disk brings the
// old epoch back, and the collector asks again.
func (o *Outbox) Renew(floor uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begin(max(floor, o.epoch))
	return o.save()
}

// begin starts an epoch above floor.
func (o *Outbox) begin(floor uint64) {
	o.epoch = max(uint64(max(o.options.Now().Unix(), 1)), floor+1)
	o.observed = max(o.observed, o.epoch<<32-1)
}

// Close writes what is not on disk and closes the file.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	if len(o.memory) > 0 || len(o.gone) > 0 {
		err = o.save()
	}
	return errors.Join(err, o.db.Close())
}

// find returns the place of the first report on disk with at least that sequence
// number, and whether it is that one.
func (o *Outbox) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(o.waiting, seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
}

func bySeq(l letter, seq uint64) int { return cmp.Compare(l.seq, seq) }

// report reads the i-th report on disk. A damaged one is removed and ok is false.
func (o *Outbox) report(i int) (r holdfast.Report, ok bool, err error) {
	seq := o.waiting[i].seq
	l, err := o.load(seq)
	switch {
	case errors.Is(err, errRecord):
		o.log.Error("damaged report in the spool passed over", "report", seq, "error", err)
		o.lost++
		o.remove(i)
		return r, false, nil
	case errors.Is(err, errDamaged):
		return r, false, o.replace(err)
	case err != nil:
		return r, false, fmt.Errorf("read spool: %w", err)
	}
	return l.report(o.epoch), true, nil
}

func (o *Outbox) remove(i int) {
	o.gone = append(o.gone, o.waiting[i].seq)
	o.bytes -= int64(o.waiting[i].bytes)
	o.waiting = slices.Delete(o.waiting, i, i+1)
}

func (l letter) report(epoch uint64) holdfast.Report {
	observations := slices.Concat(l.Changed, l.Same)
	slices.SortFunc(observations, func(a, b holdfast.Observation) int { return cmp.Compare(a.Seq, b.Seq) })
	return holdfast.Report{Epoch: epoch, Seq: l.seq, Observations: observations}
}

// digestCheck tells definitions of a check apart.
func digestCheck(c holdfast.Check) uint64 { return digest(c) }

// digestContent tells apart what observations say, times and numbers aside: two
// that say the same may stand for each other when there is no room for both.
func digestContent(o holdfast.Observation) uint64 {
	return digest(holdfast.Observation{
		Outcome: o.Outcome, Reason: o.Reason,
		RecoveryPoints: o.RecoveryPoints, Verification: o.Verification, Restoration: o.Restoration,
		Expiry: o.Expiry, Immutable: o.Immutable, Offline: o.Offline, Encrypted: o.Encrypted, Credential: o.Credential,
		Fingerprint: o.Fingerprint,
	})
}

func digest(v any) uint64 {
	h := fnv.New64a()
	// Neither type holds anything that JSON refuses.
	_ = json.NewEncoder(h).Encode(v)
	return h.Sum64()
}

// forget makes room in memory while the disk takes nothing: results that changed
// nothing go first.
func (o *Outbox) forget() {
	held := 0
	for _, l := range o.memory {
		held += len(l.Changed) + len(l.Same)
	}
	for i := 0; held > memoryResults && i < len(o.memory); i++ {
		held -= len(o.memory[i].Same)
		o.lost += uint64(len(o.memory[i].Same))
		o.memory[i].Same = nil
	}
	o.memory = slices.DeleteFunc(o.memory, func(l letter) bool {
		over := held > memoryResults || len(l.Changed)+len(l.Same) == 0
		if over {
			held -= len(l.Changed)
			o.lost += uint64(len(l.Changed))
		}
		return over
	})
}

// trust and distrust say on disk whether every sequence number given out is
// there. While reports wait in memory only it is not so: the next start must not
// give their numbers to others, and begins a new epoch. A file is removed for
// that, which a full disk allows.
func (o *Outbox) trust() error    { return os.WriteFile(o.path+soundSuffix, nil, 0o600) }
func (o *Outbox) distrust() error { return os.Remove(o.path + soundSuffix) }

const soundSuffix = ".sound"
