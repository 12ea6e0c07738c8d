package web

import (
	"fmt"
	"hash/fnv"
	"html/template"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// words are the functions templates write with. Now is the collector's clock:
// ages count from it.
func words(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"word":     stateWord,
		"class":    stateClass,
		"glyph":    glyph,
		"verdict":  verdictGlyph,
		"scenario": scenarioTitle,
		"dur":      func(d holdfast.Duration) string { return span(d.Std()) },
		"age":      func(t time.Time) template.HTML { return moment(t, now(), "age") },
		"ago":      func(t time.Time) template.HTML { return moment(t, now(), "ago") },
		"in":       func(t time.Time) template.HTML { return moment(t, now(), "in") },
		"at":       func(t time.Time) template.HTML { return moment(t, now(), "at") },
		"clock":    func() template.HTML { return moment(now(), now(), "clock") },
		"day":      func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
		"utc":      func(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 UTC") },
		"stamp":    func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") },
		"future":   func(t time.Time) bool { return t.After(now()) },
		"hardened": hardened,
		"service":  servicePath,
		"drill":    newDrillLink,
		"anchor":   anchor,
		"clip":     clip,
		"raw":      clipRaw,
		"lines":    func(s string) []string { return strings.Split(clipRaw(s), "\n") },
		"percent":  func(f float64) string { return strconv.Itoa(int(math.Round(f*100))) + " %" },
		"number":   func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) },
		"join":     func(list []string) string { return clip(strings.Join(list, ", ")) },
		"short":    shortNeed,
		"via":      viaWord,
		"brief":    func(hash string) string { return clip(hash[:min(12, len(hash))]) },
		"pair":     func(id, text string) named { return named{id, text} },
	}
}

// stateWord is how a state is said.
func stateWord(s holdfast.State) string {
	switch {
	case s == holdfast.NotJudged || s == "":
		return "Not judged"
	case s.Rank() < 0:
		return clip(string(s))
	}
	return strings.ToUpper(string(s[:1])) + string(s[1:])
}

// stateClass is a state's style, and the name of its silhouette.
func stateClass(s holdfast.State) string {
	if s.Rank() < 0 {
		return "na"
	}
	return string(s)
}

// glyph draws a state's silhouette with its word for who cannot see it. In grids
// proven is a bare tick.
func glyph(s holdfast.State, size int, quiet ...bool) template.HTML {
	shape := stateClass(s)
	if len(quiet) > 0 && quiet[0] && s == holdfast.Proven {
		shape = "ok"
	}
	return template.HTML(fmt.Sprintf(`<svg class="g st-%s" width="%d" height="%d" role="img" aria-label="%s"><use href="#g-%s"/></svg>`,
		stateClass(s), size, size, template.HTMLEscapeString(stateWord(s)), shape))
}

// verdictGlyph draws a verdict: met is a tick.
func verdictGlyph(v holdfast.Verdict, size int) template.HTML {
	switch v {
	case holdfast.Met:
		return glyph(holdfast.Proven, size, true)
	case holdfast.Unmet:
		return glyph(holdfast.Broken, size)
	case holdfast.NotApplicable:
		return glyph(holdfast.NotJudged, size)
	}
	return glyph(holdfast.Unknown, size)
}

// span writes a length of time short: "48 s", "3m 20s", "14m", "1h 05m", "26h",
// "3d". The script of the pages writes ages the same way.
func span(d time.Duration) string {
	if d < 0 {
		return "−" + span(-d)
	}
	s := int64(d / time.Second)
	switch {
	case s == 0 && d > 0:
		return "<1 s"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 600:
		return two(s/60, "m", s%60, "s")
	case s < 3600:
		return fmt.Sprintf("%dm", s/60)
	case s < 10*3600:
		return two(s/3600, "h", s/60%60, "m")
	case s < 48*3600:
		return fmt.Sprintf("%dh", s/3600)
	}
	return fmt.Sprintf("%dd", s/86400)
}

func two(a int64, unit string, b int64, small string) string {
	if b == 0 {
		return fmt.Sprintf("%d%s", a, unit)
	}
	return fmt.Sprintf("%d%s %02d%s", a, unit, b, small)
}

// spoken writes a length of time for a sentence: "14 min", "3 days".
func spoken(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s == 0 && d > 0:
		return "less than a second"
	case s < 120:
		return fmt.Sprintf("%d s", s)
	case s < 600 && s%60 != 0:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 10*3600 && s/60%60 != 0:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	case s < 48*3600:
		return fmt.Sprintf("%d h", s/3600)
	}
	return fmt.Sprintf("%d days", s/86400)
}

