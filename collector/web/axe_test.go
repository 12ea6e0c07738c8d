package web_test

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axeScript is axe-core, which finds faults of accessibility in a page.
//
//go:embed testdata/axe.min.js
var axeScript string

// shownPages are held against everything a page must be, in both themes and at
// every width: nothing axe finds, no sideways scroll, a picture. A new page is one
// line here.
var shownPages = []struct{ name, path string }{
	{"overview", "/"},
	{"grouped", "/?group=owner&state=not-proven"},
	{"wall", "/?view=wall"},
	{"nothing-matches", "/?q=nothing-like-it"},
	{"payments", "/services/payments"},
	{"shop", "/services/shop"},
	{"legacy", "/services/legacy"},
	{"identity", "/services/identity"},
	{"check", "/checks/payments/ledger/offsite"},
	{"restore-test", "/checks/shop/restore-in-ams/restored"},
	{"record", "/services/payments/record/exercise"},
	{"data", "/data"},
	{"paths", "/paths"},
	{"paths-list", "/paths?view=list"},
	{"data-sorted", "/data?sort=-restored&only=problems&site=ams"},
	{"alerts", "/alerts"},
	{"alerts-acknowledged", "/alerts?tab=acknowledged"},
	{"alerts-silence", "/alerts?tab=resolved&by=cause&name=payments/ledger/offsite"},
	{"drills", "/drills"},
	{"drill-live", "/drills/20260620-0badcafe"},
	{"drill-restores", "/drills/20260620-0badf00d"},
	{"drill-passed", "/drills/20260612-0badcafe"},
	{"drill-failed", "/drills/20260405-0badcafe"},
	{"drill-plan", "/drills/new?service=identity&path=failover&dependencies=yes"},
	{"drill-booking", "/drills?path=identity/failover"},
	{"agents", "/agents"},
	{"agent", "/agents/dr1"},
	{"settings", "/settings"},
	{"missing", "/nothing"},
}

// axe fails the test for every violation of WCAG 2.2 A and AA, and of axe's best
// practices, that stands on the page as the browser shows it now.
func axe(t *testing.T, b *browser) {
	t.Helper()
	where := get[string](t, b, `location.pathname + location.search`)
	for i, f := range violations(t, b) {
		if i == 10 {
			t.Errorf("%s: and more", where)
			break
		}
		t.Errorf("%s: %.400s", where, f)
	}
}

// violations are what axe finds, one line each.
func violations(t *testing.T, b *browser) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](axeScript+"; true")); err != nil {
		t.Fatalf("load axe: %v", err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`axe.run(document, {
		runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'], resultTypes: ['violations'],
	}).then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + n.target.join(' ') + ': ' + n.failureSummary.replace(/\s+/g, ' '))))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("axe: %v", err)
	}
	return found
}

// theme makes the browser prefer light or dark, and nothing move.
func theme(t *testing.T, b *browser, scheme string) {
	t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
}

// testAccessible: axe finds nothing on any page in either theme, one of them wide
// and the other on a phone.
func testAccessible(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.allow("404") // of the page that is not there
	for scheme, width := range map[string]int64{"light": 1440, "dark": 390} {
		theme(t, b, scheme)
		for _, p := range shownPages {
			t.Run(p.name+" "+scheme, func(t *testing.T) {
				b.run(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.URL+p.path))
				axe(t, b)
			})
		}
	}
}

// testAxeSees: axe does find what is wrong with a page.
func testAxeSees(t *testing.T, chromium context.Context) {
	b := open(t, chromium, newSite(t))
	get[bool](t, b, `document.querySelector('main').insertAdjacentHTML('beforeend', '<button></button><p class="faint">faint</p>'); document.querySelector('.faint').style.color = '#ccc'; true`)
	found := strings.Join(violations(t, b), "\n")
	for _, want := range []string{"button-name", "color-contrast"} {
		if !strings.Contains(found, want) {
			t.Errorf("a page with %s: axe finds %q", want, found)
		}
	}
}

// TestAxeIsWhatItSays: the vendored script is what axe.txt says it is.
func TestAxeIsWhatItSays(t *testing.T) {
	note, err := os.ReadFile("testdata/axe.txt")
	if err != nil {
		t.Fatal(err)
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(axeScript))); !strings.Contains(string(note), sum) {
		t.Errorf("axe.txt does not name the sha256 %s", sum)
	}
	if licence, err := os.ReadFile("testdata/axe-LICENSE.txt"); err != nil || !strings.Contains(string(licence), "Mozilla Public License") {
		t.Errorf("licence: %v", err)
	}
}
