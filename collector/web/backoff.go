package web

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// How often a name may be guessed at, wherever from: so often without a wait, then
// each wait is twice the last. A short longest wait, because whoever guesses keeps
// the name's owner waiting too.
const (
	freeGuesses  = 5
	longestWait  = 5 * time.Minute
	guessMemory  = time.Hour // without a failure all is forgotten
	homesKept    = 8
	longestName  = 100 // bytes: no user has a longer one
	namesKnown   = 4096
	shortestWait = time.Second
)

// guesses slows down who guesses passwords, by name. Who logged in from a network
// before does not wait there for what others do elsewhere.
type guesses struct {
	mu   sync.Mutex
	by   map[string]*guessed // guarded by mu
	ring []string            // guarded by mu: names in the order they came
	next int                 // guarded by mu: whose place is taken next once the ring is full
}

// guessed is what is remembered of a name.
type guessed struct {
	failed int            // tries since the last that was right, those under way included
	until  time.Time      // nobody from elsewhere may try before
	last   time.Time      // when it was tried last
	homes  []netip.Prefix // networks it was right from, newest last
}

func newGuesses() *guesses { return &guesses{by: map[string]*guessed{}} }

// begin counts a try before it is made, so that many at once count too, and says
// how long to wait instead of trying; 0: try.
func (g *guesses) begin(name, remote string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, t := time.Now(), g.of(name)
	if now.Sub(t.last) > guessMemory {
		t.failed, t.until = 0, time.Time{}
	}
	if slices.Contains(t.homes, network(remote)) {
		return 0 // the limit by address still holds
	}
	if wait := t.until.Sub(now); wait > 0 {
		return wait
	}
	t.last = now
	if t.failed++; t.failed > freeGuesses {
		t.until = now.Add(min(shortestWait<<min(t.failed-freeGuesses-1, 20), longestWait))
	}
	return 0
}

// succeeded forgets the failures of a name and remembers where it was right.
func (g *guesses) succeeded(name, remote string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, home := g.of(name), network(remote)
	t.failed, t.until, t.last = 0, time.Time{}, time.Now()
	t.homes = append(slices.DeleteFunc(t.homes, func(p netip.Prefix) bool { return p == home }), home)
	t.homes = t.homes[max(0, len(t.homes)-homesKept):]
}

// untried takes a try back that was never made.
func (g *guesses) untried(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of(name)
	t.failed, t.until = max(0, t.failed-1), time.Time{}
}

// of returns what is remembered of a name; it is called with mu held.
func (g *guesses) of(name string) *guessed {
	name = strings.ToLower(strings.TrimSpace(name))
	if len(name) > longestName {
		name = "" // nobody's
	}
	if t := g.by[name]; t != nil {
		return t
	}
	t := &guessed{}
	g.by[name] = t
	if len(g.ring) < namesKnown {
		g.ring = append(g.ring, name)
		return t
	}
	delete(g.by, g.ring[g.next])
	g.ring[g.next] = name
	g.next = (g.next + 1) % namesKnown
	return t
}
