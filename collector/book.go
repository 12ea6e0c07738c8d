package collector

import (
	"context"
	"slices"
	"strings"
	"sync"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// book is every record there is, in memory and in the order they were received:
// people enter few, and pages ask for those of one service at a time.
type book struct {
	entering sync.Mutex // held while a record is stored: the order here is that of the store

	mu   sync.RWMutex
	all  []holdfast.Record // guarded by mu; only ever grows
	kept map[string][]int  // guarded by mu: what a record is about → places in all
}

func newBook() *book { return &book{kept: map[string][]int{}} }

// What records can be looked up by, before a name.
const (
	aboutService = "service "
	aboutPlan    = "plan "
	aboutTeam    = "team "
)

// subjects is what a record is about: what it names, and the service whose need it
// names.
func subjects(r *holdfast.Record) (list []string) {
	add := func(about, name string) {
		if name != "" && !slices.Contains(list, about+name) {
			list = append(list, about+name)
		}
	}
	owner, _, within := strings.Cut(r.Need, "/")
	if within {
		add(aboutService, owner)
	}
	add(aboutService, r.Service)
	if r.Kind == holdfast.Review || r.Kind == holdfast.Training {
		add(aboutPlan, r.Plan)
		add(aboutTeam, r.Team)
	}
	return list
}

// enter stores a record and adds it.
func (b *book) enter(store func() (holdfast.Record, error)) (holdfast.Record, error) {
	b.entering.Lock()
	defer b.entering.Unlock()
	r, err := store()
	if err == nil {
		b.add(r)
	}
	return r, err
}

// add adds a record that is stored.
func (b *book) add(r holdfast.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range subjects(&r) {
		b.kept[s] = append(b.kept[s], len(b.all))
	}
	b.all = append(b.all, r)
}

// about returns the records about any of the subjects, oldest first.
func (b *book) about(subjects ...string) []holdfast.Record {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var places []int
	for _, s := range subjects {
		places = append(places, b.kept[s]...)
	}
	slices.Sort(places)
	list := []holdfast.Record{}
	for _, i := range slices.Compact(places) {
		list = append(list, b.all[i])
	}
	return list
}

// Records returns the records that name a service, oldest first; "" stands for
// every record.
func (c *Collector) Records(_ context.Context, service string) ([]holdfast.Record, error) {
	if service != "" {
		return slices.DeleteFunc(c.book.about(aboutService+service), func(r holdfast.Record) bool { return r.Service != service }), nil
	}
	c.book.mu.RLock()
	defer c.book.mu.RUnlock()
	return append([]holdfast.Record{}, c.book.all...), nil
}

// RecordsOn returns the records a service's posture may rest on, oldest first:
// those that name it or one of its needs, and the reviews and trainings of these
// plans and teams.
func (c *Collector) RecordsOn(_ context.Context, service string, plans, teams []string) ([]holdfast.Record, error) {
	about := []string{aboutService + service}
	for _, p := range plans {
		about = append(about, aboutPlan+p)
	}
	for _, t := range teams {
		about = append(about, aboutTeam+t)
	}
	return c.book.about(about...), nil
}
