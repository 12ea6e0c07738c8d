package web

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Paging is what every operation that lists is asked with: embed it in the input
// and pass the whole list, in its order, to [paged].
//
// A cursor holds the place of the last thing that was sent, not its number: what
// comes and goes in between moves nothing else. Clients treat it as opaque.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"at most so many of them"`
	Cursor string `query:"cursor" maxLength:"2048" doc:"go on after a former answer: its next"`

	after string  // the cursor, read
	url   url.URL // as asked
}

// Resolve reads the cursor. Huma calls it.
func (p *Paging) Resolve(ctx huma.Context) []error {
	p.url = ctx.URL()
	after, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return badCursor()
	}
	p.after = string(after)
	return nil
}

func badCursor() []error {
	return []error{&huma.ErrorDetail{Location: "query.cursor", Message: "this is no cursor: take next of a former answer, or leave it out"}}
}

// Next is where a list goes on; embed it in the answer's body. Absent: this was
// the last page.
type Next struct {
	Next string `json:"next,omitempty" doc:"cursor of the next page; absent: there is none"`
}

// page is an answer with a part of a list: the body, and the address of the next
// page for clients that follow links (RFC 8288).
type page[T any] struct {
	Link string `header:"Link" doc:"<ADDRESS>; rel=\"next\": the next page; absent: there is none"`
	Body T
}

// paged cuts the part that is asked for out of a list. Key tells where a thing
// stands; keys ascend along the list and no two are equal. Link and next are
// empty on the last page.
func paged[T any](list []T, p Paging, key func(*T) string) (part []T, next Next, link string) {
	from := 0
	if p.after != "" {
		at, found := slices.BinarySearchFunc(list, p.after, func(t T, after string) int { return strings.Compare(key(&t), after) })
		if from = at; found {
			from++
		}
	}
	until := min(from+p.Limit, len(list))
	part = append([]T{}, list[from:until]...)
	if until == len(list) || until == from {
		return part, Next{}, ""
	}
	next, link = p.more(key(&part[len(part)-1]))
	return part, next, link
}

// more is how to go on after the thing that stands at a place.
func (p *Paging) more(place string) (next Next, link string) {
	next.Next = base64.RawURLEncoding.EncodeToString([]byte(place))
	u := p.url
	q := u.Query()
	q.Set("cursor", next.Next)
	u.RawQuery = q.Encode()
	return next, "<" + u.RequestURI() + `>; rel="next"`
}
