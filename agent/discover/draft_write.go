package discover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// cadence is how often the checks of a tier look and its tests run: well within
// what the default policy asks of the tier.
type cadence struct{ look, intact, restored string }

var cadences = map[int]cadence{1: {"15m", "1d", "7d"}, 2: {"1h", "7d", "30d"}, 3: {"1h", "30d", "60d"}, 4: {"1h", "30d", "90d"}}

// yamlWriter writes lines with their indentation. Texts are quoted as JSON, which
// is YAML too.
type yamlWriter struct{ bytes.Buffer }

func (w *yamlWriter) line(indent int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *yamlWriter) note(indent int, text string) {
	if text != "" {
		w.line(indent, "# %s", plain(text))
	}
}

// simple is a text that YAML takes for a text without quotes.
var simple = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*[A-Za-z0-9]$`)

func quoted(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null":
	default:
		if simple.MatchString(text) {
			return text
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return `""`
	}
	return strings.TrimSpace(b.String())
}

func (d *drafter) write(services []planned) []byte {
	w := &yamlWriter{}
	w.note(0, "What holdfast discover found on "+d.host+", "+d.At.Format("2006-01-02 15:04")+" UTC: a start, to be made yours.")
	w.note(0, "A service is something the organisation delivers: rename these, join what belongs")
	w.note(0, "together, and take out what nobody would miss. Check with: holdfast catalog validate")
	first := true
	part := func() {
		if !first {
			w.line(0, "---")
		}
		first = false
	}
	if !slices.Contains(d.Sites, d.Site) {
		part()
		w.line(0, "site: %s", quoted(d.Site))
	}
	if !slices.Contains(d.Teams, d.Owner) {
		part()
		w.line(0, "team: %s", quoted(d.Owner))
	}
	for i := range services {
		part()
		d.service(w, &services[i])
	}
	return w.Bytes()
}

func (d *drafter) service(w *yamlWriter, s *planned) {
	w.line(0, "service: %s", quoted(s.name))
	w.line(0, "title: %s", quoted(plain(s.title)))
	for _, note := range s.notes {
		w.note(0, note)
	}
	w.line(0, "owner: %s", quoted(d.Owner))
	w.line(0, "tier: %d", d.Tier)
	w.line(0, "site: %s", quoted(d.Site))
	w.line(0, "host: %s", quoted(d.host))
	w.line(0, "bia: {rto: %s, rpo: %s}", d.RTO, d.RPO)
	w.line(0, "data:")
	for i := range s.data {
		d.dataset(w, &s.data[i])
	}
	d.paths(w, s)
}

func (d *drafter) dataset(w *yamlWriter, x *plannedData) {
	w.line(1, "%s:", quoted(x.name))
	w.line(2, "title: %s", quoted(plain(x.title)))
	w.line(2, "medium: disk")
	if x.port != 0 {
		w.line(2, "probe: net.tcp")
		w.line(2, "on: %s", quoted(d.Agent))
		w.line(2, "every: %s", cadences[d.Tier].look)
		w.line(2, "with: {address: %s}", quoted(fmt.Sprintf("127.0.0.1:%d", x.port)))
	}
	for _, m := range x.missing {
		w.note(2, "Seen, and left out: "+m+".")
	}
	if len(x.copies) == 0 {
		return
	}
	w.line(2, "copies:")
	for i := range x.copies {
		c := &x.copies[i]
		w.line(3, "%s:", quoted(c.name))
		w.note(4, c.note)
		if c.host == d.host {
			w.note(4, "It stands on the host itself: whatever takes the host takes this copy too.")
		} else {
			w.note(4, "Say where it stands, site: NAME, if that is not "+d.Site+".")
		}
		w.line(4, "host: %s", quoted(c.host))
		w.line(4, "medium: %s", c.medium)
		d.check(w, 4, c.probe, cadences[d.Tier].look, c.with)
	}
}

// check writes the keys of a check.
func (d *drafter) check(w *yamlWriter, indent int, probe, every string, with []pair) {
	if !d.Probes[probe] {
		d.allow[probe] = true
	}
	w.line(indent, "probe: %s", probe)
	w.line(indent, "on: %s", quoted(d.Agent))
	w.line(indent, "every: %s", every)
	w.line(indent, "with: %s", settings(with))
}

func settings(with []pair) string {
	var parts []string
	for _, p := range with {
		value := p.value
		if !p.bare {
			value = quoted(value)
		}
		parts = append(parts, p.key+": "+value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// paths writes the ways back: of one dataset one from each copy, of several one
// from the first copy of each.
func (d *drafter) paths(w *yamlWriter, s *planned) {
	ways := 1
	if len(s.data) == 1 {
		ways = len(s.data[0].copies)
	}
	if ways == 0 {
		return
	}
	w.line(0, "paths:")
	for way := range ways {
		name := "restore"
		if len(s.data) == 1 {
			name += "-" + s.data[0].copies[way].name
		}
		w.line(1, "%s:", quoted(name))
		w.note(2, "Back on "+d.host+". For the loss of the host or the site write a path to another place.")
		w.line(2, "covers: [data-corruption]")
		w.line(2, "at: %s", quoted(d.Site))
		var from []string
		for i := range s.data {
			from = append(from, quoted(s.data[i].name+"/"+s.data[i].copies[d.from(s, way)].name))
		}
		w.line(2, "from: [%s]", strings.Join(from, ", "))
		w.line(2, "needs:")
		d.needs(w, s)
		d.tests(w, s, way)
	}
}

// from is the copy that a path takes.
func (d *drafter) from(s *planned, way int) int {
	if len(s.data) == 1 {
		return way
	}
	return 0
}

func (d *drafter) needs(w *yamlWriter, s *planned) {
	written := map[string]bool{}
	for i := range s.data {
		x := &s.data[i]
		place := "/var"
		if filepath.IsAbs(x.path) {
			place = filepath.Dir(x.path)
		}
		if written[place] {
			continue
		}
		written[place] = true
		free := holdfast.Bytes(1 << 30)
		if x.bytes > 0 {
			free = (x.bytes*12/10 + 1<<20 - 1) / (1 << 20) << 20
		}
		w.line(3, "- name: %s", quoted("room"+strings.TrimSuffix("-"+nameOf(place), "-")))
		w.line(4, "host: %s", quoted(d.host))
		d.check(w, 4, "host.capacity", cadences[d.Tier].look, []pair{{key: "path", value: place}, {key: "free", value: free.String()}})
	}
}

// tests writes the checks that prove a path, one for each dataset.
func (d *drafter) tests(w *yamlWriter, s *planned, way int) {
	heading := false
	for _, rung := range []struct {
		name, every string
		of          func(*plannedCopy) (string, []pair)
	}{
		{"intact", cadences[d.Tier].intact, func(c *plannedCopy) (string, []pair) { return c.intact, c.intactWith }},
		{"restored", cadences[d.Tier].restored, func(c *plannedCopy) (string, []pair) { return c.restored, c.restoredWith }},
	} {
		named := false
		for i := range s.data {
			probe, with := rung.of(&s.data[i].copies[d.from(s, way)])
			if _, known := d.Probes[probe]; !known {
				continue
			}
			if !heading {
				heading = true
				w.line(2, "tests:")
			}
			if !named {
				named = true
				w.line(3, "%s:", rung.name)
			}
			if len(s.data) == 1 {
				d.check(w, 4, probe, rung.every, with)
				continue
			}
			w.line(4, "%s:", quoted(s.data[i].name))
			d.check(w, 5, probe, rung.every, with)
		}
	}
}
