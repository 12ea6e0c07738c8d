package web

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// apiVersion is the document's own: /healthz says the program's.
const apiVersion = "1"

func apiConfig() huma.Config {
	config := huma.DefaultConfig("Holdfast", apiVersion)
	config.DocsPath = ""     // its page loads scripts from elsewhere
	config.OpenAPIPath = ""  // served by addAPI: one document, made once
	config.SchemasPath = ""  //
	config.CreateHooks = nil // answers say their schema in "schema", not in "$schema"
	config.Transformers = []huma.Transformer{complete}
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
