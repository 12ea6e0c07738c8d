package web

import (
	"fmt"
	"net/http"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// viewWall is the view of the overview that hangs on a wall.
const viewWall = "wall"

const (
	tilesShown = 24 // services with a tile; the rest is counted
	stripShown = 12 // proven services with a name; beyond, a count
)

// wall answers from five metres: how many could be recovered, and which not?
type wall struct {
	Lead, Rest string // the sentence, its count apart
	Besides    string // what it says besides
	Judged     bool
	Filter     filter
	Columns    int  // tiles beside each other
	Dense      bool // so many that each says less
	Tiles      []row
	More       []stateCount // what has no tile
	Proven     []row
	Count      int // proven services
	Total      int
	Next       *deadline
	Hearing    hearing
}

func (s *server) wallPage(w http.ResponseWriter, r *http.Request, f filter) {
	v := newWall(s, f)
	s.show(w, r, http.StatusOK, "wall", "Wallboard", v)
}

func newWall(s *server, f filter) *wall {
	now := s.c.Now()
	all := f.chosen(worstAbove(s.c.Postures()))
	v := &wall{Filter: f, Judged: s.c.Ready(), Total: len(all), Hearing: newHearing(s.c.Agents())}
	v.Lead, v.Rest = cutSentence(s.c.Sentence())
	v.Rest, v.Besides, _ = strings.Cut(v.Rest, "; ")
	var o overview
	o.due(all, now)
	if len(o.Due) > 0 {
		v.Next = &o.Due[0]
	}
	var trouble, proven []*holdfast.Posture
	for _, p := range all {
		if p.State == holdfast.Proven {
			proven = append(proven, p)
		} else {
			trouble = append(trouble, p)
		}
	}
	v.Count = len(proven)
	if f.Any() {
		v.Lead = fmt.Sprintf("%d of %d", v.Count, v.Total)
	}
	if len(trouble) > tilesShown {
		var rest overview
		rest.tally(trouble[tilesShown:], f)
		trouble, v.More = trouble[:tilesShown], rest.Counts
	} else if len(proven) <= stripShown {
		for _, p := range proven {
			v.Proven = append(v.Proven, newRow(p, nil, now))
		}
	}
	o.columns(trouble)
	for _, p := range trouble {
		v.Tiles = append(v.Tiles, newRow(p, o.Columns, now))
	}
	v.Columns, v.Dense = tileColumns(len(trouble)), len(trouble) > 12
	return v
}

// tileColumns is how many of n tiles stand beside each other, so that they fill a
// screen that is wider than high.
func tileColumns(n int) int {
	switch {
	case n <= 4:
		return 2
	case n <= 6:
		return 3
	case n <= 12:
		return 4
	case n <= 20:
		return 5
	}
	return 6
}
