package discover

import (
	"regexp"
	"strings"
	"unicode"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// userinfo is the user and password of an address. A password with an @ or / in it
// is taken whole, rather too much than too little.
var userinfo = regexp.MustCompile(`(://[^/@:\s]*):\S*@`)

// withUser is an address up to who logs in, whose secret was taken out.
var withUser = regexp.MustCompile(`(://)[^/@\s]*:xxxxx@`)

// secretWord is a word that gives a secret away: token=…
var secretWord = regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|access_?key|credential)[a-z_]*=)[^&;,\s]+`)

// plain takes what could be a secret out of a text, makes it one line, and bounds
// it.
func plain(text string) string {
	text = userinfo.ReplaceAllString(text, "$1:xxxxx@")
	text = secretWord.ReplaceAllString(text, "${1}xxxxx")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > holdfast.MaxText {
		text = strings.ToValidUTF8(text[:holdfast.MaxText-3], "") + "…"
	}
	return text
}

// plainAction takes what could be a secret out of an action.
func plainAction(a Action) Action {
	a.Target, a.Host = several.ReplaceAllString(strings.TrimSpace(plain(a.Target)), unknown), plain(a.Host)
	for i := range a.Sources {
		a.Sources[i] = plain(a.Sources[i])
	}
	for _, file := range []*string{&a.password, &a.key, &a.config, &a.env} { // only paths
		if !strings.HasPrefix(*file, "/") || strings.Contains(*file, unknown) {
			*file = ""
		}
	}
	return a
}
