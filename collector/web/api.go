package web

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// # How the API is made
//
// An operation is a function of its input and output types, added with
// [register] in the api_NAME.go of its subject; addAPI lists the subjects. Pages
// call the same readers, so that a figure is the same wherever it stands. What
// holds for every operation is done in one place:
//
//   - Who may: operation.May; nobody without a token or session gets in, except
//     to the one operation that is Open. The wrong role is refused before
//     anything is read.
//   - Errors are problems (problem.go): refuse, notFound and invalid make them. Any
//     other error of a handler is logged and answered 500 without its text, so a
//     handler says "return nil, err".
//   - Unknown fields and query parameters are refused by name; bodies are bounded.
//   - What inputs share is an embedded struct of exported name: huma skips others.
//   - Lists (paging.go): embed [Paging] in the input and [Next] in the body, cut
//     with [paged], answer a [page]. The order is stable and said in the document.
//   - ETag and If-None-Match (etag.go) on every GET come by themselves. An answer
//     that says when it was read says so in "at", first of its fields.
//   - The document (apidoc.go, openapi.json) is made from the types. Names, doc
//     and example tags are for people who read it: path parameters need an
//     example, bodies operation.Example, and both work on the example catalogue,
//     since the tests send them.

const (
	apiPrefix = "/api/v1"
	maxBody   = 256 << 10 // bytes of what is sent, unless an operation says otherwise
)

// operation describes an operation.
type operation struct {
	Route       string // "GET /alerts/{id}", below /api/v1
	ID          string // "get-alert": a verb and a noun; the tests and generated clients go by it
	Tag         string // the subject, one word: "Alerts"
	Summary     string // one line
	Description string // what a caller must know besides; may be empty

	May    func(holdfast.Role) bool // who may; nil: every role
	Open   bool                     // without login
	Status int                      // of success; default 200, or 204 where the answer has no body
	// Errors are the statuses that do not follow from the route: 401, 403, 404
	// (where the path has a name), 406, 422, 500, 503 and those of a body do.
	Errors  []int
	Form    string // content type of the answer where it is no JSON
	Example any    // of the body
	MaxBody int64  // bytes; default maxBody
}

// api is what operations are added to.
type api struct {
	huma.API
	s    *server
	open []string // patterns of what is open without login
}

// answer is an answer with a body alone.
type answer[T any] struct{ Body T }

// addAPI adds the routes of the API and the document that describes them. It
// returns the patterns that are open without login.
func (s *server) addAPI(mux *http.ServeMux) (open []string, err error) {
	a := &api{API: humago.NewWithPrefix(conditionalMux{mux}, apiPrefix, apiConfig()), s: s}
	s.addEstateAPI(a)
	s.addChangesAPI(a)
	s.addDeadlinesAPI(a)
	s.addDataAPI(a)
	s.addPathsAPI(a)
	s.addCatalogueAPI(a)
	s.addAgentsAPI(a)
	s.addChecksAPI(a)
	s.addServiceAPI(a)
	s.addRecordsAPI(a)
	s.addEventsAPI(a)
	s.addSearchAPI(a)
	s.addAlertsAPI(a)
	s.addDrillsAPI(a)
	s.addSessionAPI(a)
	s.addAccessAPI(a)
	s.addCollectorAPI(a)

	document, err := apiDocument(a.OpenAPI())
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET "+apiPrefix+"/openapi.json", conditional(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(document) // an error means the client is gone
	}))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) { s.noOperation(mux, w, r) })
	return a.open, nil
}

// conditionalMux makes every GET conditional.
type conditionalMux struct{ *http.ServeMux }

// HandleFunc is what huma adds its routes with.
func (m conditionalMux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	if strings.HasPrefix(pattern, "GET ") {
		handler = conditional(handler)
	}
	m.ServeMux.HandleFunc(pattern, handler)
}

// noOperation answers what no operation does: another method of its address, or
// nothing at all.
func (s *server) noOperation(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(probe); pattern != "/api/" && method != r.Method {
			w.Header().Add("Allow", method)
		}
	}
	if w.Header().Get("Allow") != "" {
		writeProblem(w, http.StatusMethodNotAllowed, r.Method+" is nothing this address answers")
		return
	}
	writeProblem(w, http.StatusNotFound, "there is no "+clip(r.URL.Path)+"; "+apiPrefix+"/openapi.json lists what there is")
}

