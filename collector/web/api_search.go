package web

import (
	"cmp"
	"context"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// hitsShown is how many hits a search answers: nobody reads more, they type more.
const hitsShown = 20

// Hit is something a search found.
type Hit struct {
	Kind  string         `json:"kind" enum:"page,service,path,agent"`
	Title string         `json:"title" doc:"how it is called"`
	Note  string         `json:"note,omitempty" doc:"what tells it from others of its name"`
	Link  string         `json:"link" doc:"path of the page that shows it"`
	State holdfast.State `json:"state,omitempty" doc:"of a service"`
	rank  int
	name  string // of the service whose state it shows
}

// Found is the answer of GET /api/v1/search.
type Found struct {
	Query string `json:"query"`
	Hits  []Hit  `json:"hits" doc:"best first, at most 20"`
	More  int    `json:"more" doc:"how many are not shown"`
}

func (s *server) addSearchAPI(a *api) {
	register(a, operation{Route: "GET /search", ID: "search", Tag: "Readiness",
		Summary: "Pages, services, recovery paths and agents by name", Description: "What the palette of the pages asks."}, s.apiSearch)
}

func (s *server) apiSearch(_ context.Context, in *struct {
	Query string `query:"q" maxLength:"200" doc:"words that must all be found; empty: the pages"`
}) (*answer[Found], error) {
	return &answer[Found]{search(in.Query, s.c)}, nil
}

// search finds what people may want to go to. Every word must stand in the name of
// a thing, in any order.
func search(query string, c Collector) Found {
	words := strings.Fields(strings.ToLower(query))
	f := Found{Query: query, Hits: []Hit{}}
	add := func(h Hit, texts ...string) {
		if rank := match(words, texts); rank >= 0 {
			h.rank = rank
			f.Hits = append(f.Hits, h)
		}
	}
	for _, e := range menu {
		add(Hit{Kind: "page", Title: e.Title, Note: "g " + e.Key, Link: e.Path}, e.Title)
	}
	if len(words) == 0 {
		return f
	}
	services := c.Catalogue().Services
	for i := range services {
		s := &services[i]
		title := cmp.Or(s.Title, s.Name)
		add(Hit{Kind: "service", Title: clip(title), Note: clip(note(s)), Link: servicePath(s.Name), name: s.Name}, s.Name, s.Title, s.Owner)
		for k := range s.Paths {
			p := &s.Paths[k]
			add(Hit{Kind: "path", Title: clip(p.Name), Note: "of " + clip(title), Link: servicePath(s.Name) + "#paths", name: s.Name}, p.Name, s.Name+"/"+p.Name)
		}
	}
	for _, a := range c.Agents() {
		add(Hit{Kind: "agent", Title: clip(a.Name), Note: clip(a.Host), Link: agentPath(a.Name)}, a.Name, a.Host)
	}
	slices.SortStableFunc(f.Hits, func(a, b Hit) int { return cmp.Or(a.rank-b.rank, strings.Compare(a.Title, b.Title)) })
	if n := len(f.Hits); n > hitsShown {
		f.Hits, f.More = f.Hits[:hitsShown], n-hitsShown
	}
	for i := range f.Hits {
		if h := &f.Hits[i]; h.Kind == "service" {
			if p, ok := c.Posture(h.name); ok {
				h.State = p.State
			}
		}
	}
	return f
}

// note says whose a service is, and where.
func note(s *holdfast.Service) string {
	text := s.Name
	if s.Owner != "" {
		text += ", " + s.Owner
	}
	if s.Site != "" {
		text += ", " + s.Site
	}
	return text
}

// match ranks how well texts hold every word: 0 a text opens with them all as they
// stand, 1 a text holds them as they stand, 2 somewhere; -1 a word is missing.
func match(words, texts []string) int {
	rank := 3
	phrase := strings.Join(words, " ")
	missing := slices.Clone(words)
	for _, text := range texts {
		text = strings.ToLower(text)
		switch {
		case strings.HasPrefix(text, phrase):
			return 0
		case strings.Contains(text, phrase):
			rank = 1
		}
		missing = slices.DeleteFunc(missing, func(w string) bool { return strings.Contains(text, w) })
	}
	switch {
	case rank < 3:
		return rank
	case len(missing) == 0:
		return 2
	}
	return -1
}
