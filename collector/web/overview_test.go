package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// TestGrouped: services of one owner stand together, the owner with the worst
// service first, under a head that counts them.
func TestGrouped(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	owner := ""
	seen, proven := map[string]bool{}, map[string][2]int{}
	for _, p := range e.postures {
		n := proven[p.Owner]
		n[1]++
		if p.State == holdfast.Proven {
			n[0]++
		}
		proven[p.Owner] = n
	}
	for _, r := range find(one(t, page(t, handler(t, e), "/?group=owner"), "rows", id("rows")), tag("tr")) {
		if attr(r, "class") == "group" {
			owner = strings.Fields(words(r))[0]
			if seen[owner] {
				t.Errorf("%s has two groups", owner)
			}
			seen[owner] = true
			if want := fmt.Sprintf("%s %d of %d proven", owner, proven[owner][0], proven[owner][1]); words(r) != want {
				t.Errorf("head: got %q, want %q", words(r), want)
			}
			continue
		}
		if p, _ := e.Posture(strings.TrimPrefix(attr(r, "id"), "s-")); p.Owner != owner {
			t.Errorf("%s of %q stands under %q", p.Name, p.Owner, owner)
		}
	}
	if len(seen) != len(proven) {
		t.Errorf("got %d groups, want %d", len(seen), len(proven))
	}
}

// TestWall: what is in trouble has a tile, up to 24 of them, and everything is
// told once: by a tile, by name or in a count.
func TestWall(t *testing.T) {
	for _, n := range []int{8, 20, 60} {
		e := many(t, n)
		doc := page(t, handler(t, e), "/?view=wall")
		tiles := len(find(doc, func(n *html.Node) bool { return n.Data == "li" && attr(n, "data-state") != "" }))
		told := tiles + len(find(doc, class("okt")))
		for _, b := range find(doc, func(n *html.Node) bool { return n.Data == "b" && class("rest")(n.Parent.Parent) }) {
			var count int
			fmt.Sscan(words(b), &count)
			told += count
		}
		if told != n || tiles > 24 {
			t.Errorf("%d services: %d are told, %d by tiles", n, told, tiles)
		}
		if nav := find(doc, tag("nav")); len(nav) != 0 {
			t.Error("a wallboard has navigation")
		}
	}
}

// TestSearch: the palette finds by any word of a name, the closest first, never
// more than 20, with the state of services.
func TestSearch(t *testing.T) {
	e := many(t, 10000)
	h := handler(t, e)
	ask := func(q string) web.Found {
		var f web.Found
		if err := json.Unmarshal([]byte(text(t, ask(t, h, "viewer", "GET", "/api/v1/search?q="+escape(q), ""))), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := ask("web shop"); len(f.Hits) != 20 || f.More < 1000 || f.Hits[0].Title != "Web shop" || f.Hits[0].State != holdfast.Broken {
		t.Errorf("web shop: got %d hits, %d more, first %+v", len(f.Hits), f.More, f.Hits[0])
	}
	name := e.postures[7777].Name
	if f := ask(name); len(f.Hits) == 0 || f.Hits[0].Link != "/services/"+name {
		t.Errorf("%s by name: got %+v", name, f.Hits)
	}
	if f := ask("agents"); len(f.Hits) != 1 || f.Hits[0].Kind != "page" || f.Hits[0].Link != "/agents" {
		t.Errorf("a page: got %+v", f.Hits)
	}
	if f := ask(""); len(f.Hits) == 0 || f.Hits[0].Kind != "page" {
		t.Errorf("nothing typed yet: got %+v, want the pages", f.Hits)
	}
	if diff := cmp.Diff([]web.Hit{}, ask("nothing like it").Hits, cmp.AllowUnexported(web.Hit{})); diff != "" {
		t.Errorf("nothing like it (-want +got):\n%s", diff)
	}
}

// TestDeadlinesAreNamed: what breaks next says what it is, of whichever kind.
func TestDeadlinesAreNamed(t *testing.T) {
	e := newEstate(t, at(noon))
	for i := range e.postures {
		p := &e.postures[i]
		if p.Name == "payments" {
			p.Objectives.ReviewDue = noon.Add(time.Hour)
			path := &p.Paths[0]
			path.Needs = append(path.Needs,
				holdfast.NeedPosture{Need: "plan/site-loss-plan", Kind: holdfast.Assurance, Verdict: holdfast.Met, Until: noon.Add(2 * time.Hour)},
				holdfast.NeedPosture{Need: p.Name + "/" + path.Name + "/payments-team", Kind: holdfast.Assurance, Verdict: holdfast.Met, Until: noon.Add(3 * time.Hour)},
				holdfast.NeedPosture{Need: p.Name + "/" + path.Name + "/cert", Kind: holdfast.Feasibility, Verdict: holdfast.Met, Until: noon.Add(4 * time.Hour)})
		}
	}
	h := handler(t, e)
	if got := words(one(t, page(t, h, "/"), "due", id("due"))); !strings.Contains(got, "in 1h Card payments review of its business impact analysis runs out") {
		t.Errorf("what breaks next: %q", got)
	}
	got := words(one(t, page(t, h, "/services/payments"), "deadlines", id("deadlines")))
	for _, want := range []string{"in 2h review of plan site-loss-plan runs out", "in 3h training of payments-team runs out", "in 4h cert expires"} {
		if !strings.Contains(got, want) {
			t.Errorf("the service's deadlines do not say %q: %s", want, got)
		}
	}
}

// testWallFits: a wallboard fills its screen without scrolling, and nothing on it
// is cut off below.
func testWallFits(t *testing.T, chromium context.Context) {
	for _, n := range []int{8, 20, 60} {
		s := serve(t, many(t, n))
		b := open(t, chromium, s)
		for _, screen := range [][2]int64{{1920, 1080}, {1280, 1024}, {3840, 1600}} {
			b.run(t, chromedp.EmulateViewport(screen[0], screen[1]), chromedp.Navigate(s.URL+"/?view=wall"))
			if high := get[int64](t, b, `Math.max(document.documentElement.scrollHeight, document.querySelector('main footer').getBoundingClientRect().bottom)`); high > screen[1] {
				t.Errorf("%d services on %v: %d high", n, screen, high)
			}
			if cut := get[int](t, b, `Array.from(document.querySelectorAll('.tile')).filter(e => e.querySelector('.mx').getBoundingClientRect().bottom > e.getBoundingClientRect().bottom + 1 || e.querySelector('.wd').getBoundingClientRect().top + 8 > e.querySelector('.mx').getBoundingClientRect().top).length`); cut > 0 {
				t.Errorf("%d services on %v: %d tiles are cut", n, screen, cut)
			}
		}
	}
}

// testLate: a page that heard nothing for longer than it should says that it is
// late, before it can know that it is lost.
func testLate(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.run(t, until(`document.getElementById('live').textContent.includes('Live')`))
	get[bool](t, b, `window.now = Date.now; Date.now = () => now() + 20000; true`)
	b.run(t, until(`document.getElementById('live').dataset.state === 'late' && document.getElementById('live').textContent.includes('Late, updated 2')`))
}
