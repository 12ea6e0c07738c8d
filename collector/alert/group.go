package alert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// board holds the signals of every service and puts alerts together from them.
// The work follows what changed: a service whose signals are the same touches no
// alert.
type board struct {
	signals map[string]map[string]*signal // service → alert ID → signal
	alerts  map[string]map[string]*signal // alert ID → service → signal
	waits   map[string][]wait             // service → what it waits for
	waiting map[string]map[string]bool    // dependency → services that wait for it
	dirty   map[string]bool               // alerts to be put together anew
}

func newBoard() *board {
	return &board{
		signals: map[string]map[string]*signal{}, alerts: map[string]map[string]*signal{},
		waits: map[string][]wait{}, waiting: map[string]map[string]bool{}, dirty: map[string]bool{},
	}
}

// set replaces what one service says.
func (b *board) set(service string, signals map[string]*signal, waits []wait) {
	before := b.signals[service]
	changed := false
	for id := range before {
		if signals[id] == nil {
			delete(b.alerts[id], service)
			b.dirty[id], changed = true, true
		}
	}
	for id, s := range signals {
		if was := before[id]; was != nil && was.equal(s) {
			continue
		}
		if b.alerts[id] == nil {
			b.alerts[id] = map[string]*signal{}
		}
		b.alerts[id][service] = s
		b.dirty[id], changed = true, true
	}
	if len(signals) == 0 {
		delete(b.signals, service)
	} else {
		b.signals[service] = signals
	}
	if waitsChanged := !slices.EqualFunc(b.waits[service], waits, func(x, y wait) bool { return x.equal(&y) }); waitsChanged {
		b.setWaits(service, waits)
	} else if changed && len(b.waiting[service]) > 0 {
		b.touchFallback(service, map[string]bool{})
	}
}

// setWaits replaces what a service waits for: the alerts of those it waited for,
// and waits for now, name it.
func (b *board) setWaits(service string, waits []wait) {
	old := b.waits[service]
	for _, w := range old {
		delete(b.waiting[w.on], service)
	}
	if len(waits) == 0 {
		delete(b.waits, service)
	} else {
		b.waits[service] = waits
	}
	for _, w := range waits {
		if b.waiting[w.on] == nil {
			b.waiting[w.on] = map[string]bool{}
		}
		b.waiting[w.on][service] = true
	}
	seen := map[string]bool{}
	for _, w := range slices.Concat(old, waits) {
		b.touch(w.on, seen)
	}
	b.touchFallback(service, map[string]bool{})
}

// touch marks the alerts of a service and of all it waits for.
func (b *board) touch(service string, seen map[string]bool) {
	if seen[service] {
		return
	}
	seen[service] = true
	for id := range b.signals[service] {
		b.dirty[id] = true
	}
	for _, w := range b.waits[service] {
		b.touch(w.on, seen)
	}
}

// touchFallback marks the alerts that stand in where nothing else explains how a
// service stands, for all who wait for it.
func (b *board) touchFallback(service string, seen map[string]bool) {
	if seen[service] {
		return
	}
	seen[service] = true
	for consumer := range b.waiting[service] {
		for id, s := range b.signals[consumer] {
			if s.on == service {
				b.dirty[id] = true
			}
		}
		b.touchFallback(consumer, seen)
	}
}

// accounts reports whether one of a service's signals makes it stand as a wait
// says: in the very state, or where none is, in a worse one.
func (b *board) accounts(s *signal, w *wait) bool {
	if s.state == w.state {
		return true
	}
	if s.state.Rank() < w.state.Rank() {
		return false
	}
	for _, other := range b.signals[w.on] {
		if other.on == "" && other.state == w.state {
			return false
		}
	}
	return true
}

// explained reports whether an alert of the service waited for, or of one that it
// waits for in turn, tells why it stands as it does.
func (b *board) explained(w *wait, seen map[string]bool) bool {
	if seen[w.on] {
		return false
	}
	seen[w.on] = true
	for _, s := range b.signals[w.on] {
		if s.on == "" && b.accounts(s, w) {
			return true
		}
	}
	for i := range b.waits[w.on] {
		if next := &b.waits[w.on][i]; next.state.Rank() >= w.state.Rank() && b.explained(next, seen) {
			return true
		}
	}
	return false
}

// members returns the signals of an alert that count: those that stand in for a
// dependency only where nothing else explains it. The first speaks for the alert:
// the gravest, then that of the service whose check it is, then of the most critical.
func (b *board) members(id string) []*signal {
	list := make([]*signal, 0, len(b.alerts[id]))
	for _, s := range b.alerts[id] {
		if s.on != "" && slices.ContainsFunc(b.waits[s.service], func(w wait) bool { return w.on == s.on && b.explained(&w, map[string]bool{}) }) {
			continue
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, c *signal) int {
		return cmp.Or(cmp.Compare(severityRank(a.severity), severityRank(c.severity)), cmp.Compare(a.foreign(), c.foreign()),
			cmp.Compare(a.tier, c.tier), cmp.Compare(a.service, c.service))
	})
	return list
}

