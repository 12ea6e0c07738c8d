package catalog

import (
	"context"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	pollEvery = 2 * time.Second
	// settle is how long contents must stand still: a checkout in place writes
	// file by file, and half of one is not what anybody wrote.
	settle = 200 * time.Millisecond
)

// Event is a catalogue read anew: either accepted, or refused.
type Event struct {
	Catalogue *holdfast.Catalogue // nil: refused, what is in force stays
	Warnings  []Fault
	Err       error             // why it was refused: [Errors], or the files could not be read
	Hash      string            // of the contents, empty where they could not be read
	Files     map[string][]byte // by name below the directory; nil where they could not be read
}

// Read reads the catalogue of dir once, as Watch would deliver it.
func Read(dir string, o Options) Event {
	var e Event
	w := watcher{dir: dir, options: o, deliver: func(got Event) { e = got }}
	w.read(w.look())
	return e
}

// Watch follows the catalogue of dir until ctx ends. It digests the files every
// two seconds, reads them once changed contents stand still, and delivers what
// came of it; a refusal is delivered once. A directory or link that is replaced
// is followed. The hash inForce is that of the catalogue the caller holds. Each
// value from reload makes it read at once and deliver in any case.
//
// Watch blocks, and calls deliver on the caller's goroutine.
func Watch(ctx context.Context, dir string, o Options, inForce string, reload <-chan struct{}, deliver func(Event)) {
	w := watcher{dir: dir, options: o, last: state{hash: inForce}, deliver: deliver}
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			files, now := w.look()
			w.read(files, now)
			timer.Reset(pollEvery)
		case <-timer.C:
			timer.Reset(w.poll())
		}
	}
}

// watcher belongs to the goroutine of Watch.
type watcher struct {
	dir     string
	options Options
	deliver func(Event)
	last    state // delivered
	pending state // seen once, not yet seen to stand still
}

// state is what was found in the directory: contents, or why there are none.
type state struct{ hash, problem string }

// poll looks once and says when to look again.
func (w *watcher) poll() time.Duration {
	files, now := w.look()
	switch now {
	case w.last:
		w.pending = state{}
	case w.pending:
		w.read(files, now)
	default:
		w.pending = now
		return settle
	}
	return pollEvery
}

func (w *watcher) look() (map[string][]byte, state) {
	files, err := readFiles(w.dir)
	if err != nil {
		return nil, state{problem: err.Error()}
	}
	return files, state{hash: hashFiles(files)}
}

// read reads what was found and delivers it.
func (w *watcher) read(files map[string][]byte, now state) {
	w.last, w.pending = now, state{}
	if now.problem != "" {
		w.deliver(Event{Err: unreadable(now.problem)})
		return
	}
	e := Event{Hash: now.hash, Files: files}
	o := w.options
	o.Warn = func(f Fault) { e.Warnings = append(e.Warnings, f) }
	e.Catalogue, e.Err = Parse(files, o)
	w.deliver(e)
}

// unreadable is why files could not be read.
type unreadable string

func (u unreadable) Error() string { return string(u) }
