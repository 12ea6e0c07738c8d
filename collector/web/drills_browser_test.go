package web_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// testDrillLive: a drill that begins shows in the top bar of a page that is open, its
// page takes an answer, and what stands in a form meanwhile stays.
func testDrillLive(t *testing.T, chromium context.Context) {
	s := newSite(t)
	s.estate.drills = nil
	b := open(t, chromium, s)
	live := `document.getElementById('live').textContent.includes('Live')`
	b.run(t, chromedp.Navigate(s.URL+"/agents"), until(live))
	if get[bool](t, b, `!!document.querySelector('#drilling a')`) {
		t.Error("the top bar shows a drill although none runs")
	}
	d, err := s.estate.StartDrill(t.Context(), holdfast.DrillOrder{Service: "payments", Path: "restore-in-ams"}, holdfast.Who{Name: "dana"})
	if err != nil {
		t.Fatal(err)
	}
	b.run(t, until(fmt.Sprintf(`document.querySelector('#drilling a[href$=%q]')?.textContent.includes('payments/restore-in-ams')`, d.ID)))

	b.run(t, chromedp.Navigate(s.URL+"/drills/"+d.ID), until(live))
	get[chromedp.Void](t, b, `window.same = document.getElementById('s-1')`)
	var walking sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer walking.Wait()
	defer stop()
	walking.Go(func() { _ = s.estate.walker().Run(ctx) }) // ends with ctx alone
	b.run(t, until(`window.same.isConnected && window.same.textContent.includes('Asked') && document.querySelector('#do-1 [name=by]')`))
	get[chromedp.Void](t, b, `document.querySelector('#do-1 [name=by]').value = 'emre'`)
	s.estate.judge() // something else changes
	b.run(t, until(live+` && document.querySelector('#do-1 [name=by]').value === 'emre'`))
	get[bool](t, b, `document.querySelector('#do-1 button[value=yes]').click(); true`)
	arrive(t, b, `document.getElementById('s-1')?.textContent.includes('by emre') && `+live)
}

// testDrillPrints: the report of a drill is all there on paper, and nothing that only
// works on a screen.
func testDrillPrints(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	for _, id := range []string{passedDrill, liveDrill} {
		b.run(t, chromedp.EmulateViewport(794, 1123), chromedp.Navigate(s.URL+"/drills/"+id), until(`document.getElementById('live').textContent.includes('Live')`))
		paper(t, b, "print")
		b.run(t, until(`['compared', 'steps'].every(id => document.getElementById(id).checkVisibility()) && Array.from(document.querySelectorAll('.rung')).every(r => r.checkVisibility())`))
		if shown := get[string](t, b, `Array.from(document.querySelectorAll('button, form, .top, .side')).filter(e => e.checkVisibility()).map(e => e.outerHTML.slice(0, 80)).join('\n')`); shown != "" {
			t.Errorf("%s shows on paper what only works on a screen:\n%s", id, shown)
		}
		if *shots != "" {
			picture(t, b, "print-"+id)
		}
		paper(t, b, "")
	}
	b.run(t, chromedp.EmulateViewport(1440, 900))
}
