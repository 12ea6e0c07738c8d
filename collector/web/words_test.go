package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/holdfast-monitor/holdfast/collector/web"
)

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		d           time.Duration
		span, spoke string
	}{
		{0, "0 s", "0 s"}, {300 * time.Millisecond, "<1 s", "less than a second"}, {48 * time.Second, "48 s", "48 s"},
		{95 * time.Second, "1m 35s", "95 s"}, {5 * time.Minute, "5m", "5 min"}, {200 * time.Second, "3m 20s", "3 min 20 s"},
		{14*time.Minute + 59*time.Second, "14m", "14 min"}, {time.Hour, "1h", "1 h"}, {65 * time.Minute, "1h 05m", "1 h 5 min"},
		{26 * time.Hour, "26h", "26 h"}, {48 * time.Hour, "2d", "2 days"}, {-3 * time.Minute, "−3m", "-180 s"},
	} {
		if got := web.Span(c.d); got != c.span {
			t.Errorf("%v: got %q, want %q", c.d, got, c.span)
		}
		if got := web.Spoken(c.d); c.d >= 0 && got != c.spoke {
			t.Errorf("%v aloud: got %q, want %q", c.d, got, c.spoke)
		}
	}
}

// TestEnvelopeStaysOnItsAxis: no bar and no label leaves the chart, whatever the
// times are.
func TestEnvelopeStaysOnItsAxis(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	for i := range e.postures {
		for k := range e.postures[i].Scenarios {
			s := &e.postures[i].Scenarios[k]
			if k%2 == 0 && !s.Point.IsZero() {
				s.Point = noon.AddDate(-3, 0, 0) // far beyond every target
			}
		}
	}
	h := handler(t, e)
	bars := 0
	for _, name := range []string{"payments", "identity", "shop", "warehouse", "dns", "wiki"} {
		env := one(t, page(t, h, "/services/"+name), "envelope", id("envelope"))
		for _, r := range find(env, func(n *html.Node) bool { return n.Data == "rect" || n.Data == "text" }) {
			x, width := share(t, attr(r, "x")), 0.0
			if r.Data == "rect" && strings.HasSuffix(attr(r, "width"), "%") {
				bars++
				width = share(t, attr(r, "width"))
			}
			if x < 0 || x+width > 100.01 {
				t.Errorf("%s: <%s> from %v%% to %v%%", name, r.Data, x, x+width)
			}
		}
	}
	if bars < 10 {
		t.Errorf("got %d bars, want at least 10", bars)
	}
}

func share(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVendored: what others wrote is what vendor.txt says it is, with its licence.
func TestVendored(t *testing.T) {
	script, err := web.StaticFile("vendor/idiomorph-0.8.0.min.js")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(script)
	note, err := web.StaticFile("vendor/vendor.txt")
	if err != nil || !strings.Contains(string(note), hex.EncodeToString(sum[:])) {
		t.Errorf("vendor.txt does not name the sha256 %x (%v)", sum, err)
	}
	if licence, err := web.StaticFile("vendor/idiomorph-LICENSE.txt"); err != nil || !strings.Contains(string(licence), "Zero-Clause BSD") {
		t.Errorf("licence: %v", err)
	}
}
