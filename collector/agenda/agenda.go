// Package agenda keeps what is to be looked at, by the instant at which: a heap with
// names. The collector's judge and its alerts sleep until the earliest.
package agenda

import (
	"container/heap"
	"time"
)

// Agenda orders names by the instant at which they are to be looked at. Each name
// stands in it at most once. The zero value is empty and ready; it has no lock.
type Agenda struct {
	items []appointment
	place map[string]int // name → index in items
}

type appointment struct {
	name string
	at   time.Time
}

// Set moves a name's instant; the zero time takes it out.
func (a *Agenda) Set(name string, at time.Time) {
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

// Due takes out and returns the names whose instant is not after now.
func (a *Agenda) Due(now time.Time) []string {
	var list []string
	for len(a.items) > 0 && !a.items[0].at.After(now) {
		list = append(list, heap.Pop(a).(appointment).name)
	}
	return list
}

// Next returns the earliest instant; zero: there is none.
func (a *Agenda) Next() time.Time {
	if len(a.items) == 0 {
		return time.Time{}
	}
	return a.items[0].at
}

// Len, Less, Swap, Push and Pop are for package heap.
func (a *Agenda) Len() int           { return len(a.items) }
func (a *Agenda) Less(i, j int) bool { return a.items[i].at.Before(a.items[j].at) }
func (a *Agenda) Swap(i, j int) {
	a.items[i], a.items[j] = a.items[j], a.items[i]
	a.place[a.items[i].name], a.place[a.items[j].name] = i, j
}

// Push adds an appointment at the end.
func (a *Agenda) Push(x any) {
	v := x.(appointment)
	a.place[v.name] = len(a.items)
	a.items = append(a.items, v)
}

// Pop takes the last appointment off.
func (a *Agenda) Pop() any {
	v := a.items[len(a.items)-1]
	a.items = a.items[:len(a.items)-1]
	delete(a.place, v.name)
	return v
}
