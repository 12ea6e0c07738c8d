package probe

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// OK is an observation of a thing that is as it should be. The summary is
// formatted as by fmt.Sprintf and made fit to be shown, as by OneLine.
func OK(format string, args ...any) Observation {
	return Observation{Outcome: holdfast.OK, Summary: OneLine(fmt.Sprintf(format, args...))}
}

// Degraded is an observation of a thing that works, and not as it should.
func Degraded(reason holdfast.Reason, format string, args ...any) Observation {
	return Observation{Outcome: holdfast.OutcomeDegraded, Reason: reason, Summary: OneLine(fmt.Sprintf(format, args...))}
}

// Failed is an observation of a thing that is broken.
func Failed(reason holdfast.Reason, format string, args ...any) Observation {
	return Observation{Outcome: holdfast.Failed, Reason: reason, Summary: OneLine(fmt.Sprintf(format, args...))}
}

// oneLineMax is the most bytes OneLine leaves.
const oneLineMax = 500

// OneLine makes text from elsewhere (a file's name, a server's answer) fit to be
// shown: UTF-8 on one line, a question mark for what cannot be printed, at most
// 500 bytes. It never makes text longer.
func OneLine(s string) string {
	if len(s) > oneLineMax {
		s = strings.ToValidUTF8(s[:oneLineMax-len("…")], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
