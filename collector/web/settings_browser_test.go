package web_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
)

// testAccounts: the login page, forms that come back and what is shown once stand
// up to axe in both themes, wide and on a phone, and move nothing sideways; what
// somebody types into a form outlives an update.
func testAccounts(t *testing.T, chromium context.Context) {
	s := newSite(t)
	s.estate.doors.provider = "Acme"
	b := open(t, chromium, s)
	b.allow("422") // of the form that comes back
	look := func(name string) {
		t.Helper()
		if wide, inner := get[int64](t, b, `document.documentElement.scrollWidth`), get[int64](t, b, `innerWidth`); wide > inner {
			t.Errorf("%s: %d wide in %d", name, wide, inner)
		}
		axe(t, b)
		if *shots != "" {
			picture(t, b, name)
		}
	}
	for scheme, width := range map[string]int64{"light": 1440, "dark": 390} {
		theme(t, b, scheme)
		b.run(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.URL+"/login"))
		look("login-" + scheme)
		b.run(t, chromedp.Navigate(s.URL+"/settings"), until(`document.getElementById('live').textContent.includes('Live')`))
		get[bool](t, b, `document.querySelectorAll('details').forEach(d => { if (d.id !== 'menu') d.open = true }); true`)
		look("settings-" + scheme)
		b.run(t, chromedp.Click(chromedp.CSS("#f-users input[name=name]")), chromedp.SendKeys(chromedp.CSS("#f-users input[name=name]"), "Not A Name"))
		s.estate.mu.Lock()
		s.estate.agents[0].Version = "9.9." + scheme
		s.estate.mu.Unlock()
		before := get[string](t, b, `document.getElementById('main').dataset.rev`)
		s.estate.judge()
		b.run(t, until(`document.getElementById('main').dataset.rev !== '`+before+`'`))
		if got := get[string](t, b, `document.querySelector('#f-users input[name=name]').value + document.getElementById('add-user').open`); got != "Not A Nametrue" {
			t.Errorf("after an update the form holds %q", got)
		}
		b.run(t, chromedp.SendKeys(chromedp.CSS("#f-users input[name=password]"), "a few words in a row"), chromedp.Click(chromedp.CSS("#f-users button")), chromedp.WaitVisible(chromedp.CSS("#e-u-name")))
		look("settings-wrong-" + scheme)
		b.run(t, chromedp.Navigate(s.URL+"/settings"), chromedp.Click(chromedp.CSS("#add-token summary")), chromedp.SendKeys(chromedp.CSS("#f-tokens input[name=name]"), "ci"), chromedp.Click(chromedp.CSS("#f-tokens button")), chromedp.WaitVisible(chromedp.CSS("#secret")))
		look("token-" + scheme)
	}
	b.run(t, chromedp.EmulateViewport(1440, 900), chromedp.Navigate(s.URL+"/settings"), until(`document.getElementById('set-theme')`))
	get[bool](t, b, `(() => { const e = document.getElementById('set-theme'); e.value = 'dark'; e.dispatchEvent(new Event('change', { bubbles: true })); const k = document.getElementById('set-keys'); k.click(); return true })()`)
	if got := get[string](t, b, `document.documentElement.dataset.theme + document.documentElement.hasAttribute('data-keys')`); got != "darkfalse" {
		t.Errorf("colours and keys switched: got %s, want darkfalse", got)
	}
}
