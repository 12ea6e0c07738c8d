package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// progress shows how far a long work has come: on a terminal a line that is written
// over, after a second; elsewhere a line every ten seconds. Nothing is shown of work
// that is quick.
type progress struct {
	w        io.Writer
	terminal bool
	now      func() time.Time

	mu    sync.Mutex
	next  time.Time // when to show again; guarded by mu
	shown bool      // a line stands on the terminal; guarded by mu
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	p := &progress{w: w, terminal: ok && term.IsTerminal(int(f.Fd())), now: time.Now}
	p.next = p.now().Add(p.pause())
	return p
}

func (p *progress) pause() time.Duration {
	switch {
	case !p.terminal:
		return 10 * time.Second
	case !p.shown:
		return time.Second
	}
	return 200 * time.Millisecond
}

// tell hears of a phase.
func (p *progress) tell(phase holdfast.Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Before(p.next) {
		return
	}
	text := clean(phase.Name)
	if phase.Total > 0 {
		text += fmt.Sprintf(" %d %%", 100*min(phase.Done, phase.Total)/phase.Total)
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.shown = true
	} else {
		fmt.Fprintln(p.w, text)
	}
	p.next = now.Add(p.pause())
}

// end takes the line away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
