package alert

import (
	"container/heap"
	"time"
)

// agenda orders names by the instant at which they are to be looked at. Each name
// stands in it at most once.
type agenda struct {
	items []appointment
	place map[string]int // name → index in items
}

type appointment struct {
	name string
	at   time.Time
}

// set moves a name's instant; the zero time takes it out.
func (a *agenda) set(name string, at time.Time) {
	if a.place == nil {
		a.place = map[string]int{}
	}
	i, there := a.place[name]
	switch {
	case there && at.IsZero():
		heap.Remove(a, i)
	case there:
		a.items[i].at = at
		heap.Fix(a, i)
	case !at.IsZero():
		heap.Push(a, appointment{name, at})
	}
}

// due takes out and returns the names whose instant is not after now.
func (a *agenda) due(now time.Time) []string {
	var list []string
	for len(a.items) > 0 && !a.items[0].at.After(now) {
		list = append(list, heap.Pop(a).(appointment).name)
	}
	return list
}

// next returns the earliest instant; zero: there is none.
func (a *agenda) next() time.Time {
	if len(a.items) == 0 {
		return time.Time{}
	}
	return a.items[0].at
}

// Len, Less, Swap, Push and Pop are for package heap.
func (a *agenda) Len() int           { return len(a.items) }
func (a *agenda) Less(i, j int) bool { return a.items[i].at.Before(a.items[j].at) }
func (a *agenda) Swap(i, j int) {
	a.items[i], a.items[j] = a.items[j], a.items[i]
	a.place[a.items[i].name], a.place[a.items[j].name] = i, j
}

// Push adds an appointment at the end.
func (a *agenda) Push(x any) {
	v := x.(appointment)
	a.place[v.name] = len(a.items)
	a.items = append(a.items, v)
}

// Pop takes the last appointment off.
func (a *agenda) Pop() any {
	v := a.items[len(a.items)-1]
	a.items = a.items[:len(a.items)-1]
	delete(a.place, v.name)
	return v
}

// sooner returns the earlier of two instants; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
