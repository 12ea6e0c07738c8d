package web_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// keys types them where the focus is.
func keys(t *testing.T, b *browser, typed ...string) {
	t.Helper()
	for _, k := range typed {
		b.run(t, chromedp.KeyEvent(k))
	}
}

// press presses a key as a person does: what a page takes for itself is not typed
// besides.
func press(t *testing.T, b *browser, key string) {
	t.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		e := input.DispatchKeyEventParams{Type: kind, Key: key}
		if kind == input.DispatchKeyEventTypeKeyDown {
			e.Text = key
		}
		if _, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, e); err != nil {
			t.Fatal(err)
		}
	}
}

// arrive waits for an expression to become true on whatever page comes next.
func arrive(t *testing.T, b *browser, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!!(`+expression+`) && document.documentElement.hasAttribute('data-keys')`)); err == nil && there {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", expression, patience)
		case <-again.C: // the page was just going
		}
	}
}

// testPalette: everything is reached by keyboard alone.
func testPalette(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.run(t, until(`document.getElementById('live').textContent.includes('Live')`))
	press(t, b, "/")
	b.run(t, until(`document.getElementById('palette').open && document.querySelectorAll('#hits [role=option]').length > 0`))
	axe(t, b)
	keys(t, b, "w", "a", "r", "e", "h")
	b.run(t, until(`document.querySelector('#hits [aria-selected=true]')?.textContent.includes('Warehouse control')`))
	if got := get[string](t, b, `document.getElementById(document.getElementById('jump').getAttribute('aria-activedescendant')).textContent`); got == "" {
		t.Error("what is chosen is not said")
	}
	keys(t, b, kb.Enter)
	arrive(t, b, `location.pathname === '/services/warehouse'`)

	// Ctrl K works while typing; arrows choose; Escape gives the focus back.
	b.run(t, chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl)),
		until(`document.getElementById('palette').open && document.querySelectorAll('#hits [role=option]').length > 1`))
	keys(t, b, kb.ArrowDown)
	b.run(t, until(`document.querySelectorAll('#hits [role=option]')[1].getAttribute('aria-selected') === 'true'`))
	keys(t, b, kb.Escape)
	b.run(t, until(`!document.getElementById('palette').open`))

	// u goes up, g and a letter to a page, j to the first row, Enter opens it.
	keys(t, b, "u")
	arrive(t, b, `location.pathname === '/' && document.getElementById('rows')`)
	keys(t, b, "g", "a")
	arrive(t, b, `location.pathname === '/agents'`)
	keys(t, b, "g", "r")
	arrive(t, b, `location.pathname === '/' && document.getElementById('rows')`)
	keys(t, b, "j", "j")
	if got, want := get[string](t, b, `document.activeElement.getAttribute('href')`), get[string](t, b, `document.querySelectorAll('#rows [data-row] a')[1].getAttribute('href')`); got != want {
		t.Errorf("after j j the focus is on %s, want %s", got, want)
	}
	keys(t, b, kb.Enter)
	arrive(t, b, `location.pathname.startsWith('/services/')`)

	// w is the wallboard and back; x leaves only what is not proven.
	b.run(t, chromedp.Navigate(s.URL+"/?tier=1"), until(`document.documentElement.hasAttribute('data-keys')`))
	keys(t, b, "w")
	arrive(t, b, `location.search.includes('view=wall') && document.querySelector('.tiles')`)
	keys(t, b, kb.Escape)
	arrive(t, b, `location.search === '?tier=1'`)
	keys(t, b, "x")
	arrive(t, b, `location.search.includes('state=not-proven')`)
}

// testKeysOff: single keys do nothing while somebody types, with a modifier, and
// once they are switched off.
func testKeysOff(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.run(t, until(`document.documentElement.hasAttribute('data-keys')`), chromedp.SendKeys(chromedp.CSS("input[name=q]"), "w?t/"))
	quiet := `!document.getElementById('palette').open && !document.getElementById('help').open && !document.documentElement.dataset.theme && location.search === ''`
	if got := get[string](t, b, `document.querySelector('input[name=q]').value`); got != "w?t/" || !get[bool](t, b, quiet) {
		t.Errorf("typed %q into the field, and a key acted", got)
	}
	get[bool](t, b, `document.activeElement.blur(); true`)
	b.run(t, chromedp.KeyEvent("t", chromedp.KeyModifiers(chromedp.ModifierAlt)))
	if !get[bool](t, b, quiet) {
		t.Error("Alt t acted")
	}
	press(t, b, "?")
	b.run(t, until(`document.getElementById('help').open`))
	axe(t, b)
	b.run(t, chromedp.Click(chromedp.CSS("#keys")))
	keys(t, b, kb.Escape)
	b.run(t, until(`!document.getElementById('help').open`))
	keys(t, b, "t", "?", "/")
	if !get[bool](t, b, quiet) {
		t.Error("a single key acted after they were switched off")
	}
	b.run(t, chromedp.Navigate(s.URL+"/agents"))
	keys(t, b, "t")
	if got := get[bool](t, b, `!document.documentElement.dataset.theme && !document.getElementById('keys').checked`); !got {
		t.Error("the next page forgot that single keys are off")
	}
}

// damage makes a check of the estate see damage.
func damage(e *estate, check string, seq uint64) {
	o := seen(e.catalogue.Check(check), e.now())
	o.Seq, o.Outcome, o.Reason, o.Summary = seq, holdfast.Failed, holdfast.Damaged, "a pack does not match its checksum, and the text that says so is longer than the column is wide"
	o.At, o.Received = e.now(), e.now()
	e.observe(o)
}

// testNothingMoves: what changes under somebody who reads changes in place: not a
// pixel moves, no row leaves its line, until they ask.
func testNothingMoves(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b, drawn := open(t, chromium, s), until(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	b.run(t, until(`document.getElementById('live').textContent.includes('Live')`), drawn) // what loading moves is not meant
	get[bool](t, b, `window.shifts = []; new PerformanceObserver(l => l.getEntries().forEach(e => shifts.push(e.value + ' ' + e.sources.map(s => s.node && (s.node.parentElement.className + ' ' + (s.node.id || s.node.className || s.node.nodeName) + ' ' + s.node.textContent.slice(0, 40))).join()))).observe({ type: 'layout-shift' }); true`)
	place := get[[]float64](t, b, `(() => { const r = document.getElementById('s-warehouse').getBoundingClientRect(); return [r.x + 200, r.y + 10] })()`)
	b.run(t, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, place[0], place[1]))
	order := `Array.from(document.querySelectorAll('#rows > tr'), r => r.id).join()`
	before := get[string](t, b, order)
	damage(s.estate, "warehouse/stock/vault", 2)
	b.run(t, until(`document.getElementById('s-warehouse').dataset.state === 'broken' && document.getElementById('s-warehouse').classList.contains('changed')`))
	s.estate.mu.Lock()
	s.estate.agents[0].Connected, s.estate.agents[0].LastHeard = false, s.estate.now().Add(-time.Minute)
	s.estate.mu.Unlock()
	s.estate.judge()
	b.run(t, until(`document.getElementById('hearing').textContent.includes('is silent')`))
	if got := get[string](t, b, order); got != before {
		t.Errorf("rows moved under the pointer:\n%s\nwas\n%s", got, before)
	}
	b.run(t, drawn)
	for _, shift := range get[[]string](t, b, `shifts`) {
		t.Errorf("layout shift of %s", shift)
	}
	keys(t, b, "r") // sort again
	b.run(t, until(fmt.Sprintf(`%s !== %q && document.getElementById('resort').classList.contains('off')`, order, before)))
	ranks := get[[]string](t, b, `Array.from(document.querySelectorAll('#rows > tr'), r => r.dataset.state)`)
	for i := 1; i < len(ranks); i++ {
		if holdfast.State(ranks[i]).Rank() > holdfast.State(ranks[i-1]).Rank() {
			t.Errorf("sorted again, %s stands below %s", ranks[i], ranks[i-1])
		}
	}
}

// testEightTabs: eight tabs of one browser are all live at once; browsers open six
// connections to a server.
func testEightTabs(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	live := until(`document.getElementById('live').textContent.includes('Live')`)
	b.run(t, live)
	tabs := []context.Context{}
	for range 7 {
		tab, stop := chromedp.NewContext(b.ctx)
		defer stop()
		b.watch(t, tab)
		if err := chromedp.Do(tab, chromedp.Navigate(s.URL+"/services/warehouse"), live); err != nil {
			t.Fatal(err)
		}
		tabs = append(tabs, tab)
	}
	damage(s.estate, "warehouse/stock/vault", 2)
	for i, tab := range tabs {
		ctx, cancel := context.WithTimeout(tab, patience)
		if err := chromedp.Do(ctx, until(`document.body.textContent.includes('a pack does not match its checksum')`)); err != nil {
			t.Errorf("tab %d heard nothing: %v", i+2, err)
		}
		cancel()
	}
}

// testOutdated: a page of another version of Holdfast says so and stands still.
func testOutdated(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.run(t, until(`document.getElementById('live').textContent.includes('Live')`))
	s.replaced.Store(true)
	s.estate.judge()
	b.run(t, until(`!document.getElementById('newer').hidden && document.getElementById('live').textContent.includes('Paused')`))
}

// testManyInBrowser: the overview of 10,000 services is there, sorted and live. How
// soon, it says: a second is wanted (go test -v -run 'Browser/10,000').
func testManyInBrowser(t *testing.T, chromium context.Context) {
	s := serve(t, many(t, 10000))
	b := open(t, chromium, s)
	b.run(t, chromedp.Navigate(s.URL+"/"), until(`document.getElementById('live').textContent.includes('Live')`))
	ready := get[float64](t, b, `performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd`)
	first := get[float64](t, b, `performance.getEntriesByType('navigation')[0].responseStart`)
	t.Logf("10,000 services: first byte %.0f ms, usable %.0f ms", first, ready)
	began := time.Now()
	press(t, b, "/")
	keys(t, b, "s", "h", "o", "p")
	b.run(t, until(`document.querySelector('#hits [aria-selected=true]')?.textContent.includes('shop') && document.getElementById('found').textContent.includes('best 20')`))
	t.Logf("palette: hits %v after the first key", time.Since(began))
}

// testDataStays: the table of datasets is sorted again when asked to, not under the
// pointer of somebody who reads it.
func testDataStays(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.run(t, chromedp.Navigate(s.URL+"/data"), until(`document.getElementById('live').textContent.includes('Live')`))
	place := get[[]float64](t, b, `(() => { const r = document.querySelector('#rows > tbody').getBoundingClientRect(); return [r.x + 300, r.y + 10] })()`)
	b.run(t, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, place[0], place[1]))
	order := `Array.from(document.querySelectorAll('#rows > tbody'), r => r.id).join()`
	before := get[string](t, b, order)
	damage(s.estate, "payments/ledger/offsite", 2)
	b.run(t, until(`!document.getElementById('resort').classList.contains('off') && document.querySelector('#rows > tbody.changed')`))
	if got := get[string](t, b, order); got != before {
		t.Errorf("rows moved under the pointer:\n%s\nwas\n%s", got, before)
	}
	keys(t, b, "r")
	b.run(t, until(fmt.Sprintf(`%s !== %q && document.querySelector('#rows').firstElementChild.tagName === 'THEAD'`, order, before)))
}
