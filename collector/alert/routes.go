package alert

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const maxRoutesFile = 1 << 20

// ReadRoutes reads a routes file: the receivers there are, which alerts go to
// whom, and the heartbeat (deploy/alerts.yaml shows every key). It is strict. The
// error names every fault, one a line, as FILE:LINE:COLUMN: KEY: PROBLEM; HINT;
// secrets that cannot be read are faults.
func ReadRoutes(file string) (*Routes, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRoutesFile+1))
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	if len(text) > maxRoutesFile {
		return nil, fmt.Errorf("routes %s: larger than %s", file, holdfast.Bytes(maxRoutesFile))
	}
	return ParseRoutes(file, text)
}

// ParseRoutes reads the text of a routes file; file names it in errors.
func ParseRoutes(file string, text []byte) (*Routes, error) {
	r := routesReader{reader: reader{file: file}, receivers: map[string][]Receiver{}}
	routes := &Routes{HoldOff: map[holdfast.AlertKind]time.Duration{}}
	if v, ok := r.document(text); ok {
		var later []func() // routes name receivers, which may stand behind them
		r.mapping(v, "keys: receivers, routes, hold_off, heartbeat",
			key{"receivers", false, r.readReceivers},
			key{"routes", false, func(v value) {
				later = append(later, func() {
					r.list(v, "a list of routes", func(v value) { routes.Routes = append(routes.Routes, r.route(v)) })
				})
			}},
			key{"hold_off", false, func(v value) { r.holdOff(v, routes.HoldOff) }},
			key{"heartbeat", false, func(v value) {
				if h := r.heartbeat(v); h != nil {
					routes.Heartbeats = append(routes.Heartbeats, h)
				}
			}},
		)
		for _, f := range later {
			f()
		}
		r.unused(v)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return routes, nil
}

// routesReader reads one routes file.
type routesReader struct {
	reader
	receivers map[string][]Receiver // by name; several where one names several targets
	declared  []value               // their keys
	used      []string
	routes    []string // their names
}

func (r *routesReader) readReceivers(v value) {
	r.entries(v, "receivers by name", func(name string, at, v value) {
		if bad := badName(name); bad != "" {
			r.fault(at, bad, "")
			return
		}
		r.declared = append(r.declared, at)
		r.receivers[name] = r.receiver(name, v)
	})
}

// route reads a route. What it leaves empty matches every alert.
func (r *routesReader) route(v value) Route {
	var route Route
	kinds := make([]string, len(holdfast.AlertKinds))
	for i, k := range holdfast.AlertKinds {
		kinds[i] = string(k)
	}
	r.mapping(v, "keys: name, owners, tiers, kinds, remind, to",
		key{"name", true, func(v value) {
			route.Name = r.text(v, "a name")
			if bad := badName(route.Name); bad != "" && route.Name != "" {
				r.fault(v, bad, "")
			} else if slices.Contains(r.routes, route.Name) {
				r.fault(v, fmt.Sprintf("there is a route %s already", route.Name), "")
			}
			r.routes = append(r.routes, route.Name)
		}},
		key{"owners", false, func(v value) {
			route.Owners = r.texts(v, "a list of teams", func(v value) string { return r.text(v, "a team") })
		}},
		key{"tiers", false, func(v value) {
			r.list(v, "a list of tiers", func(v value) {
				if n := r.number(v, 1, 4); n > 0 && !slices.Contains(route.Tiers, n) {
					route.Tiers = append(route.Tiers, n)
				}
			})
		}},
		key{"kinds", false, func(v value) {
			for _, k := range r.texts(v, "a list of kinds", func(v value) string { return r.word(v, kinds) }) {
				route.Kinds = append(route.Kinds, holdfast.AlertKind(k))
			}
		}},
		key{"remind", false, func(v value) { route.Remind = r.span(v, time.Minute, 30*24*time.Hour) }},
		key{"to", true, func(v value) {
			for _, name := range r.texts(v, "a list of receivers", r.knownReceiver) {
				r.used = append(r.used, name)
				route.Receivers = append(route.Receivers, r.receivers[name]...)
			}
		}})
	return route
}

func (r *routesReader) knownReceiver(v value) string {
	s := r.text(v, "a receiver")
	if _, ok := r.receivers[s]; ok || s == "" {
		return s
	}
	hint := "write it under receivers"
	known := make([]string, len(r.declared))
	for i, d := range r.declared {
		known[i] = d.node.Value
	}
	if near := holdfast.Nearest(s, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.fault(v, fmt.Sprintf("there is no receiver %q", clip(s, 60)), hint)
	return ""
}

// unused reports receivers that no route names: notices somebody waits for in vain.
func (r *routesReader) unused(v value) {
	for _, d := range r.declared {
		if !slices.Contains(r.used, d.node.Value) && len(r.faults) == 0 {
			r.fault(d, "no route sends here", "name it in a route's to, or remove it")
		}
	}
}

func (r *routesReader) holdOff(v value, hold map[holdfast.AlertKind]time.Duration) {
	keys := make([]key, len(holdfast.AlertKinds))
	for i, k := range holdfast.AlertKinds {
		keys[i] = key{string(k), false, func(v value) { hold[k] = r.span(v, 0, 24*time.Hour) }}
	}
	r.mapping(v, "durations by kind, like recovery-point-missed: 5m", keys...)
}

func (r *routesReader) heartbeat(v value) Heartbeat {
	var d dialKeys
	var a addressKeys
	p := &ping{method: http.MethodGet, every: time.Minute}
	if !r.mapping(v, "keys: url or url_file, every, method, …", append(append(d.keys(&r.reader), a.keys(r)...),
		key{"every", false, func(v value) { p.every = r.span(v, 10*time.Second, 24*time.Hour) }},
		key{"method", false, func(v value) { p.method = r.word(v, []string{http.MethodGet, http.MethodPost}) }})...) {
		return nil
	}
	a.check(r, v, d)
	p.url, p.target, p.client = a.read, a.target(), d.guard().client()
	return p
}

// badName says what is wrong with the name of a route or receiver.
func badName(s string) string {
	if s == "" || len(s) > 100 || strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c))
	}) {
		return fmt.Sprintf("%q is no name; use letters, digits, - _ and .", clip(s, 60))
	}
	return ""
}
