package web_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

var shots = flag.String("shots", "", "write pictures of the pages to this `folder`")

// browser is a tab of Chromium, and what went wrong in it.
type browser struct {
	ctx  context.Context
	host string // the only one it may ask

	mu      sync.Mutex
	faults  []string // guarded by mu: console errors, requests elsewhere
	allowed string   // guarded by mu: errors that hold this text are meant
}

// site is an estate served on a port; while down, every request breaks off; once
// replaced, pages are those of another version.
type site struct {
	*httptest.Server
	estate         *estate
	down, replaced atomic.Bool
}

// newSite serves an estate whose clock begins at noon and runs.
func newSite(t *testing.T) *site {
	t.Helper()
	began := time.Now()
	e := newEstate(t, func() time.Time { return noon.Add(time.Since(began)) }, troubled(noon))
	remember(e)
	return serve(t, e)
}

// ofBuild is where a page says which build it is of.
var ofBuild = regexp.MustCompile(`data-build="[^"]*"`)

// serve serves an estate.
func serve(t *testing.T, e *estate) *site {
	t.Helper()
	s := &site{estate: e}
	h := handler(t, e)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			panic(http.ErrAbortHandler)
		}
		if s.replaced.Load() && r.Header.Get("X-Fragment") != "" {
			other := httptest.NewRecorder()
			h.ServeHTTP(other, r)
			w.Header().Set("Content-Type", other.Header().Get("Content-Type"))
			w.Write(ofBuild.ReplaceAll(other.Body.Bytes(), []byte(`data-build="another"`)))
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// TestBrowser opens the pages in a real Chromium, one tab or two a test.
func TestBrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no chromium: apt-get install -y --no-install-recommends chromium")
		}
		t.Skip("no chromium on this machine")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.NoFirstRun) // its profile is new and goes with it
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	defer stopAlloc()
	chromium, stop := chromedp.NewContext(alloc)
	defer stop()
	if err := chromedp.Do(chromium); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	t.Run("an update comes in place", func(t *testing.T) { testUpdateInPlace(t, chromium) })
	t.Run("tabs share one stream", func(t *testing.T) { testOneStream(t, chromium) })
	t.Run("a lost connection is said", func(t *testing.T) { testLostConnection(t, chromium) })
	t.Run("no page scrolls sideways", func(t *testing.T) { testNarrow(t, chromium) })
	t.Run("the matrix is one tab stop", func(t *testing.T) { testMatrix(t, chromium) })
	t.Run("the auditor's table prints", func(t *testing.T) { testPrintedData(t, chromium) })
	t.Run("ages are written alike", func(t *testing.T) { testAgesAlike(t, chromium) })
	t.Run("the keyboard reaches everything", func(t *testing.T) { testPalette(t, chromium) })
	t.Run("single keys can be switched off", func(t *testing.T) { testKeysOff(t, chromium) })
	t.Run("nothing moves", func(t *testing.T) { testNothingMoves(t, chromium) })
	t.Run("a table of data stays", func(t *testing.T) { testDataStays(t, chromium) })
	t.Run("eight tabs are live", func(t *testing.T) { testEightTabs(t, chromium) })
	t.Run("a drill is live", func(t *testing.T) { testDrillLive(t, chromium) })
	t.Run("a drill prints", func(t *testing.T) { testDrillPrints(t, chromium) })
	t.Run("a run is followed", func(t *testing.T) { testRunNow(t, chromium) })
	t.Run("the timeline is read by keys", func(t *testing.T) { testTimelineKeys(t, chromium) })
	t.Run("a form stays as it was typed", func(t *testing.T) { testFormStays(t, chromium) })
	t.Run("another version", func(t *testing.T) { testOutdated(t, chromium) })
	t.Run("a late page says so", func(t *testing.T) { testLate(t, chromium) })
	t.Run("a wallboard fits", func(t *testing.T) { testWallFits(t, chromium) })
	t.Run("10,000 services", func(t *testing.T) { testManyInBrowser(t, chromium) })
	t.Run("no text runs", func(t *testing.T) { testHostileInBrowser(t, chromium) })
	t.Run("axe sees", func(t *testing.T) { testAxeSees(t, chromium) })
	t.Run("axe finds nothing", func(t *testing.T) { testAccessible(t, chromium) })
	t.Run("login and settings", func(t *testing.T) { testAccounts(t, chromium) })
	if *shots != "" {
		t.Run("pictures", func(t *testing.T) { testPictures(t, chromium) })
	}
}

// allow lets errors pass that hold a text: they are meant.
func (b *browser) allow(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = text
}

// open opens a tab on a site and logs in.
func open(t *testing.T, chromium context.Context, s *site) *browser {
	t.Helper()
	ctx, stop := chromedp.NewContext(chromium)
	t.Cleanup(stop)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{ctx: ctx, host: u.Host}
	b.watch(t, ctx)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, f := range b.faults {
			t.Error(f)
		}
	})
	b.run(t, chromedp.Navigate(s.URL+"/login?key=admin&to=%2F"), chromedp.Click(chromedp.CSS("button[type=submit]")), chromedp.WaitVisible(chromedp.CSS("#rows")))
	return b
}

