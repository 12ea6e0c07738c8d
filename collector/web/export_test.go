package web

// What tests of words and geometry need to see.
var (
	Span   = span
	Spoken = spoken
)

// StaticFile returns a file below /static/.
func StaticFile(name string) ([]byte, error) { return staticFiles.ReadFile("static/" + name) }
