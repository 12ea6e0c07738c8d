package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// settingSchema is as much of a setting's JSON Schema as a command line needs.
type settingSchema struct {
	Type        schemaTypes               `json:"type"`
	Description string                    `json:"description"`
	Items       *settingSchema            `json:"items"`
	Properties  map[string]*settingSchema `json:"properties"`
	Required    []string                  `json:"required"`
}

// schemaTypes is one type or several.
type schemaTypes []string

// UnmarshalJSON reads a text or a list of texts.
func (t *schemaTypes) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = schemaTypes{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// settingsFrom turns key=value arguments into settings, typed by the probe's
// schema. A key the schema does not know stays text: the probe itself says that
// it does not know it, and which it may have meant.
func settingsFrom(schema holdfast.Settings, args []string) (holdfast.Settings, error) {
	var known settingSchema
	if err := json.Unmarshal([]byte(schema), &known); err != nil {
		return "", fmt.Errorf("read the probe's schema: %w", err)
	}
	settings := map[string]any{}
	for _, arg := range args {
		key, text, ok := strings.Cut(arg, "=")
		if !ok || key == "" {
			return "", fmt.Errorf("--set %q: write it like key=value", arg)
		}
		value, err := known.Properties[key].value(text)
		if err != nil {
			return "", fmt.Errorf("--set %s: %w", key, err)
		}
		earlier, given := settings[key]
		list, isList := value.([]any)
		switch {
		case given && isList:
			value = append(earlier.([]any), list...)
		case given:
			return "", fmt.Errorf("--set %s is given twice", key)
		}
		settings[key] = value
	}
	b, err := json.Marshal(settings)
	return holdfast.Settings(b), err
}

// value reads a text as the first of the schema's types it fits.
func (s *settingSchema) value(text string) (any, error) {
	if s == nil {
		return text, nil
	}
	if slices.Contains(s.Type, "array") {
		return s.list(text)
	}
	if slices.Contains(s.Type, "object") {
		var v map[string]any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, fmt.Errorf("%q is not a JSON object", text)
		}
		return v, nil
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err == nil {
		_, number := v.(float64)
		_, boolean := v.(bool)
		if number && (slices.Contains(s.Type, "number") || slices.Contains(s.Type, "integer")) {
			return json.Number(text), nil
		}
		if boolean && slices.Contains(s.Type, "boolean") {
			return v, nil
		}
	}
	if len(s.Type) > 0 && !slices.Contains(s.Type, "string") {
		return nil, fmt.Errorf("%q is not of type %s", text, strings.Join(s.Type, " or "))
	}
	return text, nil
}

// list reads a JSON list, or values with commas between.
func (s *settingSchema) list(text string) (any, error) {
	var values []any
	if strings.HasPrefix(text, "[") {
		if err := json.Unmarshal([]byte(text), &values); err != nil {
			return nil, fmt.Errorf("%q is not a JSON list", text)
		}
		return values, nil
	}
	for _, part := range strings.Split(text, ",") {
		v, err := s.Items.value(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
