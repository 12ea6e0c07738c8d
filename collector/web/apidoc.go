package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	holdfast "github.com/holdfast-monitor/holdfast"
)

//go:generate go test -count=1 -run TestDocument -update .

// apiVersion is the document's own: /healthz says the program's.
const apiVersion = "1"

func apiConfig() huma.Config {
	config := huma.DefaultConfig("Holdfast", apiVersion)
	config.DocsPath = ""     // its page loads scripts from elsewhere
	config.OpenAPIPath = ""  // served by addAPI: one document, made once
	config.SchemasPath = ""  //
	config.CreateHooks = nil // answers say their schema in "schema", not in "$schema"
	form := huma.Format{Marshal: writeAnswer, Unmarshal: json.Unmarshal}
	config.Formats = map[string]huma.Format{"application/json": form, "json": form} // the short name is that of …+json
	config.Transformers = []huma.Transformer{complete}
	config.Info.Description = "Could every service be recovered as the business agreed, and what shows it. Times are RFC 3339 in UTC; durations are written as Prometheus writes them: 15m, 1h30m, 7d."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "made by: holdfast collector user token --role ROLE"},
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie},
	}
	config.Tags = []*huma.Tag{
		{Name: "Readiness", Description: "How every service stands, what changed, what breaks next."},
		{Name: "Agents", Description: "Who looks, and what we are blind to without them."},
		{Name: "Checks", Description: "What a check saw last; run one at once."},
		{Name: "Drills", Description: "Recovery paths that are walked: tests run, people asked, the whole measured."},
		{Name: "Records", Description: "What people attest: exercises, reviews, training, accepted risks."},
		{Name: "Session", Description: "Logging in and out, one's own sessions and password."},
		{Name: "Access", Description: "Users, tokens of programs, badges: who and what is let in."},
		{Name: "Alerts", Description: "What got worse, who has it, who is told of it and what did not arrive."},
		{Name: "Collector", Description: "The collector itself: its catalogue, its notices, what changes."},
	}
	config.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	config.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[holdfast.Duration](), reflect.TypeFor[durationSchema]())
	return config
}

// durationSchema describes holdfast.Duration, so that a bad one is refused by the
// name of its field.
type durationSchema struct{}

// Schema is what huma asks a type for.
func (durationSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: `^-?(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$`,
		PatternDescription: "duration like 15m, 1h30m or 7d", Examples: []any{"15m"},
	}
}

// closed are the closed lists of the root package, for the document. A record's
// outcome stands in none: which of them it may have, its own check says better.
var closed = map[reflect.Type][]any{
	reflect.TypeFor[holdfast.State]():          anys(append([]holdfast.State{holdfast.NotJudged}, holdfast.States...)),
	reflect.TypeFor[holdfast.Verdict]():        anys([]holdfast.Verdict{holdfast.Met, holdfast.Unmet, holdfast.VerdictUnknown, holdfast.NotApplicable}),
	reflect.TypeFor[holdfast.NeedKind]():       anys([]holdfast.NeedKind{holdfast.Feasibility, holdfast.ObjectiveNeed, holdfast.Assurance}),
	reflect.TypeFor[holdfast.DependencyKind](): anys(holdfast.DependencyKinds),
	reflect.TypeFor[holdfast.CopyKind]():       anys(append([]holdfast.CopyKind{holdfast.Primary}, holdfast.CopyKinds...)),
	reflect.TypeFor[holdfast.RecordKind]():     anys(holdfast.RecordKinds),
	reflect.TypeFor[holdfast.Role]():           anys(holdfast.Roles),
	reflect.TypeFor[holdfast.RunState]():       anys(holdfast.RunStates),
	reflect.TypeFor[holdfast.DrillVerdict]():   anys(holdfast.DrillVerdicts),
	reflect.TypeFor[holdfast.DrillStepKind]():  anys(holdfast.DrillStepKinds),
	reflect.TypeFor[holdfast.DrillStepState](): anys(holdfast.DrillStepStates),
	reflect.TypeFor[holdfast.DrillGapKind]():   anys(holdfast.DrillGapKinds),
	reflect.TypeFor[holdfast.AlertKind]():      anys(holdfast.AlertKinds),
	reflect.TypeFor[holdfast.AlertStatus]():    anys([]holdfast.AlertStatus{holdfast.AlertPending, holdfast.AlertFiring, holdfast.AlertResolved}),
}

func anys[T ~string](list []T) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = string(list[i])
	}
	return out
}

