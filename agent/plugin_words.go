package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/time/rate"
)

// What is kept of a plugin's error output. It is untrusted text: it is logged as
// one value, cut and cleaned, never interpreted.
const (
	lineMax     = 1024     // bytes of one line
	linesBurst  = 50       // lines at once, then
	linesPerSec = 5        // lines a second
	floodBytes  = 16 << 20 // within a floodWindow, more than this ends the plugin
	leastBytes  = 64       // what a write counts at least: short lines are work, too
	floodWindow = time.Minute
)

// pluginWords takes a plugin's error output to the log.
type pluginWords struct {
	log     *slog.Logger
	flooded chan struct{} // closed on a flood
	allow   *rate.Limiter

	mu      sync.Mutex
	line    bytes.Buffer // the line under way, cut; guarded by mu, as all below
	recent  bytes.Buffer // the last line worth telling
	dropped int          // lines, since the last one logged
	window  time.Time    // when counting bytes began
	bytes   int
}

func newPluginWords(log *slog.Logger) *pluginWords {
	return &pluginWords{log: log, flooded: make(chan struct{}), allow: rate.NewLimiter(linesPerSec, linesBurst), window: time.Now()}
}

// Write takes the next bytes of the output.
func (w *pluginWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count(max(len(p), leastBytes))
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		w.line.Write(part[:min(len(part), lineMax-w.line.Len())])
		if ended {
			w.endLine()
		}
		rest = after
	}
	return len(p), nil
}

// count notices a flood.
func (w *pluginWords) count(n int) {
	if now := time.Now(); now.Sub(w.window) > floodWindow {
		w.window, w.bytes = now, 0
	}
	before := w.bytes
	w.bytes += n
	if before <= floodBytes && w.bytes > floodBytes {
		select {
		case <-w.flooded:
		default:
			close(w.flooded)
		}
	}
}

func (w *pluginWords) endLine() {
	defer w.line.Reset()
	line := w.line.Bytes()
	if len(line) == 0 {
		return
	}
	// Of a panic the first line tells most; the trace follows.
	if !bytes.HasPrefix(w.recent.Bytes(), []byte("panic: ")) && !bytes.HasPrefix(w.recent.Bytes(), []byte("fatal error: ")) {
		w.recent.Reset()
		w.recent.Write(line)
	}
	if !w.allow.Allow() {
		w.dropped++
		return
	}
	w.log.Info("plugin says", "line", printable(line), "lines_dropped", w.dropped)
	w.dropped = 0
}

// last returns the last words in a form to append to a message.
func (w *pluginWords) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.recent.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("; it said last: %.200q", printable(w.recent.Bytes()))
}

// close logs what is left.
func (w *pluginWords) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLine()
	if w.dropped > 0 {
		w.log.Warn("plugin said too much", "lines_dropped", w.dropped)
	}
}

// printable replaces what could drive a terminal.
func printable(line []byte) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimRight(string(line), "\r"))
}
