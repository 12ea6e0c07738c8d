package borg

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// result is what a command said.
type result struct {
	probe.Output
	said []message
}

// message is a line of standard error that says something.
type message struct {
	Type    string `json:"type"`
	Level   string `json:"levelname"` // DEBUG to CRITICAL; "" for a line that is not borg's
	ID      string `json:"msgid"`     // the kind of error, like IntegrityError
	Text    string `json:"message"`
	Current int64  `json:"current"`
	Total   int64  `json:"total"`
}

func (m message) bad() bool { return m.Level == "ERROR" || m.Level == "CRITICAL" }

const (
	messagesMax = 300     // the first of them count
	lineMax     = 1 << 20 // a traceback is one line
)

// hearing reads standard error as it comes: messages are kept, progress is passed
// on and forgotten, so that it cannot crowd out an error.
type hearing struct {
	tell func(done, total int64)
	said []message
	line []byte // what has come of a line; exec's copying goroutine alone writes
}

func (h *hearing) Write(b []byte) (int, error) {
	n := len(b)
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if len(h.line)+len(line) <= lineMax {
			h.line = append(h.line, line...)
		}
		if !whole {
			return n, nil
		}
		h.end()
		b = rest
	}
}

// end takes what has come as a line.
func (h *hearing) end() {
	text := strings.TrimSpace(string(h.line))
	h.line = h.line[:0]
	if text == "" {
		return
	}
	m := message{Text: text}
	if strings.HasPrefix(text, "{") {
		var parsed message
		if json.Unmarshal([]byte(text), &parsed) == nil && parsed.Type != "" {
			m = parsed
		}
	}
	if strings.HasPrefix(m.Type, "progress_") {
		if h.tell != nil {
			h.tell(m.Current, m.Total)
		}
		return
	}
	m.Text = probe.Clip(exception(m.Text), 1000)
	if m.Text != "" && len(h.said) < messagesMax {
		h.said = append(h.said, m)
	}
}

// exception cuts a traceback down to its last line, which names what happened; other
// text stays as it is.
func exception(text string) string {
	_, trace, ok := strings.Cut(text, "Traceback (most recent call last):")
	if !ok {
		return text
	}
	trace, _, _ = strings.Cut(trace, "\n\nPlatform:")
	trace = strings.TrimSpace(trace)
	if i := strings.LastIndex(trace, "\n  "); i >= 0 { // the last line of code; an exception's own text is not indented
		_, trace, _ = strings.Cut(trace[i+1:], "\n")
	}
	return strings.TrimSpace(trace)
}

// raw writes the messages down as an excerpt.
func (r result) raw() string {
	var b strings.Builder
	for _, m := range r.said {
		b.WriteString(m.Text)
		b.WriteByte('\n')
		if b.Len() > 4096 {
			break
		}
	}
	return b.String()
}
