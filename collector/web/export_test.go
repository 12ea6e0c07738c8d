package web

import "net/http"

// What tests of words and geometry need to see.
var (
	Span   = span
	Spoken = spoken
)

// StaticFile returns a file below /static/.
func StaticFile(name string) ([]byte, error) { return staticFiles.ReadFile("static/" + name) }

// Muxes returns what New serves: the mux of what is open, and the one inside.
func Muxes(c Collector) (mux, inside *http.ServeMux, err error) {
	s := &server{c: c, pages: &pages{}, logins: newLimiter()}
	return s.routes()
}