// apiDocument writes the document, with what huma does not know of the types.
func apiDocument(doc *huma.OpenAPI) ([]byte, error) {
	describeTypes(doc.Components.Schemas)
	schemas := doc.Components.Schemas.Map()
	cause := schemas["Posture"].Properties["cause"]
	*cause = huma.Schema{AnyOf: []*huma.Schema{{Ref: cause.Ref}, {Type: "null"}}, Description: "null: nothing stands in the way"}
	from := schemas["StandingChange"].Properties["from"]
	from.Enum = append(slices.Clone(from.Enum), "")
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				describeAnswers(doc.Components, op)
			}
		}
		if plain := strings.ReplaceAll(path, "...}", "}"); plain != path {
			doc.Paths[plain] = item
			delete(doc.Paths, path)
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("document of the API: %w", err)
	}
	return b, nil
}

// describeTypes says of every field what its type in the root package says.
func describeTypes(schemas huma.Registry) {
	for name, schema := range schemas.Map() {
		t := schemas.TypeFromRef("#/components/schemas/" + name)
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for _, f := range reflect.VisibleFields(t) {
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := schema.Properties[key]
			if p == nil {
				continue
			}
			kind := f.Type
			for p.Items != nil && kind.Kind() == reflect.Slice {
				p, kind = p.Items, kind.Elem()
			}
			if kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			if list, ok := closed[kind]; ok {
				p.Enum = list
				p.PrecomputeMessages()
			}
		}
	}
}

// describeAnswers makes an operation's problems references to what they have in
// common, and names the headers of its answers.
func describeAnswers(all *huma.Components, op *huma.Operation) {
	for status, r := range op.Responses {
		code, _ := strconv.Atoi(status)
		if code < 300 {
			if op.Method == http.MethodGet && r.Content[streamForm] == nil {
				addHeader(r, "ETag", true, "tells this answer from a changed one; send it back in If-None-Match")
			}
			continue
		}
		name := "Problem" + status
		r.Ref = ""
		if all.Responses == nil {
			all.Responses = map[string]*huma.Response{}
		}
		if all.Responses[name] == nil {
			all.Responses[name] = problemResponse(code, r)
		}
		op.Responses[status] = &huma.Response{Ref: "#/components/responses/" + name}
	}
	if op.Method == http.MethodGet && op.Responses["200"].Content[streamForm] == nil {
		op.Responses["304"] = &huma.Response{Ref: "#/components/responses/Unchanged"}
		all.Responses["Unchanged"] = &huma.Response{Description: "What If-None-Match named is still so."}
		addHeader(all.Responses["Unchanged"], "ETag", true, "as it was sent before")
		op.Parameters = append(op.Parameters, &huma.Param{Name: "If-None-Match", In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "the ETag of a former answer: 304 where nothing changed since"})
	}
}

// meanings says what a status means here.
var meanings = map[int]string{
	http.StatusBadRequest:            "The body is missing or no JSON.",
	http.StatusUnauthorized:          "No token or session, or one that is not known (any more).",
	http.StatusForbidden:             "The role may not do this, or the request comes from another site's page.",
	http.StatusNotFound:              "There is no such thing.",
	http.StatusNotAcceptable:         "The Accept header leaves no room for the answer.",
	http.StatusConflict:              "It cannot be done as things stand.",
	http.StatusRequestEntityTooLarge: "The body is too large.",
	http.StatusUnsupportedMediaType:  "The body is of another type than application/json.",
	http.StatusUnprocessableEntity:   "A field or parameter is unknown or wrong; errors names each.",
	http.StatusTooManyRequests:       "Asked too often; Retry-After says when to come back.",
	http.StatusInternalServerError:   "The collector cannot answer; its log says why.",
	http.StatusServiceUnavailable:    "The collector cannot answer at the moment; try again.",
}

// problemResponse is the answer of a status, the same for every operation.
func problemResponse(code int, r *huma.Response) *huma.Response {
	r = &huma.Response{Description: cmp.Or(meanings[code], http.StatusText(code)), Content: r.Content}
	example := completed(&huma.ErrorModel{Status: code, Detail: meanings[code]})
	for form, media := range r.Content {
		r.Content[form] = &huma.MediaType{Schema: media.Schema, Example: example}
	}
	switch code {
	case http.StatusUnauthorized:
		addHeader(r, "WWW-Authenticate", true, "how to log in")
	case http.StatusTooManyRequests:
		addHeader(r, "Retry-After", true, "seconds to wait")
	}
	return r
}

func addHeader(r *huma.Response, name string, always bool, what string) {
	if r.Headers == nil {
		r.Headers = map[string]*huma.Param{}
	}
	r.Headers[name] = &huma.Header{Description: what, Required: always, Schema: &huma.Schema{Type: huma.TypeString}}
}
