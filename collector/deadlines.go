package collector

import (
	"container/heap"
	"time"
)

// deadlines orders services by the instant at which their posture may change
// although nothing new is heard. Each service stands in it at most once.
type deadlines struct {
	items []deadline
	place map[string]int // service → index in items
}

type deadline struct {
	service string
	at      time.Time
}

// set moves a service's deadline; the zero time takes it out.
func (d *deadlines) set(service string, at time.Time) {
	if d.place == nil {
		d.place = map[string]int{}
	}
	i, there := d.place[service]
	switch {
	case there && at.IsZero():
		heap.Remove(d, i)
	case there:
		d.items[i].at = at
		heap.Fix(d, i)
	case !at.IsZero():
		heap.Push(d, deadline{service, at})
	}
}

// due takes out and returns the services whose deadline is not after now.
func (d *deadlines) due(now time.Time) []string {
	var names []string
	for len(d.items) > 0 && !d.items[0].at.After(now) {
		names = append(names, heap.Pop(d).(deadline).service)
	}
	return names
}

// next returns the earliest deadline.
func (d *deadlines) next() (time.Time, bool) {
	if len(d.items) == 0 {
		return time.Time{}, false
	}
	return d.items[0].at, true
}

// Len, Less, Swap, Push and Pop are for package heap.
func (d *deadlines) Len() int           { return len(d.items) }
func (d *deadlines) Less(i, j int) bool { return d.items[i].at.Before(d.items[j].at) }
func (d *deadlines) Swap(i, j int) {
	d.items[i], d.items[j] = d.items[j], d.items[i]
	d.place[d.items[i].service], d.place[d.items[j].service] = i, j
}

// Push adds a deadline at the end.
func (d *deadlines) Push(x any) {
	v := x.(deadline)
	d.place[v.service] = len(d.items)
	d.items = append(d.items, v)
}

// Pop takes the last deadline off.
func (d *deadlines) Pop() any {
	v := d.items[len(d.items)-1]
	d.items = d.items[:len(d.items)-1]
	delete(d.place, v.service)
	return v
}