// register adds an operation. In and its output are structs as huma wants them:
// path, query and header tags, and a Body.
func register[In, Out any](a *api, o operation, handle func(context.Context, *In) (*Out, error)) {
	op := o.huma(reflect.TypeFor[In](), reflect.TypeFor[Out]())
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) { a.admit(o, ctx, next) }}
	if o.Open {
		op.Security = []map[string][]string{}
		a.open = append(a.open, op.Method+" "+apiPrefix+op.Path)
	}
	huma.Register(a.API, op, func(ctx context.Context, in *In) (*Out, error) {
		out, err := handle(ctx, in)
		if err == nil {
			return out, nil
		}
		var problem huma.StatusError
		if errors.As(err, &problem) {
			return nil, err
		}
		if ctx.Err() == nil {
			a.s.log.Error("operation failed", "operation", o.ID, "err", err)
		}
		return nil, refuse(http.StatusInternalServerError, "server", "this cannot be answered now; the collector's log says why")
	})
}

// huma is the operation as huma describes it.
func (o operation) huma(in, out reflect.Type) huma.Operation {
	method, path, _ := strings.Cut(o.Route, " ")
	op := huma.Operation{
		OperationID: o.ID, Method: method, Path: path, Tags: []string{o.Tag}, Summary: o.Summary, Description: o.Description,
		DefaultStatus: o.Status, MaxBodyBytes: o.MaxBody, RejectUnknownQueryParameters: true, BodyReadTimeout: 10 * time.Second,
		Errors: append([]int{http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable}, o.Errors...),
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody
	}
	if !o.Open {
		op.Errors = append(op.Errors, http.StatusUnauthorized)
	}
	if o.May != nil || method != http.MethodGet { // requests from other sites' pages are refused
		op.Errors = append(op.Errors, http.StatusForbidden)
	}
	if strings.Contains(path, "{") {
		op.Errors = append(op.Errors, http.StatusNotFound)
	}
	if _, body := in.FieldByName("Body"); body {
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Example: o.Example}}}
	}
	if o.Form != "" {
		op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{o.Form: {}}}}
	}
	if _, body := out.FieldByName("Body"); body {
		op.Errors = append(op.Errors, http.StatusNotAcceptable)
	} else if op.DefaultStatus == 0 {
		op.DefaultStatus = http.StatusNoContent
	}
	slices.Sort(op.Errors)
	op.Errors = slices.Compact(op.Errors)
	if o.May != nil {
		may := rolesThat(o.May)
		op.Extensions = map[string]any{"x-roles": may}
		op.Description = strings.TrimSpace(op.Description + "\n\nFor roles " + strings.Join(may, ", ") + ".")
	}
	return op
}

func rolesThat(may func(holdfast.Role) bool) []string {
	var list []string
	for _, r := range holdfast.Roles {
		if may(r) {
			list = append(list, string(r))
		}
	}
	return list
}

// admit lets a request through to its operation if its role may and the answer
// can be in a form the client reads.
func (a *api) admit(o operation, ctx huma.Context, next func(huma.Context)) {
	who := whoIs(ctx.Context())
	if !o.Open && o.May != nil && !o.May(who.Role) {
		detail := fmt.Sprintf("role %s may not do this: it takes %s", who.Role, strings.Join(rolesThat(o.May), " or "))
		huma.WriteErr(a, ctx, http.StatusForbidden, detail)
		return
	}
	forms := []string{"application/problem+json"}
	for status, r := range ctx.Operation().Responses {
		if strings.HasPrefix(status, "2") {
			for form := range r.Content {
				forms = append(forms, form)
			}
		}
	}
	if !acceptable(ctx.Header("Accept"), forms) {
		slices.Sort(forms[1:])
		huma.WriteErr(a, ctx, http.StatusNotAcceptable, "the answer is of type "+strings.Join(forms[1:], " or "))
		return
	}
	next(ctx)
}

// acceptable reports whether an Accept header leaves room for one of the forms; an
// answer without a body has room in any.
func acceptable(accept string, forms []string) bool {
	if strings.TrimSpace(accept) == "" || len(forms) == 1 {
		return true
	}
	for one := range strings.SplitSeq(accept, ",") {
		kind, params, err := mime.ParseMediaType(one)
		if err != nil || strings.Trim(params["q"], "0.") == "" && params["q"] != "" {
			continue
		}
		for _, form := range forms[1:] {
			family, _, _ := strings.Cut(form, "/")
			if kind == "*/*" || kind == family+"/*" || kind == form {
				return true
			}
		}
	}
	return false
}