// affected is what an alert takes down beyond the services that show it: those
// that wait for them, and so on.
func (b *board) affected(members []*signal) []*wait {
	seen := map[string]bool{}
	for _, s := range members {
		seen[s.service] = true
	}
	var list []*wait
	var from func(service string, s *signal)
	from = func(service string, s *signal) {
		for consumer := range b.waiting[service] {
			if seen[consumer] {
				continue
			}
			for i := range b.waits[consumer] {
				w := &b.waits[consumer][i]
				if w.on != service || !b.accounts(s, w) && s.service == service || s.state.Rank() < w.state.Rank() {
					continue
				}
				seen[consumer] = true
				list = append(list, w)
				from(consumer, s)
				break
			}
		}
	}
	for _, s := range members {
		from(s.service, s)
	}
	return list
}

// Bounds of what an alert names; its effect tells the true numbers.
const maxPaths = 1000

// compose puts an alert together, and lists the paths it takes down; ok is false
// where nothing gives rise to it any more. Muted says which silences keep a signal quiet. What has a life (status,
// fired, acknowledged …) is left out.
func (b *board) compose(id string, muted func(*signal) *holdfast.Silence) (a holdfast.Alert, down []string, ok bool) {
	members := b.members(id)
	if len(members) == 0 {
		if len(b.alerts[id]) == 0 {
			delete(b.alerts, id)
		}
		return a, nil, false
	}
	first := members[0]
	a = holdfast.Alert{
		ID: id, Kind: first.kind, Cause: first.cause, Check: first.check, Agent: first.agent, Host: first.host, Site: first.site,
		Severity: first.severity, What: sentence(first.what), Next: sentence(first.next), Link: first.link, Tier: first.tier,
	}
	owners, services := map[string]bool{}, map[string]bool{}
	note := func(owner, service string, tier int) {
		if owner != "" {
			owners[owner] = true
		}
		services[service] = true
		a.Tier = min(a.Tier, tier)
	}
	checks, loud := 0, false
	for _, s := range members {
		note(s.owner, s.service, s.tier)
		quiet := s.quiet
		if silence := muted(s); silence != nil {
			quiet = silenceText(silence)
			if !slices.Contains(a.Silenced, silence.ID) {
				a.Silenced = append(a.Silenced, silence.ID)
			}
		}
		if a.Quiet == "" {
			a.Quiet = quiet
		}
		loud = loud || quiet == ""
		a.Paths = append(a.Paths, s.paths...)
		if isDown(s.state) {
			down = appendDown(down, s.paths)
		}
		checks += s.checks
		if !s.since.IsZero() && (a.Since.IsZero() || s.since.Before(a.Since)) {
			a.Since = s.since
		}
	}
	if loud { // one service that nobody silenced is enough
		a.Quiet = ""
	}
	slices.Sort(a.Silenced)
	for _, w := range b.affected(members) {
		for _, p := range w.paths {
			note(w.owner, p.Service, w.tier)
		}
		a.Paths = append(a.Paths, w.paths...)
		if isDown(w.state) {
			down = appendDown(down, w.paths)
		}
	}
	slices.Sort(down)
	down = slices.Compact(down)
	a.Paths = joinPaths(a.Paths, nil)
	a.Owners, a.Services = slices.Sorted(maps.Keys(owners)), slices.Sorted(maps.Keys(services))
	a.Effect = effect(&a, down, checks, first.against)
	a.Paths, a.Services = a.Paths[:min(maxPaths, len(a.Paths))], a.Services[:min(maxPaths, len(a.Services))]
	a.Owners = a.Owners[:min(maxPaths, len(a.Owners))]
	a.Since = a.Since.UTC().Truncate(time.Millisecond)
	return a, down[:min(maxPaths, len(down))], true
}

// appendDown adds those of the paths that cannot be walked.
func appendDown(down []string, paths []holdfast.AlertPath) []string {
	for _, p := range paths {
		if isDown(p.State) {
			down = append(down, p.Service+"/"+p.Path)
		}
	}
	return down
}

// effect says what an alert means against the target. A path that something else
// takes down is only concerned.
func effect(a *holdfast.Alert, down []string, checks int, against string) string {
	services := map[string]bool{}
	for _, p := range down {
		service, _, _ := strings.Cut(p, "/")
		services[service] = true
	}
	var text string
	switch {
	case checks > 0:
		text = fmt.Sprintf("Blind to %s of %s", count(checks, "check"), count(len(a.Services), "service"))
	case len(down) > 0:
		text = fmt.Sprintf("Takes %s of %s down: %s", count(len(down), "path"), count(len(services), "service"), names(down))
	case len(a.Paths) > 0:
		all := make([]string, len(a.Paths))
		for i, p := range a.Paths {
			all[i] = p.Service + "/" + p.Path
		}
		text = fmt.Sprintf("Concerns %s of %s: %s", count(len(a.Paths), "path"), count(len(a.Services), "service"), names(all))
	default:
		text = "Concerns " + names(a.Services)
	}
	if against != "" {
		text += "; " + against
	}
	return text + "."
}

// isDown reports whether a path in that state cannot be walked.
func isDown(s holdfast.State) bool { return s == holdfast.Broken || s == holdfast.Uncovered }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// sentence begins with a capital, where it begins with a word, and ends with a
// full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	word, _, _ := strings.Cut(s, " ")
	if s[0] >= 'a' && s[0] <= 'z' && !strings.ContainsAny(word, "/.:=") {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if strings.HasSuffix(s, ":") {
		return s
	}
	return strings.TrimRight(s, ".") + "."
}
