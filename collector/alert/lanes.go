package alert

import (
	"cmp"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/agenda"
)

// delivery is a notice on its way to one receiver.
type delivery struct {
	holdfast.Delivery
	Notice Notice
	Number uint64 // of the notice among its alert's: the order in which they are sent

	saved bool // it is durable, so it may be sent
	lane  *lane
}

// lane is what one receiver is told of one alert, in order.
type lane struct {
	name, target, alert string
	list                []*delivery
	flying              bool
	ready               bool // it stands in its target's line
	alone               bool // it was refused among others: tried by itself
}

// target is a receiver as the outbox knows it.
type target struct {
	Receiver
	route     string
	known     bool       // the routes in force have it
	flying    int        // sends under way
	lines     [4][]*lane // lanes that have something to send: critical, warning, info, what is only said again
	fails     int        // in a row
	until     time.Time
	delivered time.Time
	failed    time.Time
	problem   string
	troubled  time.Time // since when it takes nothing; zero: it does
}

// outbox is the notices on their way. Everything in it is guarded by the
// manager's mu.
type outbox struct {
	lanes   map[string]*lane
	targets map[string]*target // by route and receiver
	dead    map[string]*delivery
	due     agenda.Agenda // of lanes
	waiting int
	fresh   []*delivery // to be armed once they are stored
}

func newOutbox() outbox {
	return outbox{lanes: map[string]*lane{}, targets: map[string]*target{}, dead: map[string]*delivery{}}
}

// laneOf names a receiver of a route; splitLane takes the name apart.
func laneOf(route, receiver string) string { return route + "\x00" + receiver }

func splitLane(name string) (route, receiver string) {
	route, receiver, _ = strings.Cut(name, "\x00")
	return route, receiver
}

// know takes routes in: receivers of the same name keep how they did.
func (o *outbox) know(r Routes, now time.Time) {
	for _, t := range o.targets {
		t.known = false
	}
	for _, rt := range r.Routes {
		for _, rc := range rt.Receivers {
			t := o.target(laneOf(rt.Name, rc.Name))
			t.Receiver, t.known, t.until = rc, true, time.Time{}
		}
	}
	for _, l := range o.lanes {
		if len(l.list) == 0 && !l.flying && !l.ready {
			o.due.Set(l.name, now) // said again, if its receiver wants that
		}
		o.arm(l)
	}
}

func (o *outbox) target(name string) *target {
	t := o.targets[name]
	if t == nil {
		route, receiver := splitLane(name)
		t = &target{route: route, Receiver: Receiver{Name: receiver}}
		o.targets[name] = t
	}
	return t
}

// lane returns the lane of a receiver and an alert.
func (o *outbox) lane(target, alert string) *lane {
	name := target + "\x00" + alert
	l := o.lanes[name]
	if l == nil {
		l = &lane{name: name, target: target, alert: alert}
		o.lanes[name] = l
		o.target(target)
	}
	return l
}

// add puts a delivery where it belongs: in its lane, or among the dead.
func (o *outbox) add(d *delivery) {
	d.lane = o.lane(laneOf(d.Route, d.Receiver), d.Alert)
	if !d.Dead.IsZero() {
		o.dead[d.ID] = d
		return
	}
	d.lane.list = append(d.lane.list, d)
	o.waiting++
}

// sortLanes puts what was recalled in the order in which it was made.
func (o *outbox) sortLanes() {
	for _, l := range o.lanes {
		slices.SortFunc(l.list, func(a, b *delivery) int {
			return cmp.Compare(a.Number, b.Number) // a clock may have been set back between them
		})
		o.arm(l)
	}
}

// arm has a lane looked at when its first delivery is to be tried.
func (o *outbox) arm(l *lane) {
	if l.flying || len(l.list) == 0 || !l.list[0].saved {
		return
	}
	if l.ready {
		o.targets[l.target].prefer(l)
		return
	}
	at := l.list[0].Next
	if !o.targets[l.target].known {
		at = l.list[0].Made.Add(giveUp)
	}
	o.due.Set(l.name, at)
}

// next returns when something is to be sent; zero: never.
func (o *outbox) next() time.Time {
	next := o.due.Next()
	for _, t := range o.targets {
		if t.first() != nil && t.flying < t.most() {
			next = sooner(next, t.until)
		}
	}
	return next
}

// most is how many notices may fly to a receiver: one while it takes none.
func (t *target) most() int {
	if t.fails > 0 {
		return 1
	}
	return atOnce
}

// batch takes the lanes out of the line that go in the next request: one, or many
// where the receiver takes them and does not refuse just now.
func (t *target) batch() []*lane {
	from := t.first()
	line, n := *from, 1
	if _, many := t.Sender.(BatchSender); many && t.fails == 0 {
		for n < min(len(line), batchMost) && !line[0].alone && !line[n].alone {
			n++
		}
	}
	*from = line[n:]
	return line[:n:n]
}

// queue puts a lane behind those that are as urgent.
func (t *target) queue(l *lane) {
	rank := len(t.lines) - 1
	if len(l.list) > 0 {
		rank = min(max(severityRank(l.list[0].Notice.Alert.Severity), 0), rank-1)
	}
	t.lines[rank] = append(t.lines[rank], l)
}

// first returns the most urgent of the lines that have anything; nil: none has.
func (t *target) first() *[]*lane {
	for i := range t.lines {
		if len(t.lines[i]) > 0 {
			return &t.lines[i]
		}
	}
	return nil
}

// prefer moves a lane that would say its alert again, and has news now, to those
// that have.
func (t *target) prefer(l *lane) {
	again := &t.lines[len(t.lines)-1]
	if i := slices.Index(*again, l); i >= 0 {
		*again = slices.Delete(*again, i, i+1)
		t.queue(l)
	}
}

// sooner returns the earlier of two instants; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
