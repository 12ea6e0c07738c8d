package web

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// writeAnswer writes an answer as JSON that drives no terminal: what controls it,
// or turns the direction of writing, is escaped. It is the same text to whoever
// reads JSON.
func writeAnswer(w io.Writer, v any) error {
	e := json.NewEncoder(visibleWriter{w}) // which writes everything at once
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type visibleWriter struct{ w io.Writer }

// Write writes whole JSON.
func (v visibleWriter) Write(b []byte) (int, error) {
	if _, err := v.w.Write(VisibleJSON(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// VisibleJSON escapes, in a text of JSON, characters that nobody sees. Beyond ASCII they stand only
// within strings, and those below a blank encoding/json has escaped.
func VisibleJSON(b []byte) []byte {
	var out []byte
	done := 0 // what of b is in out
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf && b[i] != 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if unseen(r) {
			out = fmt.Appendf(append(out, b[done:i]...), `\u%04x`, r)
			done = i + n
		}
		i += n
	}
	if done == 0 {
		return b
	}
	return append(out, b[done:]...)
}

// unseen reports whether a character controls a terminal or turns the direction
// of writing.
func unseen(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c
}