// moment writes an instant as a reader wants it, with the instant itself beside
// it; the script keeps ages running. Kinds: age "14m", ago "14m ago", in "in 3m"
// or "3m ago", at "14:31" or "Sat 21 Nov 14:31", clock "14:31 Sat 21 Nov".
func moment(t, now time.Time, kind string) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	d := now.Sub(t)
	var text string
	switch kind {
	case "age":
		text = span(max(0, d))
	case "ago":
		text = span(max(0, d)) + " ago"
	case "in":
		text = span(d) + " ago"
		if d < 0 {
			text = "in " + span(-d)
		}
	case "clock":
		text = t.Format("15:04 Mon 2 Jan")
	default:
		text = t.Format("Mon 2 Jan 15:04")
		if y, m, day := now.UTC().Date(); t.Year() == y && t.Month() == m && t.Day() == day {
			text = t.Format("15:04")
		} else if t.Year() != y {
			text = t.Format("2 Jan 2006")
		}
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-t="%s" title="%s">%s</time>`,
		t.Format(time.RFC3339), kind, t.Format("Mon 2 Jan 2006 15:04:05 UTC"), template.HTMLEscapeString(text)))
}

var scenarioTitles = map[string]string{
	holdfast.HostLoss: "Host loss", holdfast.SiteLoss: "Site loss", holdfast.DataCorruption: "Data corruption",
	holdfast.Ransomware: "Ransomware", holdfast.SupplierLoss: "Supplier loss", holdfast.StaffLoss: "Staff loss",
}

var scenarioHeads = map[string]string{
	holdfast.HostLoss: "Host", holdfast.SiteLoss: "Site", holdfast.DataCorruption: "Data",
	holdfast.Ransomware: "Ransom", holdfast.SupplierLoss: "Supplier", holdfast.StaffLoss: "Staff",
}

// scenarioTitle is how a scenario is called in text.
func scenarioTitle(name string) string {
	if t := scenarioTitles[name]; t != "" {
		return t
	}
	return clip(name)
}

// scenarioHead is how it is called over a narrow column.
func scenarioHead(name string) string {
	if t := scenarioHeads[name]; t != "" {
		return t
	}
	if r := []rune(name); len(r) > 8 {
		return string(r[:7]) + "…"
	}
	return name
}

// happens opens a sentence with what happens in a scenario.
func happens(scenario string) string {
	switch scenario {
	case holdfast.HostLoss:
		return "If its host is lost now"
	case holdfast.SiteLoss:
		return "If its site is lost now"
	case holdfast.DataCorruption:
		return "If its data is damaged now"
	case holdfast.Ransomware:
		return "If ransomware strikes now"
	case holdfast.SupplierLoss:
		return "If the supplier of its site is lost now"
	case holdfast.StaffLoss:
		return "If its team is lost now"
	}
	return "If " + clip(scenario) + " happens now"
}

// scenarioOrder sorts scenarios: the built-in ones in their order, then by name.
func scenarioOrder(a, b string) int {
	i, j := slices.Index(holdfast.Scenarios, a), slices.Index(holdfast.Scenarios, b)
	switch {
	case i >= 0 && j >= 0:
		return i - j
	case i >= 0:
		return -1
	case j >= 0:
		return 1
	}
	return strings.Compare(a, b)
}

// servicePath is the address of a service's page.
func servicePath(name string) string { return "/services/" + url.PathEscape(name) }

// anchor names a check's evidence on a page, whatever characters its ID has.
func anchor(check string) string {
	h := fnv.New64a()
	h.Write([]byte(check))
	return "e" + strconv.FormatUint(h.Sum64(), 36)
}

// shortNeed leaves the service's own name out of a need's ID.
func shortNeed(need, service string) string {
	return clip(strings.TrimPrefix(need, service+"/"))
}

// hardened says what is known of a copy's protection, and how.
func hardened(c holdfast.CopyPosture) string {
	var parts []string
	for _, f := range []struct {
		name string
		fact holdfast.Fact
	}{{"immutable", c.Immutable}, {"offline", c.Offline}, {"encrypted", c.Encrypted}} {
		if f.fact.How != "unstated" && f.fact.How != "" {
			name := f.name
			if !f.fact.Value {
				name = "not " + name
			}
			parts = append(parts, name+" ("+f.fact.How+")")
		}
	}
	if len(parts) == 0 {
		return "nothing stated"
	}
	return strings.Join(parts, ", ")
}

// titleOf is what a service is called.
func titleOf(p *holdfast.Posture) string {
	if p.Title != "" {
		return clip(p.Title)
	}
	return clip(p.Name)
}
