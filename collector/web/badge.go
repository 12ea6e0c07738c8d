package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// A badge is the one thing shown without login: a picture of a service's state and
// score, to whoever has its address. It says nothing else, not even the name.

// How often badges may be asked for, by address: a page may hold many of them.
const (
	badgesAtOnce = 120
	badgeEvery   = 100 * time.Millisecond
)

// badgePolicy is the security policy of the picture: it holds nothing but shapes.
const badgePolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"

// badgeColours are those of the light theme (style.css): white letters on each
// stand out at 4.5:1 or better.
var badgeColours = map[holdfast.State]string{
	holdfast.Proven: "#0a7563", holdfast.Stale: "#856000", holdfast.Degraded: "#b3460b", holdfast.Untested: "#6848bf",
	holdfast.Broken: "#b51f3b", holdfast.Uncovered: "#8a1f63", holdfast.Unknown: "#56626f", holdfast.NotJudged: "#56626f",
}

// badgeShape draws the picture. Everything in it is a closed word or a number.
var badgeShape = template.Must(template.New("badge").Parse(
	`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="20" role="img" aria-label="Recovery: {{.Say}}"><title>Recovery: {{.Say}}</title>` +
		`<clipPath id="r"><rect width="{{.Width}}" height="20" rx="3"/></clipPath>` +
		`<g clip-path="url(#r)"><rect width="62" height="20" fill="#39434e"/><rect x="62" width="{{.Right}}" height="20" fill="{{.Colour}}"/></g>` +
		`<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11"><text x="8" y="14" textLength="46" lengthAdjust="spacingAndGlyphs">recovery</text>` +
		`<text x="70" y="14" textLength="{{.Text}}" lengthAdjust="spacingAndGlyphs">{{.Say}}</text></g></svg>
`))

// badge answers GET /badge/KEY.svg. A key that is unknown, revoked, or of a
// service that is no more is answered alike.
func (s *server) badge(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", badgePolicy)
	if !s.badges.allow(r.RemoteAddr) {
		h.Set("Retry-After", "10")
		http.Error(w, "asked too often", http.StatusTooManyRequests)
		return
	}
	key, isPicture := strings.CutSuffix(r.PathValue("file"), ".svg")
	service, err := s.c.Badge(r.Context(), key)
	if err != nil && !errors.Is(err, holdfast.ErrNoAccess) {
		s.log.Error("badge cannot be shown", "err", err)
		http.Error(w, "cannot be shown now", http.StatusServiceUnavailable)
		return
	}
	p, known := s.c.Posture(service)
	if err != nil || !known || !isPicture {
		http.Error(w, "there is no such badge", http.StatusNotFound)
		return
	}
	picture, err := drawBadge(p.State, p.Score)
	if err != nil {
		s.log.Error("badge not drawn", "err", err)
		http.Error(w, "cannot be shown now", http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "image/svg+xml; charset=utf-8")
	h.Set("Cache-Control", "no-cache, max-age=60") // whoever keeps it asks again before long: it may be revoked
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Referrer-Policy", "no-referrer")
	w.Write(picture) // an error means the reader is gone
}

// drawBadge draws a state and a score; nil: it is not judged.
func drawBadge(state holdfast.State, score *int) ([]byte, error) {
	colour, known := badgeColours[state]
	if !known {
		return nil, fmt.Errorf("state %q has no colour", state)
	}
	say := strings.ToLower(stateWord(state))
	if score != nil {
		say = fmt.Sprintf("%s %d", say, *score)
	}
	text := utf8.RuneCountInString(say) * 13 / 2 // Verdana at 11 is about 6.5 wide
	var b bytes.Buffer
	err := badgeShape.Execute(&b, map[string]any{"Say": say, "Colour": colour, "Text": text, "Right": text + 16, "Width": text + 78})
	return b.Bytes(), err
}
