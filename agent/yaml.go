package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v4"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// ParseConfig reads the text of a configuration file over c and returns the
// result. It is strict: an unknown or repeated key, a value of the wrong form, a
// second document is an error, and all of them come at once.
func ParseConfig(c Config, file string, text []byte) (Config, error) {
	r := configReader{file: file}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF): // nothing but comments
		return c, nil
	case err != nil:
		return c, r.syntax(err)
	}
	if err := decoder.Decode(&second); err == nil {
		r.fault(&second, "a second document: the agent reads one")
	} else if !errors.Is(err, io.EOF) {
		return c, r.syntax(err)
	}
	r.config(&c, document.Content[0])
	return c, errors.Join(r.faults...)
}

// configReader collects the faults of one file.
type configReader struct {
	file   string
	faults []error
}

func (r *configReader) fault(at *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s:%d:%d: "+format, append([]any{r.file, at.Line, at.Column}, args...)...))
}

// syntax says where a text is no YAML.
func (r *configReader) syntax(err error) error {
	var e *yaml.LoadError
	if errors.As(err, &e) {
		return fmt.Errorf("%s:%d:%d: %s", r.file, e.Mark.Line, e.Mark.Column, e.Message)
	}
	return fmt.Errorf("%s: %w", r.file, err)
}

func (r *configReader) config(c *Config, n *yaml.Node) {
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fault(n, "the configuration is a mapping of keys: write it like\n  join: collector.example.org:8481")
		return
	}
	settings := Settings()
	r.repeated(n)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(settings, func(s Setting) bool { return s.Key == key.Value })
		if at < 0 {
			r.fault(key, "unknown key %q%s", key.Value, didYouMean(key.Value, settings))
			continue
		}
		values, ok := r.values(settings[at], value)
		if !ok {
			continue
		}
		if err := settings[at].Set(c, values); err != nil {
			r.fault(value, "%s: %w", key.Value, err)
		}
	}
}

// repeated finds keys of a mapping that stand there twice.
func (r *configReader) repeated(n *yaml.Node) {
	first := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if line, ok := first[key.Value]; ok {
			r.fault(key, "%q stands here again, after line %d", key.Value, line)
			continue
		}
		first[key.Value] = key.Line
	}
}

// values returns the texts of a value that has the form its setting asks for.
func (r *configReader) values(s Setting, n *yaml.Node) (values []string, ok bool) {
	kind, example := yaml.ScalarNode, s.Key+": VALUE"
	switch s.Form {
	case List:
		kind, example = yaml.SequenceNode, s.Key+": [VALUE, …]"
	case Pairs:
		kind, example = yaml.MappingNode, s.Key+": {KEY: VALUE, …}"
	}
	if n.Kind != kind || n.Tag == "!!null" {
		r.fault(n, "%s: write it like %s", s.Key, example)
		return nil, false
	}
	if s.Form == One {
		return []string{n.Value}, true
	}
	if s.Form == Pairs {
		r.repeated(n)
	}
	values = []string{}
	for i, entry := range n.Content {
		if entry.Kind != yaml.ScalarNode || entry.Tag == "!!null" {
			r.fault(entry, "%s: write it like %s", s.Key, example)
			return nil, false
		}
		if s.Form == Pairs && i%2 == 1 {
			values[len(values)-1] += "=" + entry.Value
		} else {
			values = append(values, entry.Value)
		}
	}
	return values, true
}

// didYouMean names the key that a misspelt one was meant to be, if any is near.
func didYouMean(word string, settings []Setting) string {
	known := make([]string, len(settings))
	for i, s := range settings {
		known[i] = s.Key
	}
	if near := holdfast.Nearest(word, known); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}
