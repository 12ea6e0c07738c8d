package prometheus

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// result is what a query gave.
type result struct {
	series   []series // least value first, NaN before all
	warnings []string
}

// series is one number of it.
type series struct {
	name  string // as PromQL writes it: metric{label="value"}; "" for a scalar
	value float64
}

// envelope is the form of every answer (Prometheus, "HTTP API").
type envelope struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Infos     []string `json:"infos"`
	Data      struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	} `json:"data"`
}

// read makes an answer a result, or the reason why nobody can tell.
func (s settings) read(answer *http.Response, content []byte) (result, error) {
	var e envelope
	broken := json.Unmarshal(content, &e)
	said := probe.OneLine(cmp.Or(e.Error, answer.Status))
	where := shown(s.base)
	switch code := answer.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return result{}, probe.Unable(holdfast.Credential, "%s does not let the agent in: %s", where, said)
	case code >= 300 && code < 400:
		return result{}, probe.Unable("", "%s redirects, which is not followed: %s: name the address it leads to", where, said)
	case e.ErrorType == "timeout" || e.ErrorType == "canceled" || code == http.StatusGatewayTimeout:
		return result{}, probe.Unable(holdfast.Timeout, "%s did not evaluate the query in time: %s", where, said)
	case e.ErrorType == "bad_data" || e.ErrorType == "execution":
		return result{}, probe.Unable("", "setting \"query\": %s says: %s", where, said)
	case code >= 500:
		return result{}, probe.Unable(holdfast.Unreachable, "%s cannot answer: %s", where, said)
	case broken != nil || code != http.StatusOK || e.Status != "success":
		return result{}, probe.Unable("", "%s does not answer as Prometheus does: %s", where, said)
	}
	r := result{warnings: slices.Concat(e.Warnings, e.Infos)}
	var err error
	if r.series, err = readSeries(e.Data.Type, e.Data.Result); err != nil {
		return r, probe.Unable("", "%s: %w", where, err)
	}
	slices.SortStableFunc(r.series, func(a, b series) int { return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.name, b.name)) })
	return r, nil
}

// readSeries reads an instant vector or a scalar.
func readSeries(kind string, raw json.RawMessage) ([]series, error) {
	switch kind {
	case "scalar":
		var p point
		if err := json.Unmarshal(raw, &p); err != nil {
			return nil, fmt.Errorf("the answer: %w", err)
		}
		return []series{{value: float64(p)}}, nil
	case "vector":
		var list []struct {
			Metric    map[string]string `json:"metric"`
			Value     *point            `json:"value"`
			Histogram json.RawMessage   `json:"histogram"`
		}
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("the answer: %w", err)
		}
		var all []series
		for _, v := range list {
			if v.Value == nil {
				return nil, errors.New("the query gives a histogram: take a number of it, as by histogram_quantile()")
			}
			all = append(all, series{metricName(v.Metric), float64(*v.Value)})
		}
		return all, nil
	case "matrix":
		return nil, errors.New("the query gives a range: take an instant of it, as by last_over_time()")
	}
	return nil, fmt.Errorf("the query gives a %.40q, not numbers", kind)
}

// point is a sample: [time, "number"].
type point float64

// UnmarshalJSON reads the number; NaN, +Inf and -Inf are numbers here.
func (p *point) UnmarshalJSON(b []byte) error {
	var pair []json.RawMessage
	var text string
	if err := json.Unmarshal(b, &pair); err != nil || len(pair) != 2 || json.Unmarshal(pair[1], &text) != nil {
		return fmt.Errorf("%.80q is not a sample", b)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%.80q is not a number", text)
	}
	*p = point(v)
	return nil
}

// metricName writes labels as PromQL does.
func metricName(labels map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if k != "__name__" {
			parts = append(parts, fmt.Sprintf("%s=%q", k, labels[k]))
		}
	}
	name := labels["__name__"]
	if len(parts) > 0 {
		name += "{" + strings.Join(parts, ", ") + "}"
	}
	return name
}
