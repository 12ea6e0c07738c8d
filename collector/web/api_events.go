package web

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// streamForm is the type of a stream of events.
const streamForm = "text/event-stream"

// addEventsAPI adds the stream that open pages listen to as well.
func (s *server) addEventsAPI(a *api) {
	register(a, operation{Route: "GET /events", ID: "listen", Tag: "Collector",
		Summary: "Hear of changes as they happen",
		Description: "Server-sent events. Each says only that something changed, never what: data: {\"rev\":N}, where N is the revision that GET /status answers. " +
			"Read again what is of interest, with If-None-Match. At most four a second; a comment every 15 s keeps the connection open. " +
			"The stream ends when the token or session does, and is refused with 503 when too many listen.",
		Form: streamForm},
		func(context.Context, *struct{}) (*huma.StreamResponse, error) {
			return &huma.StreamResponse{Body: func(ctx huma.Context) {
				r, w := humago.Unwrap(ctx)
				s.events(w, r)
			}}, nil
		})
}
