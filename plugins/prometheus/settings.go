package prometheus

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// queryMax bounds a query, which travels in the address.
const queryMax = 4096

type settings struct {
	URL           string   `json:"url" jsonschema:"where Prometheus is: its address without /api/v1, http or https, without a user or password"`
	Query         string   `json:"query" jsonschema:"the PromQL instant query"`
	TokenFile     string   `json:"token_file,omitempty" jsonschema:"absolute path of the file that holds the bearer token on the agent's host"`
	CAFile        string   `json:"ca_file,omitempty" jsonschema:"absolute path of a PEM file of the authorities to trust instead of the host's own"`
	Unit          string   `json:"unit,omitempty" jsonschema:"what the number is: bytes, seconds, ratio or a word of your own"`
	RecoveryPoint bool     `json:"recovery_point,omitempty" jsonschema:"the value is a Unix time in seconds: when the newest recovery point was made"`
	AtLeast       *float64 `json:"at_least,omitempty" jsonschema:"the least the recovery path needs; every series must reach it"`
	AtMost        *float64 `json:"at_most,omitempty" jsonschema:"the most the recovery path bears; no series may exceed it"`
	Absent        string   `json:"absent,omitempty" jsonschema:"what a result without any series is: failed (the default) or ok"`

	base *url.URL
}

// decode reads the settings and reports what the schema cannot say.
func decode(given holdfast.Settings) (settings, error) {
	s, err := probe.Decode[settings](given)
	if err != nil {
		return s, err
	}
	var faults []error
	wrong := func(setting, format string, args ...any) {
		faults = append(faults, fmt.Errorf("setting %q: %w", setting, fmt.Errorf(format, args...)))
	}
	s.base, err = url.Parse(s.URL)
	switch {
	case err != nil: // whose text may hold a password
		wrong("url", "not an address: write it like https://prometheus.example")
	case s.base.Scheme != "http" && s.base.Scheme != "https" || s.base.Host == "":
		wrong("url", "%q is not an http or https address: write it like https://prometheus.example", shown(s.base))
	case s.base.User != nil:
		wrong("url", "holds a user or password: the catalogue keeps no secrets; use token_file")
	case s.base.RawQuery != "" || s.base.Fragment != "":
		wrong("url", "ends in a query or fragment: the query goes into the setting query")
	case s.TokenFile != "" && s.base.Scheme == "http" && !loopback(s.base.Hostname()):
		wrong("token_file", "the token would cross the network in the clear: use an https address")
	}
	if s.Query == "" || len(s.Query) > queryMax {
		wrong("query", "want PromQL of at most %d bytes: put a longer one into a recording rule", queryMax)
	}
	for _, f := range []struct{ name, path string }{{"token_file", s.TokenFile}, {"ca_file", s.CAFile}} {
		if f.path != "" && !filepath.IsAbs(f.path) {
			wrong(f.name, "%q is not an absolute path", f.path)
		}
	}
	bounded := s.AtLeast != nil || s.AtMost != nil
	switch {
	case s.AtLeast != nil && s.AtMost != nil && *s.AtLeast > *s.AtMost:
		wrong("at_least", "%v is above at_most, %v: nothing is both", *s.AtLeast, *s.AtMost)
	case s.RecoveryPoint && (bounded || s.Unit != "" || s.Absent == "ok"):
		wrong("recovery_point", "the value is a time: at_least, at_most, unit and absent: ok do not go with it; the collector judges its age")
	}
	switch {
	case s.Absent != "" && s.Absent != "ok" && s.Absent != "failed":
		wrong("absent", "%q is neither ok nor failed", s.Absent)
	case s.Absent == "ok" && !bounded && !s.RecoveryPoint:
		wrong("absent", "with ok the check needs at_least or at_most: without them nothing could ever be wrong")
	}
	return s, errors.Join(faults...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// shown is an address as it may be shown: what may be a secret is left out.
func shown(u *url.URL) string {
	return probe.OneLine((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}
