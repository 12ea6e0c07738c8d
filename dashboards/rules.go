package dashboards

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// Group is a group of rules as Prometheus reads them.
type Group struct {
	Name  string `yaml:"name"`
	Rules []Rule `yaml:"rules"`
}

// Rule is a recording rule (Record) or an alert (Alert).
type Rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// ReadRules reads a rule file strictly.
func ReadRules(text []byte) ([]Group, error) {
	var file struct {
		Groups []Group `yaml:"groups"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return file.Groups, nil
}
