package web_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// hostile are texts that want to be more than text.
var hostile = map[string]string{
	"html":      `"><script>alert(1)</script><img src=x onerror=alert(2)>'`,
	"attribute": `" onmouseover="alert(3)" x="`,
	"template":  `{{.}}</title></textarea></svg><svg onload=alert(4)>`,
	"ansi":      "\x1b[31mred\x1b]0;title\x07\x00\u009b2J",
	"turning":   "pay\u202egpj.exe\u2066\u200f",
	"script":    "javascript:alert(5)",
	"long":      strings.Repeat("<b>long ", 1<<17), // 1 MiB
}

// poison writes a text into every string below v that is free text; the closed
// lists (states, verdicts, kinds) stay, since nothing else ever stands there.
func poison(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), text)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				poison(v.Field(i), text)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), text)
		}
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.String && !v.IsNil() {
			v.Clear()
			v.SetMapIndex(reflect.ValueOf(text).Convert(v.Type().Key()), reflect.ValueOf(text).Convert(v.Type().Elem()))
		}
	case reflect.String:
		v.SetString(text)
	}
}

// poisonPosture poisons a posture but for the closed lists and the names that lead
// from one thing to the next.
func poisonPosture(p *holdfast.Posture, text string) {
	kept := *p
	copied := clonePosture(*p)
	poison(reflect.ValueOf(&copied).Elem(), text)
	copied.Name, copied.State = kept.Name, kept.State
	for i := range copied.Scenarios {
		copied.Scenarios[i].State = kept.Scenarios[i].State
		copied.Scenarios[i].Path = kept.Scenarios[i].Path
	}
	for i := range copied.Findings {
		f, was := &copied.Findings[i], kept.Findings[i]
		f.State, f.Verdict, f.Kind, f.Check = was.State, was.Verdict, was.Kind, was.Check
	}
	for i := range copied.Paths {
		for k := range copied.Paths[i].Needs {
			n, was := &copied.Paths[i].Needs[k], kept.Paths[i].Needs[k]
			n.State, n.Verdict, n.Kind, n.Need = was.State, was.Verdict, was.Kind, was.Need
		}
		for k := range copied.Paths[i].Scenarios {
			copied.Paths[i].Scenarios[k].State = kept.Paths[i].Scenarios[k].State
		}
	}
	*p = copied
}

// clonePosture copies what poison writes to.
func clonePosture(p holdfast.Posture) holdfast.Posture {
	p.Scenarios, p.Paths, p.Findings = slices.Clone(p.Scenarios), slices.Clone(p.Paths), slices.Clone(p.Findings)
	for i := range p.Paths {
		p.Paths[i].Needs, p.Paths[i].Scenarios = slices.Clone(p.Paths[i].Needs), slices.Clone(p.Paths[i].Scenarios)
	}
	if p.Cause != nil {
		cause := *p.Cause
		p.Cause = &cause
	}
	return p
}

// TestHostileTexts: whatever stands in a text, it stays text.
func TestHostileTexts(t *testing.T) {
	for name, bad := range hostile {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, at(noon), troubled(noon))
			for i := range e.postures {
				poisonPosture(&e.postures[i], bad)
			}
			for id, o := range e.latest {
				outcome := o.Outcome
				poison(reflect.ValueOf(&o).Elem(), bad)
				o.Outcome = outcome
				e.latest[id] = o
			}
			e.agents[0].Connected = false
			e.agents[0].Plugins, e.agents[0].Refused = []holdfast.PluginHealth{{}}, []string{""}
			for i := range e.agents {
				poison(reflect.ValueOf(&e.agents[i]).Elem(), bad)
			}
			for i := range e.changes {
				service := e.changes[i].Service
				poison(reflect.ValueOf(&e.changes[i]).Elem(), bad)
				if i > 0 {
					e.changes[i].Service = service
				}
			}
			e.notices = []holdfast.Notice{{Text: bad + "\n" + bad}}
			e.catalogue.Policy.Name = bad
			e.catalogue.Policy.Tiers[0].Intact = holdfast.Duration(time.Minute)
			h := handler(t, e)
			for _, target := range []string{"/", "/?group=owner", "/?view=wall", "/services/shop", "/services/payments", "/services/legacy", "/agents", "/agents?q=" + escape(bad) + "&standing=" + escape(bad), "/agents/" + escape(bad), "/data", "/paths", "/paths?view=list&q=" + escape(bad) + "&scenario=" + escape(bad), "/data?q=" + escape(bad) + "&service=" + escape(bad) + "&sort=" + escape(bad), "/?q=" + escape(bad), "/services/" + escape(bad), "/login?key=" + escape(bad) + "&to=" + escape(bad)} {
				resp := ask(t, h, "viewer", "GET", target, "")
				if resp.StatusCode != http.StatusOK && !strings.HasPrefix(target, "/services/%") && !strings.HasPrefix(target, "/agents/%") {
					t.Fatalf("%.40s: got %d", target, resp.StatusCode)
				}
				harmless(t, target, text(t, resp))
			}
		})
	}
}

// escape writes a text into an address; a long one is cut, as servers do.
func escape(s string) string {
	if len(s) > 4000 {
		s = s[:4000]
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
	}
	return b.String()
}

// harmless fails if a page holds what only a hostile text can have brought in.
func harmless(t *testing.T, target, body string) {
	t.Helper()
	if len(body) > 4<<20 {
		t.Errorf("%.40s: page of %d bytes: a text is not clipped", target, len(body))
	}
	if i := strings.IndexAny(body, "\x00\x07\x1b\u009b\u202e\u2066\u200f"); i >= 0 {
		t.Errorf("%.40s: raw control character: %q", target, body[max(0, i-40):min(len(body), i+40)])
	}
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range find(doc, func(*html.Node) bool { return true }) {
		if n.Data == "script" && !strings.HasPrefix(attr(n, "src"), "/static/") || n.Data == "img" {
			t.Errorf("%.40s: <%s> of a text", target, n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("%.40s: <%s %s=%.100q>", target, n.Data, a.Key, a.Val)
			}
		}
	}
}
