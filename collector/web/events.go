package web

import (
	"fmt"
	"net/http"
	"time"
)

const (
	eventGap   = 250 * time.Millisecond // at most four notices a second
	maxStreams = 2000
	eventBeat  = 10 * time.Second // the revision once more: a page knows that it is current, and nobody between closes a quiet stream
)

// events tells that something changed, never what: {"rev":N}. Who hears it reads
// its own page again, so rights and filters are those of the page.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		w.Header().Set("Retry-After", "60")
		writeProblem(w, http.StatusServiceUnavailable, "too many pages listen already; read again every 30 s instead")
		return
	}
	defer s.streams.Add(-1)
	changed, stop := s.c.Listen()
	defer stop()
	access, stop := s.c.AccessChanged()
	defer stop()
	out := http.NewResponseController(w)
	out.SetWriteDeadline(time.Time{}) // a stream outlives the server's own limits, where there are any
	out.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	fmt.Fprint(w, "retry: 2000\n\n")

	beat := time.NewTicker(eventBeat)
	defer beat.Stop()
	quiet := time.NewTimer(0) // fires when the next notice may be sent
	defer quiet.Stop()
	pending, free := true, false
	for {
		if pending && free {
			fmt.Fprintf(w, "data: {\"rev\":%d}\n\n", s.c.Revision())
			pending, free = false, false
			quiet.Reset(eventGap)
			if out.Flush() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
			pending = true
		case <-quiet.C:
			free = true
		case <-access: // somebody's rights: perhaps this reader's
			if _, err := s.identify(r); err != nil {
				return
			}
			pending = true
		case <-beat.C:
			if _, err := s.identify(r); err != nil {
				return // logged out, or run out
			}
			pending = true
		}
	}
}
