package alert

import (
	"context"
	"errors"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Notice is what a receiver is told: an alert as it stood when the notice was
// made, and why it is sent.
type Notice struct {
	ID       string               // the same at every try and after a restart, so that a receiver knows one it has
	Alert    holdfast.Alert       // never changed afterwards
	Status   holdfast.AlertStatus // firing or resolved
	Reminder bool                 // it was told before, and nothing got worse since
	Worse    bool                 // it was told before, and got worse since
	Test     bool                 // nothing is wrong: somebody tries the route
	Route    string               // name of the route
	URL      string               // absolute base of the pages, without a slash at its end; Alert.Link is below it
	At       time.Time            // when it was made
}

// Sender brings notices to one receiver. Send returns nil once the receiver has
// taken the notice; an error that matches ErrPermanent is not tried again, any
// other is. It returns soon after ctx ends, is called from many goroutines at
// once, and puts no credential into its errors: people read them.
type Sender interface {
	Send(ctx context.Context, n Notice) error
}

// BatchSender is a Sender that takes many notices at once: a storm of alerts goes out
// in a few requests. An error speaks of all of them.
type BatchSender interface {
	Sender
	SendAll(ctx context.Context, list []Notice) error
}

// ErrPermanent matches errors that trying again does not mend: the receiver
// understood and refused, or may not be dialled.
var ErrPermanent = errors.New("refused for good")

// Receiver is where notices go, and how.
type Receiver struct {
	Name   string // unique within its route, and the same after a reload: what waits for it is kept by route and name
	Type   string // alertmanager, webhook, mail, chat
	Target string // where it goes, for people: without credentials
	Sender Sender
	// Refresh is how often an alert that fires is said again to a receiver that
	// forgets what it does not hear (Alertmanager); 0: never.
	Refresh time.Duration
}

// Route says which alerts go where. What Owners, Tiers and Kinds leave empty
// matches every alert.
type Route struct {
	Name      string // unique
	Owners    []string
	Tiers     []int
	Kinds     []holdfast.AlertKind
	Remind    time.Duration // how often a firing alert that nobody acknowledged is said again; 0: never
	Receivers []Receiver
}

// Routes is everything a routes file says. Notices go along every route that
// matches.
type Routes struct {
	Routes []Route
	// HoldOff is how long a kind has to last before it is sent, where it is not
	// what DefaultHoldOff says. A blip that ends sooner is never sent.
	HoldOff map[holdfast.AlertKind]time.Duration
	// Heartbeats run while these routes are in force.
	Heartbeats []Heartbeat
}

// Heartbeat tells an outside watcher that alerting works, so that silence of the
// collector itself is noticed. Run works until ctx ends; it beats only while
// alive answers true. Trouble says what people should know of it, if anything.
type Heartbeat interface {
	Run(ctx context.Context, alive func() bool)
	Trouble(now time.Time) (holdfast.Notice, bool)
}
