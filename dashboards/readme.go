package dashboards

import (
	"bytes"
	"embed"
	"fmt"
	"regexp"
	"strings"
	"text/template"
)

//go:embed readme.md.tmpl provisioning
var texts embed.FS

// readme writes down every panel and rule.
func readme(all []Dashboard, groups []Group) ([]byte, error) {
	t, err := template.New("readme.md.tmpl").Funcs(template.FuncMap{
		"words":  labelWords,
		"anchor": strings.ToLower,
		"file": func(name string) (string, error) {
			b, err := texts.ReadFile("provisioning/" + name)
			return strings.TrimSpace(string(b)), err
		},
	}).ParseFS(texts, "readme.md.tmpl")
	if err != nil {
		return nil, fmt.Errorf("readme: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{"Dashboards": all, "Groups": groups}); err != nil {
		return nil, fmt.Errorf("readme: %w", err)
	}
	return b.Bytes(), nil
}

var inTemplate = regexp.MustCompile(`\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}`)

// labelWords makes what Prometheus fills in readable: «service».
func labelWords(text string) string { return inTemplate.ReplaceAllString(text, "«$1»") }
