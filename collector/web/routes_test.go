package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/collector/web"
)

// patterns lists every pattern of a mux. It looks for them in its insides: there
// is no other way to learn of a route that nobody wrote down.
func patterns(v reflect.Value, seen map[uintptr]bool) (found []string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return nil
		}
		seen[v.Pointer()] = true
		if v.Type().String() == "*http.pattern" {
			return []string{v.Elem().FieldByName("str").String()}
		}
		return patterns(v.Elem(), seen)
	case reflect.Struct:
		for i := range v.NumField() {
			found = append(found, patterns(v.Field(i), seen)...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = append(found, patterns(v.Index(i), seen)...)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			found = append(found, patterns(v.MapIndex(key), seen)...)
		}
	}
	return found
}

// TestEveryRouteIsTried: a route that stands in no row of the table of routes and
// roles is found, by asking the muxes what they hold.
func TestEveryRouteIsTried(t *testing.T) {
	mux, inside, err := web.Muxes(newEstate(t, at(noon)))
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	for _, row := range routes {
		r := httptest.NewRequest(row.method, row.target, nil)
		_, pattern := mux.Handler(r)
		if pattern == "/" {
			_, pattern = inside.Handler(r)
			pattern = "inside " + pattern
		}
		tried[pattern] = true
	}
	all := slices.Clone(patterns(reflect.ValueOf(mux).Elem(), map[uintptr]bool{}))
	open := slices.Clone(all)
	for _, p := range patterns(reflect.ValueOf(inside).Elem(), map[uintptr]bool{}) {
		if !slices.Contains(open, p) || p == "/" {
			all = append(all, "inside "+p)
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d routes found: %q", len(all), all)
	}
	for _, p := range all {
		if p != "/" && !tried[p] {
			t.Errorf("no row of routes (api_test.go) asks for %q", p)
		}
	}
}

// TestRolesOfTheDocument: for every operation, nobody gets 401 and a role the
// document does not name gets 403, whatever else is wrong with what is asked.
func TestRolesOfTheDocument(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	for _, p := range newContract(t, h).promises() {
		if p.streams() {
			continue
		}
		for _, role := range []string{"", "viewer", "operator", "manager", "auditor", "admin"} {
			for _, target := range []string{p.target(t, ""), p.target(t, "nothing"), p.target(t, "") + "?nonsense=1"} {
				for _, body := range []string{"", "{}", "[", `{"nonsense":1}`} {
					resp := ask(t, h, role, p.Method, target, body, "Content-Type", "application/json")
					got := text(t, resp)
					switch {
					case p.Open:
					case role == "" && resp.StatusCode != http.StatusUnauthorized:
						t.Errorf("%s %s %q as nobody: got %d, want 401", p.Method, target, body, resp.StatusCode)
					case role != "" && !p.may(role) && resp.StatusCode != http.StatusForbidden:
						t.Errorf("%s %s %q as %s: got %d, want 403", p.Method, target, body, role, resp.StatusCode)
					case p.may(role) && resp.StatusCode == http.StatusUnauthorized:
						t.Errorf("%s %s %q as %s: got 401", p.Method, target, body, role)
					}
					if resp.StatusCode >= 400 && len(places(got)) == 0 {
						t.Errorf("%s %s %q as %s: %d names no place: %s", p.Method, target, body, role, resp.StatusCode, got)
					}
				}
			}
		}
	}
}

// garbage is what an operation may be sent instead of what it takes.
var garbage = []string{
	"", " ", "null", "true", "0", "-1e999", "1e400", `""`, "[]", "[[[", "{}", "{", `{"":""}`, "\x00", "\xff\xfe", "{\"a\":\"\xff\"}", `{"a":"\u0000\ud800"}`,
	strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
	`{"a":` + strings.Repeat("9", 50_000) + `}`, "<xml/>", "a=b", "\u202e{}", `{"constructor":{"prototype":{}}}`,
	`{"record":"exercise","people":"ada"}`, `{"record":["exercise"]}`, `{"record":"exercise","at":"yesterday"}`, `{"record":"exercise","at":"9999999-01-01T00:00:00Z"}`,
	`{"record":"exercise","duration":"99999999999999999999y"}`, `{"record":"exercise","bytes":9223372036854775808}`, `{"record":"exercise","bytes":1.5}`,
}

// odd are values of parameters and of names in paths.
var odd = []string{
	"", "0", "-1", "99999999999999999999", "1.5", "NaN", "true", "\x00", "\xff", "\u202e", "a/b", "../../etc/passwd", "%2e%2e", "{}", "' or 1=1", "<script>",
	strings.Repeat("x", 3000), strings.Repeat("é", 300), "2026-13-45T99:99:99Z", "0000-01-01T00:00:00Z", "-9999-01-01T00:00:00Z", "1y1y", "292y", "\r\nX-Evil: 1",
}

// TestGarbage: whatever is sent, an operation answers as its document says, and
// never that the collector is at fault.
func TestGarbage(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	c := newContract(t, h)
	for _, p := range c.promises() {
		if p.streams() {
			continue
		}
		t.Run(p.ID, func(t *testing.T) {
			held := map[string]bool{} // answers that were looked at
			try := func(target, body string, header ...string) {
				t.Helper()
				resp := ask(t, h, "admin", p.Method, target, body, header...)
				got := text(t, resp)
				if resp.StatusCode >= 500 {
					t.Errorf("%.100q with %.100q: got %d: %.200s", target, body, resp.StatusCode, got)
				}
				if resp.Header.Get("X-Evil") != "" || len(got) > 4<<20 {
					t.Errorf("%.100q with %.100q: header of a value, or %d bytes", target, body, len(got))
				}
				if resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusMovedPermanently || resp.StatusCode == http.StatusNotFound && !strings.Contains(p.Path, "{") {
					return // another address than the operation's
				}
				if same := fmt.Sprint(resp.StatusCode, resp.Header["Content-Type"], got); !held[same] {
					held[same] = true
					if err := c.hold(&p, resp, got); err != nil {
						t.Errorf("%.100q with %.100q: %v: %.200s", target, body, err, got)
					}
				}
			}
			if p.hasBody() {
				for _, body := range append(garbage, mutilated(p.body(t))...) {
					try(p.target(t, ""), body, "Content-Type", "application/json")
				}
			}
			for _, value := range odd {
				if strings.Contains(p.Path, "{") {
					try(p.target(t, url.PathEscape(value)), "", "Content-Type", "application/json")
				}
				few := ""
				if slices.ContainsFunc(list(p.op["parameters"]), func(v any) bool { return dig(v, "name") == "limit" }) {
					few = "&limit=1"
				}
				for _, v := range list(p.op["parameters"]) {
					switch name := dig(v, "name").(string); dig(v, "in") {
					case "query":
						try(p.target(t, "")+"?"+name+"="+url.QueryEscape(value)+few, p.body(t), "Content-Type", "application/json")
					case "header":
						try(p.target(t, ""), p.body(t), name, value, "Content-Type", "application/json")
					}
				}
			}
		})
	}
}

// mutilated are bodies that were right but for one field: of another type, very
// long, or gone.
func mutilated(body string) (list []string) {
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return nil
	}
	for key, was := range v {
		for _, bad := range []any{nil, 1, -1.5, true, "", "\x00\u202e", strings.Repeat("x", 100_000), []any{}, []any{nil, 1}, map[string]any{"a": nil}} {
			v[key] = bad
			list = append(list, marshalled(v))
		}
		delete(v, key)
		list = append(list, marshalled(v))
		v[key] = was
	}
	return list
}

// FuzzAPI sends what the fuzzer thinks of to every operation.
func FuzzAPI(f *testing.F) {
	h := handler(f, newEstate(f, at(noon)))
	c := newContract(f, h)
	promises := slices.DeleteFunc(c.promises(), func(p promise) bool { return p.streams() })
	for i := range promises {
		body := "{}"
		if promises[i].hasBody() {
			body = promises[i].body(f)
		}
		f.Add(uint8(i), "name", "limit=1&cursor=x", body)
	}
	f.Fuzz(func(t *testing.T, n uint8, name, query, body string) {
		p := promises[int(n)%len(promises)]
		target := p.target(t, url.PathEscape(name)) + "?" + strings.Map(func(r rune) rune {
			if r <= ' ' || r >= 0x7f || r == '#' {
				return -1
			}
			return r
		}, query)
		if _, err := url.ParseRequestURI(target); err != nil {
			t.Skip(fmt.Sprint("no address: ", err))
		}
		resp := ask(t, h, "admin", p.Method, target, body, "Content-Type", "application/json")
		if resp.StatusCode >= 500 {
			t.Errorf("%s %q with %q: got %d: %s", p.Method, target, body, resp.StatusCode, text(t, resp))
		}
	})
}
