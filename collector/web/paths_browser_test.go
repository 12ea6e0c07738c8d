package web_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// testMatrix: the matrix of paths is one tab stop, arrow keys move in it, and a live
// update takes neither the place nor the focus.
func testMatrix(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	stops := `document.querySelectorAll('#matrix tbody a[tabindex="0"]').length`
	at := `(() => { const a = document.activeElement; return a.closest('tr').id + ' ' + (a.closest('td') ? a.closest('td').dataset.s : 'name') })()`
	b.run(t, chromedp.Navigate(s.URL+"/paths"), until(`document.getElementById('live').textContent.includes('Live')`), until(stops+` === 1`))
	b.run(t, chromedp.Focus(chromedp.CSS("#matrix tbody a")))
	for _, step := range []struct{ keys, want string }{
		{kb.ArrowRight, "m-identity Host loss"}, {kb.ArrowDown, "m-payments Host loss"}, {kb.ArrowRight + kb.ArrowRight, "m-payments Data corruption"},
		{kb.Home, "m-payments name"}, {kb.End, "m-payments flood"}, {kb.PageDown, "m-legacy name"}, {kb.ArrowUp + kb.ArrowUp + kb.ArrowRight, "m-warehouse Host loss"},
	} {
		b.run(t, chromedp.KeyEvent(step.keys))
		if got := get[string](t, b, at); got != step.want {
			t.Errorf("got to %q, want %q", got, step.want)
		}
	}
	k := s.estate.catalogue.Check("warehouse/stock/vault")
	bad := seen(k, s.estate.now())
	bad.Seq, bad.Outcome, bad.Reason, bad.Summary = 2, holdfast.Failed, holdfast.Damaged, "a pack does not match its checksum"
	bad.At, bad.Received = s.estate.now(), s.estate.now()
	s.estate.observe(bad)
	b.run(t, until(`document.getElementById('m-warehouse').textContent.includes('Broken')`), until(stops+` === 1`))
	if got := get[string](t, b, at); got != "m-warehouse Host loss" {
		t.Errorf("after an update: focus on %q, want where it was", got)
	}
	b.run(t, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("main.p-service")))
}

// testPrintedData: on paper the table of protected data shows every copy, with
// instants instead of ages.
func testPrintedData(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.run(t, chromedp.Navigate(s.URL+"/data"), until(`document.getElementById('live').textContent.includes('Live')`))
	paper(t, b, "print")
	defer paper(t, b, "")
	b.run(t, until(`(rows => rows.length > 10 && rows.every(r => r.checkVisibility() && r.getBoundingClientRect().height > 0))(Array.from(document.querySelectorAll('.copies tbody tr')))`))
	if got := get[string](t, b, `getComputedStyle(document.querySelector('.sheet td.c-ve time'), '::after').content`); !strings.Contains(got, "2026") {
		t.Errorf("a time on paper reads %s, want the instant", got)
	}
}

// paper makes the browser show a page as it prints it.
func paper(t *testing.T, b *browser, media string) {
	t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media}); err != nil {
		t.Fatal(err)
	}
}
