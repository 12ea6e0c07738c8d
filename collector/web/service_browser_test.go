package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// testRunNow: a press asks for a restore test; the open page follows it to its end,
// nobody loads anything anew, and axe finds nothing on the way.
func testRunNow(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	const check = "shop/restore-in-ams/restored"
	live := `document.getElementById('live').textContent.includes('Live')`
	b.run(t, chromedp.Navigate(s.URL+"/services/shop"), until(live))
	get[bool](t, b, fmt.Sprintf(`document.querySelector('.runnow input[value=%q]').form.querySelector('button').click(); true`, check))
	arrive(t, b, `document.querySelector('#runs .run[data-state=sent]') && location.hash === '#runs' && `+live)
	get[chromedp.Void](t, b, `window.same = document.querySelector('#runs .run'); document.getElementById('behind') && (document.getElementById('behind').open = true)`)
	began := s.estate.now()
	for _, step := range []struct {
		change func(*holdfast.Run)
		shown  string
	}{
		{func(r *holdfast.Run) { r.State = holdfast.RunWaiting }, `Waits on dr1`},
		{func(r *holdfast.Run) {
			r.State, r.Started, r.Phase = holdfast.RunRunning, began, &holdfast.Phase{Name: "restore", Done: 1, Total: 4}
		}, `Runs on dr1, restore, 25 %`},
		{func(r *holdfast.Run) { r.Phase = &holdfast.Phase{Name: "compare", Done: 9, Total: 10} }, `Runs on dr1, compare, 90 %`},
	} {
		s.estate.tellRun(check, step.change)
		b.run(t, until(fmt.Sprintf(`window.same.isConnected && window.same.textContent.includes(%q)`, step.shown)))
	}
	if !get[bool](t, b, fmt.Sprintf(`document.querySelector('.runnow input[value=%q]').form.querySelector('button').disabled`, check)) {
		t.Error("the button can be pressed again while it runs")
	}
	for _, scheme := range []string{"light", "dark"} {
		theme(t, b, scheme)
		axe(t, b)
	}
	if *shots != "" {
		picture(t, b, "running")
	}
	s.estate.tellRun(check, func(r *holdfast.Run) {
		r.State, r.Phase, r.Ended, r.Outcome, r.Summary = holdfast.RunDone, nil, s.estate.now(), holdfast.Failed, "2 of 4211 files differ"
	})
	b.run(t, until(`window.same.textContent.includes('Done failed') && window.same.classList.contains('st-broken')`))
	if get[bool](t, b, fmt.Sprintf(`document.querySelector('.runnow input[value=%q]').form.querySelector('button').disabled`, check)) {
		t.Error("the button cannot be pressed although the run is over")
	}
}

