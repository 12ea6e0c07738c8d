package web_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"
)

// testHostileInBrowser: no text runs as a script, on any page.
func testHostileInBrowser(t *testing.T, chromium context.Context) {
	s := serve(t, poisoned(t, everywhere["running"]))
	b := open(t, chromium, s)
	for _, p := range shownPages {
		if p.name == "missing" {
			continue // its 404 is an error of the console
		}
		b.run(t, chromedp.Navigate(s.URL+p.path), until(`document.readyState === 'complete'`))
		if got := get[string](t, b, `String(window.__pwned)`); got != "undefined" {
			t.Errorf("%s: a text ran: %s", p.path, got)
		}
		if got := get[int](t, b, `document.querySelectorAll('main').length`); got != 1 {
			t.Errorf("%s: %d <main>, the page is broken", p.path, got)
		}
	}
	b.run(t, chromedp.Navigate(s.URL+"/?q="+url.QueryEscape(everywhere["running"])), until(`document.readyState === 'complete'`))
	if got := get[string](t, b, `String(window.__pwned)`); got != "undefined" {
		t.Errorf("a search ran: %s", got)
	}
}