// watch notes console errors and requests to other hosts of a tab.
func (b *browser) watch(t *testing.T, tab context.Context) {
	t.Helper()
	note := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if text := fmt.Sprintf(format, args...); b.allowed == "" || !strings.Contains(text, b.allowed) {
			b.faults = append(b.faults, text)
		}
	}
	err := chromedp.Listen(tab, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			note("script failed: %s %s:%d", e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber)
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
				note("console: %v", e.Args)
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				note("browser: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(e.Request.URL); err == nil && u.Host != b.host && u.Scheme != "data" {
				note("request to another host: %s", e.Request.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long a browser may take for anything.
const patience = 20 * time.Second

func (b *browser) run(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// get evaluates an expression on the page.
func get[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to become true.
func until(expression string) chromedp.Action[chromedp.Void] {
	poll := chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(50*time.Millisecond))
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		for {
			v, err := poll(ctx, target)
			if err == nil || ctx.Err() != nil || !pageLeft.MatchString(err.Error()) {
				return v, err
			}
		}
	}
}

// pageLeft is what Chromium says when the page that was asked is just being left.
var pageLeft = regexp.MustCompile(`Cannot find context|context was destroyed`)

// testUpdateInPlace: a change reaches an open page by itself and disturbs nobody
// who reads, types or has something open.
func testUpdateInPlace(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	live := `document.getElementById('live').hasAttribute('data-on') && document.getElementById('live').textContent.includes('Live')`

	// The overview: text being typed stays, the row turns, nobody is moved.
	b.run(t, until(live), chromedp.SendKeys(chromedp.CSS("input[name=q]"), "pay"))
	get[chromedp.Void](t, b, `window.row = document.getElementById('s-warehouse'); window.scrollTo(0, 40)`)
	k := s.estate.catalogue.Check("warehouse/stock/vault")
	bad := seen(k, s.estate.now())
	bad.Seq, bad.Outcome, bad.Reason, bad.Summary = 2, holdfast.Failed, holdfast.Damaged, "a pack does not match its checksum"
	bad.At, bad.Received = s.estate.now(), s.estate.now()
	s.estate.observe(bad)
	b.run(t, until(`document.getElementById('s-warehouse').dataset.state === 'broken'`))
	kept := get[string](t, b, `[document.activeElement.name, document.activeElement.value, window.scrollY > 0, window.row === document.getElementById('s-warehouse'), window.row.classList.contains('changed')].join()`)
	if want := "q,pay,true,true,true"; kept != want {
		t.Errorf("focus, text, scroll, same row, marked: got %s, want %s", kept, want)
	}

	// The service page: an open evidence stays open, and is the same element.
	b.run(t, chromedp.Navigate(s.URL+"/services/warehouse"), until(live))
	get[chromedp.Void](t, b, `
		window.details = Array.from(document.querySelectorAll('.evid details')).find(d => d.textContent.includes('stock/vault'));
		details.querySelector('summary').click(); details.querySelector('summary').focus();
		window.scrollTo(0, document.body.scrollHeight); window.at = window.scrollY`)
	good := seen(k, s.estate.now())
	good.Seq, good.Summary = 3, "every pack matches its checksum again"
	good.At, good.Received = s.estate.now(), s.estate.now()
	s.estate.observe(good)
	b.run(t, until(`document.body.textContent.includes('matches its checksum again')`))
	kept = get[string](t, b, `[details.isConnected, details.open, document.activeElement === details.querySelector('summary'), window.at > 100, Math.abs(window.scrollY - window.at) < 200].join()`)
	if want := "true,true,true,true,true"; kept != want {
		t.Errorf("same element, open, focus, was scrolled, still there: got %s, want %s", kept, want)
	}
	age := `Array.from(document.querySelectorAll('#data time')).map(e => e.textContent).join()`
	b.run(t, until(fmt.Sprintf("%s !== %q", age, get[string](t, b, age)))) // runs by the second
}

// testOneStream: two tabs share one stream, and both hear of changes.
func testOneStream(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	live := until(`document.getElementById('live').textContent.includes('Live')`)
	b.run(t, live)
	tab, stop := chromedp.NewContext(b.ctx)
	defer stop()
	b.watch(t, tab)
	if err := chromedp.Do(tab, chromedp.Navigate(s.URL+"/agents"), live); err != nil {
		t.Fatal(err)
	}
	s.estate.mu.Lock()
	streams := len(s.estate.ears)
	s.estate.mu.Unlock()
	if streams != 1 {
		t.Errorf("two tabs hold %d streams, want 1", streams)
	}
	s.estate.mu.Lock()
	s.estate.agents[0].Version = "9.9.9"
	s.estate.mu.Unlock()
	s.estate.judge()
	if err := chromedp.Do(tab, until(`document.body.textContent.includes('9.9.9')`)); err != nil {
		t.Errorf("the tab without the stream heard nothing: %v", err)
	}
}

// testLostConnection: a page that is not live says so, and finds back by itself.
func testLostConnection(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.allow("net::ERR_")
	b.run(t, until(`document.getElementById('live').textContent.includes('Live')`))
	s.down.Store(true)
	s.CloseClientConnections()
	b.run(t, until(`document.documentElement.dataset.conn === 'lost' && !document.getElementById('lost').hidden`))
	if said := get[string](t, b, `document.getElementById('lost').textContent`); !strings.Contains(said, "Not live since 12:00:") {
		t.Errorf("got %q, want the time of the last figures", said)
	}
	s.down.Store(false)
	b.run(t, until(`!document.documentElement.dataset.conn && document.getElementById('lost').hidden && document.getElementById('live').textContent.includes('Live')`))
}

// testNarrow: no page scrolls sideways, at 320 pixels or at any of its layouts.
func testNarrow(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	b.allow("404") // of the page that is not there
	for _, width := range []int64{320, 768, 1024} {
		for _, p := range shownPages {
			target := p.path
			b.run(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.URL+target))
			wide := get[int64](t, b, `document.documentElement.scrollWidth`)
			who := get[string](t, b, `Array.from(document.querySelectorAll('main *')).filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('svg')).slice(0, 3).map(e => e.tagName + '.' + e.className).join(' ')`)
			if wide > width {
				t.Errorf("%s at %d: %d wide: %s", target, width, wide, who)
			}
		}
	}
}

// testPictures writes what a designer should look at: go test -run Browser/pictures -shots DIR.
func testPictures(t *testing.T, chromium context.Context) {
	s := newSite(t)
	s.estate.agents[1].Connected, s.estate.agents[1].LastHeard = false, noon.Add(-4*time.Minute)
	b := open(t, chromium, s)
	b.allow("404")
	for _, p := range shownPages {
		name, target := p.name, p.path
		for _, width := range []int64{1440, 390} {
			for _, scheme := range []string{"light", "dark"} {
				theme(t, b, scheme)
				b.run(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.URL+target), until(`document.getElementById('live').textContent.includes('Live')`))
				picture(t, b, fmt.Sprintf("%s-%d-%s", name, width, scheme))
			}
		}
	}
	for _, width := range []int64{1440, 390} {
		b.run(t, chromedp.EmulateViewport(width, 1900), chromedp.Navigate(s.URL+"/data?q=ledger"))
		get[bool](t, b, `document.querySelector('.det details').open = true`)
		get[bool](t, b, `document.querySelector('#unprotected-d').open = true`)
		picture(t, b, fmt.Sprintf("data-opened-%d", width))
	}
	for name, key := range map[string]string{"palette": "/", "help": "?"} {
		b.run(t, chromedp.EmulateViewport(1440, 900), chromedp.Navigate(s.URL+"/"), until(`document.documentElement.hasAttribute('data-keys')`))
		press(t, b, key)
		if key == "/" {
			keys(t, b, "s", "h", "o", "p")
			b.run(t, until(`document.querySelector('#hits [aria-selected=true]')?.textContent.includes('shop')`))
		}
		picture(t, b, name)
	}
	s.down.Store(true)
	s.CloseClientConnections()
	b.allow("net::ERR_")
	b.run(t, until(`document.documentElement.dataset.conn === 'lost'`))
	picture(t, b, "lost")
}

// picture writes what the browser shows now.
func picture(t *testing.T, b *browser, name string) {
	t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// testAgesAlike: the script keeps ages running in the server's own words.
func testAgesAlike(t *testing.T, chromium context.Context) {
	s := newSite(t)
	b := open(t, chromium, s)
	ages := []time.Duration{0, 50 * time.Second, 200 * time.Second, 10 * time.Minute, time.Hour, 65 * time.Minute, 10 * time.Hour, 47 * time.Hour, 48 * time.Hour, 400 * 24 * time.Hour}
	for _, d := range ages {
		stamp := s.estate.now().Add(-d).UTC().Format(time.RFC3339Nano)
		get[bool](t, b, fmt.Sprintf(`(() => { const e = document.createElement('time'); e.dateTime = %q; e.dataset.t = 'ago'; e.className = 'probe'; document.body.append(e); return true })()`, stamp))
	}
	b.run(t, until(`Array.from(document.querySelectorAll('.probe')).every(e => e.textContent)`))
	for i, got := range get[[]string](t, b, `Array.from(document.querySelectorAll('.probe')).map(e => e.textContent)`) {
		var want []string // it may have run on for some seconds
		for late := range 6 {
			want = append(want, web.Span(ages[i]+time.Duration(late)*time.Second)+" ago")
		}
		if !slices.Contains(want, got) {
			t.Errorf("%v: the script writes %q, the server one of %q", ages[i], got, want)
		}
	}
}