// testTimelineKeys: the timeline is one stop of the keyboard; arrows read a day, and
// what is read stays through a live update.
func testTimelineKeys(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.run(t, chromedp.Navigate(s.URL+"/services/payments"), until(`document.getElementById('live').textContent.includes('Live')`))
	if n := get[int64](t, b, `document.querySelectorAll('#timeline [tabindex="0"]').length`); n != 1 {
		t.Errorf("the timeline has %d stops, want one", n)
	}
	get[chromedp.Void](t, b, `document.getElementById('days').focus()`)
	read := func() string {
		said := get[string](t, b, `document.getElementById('days-read').textContent`)
		if value := get[string](t, b, `document.getElementById('days').getAttribute('aria-valuetext')`); value != said {
			t.Errorf("spoken %q, written %q", value, said)
		}
		return said
	}
	down := func(key string) {
		get[chromedp.Void](t, b, fmt.Sprintf(`document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: %q, bubbles: true, cancelable: true}))`, key))
	}
	for _, step := range []struct{ key, want string }{
		{"ArrowLeft", "Fri 19 Jun."}, {"ArrowLeft", "Thu 18 Jun."}, {"ArrowRight", "Fri 19 Jun."}, {"PageDown", "Fri 12 Jun."}, {"PageUp", "Fri 19 Jun."},
		{"Home", "Mon 23 Mar."}, {"ArrowLeft", "Mon 23 Mar."}, {"End", "Sat 20 Jun."}, {"ArrowRight", "Sat 20 Jun."}, {"ArrowLeft", "Fri 19 Jun."},
	} {
		down(step.key)
		if got := read(); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s reads %q, want %q", step.key, got, step.want)
		}
	}
	rev := get[string](t, b, `document.getElementById('main').dataset.rev`)
	s.estate.judge()
	b.run(t, until(fmt.Sprintf(`document.getElementById('main').dataset.rev !== %q`, rev)), until(`document.getElementById('days').getAttribute('aria-valuenow') === '88'`))
	if got := read(); !strings.HasPrefix(got, "Fri 19 Jun.") || !get[bool](t, b, `document.activeElement.id === 'days'`) {
		t.Errorf("after an update it reads %q, want the day that was chosen, and the focus there", got)
	}
	down("Enter")
	if got := get[string](t, b, `document.activeElement.textContent`); !strings.HasPrefix(got, "Fri 19 Jun.") {
		t.Errorf("Enter leads to %q, want the day in words", got)
	}
	get[chromedp.Void](t, b, `(() => { const d = document.getElementById('days'), r = d.getBoundingClientRect(); d.dispatchEvent(new PointerEvent('pointermove', {clientX: r.left + r.width / 2, clientY: r.top + 20, bubbles: true})) })()`)
	if got := read(); !strings.HasPrefix(got, "Thu 7 May.") {
		t.Errorf("the pointer in the middle reads %q, want 7 May", got)
	}
}

// testFormStays: what is typed into a form of records stays through live updates,
// and through what is wrong with it.
func testFormStays(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.run(t, chromedp.Navigate(s.URL+"/services/payments/record/change"), until(`document.getElementById('live').textContent.includes('Live')`))
	b.run(t, chromedp.SendKeys(chromedp.CSS("textarea[name=reason]"), "larger disks"), chromedp.Click(chromedp.CSS("input[name=data]")), chromedp.SendKeys(chromedp.CSS("input[name=by]"), " and bela"))
	typed := `[document.querySelector('[name=reason]').value, document.querySelector('[name=data]').checked, document.querySelector('[name=by]').value].join()`
	want := get[string](t, b, typed)
	rev := get[string](t, b, `document.getElementById('main').dataset.rev`)
	s.estate.judge()
	b.run(t, until(fmt.Sprintf(`document.getElementById('main').dataset.rev !== %q`, rev)))
	if got := get[string](t, b, typed); got != want || !strings.HasPrefix(want, "larger disks,true,") {
		t.Errorf("after an update: got %q, want %q", got, want)
	}
	b.allow("422")
	get[chromedp.Void](t, b, `document.querySelector('[name=reason]').value = ''; document.querySelector('#record button').click()`)
	arrive(t, b, `document.getElementById('e-reason')`)
	axe(t, b)
	if got := get[string](t, b, `document.getElementById('e-reason').textContent`); !strings.Contains(got, "must state it") {
		t.Errorf("at the field: %q", got)
	}
	want = strings.TrimPrefix(want, "larger disks")
	if got := get[string](t, b, typed); got != want {
		t.Errorf("after it was refused: got %q, want %q", got, want)
	}
	rev = get[string](t, b, `document.getElementById('main').dataset.rev`)
	s.estate.judge() // the page reads its own address again: the form is still there
	b.run(t, until(fmt.Sprintf(`document.getElementById('main').dataset.rev !== %q`, rev)))
	b.run(t, chromedp.SendKeys(chromedp.CSS("textarea[name=reason]"), "larger disks"))
	get[chromedp.Void](t, b, `document.querySelector('#record button').click()`)
	arrive(t, b, `location.pathname === '/services/payments' && document.getElementById('records').textContent.includes('larger disks')`)
}
