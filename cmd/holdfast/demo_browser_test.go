//go:build soak

package main

import (
	"context"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// watchStates notes every state a row of the open page shows, and how often one
// changed in place.
const watchStates = `(() => {
  window.watched = {seen: {}, changes: 0, before: {}};
  const look = () => {
    for (const row of document.querySelectorAll('tr[data-row]')) {
      const was = window.watched.before[row.id], is = row.dataset.state;
      window.watched.seen[is] = true;
      if (was && was !== is) window.watched.changes++;
      window.watched.before[row.id] = is;
    }
  };
  look();
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true, attributeFilter: ['data-state']});
})()`

var loginLink = regexp.MustCompile(`http://\S+/login\?key=\S+`)

// TestDemoInBrowser leaves the overview of a live demo open for two rounds, some
// twelve minutes: every state appears and clears in place, without a reload. make soak.
func TestDemoInBrowser(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 19*time.Minute)
	defer cancel()
	d := startDemo(t, filepath.Join(t.TempDir(), "demo"), t.TempDir(), "--scenario", "live", "--hold", "4s")
	link := ""
	for line := range d.lines {
		if link = loginLink.FindString(line); link != "" {
			break
		}
	}
	d.until(ctx, t, "Round 1.")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	alloc, stopAlloc := chromedp.NewExecAllocator(ctx, options...)
	defer stopAlloc()
	tab, stopTab := chromedp.NewContext(alloc)
	defer stopTab()
	if err := chromedp.Do(tab, chromedp.Navigate(link), chromedp.Click(chromedp.CSS("main button[type=submit]")), chromedp.WaitVisible(chromedp.CSS("#rows")), chromedp.Evaluate[chromedp.Void](watchStates)); err != nil {
		t.Fatal(err)
	}
	for line := range d.lines {
		t.Log(line)
		if strings.HasPrefix(line, "Round 3.") || ctx.Err() != nil {
			break
		}
	}
	type watching struct {
		Seen    map[holdfast.State]bool   `json:"seen"`
		Changes int                       `json:"changes"`
		Before  map[string]holdfast.State `json:"before"`
	}
	var watched watching
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for range 50 { // the page follows within a second; the next trouble comes later
		var err error
		if watched, err = chromedp.Run(tab, chromedp.Evaluate[watching]("window.watched")); err != nil {
			t.Fatalf("the page was loaded again, or is gone: %v", err)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(watched.Before)), func(s holdfast.State) bool { return s != holdfast.Proven }) {
			break
		}
		<-again.C
	}
	t.Logf("%d changes in place; states seen: %v", watched.Changes, watched.Seen)
	for _, s := range holdfast.States {
		if !watched.Seen[s] && s != holdfast.NotJudged {
			t.Errorf("no row was ever %s", s)
		}
	}
	for row, s := range watched.Before {
		if s != holdfast.Proven {
			t.Errorf("after two rounds %s is still %s", row, s)
		}
	}
	if watched.Changes < 20 {
		t.Errorf("%d changes in place, want at least 20", watched.Changes)
	}
}
