package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Change is one difference between two catalogues, for people.
type Change struct {
	Kind string `json:"kind"`          // added, removed, renamed or changed
	What string `json:"what"`          // "service payments", "plan payments-scp", "policy"
	Key  string `json:"key,omitempty"` // of what changed: "bia.rto"
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// String writes "service payments: bia.rto changed from 1h to 2h".
func (c Change) String() string {
	switch {
	case c.Key == "" && c.Kind == "renamed":
		return fmt.Sprintf("%s: renamed from %s", c.What, c.From)
	case c.Key == "":
		return c.What + ": " + c.Kind
	case c.Kind == "changed":
		return fmt.Sprintf("%s: %s changed from %s to %s", c.What, c.Key, c.From, c.To)
	case c.From+c.To == "":
		return fmt.Sprintf("%s: %s %s", c.What, c.Key, c.Kind)
	}
	return fmt.Sprintf("%s: %s %s: %s", c.What, c.Key, c.Kind, c.From+c.To)
}

// Changes tells what a catalogue says otherwise than the one before, nil: that
// was none. Where things stand in the files is no change.
func Changes(before, after *holdfast.Catalogue) []Change {
	if before == nil {
		before = &holdfast.Catalogue{Policy: after.Policy}
	}
	var d differ
	d.what = "policy"
	d.compareMaps("", policyOf(before), policyOf(after))
	compareAll(&d, "site", before.Sites, after.Sites, func(s holdfast.Site) (string, string) { return s.Name, s.Was })
	compareAll(&d, "team", before.Teams, after.Teams, func(t holdfast.Team) (string, string) { return t.Name, t.Was })
	compareAll(&d, "plan", before.Plans, after.Plans, func(p holdfast.Plan) (string, string) { return p.Name, p.Was })
	compareAll(&d, "scenario", before.Scenarios, after.Scenarios, func(s holdfast.DeclaredScenario) (string, string) { return s.Name, s.Was })
	compareAll(&d, "service", before.Services, after.Services, func(s holdfast.Service) (string, string) { return s.Name, s.Was })
	return d.changes
}

type differ struct {
	what    string
	changes []Change
}

func (d *differ) note(kind, key, from, to string) {
	d.changes = append(d.changes, Change{Kind: kind, What: d.what, Key: key, From: shorten(from, 80), To: shorten(to, 80)})
}

// compareAll compares the things of one kind by name, following `was`.
func compareAll[T any](d *differ, kind string, before, after []T, naming func(T) (name, was string)) {
	old := make(map[string]T, len(before))
	for _, x := range before {
		name, _ := naming(x)
		old[name] = x
	}
	for _, x := range after {
		name, was := naming(x)
		d.what = kind + " " + name
		from, known := old[name]
		if !known && was != "" {
			if from, known = old[was]; known {
				d.note("renamed", "", was, "")
				name = was
			}
		}
		delete(old, name)
		if !known {
			d.note("added", "", "", "")
			continue
		}
		if reflect.DeepEqual(from, x) { // most are
			continue
		}
		d.compareMaps("", jsonOf(from), jsonOf(x))
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		d.what = kind + " " + name
		d.note("removed", "", "", "")
	}
}

// jsonOf returns a thing as its JSON, decoded: what people call its keys. Its
// own name, old name and place are left out.
func jsonOf(v any) map[string]any {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a catalogue always encodes
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out map[string]any
	if err := decoder.Decode(&out); err != nil {
		panic(err)
	}
	for _, key := range []string{"name", "was", "source"} {
		delete(out, key)
	}
	return out
}

// policyOf returns the policy of a catalogue, its tiers by number.
func policyOf(c *holdfast.Catalogue) map[string]any {
	out := jsonOf(c.Policy)
	tiers := make(map[string]any, len(c.Policy.Tiers))
	for i, t := range c.Policy.Tiers {
		tiers[strconv.Itoa(i+1)] = jsonOf(t)
	}
	out["tiers"] = tiers
	return out
}

// compare notes where two JSON values differ below key.
func (d *differ) compare(key string, before, after any) {
	x, isMap := before.(map[string]any)
	y, areMaps := after.(map[string]any)
	xs, isList := before.([]any)
	ys, areLists := after.([]any)
	switch {
	case isMap && areMaps:
		d.compareMaps(key, x, y)
	case isList && areLists && (named(xs) || named(ys)):
		d.compareMaps(key, byName(xs), byName(ys))
	default:
		if !reflect.DeepEqual(before, after) {
			d.note("changed", key, brief(before), brief(after))
		}
	}
}

func (d *differ) compareMaps(key string, before, after map[string]any) {
	keys := slices.Sorted(maps.Keys(before))
	for k := range after {
		if _, ok := before[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		from, was := before[k]
		to, is := after[k]
		switch {
		case k == "id": // follows from names
		case !was:
			d.note("added", joinPath(key, k), "", brief(to))
		case !is:
			d.note("removed", joinPath(key, k), brief(from), "")
		default:
			d.compare(joinPath(key, k), from, to)
		}
	}
}

// named reports whether a list's items are known by name: copies, paths, needs.
func named(list []any) bool {
	return len(list) > 0 && byName(list) != nil
}

// byName keys items by what tells them apart: their name, or the service, rung or
// site they are about. It answers nil where an item has none of these.
func byName(list []any) map[string]any {
	out := make(map[string]any, len(list))
	for _, item := range list {
		m, _ := item.(map[string]any)
		name := ""
		for _, key := range []string{"name", "service", "rung", "site"} {
			if s, ok := m[key].(string); ok {
				name = s
				break
			}
		}
		if dataset, ok := m["dataset"].(string); ok {
			name += "/" + dataset
		}
		if name == "" || out[name] != nil {
			return nil
		}
		out[name] = item
	}
	return out
}

// brief writes a value in a few words: nothing for what has keys of its own.
func brief(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return ""
	case string:
		return v
	case []any:
		var words []string
		for _, item := range v {
			words = append(words, brief(item))
		}
		return strings.Trim(strings.Join(words, ", "), ", ")
	}
	return fmt.Sprint(v)
}
