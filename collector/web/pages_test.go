package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// handler serves an estate.
func handler(t testing.TB, e *estate) http.Handler {
	t.Helper()
	h, err := web.New(e, "0.1.0-test", testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request as a role ("" is nobody) and returns the answer.
func ask(t testing.TB, h http.Handler, role, method, target, body string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:4711"
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+role)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// text returns an answer's body.
func text(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// page reads a page of HTML.
func page(t testing.TB, h http.Handler, target string) *html.Node {
	t.Helper()
	r := ask(t, h, "viewer", "GET", target, "")
	if r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: got %d, want 200: %s", target, r.StatusCode, text(t, r))
	}
	n, err := html.Parse(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// find returns every element that the test holds for, in order.
func find(n *html.Node, is func(*html.Node) bool) (list []*html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && is(d) {
			list = append(list, d)
		}
	}
	return list
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func tag(name string) func(*html.Node) bool {
	return func(n *html.Node) bool { return n.Data == name }
}

func id(name string) func(*html.Node) bool {
	return func(n *html.Node) bool { return attr(n, "id") == name }
}

func class(name string) func(*html.Node) bool {
	return func(n *html.Node) bool { return strings.Contains(" "+attr(n, "class")+" ", " "+name+" ") }
}

// words are an element's texts, white space made single.
func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func one(t testing.TB, n *html.Node, what string, is func(*html.Node) bool) *html.Node {
	t.Helper()
	list := find(n, is)
	if len(list) != 1 {
		t.Fatalf("%s: got %d of them, want 1", what, len(list))
	}
	return list[0]
}

func TestOverview(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	e.agents[0].Connected, e.agents[0].LastHeard = false, noon.Add(-4*time.Minute)
	e.notices = []holdfast.Notice{{Text: "The catalogue on disk is refused.\nshop.yaml:3:1: unknown key `rpoo`: did you mean `rpo`?", Since: noon.Add(-time.Minute)}}
	doc := page(t, handler(t, e), "/")

	if got, want := words(one(t, doc, "h1", tag("h1"))), e.Sentence()+"."; strings.ReplaceAll(got, " .", ".") != want {
		t.Errorf("sentence: got %q, want %q", got, want)
	}
	rows := find(one(t, doc, "rows", id("rows")), tag("tr"))
	if len(rows) != len(e.postures) {
		t.Fatalf("got %d rows, want %d", len(rows), len(e.postures))
	}
	last := 99
	for _, r := range rows {
		s := holdfast.State(attr(r, "data-state"))
		if s.Rank() > last {
			t.Errorf("%s (%s) stands below a better service", attr(r, "id"), s)
		}
		last = s.Rank()
		p, _ := e.Posture(strings.TrimPrefix(attr(r, "id"), "s-"))
		if !strings.Contains(strings.ToLower(words(r)), strings.ReplaceAll(string(p.State), "-", " ")) {
			t.Errorf("%s: row does not say %q: %s", p.Name, p.State, words(r))
		}
		if p.Cause != nil && p.State != holdfast.Proven && !strings.Contains(words(r), strings.ReplaceAll(p.Cause.Reason, p.Name+"/", "")) {
			t.Errorf("%s: row does not say why: %s", p.Name, words(r))
		}
	}
	notes := words(one(t, doc, "agents", id("hearing")))
	if got := words(one(t, doc, "notices of every page", id("notices"))); !strings.Contains(got, "did you mean `rpo`?") {
		t.Errorf("the refused catalogue is not said: %q", got)
	}
	for _, want := range []string{"Agent " + e.agents[0].Name + " is silent", "4m ago"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notices %q do not say %q", notes, want)
		}
	}
	if got := words(one(t, doc, "changes", id("changed"))); !strings.Contains(got, "Card payments") {
		t.Errorf("what changed does not name services by title: %q", got)
	}
}

func TestTargetTicksAlign(t *testing.T) {
	doc := page(t, handler(t, newEstate(t, at(noon), troubled(noon))), "/")
	n := 0
	for _, b := range find(doc, class("bul")) {
		for _, r := range find(b, class("tgt")) {
			if n++; attr(r, "x") != "62.5%" {
				t.Errorf("target at %s, want 62.5%%", attr(r, "x"))
			}
		}
	}
	if n < 8 {
		t.Errorf("got %d targets, want at least 8", n)
	}
}

func TestFilter(t *testing.T) {
	h := handler(t, newEstate(t, at(noon), troubled(noon)))
	for query, want := range map[string][]string{
		"q=phone": {"legacy"}, "state=not-judged": {"legacy"}, "tier=1&owner=payments-team": {"payments"},
		"site=office": {"wiki"}, "q=PLATFORM-team&tier=4": {"wiki"}, "q=nothing-like-it": nil,
	} {
		var got []string
		for _, r := range find(page(t, h, "/?"+query), func(n *html.Node) bool { return n.Data == "tr" && attr(n, "data-state") != "" }) {
			got = append(got, strings.TrimPrefix(attr(r, "id"), "s-"))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("?%s: got %v, want %v", query, got, want)
		}
	}
}

func TestFirstRun(t *testing.T) {
	e := newEstate(t, at(noon))
	e.postures, e.catalogue = nil, &holdfast.Catalogue{Policy: holdfast.DefaultPolicy()}
	doc := page(t, handler(t, e), "/")
	if got := words(one(t, doc, "first steps", id("first"))); !strings.Contains(got, "holdfast catalog validate") {
		t.Errorf("first steps name no command: %q", got)
	}
}

func TestFastPolicyIsSaid(t *testing.T) {
	e := newEstate(t, at(noon))
	if got := words(one(t, page(t, handler(t, e), "/"), "notices", id("notes"))); strings.Contains(got, "ages fast") {
		t.Errorf("an ordinary policy is called fast: %q", got)
	}
	e.catalogue.Policy.Name = "demo"
	e.catalogue.Policy.Tiers[0].Restored = holdfast.Duration(5 * time.Minute)
	if got := words(one(t, page(t, handler(t, e), "/"), "notices", id("notes"))); !strings.Contains(got, "restored 5m") || !strings.Contains(got, "demo") {
		t.Errorf("a policy of minutes is not said: %q", got)
	}
}

func TestService(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	if row := words(one(t, page(t, h, "/"), "row", id("s-shop"))); !strings.Contains(row, "no way of 1h") || !strings.Contains(row, "no way of 4h") {
		t.Errorf("a path that cannot be walked is shown with its old figures: %s", row)
	}
	for _, p := range e.postures {
		doc := page(t, h, "/services/"+p.Name)
		if n := len(find(doc, tag("h1"))); n != 1 {
			t.Errorf("%s: got %d h1, want 1", p.Name, n)
		}
		if p.Score == nil {
			if !strings.Contains(words(doc), "not judged") {
				t.Errorf("%s: not said to be not judged", p.Name)
			}
			continue
		}
		total := 0
		for _, f := range p.Findings {
			total += f.Points
		}
		if total != 100-*p.Score {
			t.Errorf("%s: points sum to %d, want %d", p.Name, total, 100-*p.Score)
		}
		board := words(one(t, doc, "score", id("score")))
		for _, f := range p.Findings {
			if !strings.Contains(board, strings.Join(strings.Fields(f.Reason), " ")) {
				t.Errorf("%s: finding %s is not told: %s", p.Name, f.Need, f.Reason)
			}
		}
		paths := one(t, doc, "paths", id("paths"))
		links := 0
		for _, path := range p.Paths {
			links += len(path.Needs)
		}
		if got := len(find(paths, func(n *html.Node) bool {
			return n.Data == "li" && n.Parent != nil && attr(n.Parent, "class") == "chain"
		})); got != links {
			t.Errorf("%s: got %d links of chains, want %d", p.Name, got, links)
		}
	}
	doc := page(t, h, "/services/shop")
	if got := words(one(t, page(t, h, "/services/payments"), "paths", id("paths"))); !strings.Contains(got, "Site loss: degraded") {
		t.Errorf("a path that is not proven does not say why: %s", got)
	}
	evidence := words(one(t, doc, "evidence", id("evidence")))
	for _, want := range []string{"repository contains errors", "3 of 1204 packs", "failed, damaged"} {
		if !strings.Contains(evidence, want) {
			t.Errorf("evidence does not show %q", want)
		}
	}
	if lead := words(one(t, doc, "sentence", class("lead"))); !strings.Contains(lead, "Web shop cannot be recovered as agreed") {
		t.Errorf("sentence of a broken service: %q", lead)
	}
}

// TestWellFormed holds every page against what browsers and readers stumble over:
// double ids, links to nowhere on the page, inline style or script.
func TestWellFormed(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	targets := []string{"/", "/?group=owner", "/?view=wall", "/data", "/paths", "/paths?view=list", "/paths?scenario=site-loss&state=stale", "/data?sort=-size&only=rule", "/agents"}
	for _, p := range e.postures {
		targets = append(targets, "/services/"+p.Name)
	}
	for _, target := range targets {
		doc := page(t, h, target)
		ids := map[string]bool{}
		for _, n := range find(doc, func(*html.Node) bool { return true }) {
			if name := attr(n, "id"); name != "" {
				if ids[name] {
					t.Errorf("%s: two elements have the id %q", target, name)
				}
				ids[name] = true
			}
		}
		for _, n := range find(doc, func(*html.Node) bool { return true }) {
			for _, a := range n.Attr {
				switch {
				case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
					t.Errorf("%s: <%s> has %s", target, n.Data, a.Key)
				case a.Key == "href" && strings.HasPrefix(a.Val, "#") && !ids[a.Val[1:]]:
					t.Errorf("%s: link to %s, which is not on the page", target, a.Val)
				case strings.Contains(a.Val, "ZgotmplZ"):
					t.Errorf("%s: <%s %s=%q>", target, n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "style" || n.Data == "script" && (n.FirstChild != nil || attr(n, "src") == "") {
				t.Errorf("%s: inline <%s>", target, n.Data)
			}
			if n.Data == "svg" && attr(n, "viewBox") != "" && attr(n, "role") == "img" {
				t.Errorf("%s: a chart or silhouette with its own viewBox: %s", target, attr(n, "aria-label"))
			}
		}
	}
}

func TestUnchangedPageIsNotSentTwice(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	first := ask(t, h, "viewer", "GET", "/", "", "X-Fragment", "main")
	body := text(t, first)
	if !strings.HasPrefix(body, "<main") || strings.Contains(body, "<nav") {
		t.Errorf("fragment is not <main> alone: %.80q", body)
	}
	tag := first.Header.Get("ETag")
	if got := ask(t, h, "viewer", "GET", "/", "", "X-Fragment", "main", "If-None-Match", tag).StatusCode; got != http.StatusNotModified {
		t.Errorf("nothing changed: got %d, want 304", got)
	}
	e.judge()
	if got := ask(t, h, "viewer", "GET", "/", "", "X-Fragment", "main", "If-None-Match", tag).StatusCode; got != http.StatusOK {
		t.Errorf("after a change: got %d, want 200", got)
	}
}
