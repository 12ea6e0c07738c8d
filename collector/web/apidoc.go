package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	apiPrefix     = "/api/v1"
	maxRecordBody = 256 << 10 // bytes of what is sent
)

// addAPI adds the routes of the API and the document that describes them.
func (s *server) addAPI(mux *http.ServeMux) error {
	api := humago.NewWithPrefix(mux, apiPrefix, apiConfig(s.version))
	readable := []int{http.StatusUnauthorized, http.StatusServiceUnavailable}
	get := func(id, path, summary string, errors ...int) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Errors: append(errors, readable...)}
	}
	post := func(id, path, summary string, status int, errors ...int) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodPost, Path: path, Summary: summary, DefaultStatus: status,
			MaxBodyBytes: maxRecordBody, Errors: append(errors, append(readable, http.StatusForbidden, http.StatusUnprocessableEntity)...)}
	}
	const missing = http.StatusNotFound
	huma.Register(api, get("get-status", "/status", "The estate: every service's posture, what is wrong with the collector"), s.apiStatus)
	huma.Register(api, get("list-services", "/services", "Every service's posture, worst first"), s.apiServices)
	huma.Register(api, get("get-service", "/services/{name}", "A service's posture", missing), s.apiService)
	huma.Register(api, get("get-history", "/services/{name}/history", "How a service's standing changed", missing), s.apiHistory)
	huma.Register(api, get("list-agents", "/agents", "Every agent that is enrolled or named in the catalogue"), s.apiAgents)
	huma.Register(api, get("get-check", "/checks/{id...}", "What a check saw last", missing), s.apiCheck)
	huma.Register(api, post("run-check", "/checks/run", "Run a check at once", http.StatusNoContent, missing, http.StatusConflict), s.apiRun)
	huma.Register(api, get("list-records", "/records", "What people attested"), s.apiRecords)
	huma.Register(api, post("add-record", "/records", "Enter what people attest", http.StatusCreated), s.apiRecord)

	document, err := apiDocument(api.OpenAPI())
	if err != nil {
		return err
	}
	mux.HandleFunc("GET "+apiPrefix+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(document) // an error means the client is gone
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(probe); pattern != "/api/" && method != r.Method {
				w.Header().Add("Allow", method)
			}
		}
		if w.Header().Get("Allow") != "" {
			writeProblem(w, http.StatusMethodNotAllowed, r.Method+" is nothing this address answers")
			return
		}
		writeProblem(w, http.StatusNotFound, "there is no "+r.URL.Path+"; "+apiPrefix+"/openapi.json lists what there is")
	})
	return nil
}

func apiConfig(version string) huma.Config {
	config := huma.DefaultConfig("Holdfast", version)
	config.DocsPath = ""     // its page loads scripts from elsewhere
	config.OpenAPIPath = ""  // served by addAPI: one document, made once
	config.SchemasPath = ""  //
	config.CreateHooks = nil // answers say their schema in "schema", not in "$schema"
	config.Info.Description = "Could every service be recovered as the business agreed, and what shows it. Times are RFC 3339 in UTC; durations are written as Prometheus writes them: 15m, 1h30m, 7d."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "made by: holdfast collector user token --role ROLE"},
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie},
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

// apiDocument writes the document, with what huma does not know of the types.
func apiDocument(doc *huma.OpenAPI) ([]byte, error) {
	cause := doc.Components.Schemas.Map()["Posture"].Properties["cause"]
	*cause = huma.Schema{AnyOf: []*huma.Schema{{Ref: cause.Ref}, {Type: "null"}}, Description: "null: nothing stands in the way"}
	doc.Paths["/checks/{id}"] = doc.Paths["/checks/{id...}"]
	delete(doc.Paths, "/checks/{id...}")
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("document of the API: %w", err)
	}
	return b, nil
}
