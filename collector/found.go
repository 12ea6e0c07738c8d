package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// kindFound is the kind of document that keeps what an agent found, by its name.
const kindFound = "found"

// found is the databases that agents found on their hosts, the latest of each
// agent.
type found struct {
	store   store.Documents
	changed func() // called after every change, with no lock held

	mu sync.Mutex
	by map[string]keptFound // guarded by mu; by agent
}

// keptFound is what one agent found.
type keptFound struct {
	holdfast.Found
	Since map[string]time.Time `json:"since"` // key of a database → when this agent found it first
}

func newFound(s store.Documents, changed func()) *found {
	return &found{store: s, changed: changed, by: map[string]keptFound{}}
}

// recall reads what was kept.
func (f *found) recall(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for d, err := range f.store.Documents(ctx, kindFound) {
		if err != nil {
			return fmt.Errorf("read found databases: %w", err)
		}
		var k keptFound
		if err := json.Unmarshal(d.Value, &k); err != nil {
			return fmt.Errorf("found databases of %s: %w", d.Name, err)
		}
		f.by[d.Name] = k
	}
	return nil
}

// put takes what an agent found in place of what it found before. A database keeps
// when it was found first as long as every look finds it.
func (f *found) put(ctx context.Context, agent string, is holdfast.Found) error {
	f.mu.Lock()
	was, known := f.by[agent]
	f.mu.Unlock()
	if known && !is.At.After(was.At) {
		return nil // said again when a session began
	}
	now := keptFound{Found: is, Since: make(map[string]time.Time, len(is.Databases))}
	for i := range is.Databases {
		key := is.Databases[i].Key()
		now.Since[key] = is.At
		if first, before := was.Since[key]; before {
			now.Since[key] = first
		}
	}
	value, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if err := f.store.PutDocuments(ctx, []store.Document{{DocumentKey: store.DocumentKey{Kind: kindFound, Name: agent}, Value: value}}); err != nil {
		return err
	}
	f.mu.Lock()
	f.by[agent] = now
	f.mu.Unlock()
	if !known || !sameFound(&was.Found, &is) {
		f.changed()
	}
	return nil
}

// sameFound reports whether nobody needs to hear of what is new: that it was found
// again, and how large it is now.
func sameFound(was, is *holdfast.Found) bool {
	return slices.Equal(was.Unread, is.Unread) && slices.EqualFunc(was.Databases, is.Databases, func(a, b holdfast.FoundDatabase) bool {
		return a.Key() == b.Key() && a.Name == b.Name && a.Version == b.Version && a.Running == b.Running && slices.Equal(a.Seen, b.Seen)
	})
}

// all returns what each agent found.
func (f *found) all() map[string]keptFound {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.by)
}

// Discovery holds what the enrolled agents found against the catalogue in force.
func (c *Collector) Discovery() holdfast.Discovery {
	all := c.found.all()
	covers := newCover(c.Catalogue())
	var d holdfast.Discovery
	for _, name := range slices.Sorted(maps.Keys(all)) {
		state, enrolled := c.agentNamed(name)
		if !enrolled {
			continue
		}
		k := all[name]
		d.Agents++
		d.Databases += len(k.Databases)
		if len(k.Unread) > 0 {
			d.Unread = append(d.Unread, holdfast.UnreadPlaces{Agent: name, Places: k.Unread})
		}
		hosts := []string{name, state.Host}
		for i := range k.Databases {
			x := &k.Databases[i]
			if !covers.covered(x, k.Databases, name, hosts) {
				d.Unprotected = append(d.Unprotected, holdfast.UnprotectedDatabase{
					Agent: name, Host: state.Host, Site: state.Site, Since: k.Since[x.Key()], At: k.At, FoundDatabase: *x})
			}
		}
	}
	slices.SortStableFunc(d.Unprotected, func(a, b holdfast.UnprotectedDatabase) int {
		if a.Agent != b.Agent {
			return strings.Compare(a.Agent, b.Agent)
		}
		return strings.Compare(a.Key(), b.Key())
	})
	return d
}

// agentNamed returns how an enrolled agent stands.
func (c *Collector) agentNamed(name string) (s holdfast.AgentState, enrolled bool) {
	c.estate.mu.RLock()
	enrolled = c.estate.enrolled[name]
	c.estate.mu.RUnlock()
	c.agents.mu.RLock()
	defer c.agents.mu.RUnlock()
	return c.agents.states[name], enrolled
}
