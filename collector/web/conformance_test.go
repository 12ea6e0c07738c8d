package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

// contract is the API's document as a client reads it, with nothing of the code
// that made it.
type contract struct {
	doc      map[string]any
	resolved map[string]*jsonschema.Resolved
}

// promise is one operation of a contract.
type promise struct {
	ID, Method, Path string
	Roles            []string // empty: every role
	Open             bool
	op               map[string]any
}

func newContract(t testing.TB, h http.Handler) *contract {
	t.Helper()
	c := &contract{resolved: map[string]*jsonschema.Resolved{}}
	if err := json.Unmarshal([]byte(text(t, ask(t, h, "viewer", "GET", "/api/v1/openapi.json", ""))), &c.doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// dig follows keys through decoded JSON; what is missing is nil.
func dig(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

var schemaRef = regexp.MustCompile(`"#/components/schemas/(\w+)"`)

// needed are the document's schemas that one refers to, near and far.
func (c *contract) needed(schema string) map[string]any {
	all := map[string]any{}
	var add func(string)
	add = func(text string) {
		for _, ref := range schemaRef.FindAllStringSubmatch(text, -1) {
			if _, have := all[ref[1]]; !have {
				all[ref[1]] = dig(c.doc, "components", "schemas", ref[1])
				add(marshalled(all[ref[1]]))
			}
		}
	}
	add(schema)
	return all
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// promises lists every operation, by ID.
func (c *contract) promises() []promise {
	var list []promise
	for path, item := range c.doc["paths"].(map[string]any) {
		for method, v := range item.(map[string]any) {
			op := v.(map[string]any)
			p := promise{ID: op["operationId"].(string), Method: strings.ToUpper(method), Path: path, op: op}
			roles, _ := op["x-roles"].([]any)
			for _, r := range roles {
				p.Roles = append(p.Roles, r.(string))
			}
			security, said := op["security"].([]any)
			p.Open = said && len(security) == 0
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b promise) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (p *promise) may(role string) bool {
	return p.Open || role != "" && (len(p.Roles) == 0 || slices.Contains(p.Roles, role))
}

// statuses are the documented ones.
func (p *promise) statuses() []int {
	var list []int
	for s := range p.op["responses"].(map[string]any) {
		n, _ := strconv.Atoi(s)
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// streams reports whether the answer goes on for ever.
func (p *promise) streams() bool {
	return dig(p.op, "responses", "200", "content", "text/event-stream") != nil
}

// hasBody reports whether something is sent.
func (p *promise) hasBody() bool { return p.op["requestBody"] != nil }

// target is the operation's address, with what is put in for its path's names: the
// document's examples where it is empty.
func (p *promise) target(t testing.TB, instead string) string {
	t.Helper()
	path := p.Path
	for _, v := range list(p.op["parameters"]) {
		if dig(v, "in") != "path" {
			continue
		}
		example := instead
		if example == "" {
			examples := list(dig(v, "schema", "examples"))
			if len(examples) == 0 {
				t.Fatalf("%s: the document gives no example of path parameter %v: add example:\"…\" to its tag", p.ID, dig(v, "name"))
			}
			example = url.PathEscape(examples[0].(string))
		}
		path = strings.ReplaceAll(path, "{"+dig(v, "name").(string)+"}", example)
	}
	return "/api/v1" + path
}

// body is the document's example of what is sent.
func (p *promise) body(t testing.TB) string {
	t.Helper()
	if !p.hasBody() {
		return ""
	}
	example := dig(p.op, "requestBody", "content", "application/json", "example")
	if example == nil {
		t.Fatalf("%s: the document gives no example of the body: set operation.Example", p.ID)
	}
	return marshal(t, example)
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// unspoken are headers every answer of the server may have: the document does
// not name them.
var unspoken = []string{
	"Content-Type", "Content-Length", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy",
	"Cross-Origin-Opener-Policy", "Cache-Control", "Vary", "X-Accel-Buffering",
}

// hold compares an answer with what the document promises.
func (c *contract) hold(p *promise, resp *http.Response, body string) error {
	said := dig(p.op, "responses", strconv.Itoa(resp.StatusCode))
	if said == nil {
		return fmt.Errorf("status %d is not documented", resp.StatusCode)
	}
	if ref, ok := dig(said, "$ref").(string); ok {
		said = dig(c.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	headers, _ := dig(said, "headers").(map[string]any)
	for name, h := range headers {
		if dig(h, "required") == true && resp.Header.Get(name) == "" {
			return fmt.Errorf("status %d comes without %s", resp.StatusCode, name)
		}
	}
	for name := range resp.Header {
		if !slices.Contains(unspoken, name) && !slices.ContainsFunc(slices.Collect(maps.Keys(headers)), func(h string) bool { return http.CanonicalHeaderKey(h) == name }) {
			return fmt.Errorf("status %d has header %s, which is not documented", resp.StatusCode, name)
		}
	}
	content, _ := dig(said, "content").(map[string]any)
	if len(content) == 0 {
		if body != "" {
			return fmt.Errorf("status %d has a body, which is not documented: %.100s", resp.StatusCode, body)
		}
		return nil
	}
	form := resp.Header.Get("Content-Type")
	if content[form] == nil {
		return fmt.Errorf("status %d is of type %q, which is not documented", resp.StatusCode, form)
	}
	if !strings.HasSuffix(form, "json") {
		return nil
	}
	return c.validate(marshalled(dig(content[form], "schema")), body)
}

func marshalled(v any) string {
	b, _ := json.Marshal(v) // it was read from JSON
	return string(b)
}

// validate holds a body against a schema of the document.
func (c *contract) validate(schema, body string) error {
	resolved := c.resolved[schema]
	if resolved == nil {
		var s jsonschema.Schema
		whole := `{"$defs":` + marshalled(c.needed(schema)) + `,"allOf":[` + schema + `]}`
		if err := json.Unmarshal([]byte(strings.ReplaceAll(whole, "#/components/schemas/", "#/$defs/")), &s); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
		var err error
		if resolved, err = s.Resolve(nil); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
		c.resolved[schema] = resolved
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return fmt.Errorf("%w: %.200s", err, body)
	}
	return resolved.Validate(v)
}

// places returns the locations a problem names.
func places(body string) []string {
	var p struct {
		Errors []struct{ Location, Message string } `json:"errors"`
	}
	if json.Unmarshal([]byte(body), &p) != nil {
		return nil
	}
	var list []string
	for _, e := range p.Errors {
		if e.Message != "" {
			list = append(list, e.Location)
		}
	}
	return list
}

// request is one of further.
type request struct {
	target, body string
	want         int
}

// bySession are the operations about the session one comes with: a token has none.
var bySession = []string{"change-password", "end-one-session"}

// further are the requests that lead to what no example can: a status that
// depends on how things stand.
var further = map[string][]request{
	"begin-session": append(slices.Repeat([]request{{"/session", `{"name":"eve","password":"wrong"}`, http.StatusUnauthorized}}, 5),
		request{"/session", `{"name":"eve","password":"wrong"}`, http.StatusUnauthorized}, request{"/session", `{"name":"eve","password":"wrong"}`, http.StatusTooManyRequests},
		request{"/session", `{"name":"unreadable","password":"any"}`, http.StatusServiceUnavailable}),
	"start-drill":  {{"/drills", `{"service":"payments","path":"restore-in-ams"}`, http.StatusConflict}},
	"answer-step":  {{"/drills/20260612-0badcafe/steps/names", `{}`, http.StatusConflict}},
	"cancel-drill": {{"/drills/20260612-0badcafe/cancel", `{}`, http.StatusConflict}},
	"run-check":    {{"/checks/run", `{"check":"wiki/pages/nightly"}`, http.StatusConflict}},
}

// unreached are statuses that no request of ours can bring about, wherever they
// are documented: 500 is what nobody thought of.
var unreached = []int{http.StatusInternalServerError}

// TestAnswersMatchDocument drives every operation of the document through every
// status it names, with the document's own examples, and holds each answer
// against it.
func TestAnswersMatchDocument(t *testing.T) {
	c := newContract(t, handler(t, newEstate(t, at(noon))))
	if c.doc["openapi"] != "3.1.0" {
		t.Errorf("got OpenAPI %v, want 3.1.0", c.doc["openapi"])
	}
	read := handler(t, newEstate(t, at(noon), troubled(noon)))
	for _, p := range c.promises() {
		t.Run(p.ID, func(t *testing.T) {
			h := read
			if p.Method != http.MethodGet { // changes its estate
				h = handler(t, newEstate(t, at(noon), troubled(noon)))
			}
			drive(t, c, &p, h)
		})
	}
}

// within serves requests in a context.
func within(h http.Handler, ctx context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r.WithContext(ctx)) })
}

func drive(t *testing.T, c *contract, p *promise, h http.Handler) {
	seen := map[int]bool{}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	try := func(what, role, target, body string, want int, place string, header ...string) *http.Response {
		t.Helper()
		if p.hasBody() && !slices.Contains(header, "Content-Type") {
			header = append(header, "Content-Type", "application/json")
		}
		if role != "" && slices.Contains(bySession, p.ID) {
			role, header = "", append(header, "Cookie", "holdfast_session="+role)
		}
		resp := ask(t, within(h, ctx), role, p.Method, target, body, header...)
		got := text(t, resp)
		seen[resp.StatusCode] = true
		if want != 0 && resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d: %.300s", what, resp.StatusCode, want, got)
			return resp
		}
		if err := c.hold(p, resp, got); err != nil {
			t.Errorf("%s: answer is not what the document says: %v", what, err)
		}
		if resp.StatusCode >= 400 && (len(places(got)) == 0 || place != "" && !slices.Contains(places(got), place)) {
			t.Errorf("%s: problem names %q, want %q: %.300s", what, places(got), place, got)
		}
		return resp
	}
	target, body := p.target(t, ""), p.body(t)
	if !p.Open {
		try("nobody", "", target, body, http.StatusUnauthorized, "header.Authorization")
		try("access that cannot be checked", "unreadable", target, body, http.StatusServiceUnavailable, "server")
	}
	for _, role := range []string{"viewer", "operator", "manager", "auditor", "admin"} {
		if !p.may(role) {
			try("as "+role, role, target, body, http.StatusForbidden, "header.Authorization")
		}
	}
	if p.Method != http.MethodGet {
		try("from another site", "admin", target, body, http.StatusForbidden, "header.Authorization", "Sec-Fetch-Site", "cross-site")
	}
	if slices.Contains(p.statuses(), http.StatusNotAcceptable) {
		try("a form nobody speaks", "admin", target, body, http.StatusNotAcceptable, "header.Accept", "Accept", "application/x-none")
	}
	try("an unknown parameter", "admin", target+"?nonsense=1", body, http.StatusUnprocessableEntity, "query.nonsense")
	if strings.Contains(p.Path, "{") {
		try("no such thing", "admin", p.target(t, "no-such-thing"), body, http.StatusNotFound, "")
	}
	if p.hasBody() {
		try("no body", "admin", target, "", http.StatusBadRequest, "body")
		try("no JSON", "admin", target, "{", http.StatusBadRequest, "body")
		try("another type", "admin", target, body, http.StatusUnsupportedMediaType, "", "Content-Type", "text/plain")
		try("a large body", "admin", target, `{"x":"`+strings.Repeat("x", 2<<20)+`"}`, http.StatusRequestEntityTooLarge, "body")
		try("an unknown field", "admin", target, `{"nonsense":1}`, http.StatusUnprocessableEntity, "body.nonsense")
	}
	for _, f := range further[p.ID] {
		try(f.target+" "+f.body, "admin", "/api/v1"+f.target, f.body, f.want, "")
	}
	if p.streams() {
		stop() // a reader that leaves at once; TestEvents stays
	}
	resp := try("as documented", "admin", target, body, 0, "")
	if resp.StatusCode >= 300 {
		t.Errorf("the document's own example is answered %d", resp.StatusCode)
	}
	if slices.Contains(p.statuses(), http.StatusNotModified) {
		try("again", "admin", target, body, http.StatusNotModified, "", "If-None-Match", resp.Header.Get("ETag"))
	}
	for _, status := range p.statuses() {
		if !seen[status] && !slices.Contains(unreached, status) {
			t.Errorf("status %d is documented and nothing leads to it: add a request to further, or leave it out", status)
		}
	}
}

// TestConformanceCanFail: an answer that differs from the document is found.
func TestConformanceCanFail(t *testing.T) {
	h := handler(t, newEstate(t, at(noon), troubled(noon)))
	c := newContract(t, h)
	for _, p := range c.promises() {
		if p.Method != http.MethodGet || p.streams() {
			continue
		}
		resp := ask(t, h, "admin", "GET", p.target(t, ""), "")
		body := text(t, resp)
		if !strings.HasPrefix(body, "{") {
			continue
		}
		if err := c.hold(&p, resp, body); err != nil {
			t.Errorf("%s: %v", p.ID, err)
		}
		for what, change := range map[string]func(*http.Response) string{
			"a field more":         func(*http.Response) string { return `{"nonsense":1,` + body[1:] },
			"no field at all":      func(*http.Response) string { return "{}" },
			"another type":         func(*http.Response) string { return `"` + p.ID + `"` },
			"no JSON":              func(*http.Response) string { return "<p>" },
			"an odd status":        func(r *http.Response) string { r.StatusCode = http.StatusTeapot; return body },
			"a missing header":     func(r *http.Response) string { r.Header.Del("ETag"); return body },
			"a header more":        func(r *http.Response) string { r.Header.Set("X-Nonsense", "1"); return body },
			"another content type": func(r *http.Response) string { r.Header.Set("Content-Type", "text/html"); return body },
		} {
			bad := &http.Response{StatusCode: resp.StatusCode, Header: resp.Header.Clone()}
			if c.hold(&p, bad, change(bad)) == nil {
				t.Errorf("%s with %s passes", p.ID, what)
			}
		}
	}
}

// TestDocument: the document that is checked in is the one that is served, and
// says of every operation what a reader needs.
func TestDocument(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text(t, ask(t, h, "viewer", "GET", "/api/v1/openapi.json", ""))), "", " "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	if *update {
		if err := os.WriteFile("openapi.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("openapi.json is not what is served (go generate ./collector/web writes it; -want +got):\n%s", diff)
	}
	c := newContract(t, h)
	tags := map[string]bool{}
	for _, tag := range list(c.doc["tags"]) {
		tags[dig(tag, "name").(string)] = dig(tag, "description") != nil
	}
	for _, p := range c.promises() {
		for _, what := range []string{"summary", "description"} {
			if p.op[what] == nil {
				t.Errorf("%s has no %s", p.ID, what)
			}
		}
		tag, _ := list(p.op["tags"])[0].(string)
		if !tags[tag] {
			t.Errorf("%s: tag %q is not described in apiConfig", p.ID, tag)
		}
		if want := p.Method == http.MethodPost && p.Path == "/session"; p.Open != want {
			t.Errorf("%s: open without login is %v, want %v: only POST /session is", p.ID, p.Open, want)
		}
		for _, v := range list(p.op["parameters"]) {
			if dig(v, "description") == nil {
				t.Errorf("%s: parameter %v has no doc", p.ID, dig(v, "name"))
			}
		}
	}
}

var update = flag.Bool("update", false, "write the files that are made from the code")
