package host

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// percent is a share as people write it: "90%" is 0.9. Zero is no limit.
type percent float64

const percentForm = `(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%`

// UnmarshalText reads "90%".
func (p *percent) UnmarshalText(text []byte) error {
	v, err := parsePercent(string(text))
	*p = percent(v)
	return err
}

// JSONSchema describes a percent for probe.Schema.
func (percent) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^" + percentForm + "$"}
}

func (p percent) String() string { return fmt.Sprintf("%.3g%%", float64(p)*100) }

func parsePercent(text string) (float64, error) {
	digits, ok := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(v > 0 && v <= 100) || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a share: write it like 90%%, above 0 and at most 100%%", text)
	}
	return v / 100, nil
}

// amount is how much of something there must be: so many, or a share of all.
// The zero amount asks for nothing.
type amount struct {
	number float64
	share  float64 // 0–1
}

// of returns what a is of a whole.
func (a amount) of(total float64) float64 { return max(a.number, a.share*total) }

// parse reads "10%", or a number as number reads it.
func (a *amount) parse(raw []byte, number func(string) (float64, error)) error {
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
	}
	var err error
	if strings.HasSuffix(text, "%") {
		a.share, err = parsePercent(text)
		return err
	}
	if a.number, err = number(text); err != nil {
		return fmt.Errorf("%w, or as a share like 10%%", err)
	}
	return nil
}

// space is an amount of bytes: "200GiB", 4096 or "10%".
type space struct{ amount }

// UnmarshalJSON reads text or a number.
func (s *space) UnmarshalJSON(b []byte) error {
	return s.parse(b, func(text string) (float64, error) {
		n, err := holdfast.ParseBytes(text)
		return float64(n), err
	})
}

// JSONSchema describes a space for probe.Schema.
func (space) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Types:   []string{"integer", "string"},
		Pattern: `^([0-9]+(\.[0-9]+)? *([PTGMK]iB|[PTGMKk]?B)?|` + percentForm + `)$`,
	}
}

// count is an amount of things: 100000 or "5%".
type count struct{ amount }

// UnmarshalJSON reads text or a number.
func (c *count) UnmarshalJSON(b []byte) error {
	return c.parse(b, func(text string) (float64, error) {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return 0, fmt.Errorf("%q is not a count: write it like 100000", text)
		}
		return float64(n), nil
	})
}

// JSONSchema describes a count for probe.Schema.
func (count) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"integer", "string"}, Pattern: `^([0-9]+|` + percentForm + `)$`}
}

// ratio is part over whole, 0 where there is no whole.
func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}
