package store

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Batch is what becomes durable together: what a group of reports said and what
// the collector concluded. Any part may be empty. Names are 1 to [MaxName] bytes,
// values up to [MaxValue].
type Batch struct {
	Reports     []AgentReport
	Histories   []History
	Transitions []Transition
	Observed    []Observed
}

// AgentReport is the latest state of one agent's checks, as one value.
type AgentReport struct {
	Agent string
	// Epoch and Seq are of the newest report that Hot tells of. A report settled
	// behind it comes as the same Epoch and Seq with a larger Settled.
	Epoch, Seq uint64
	Settled    holdfast.Progress // which reports this and earlier batches hold
	Received   time.Time         // to the nanosecond; the zone is not kept
	// Hot is opaque: what changes with every report.
	Hot []byte
	// Texts is opaque: what seldom changes. Nil leaves the stored texts as they
	// are; empty and not nil makes them empty. Read back nil where none were ever
	// stored.
	Texts []byte
}

// History is what judgement needs of a check's past. It replaces the stored one.
type History struct {
	Check string
	Value []byte // opaque; nil deletes the history
}

// Transition is a service's change of posture.
type Transition struct {
	At      time.Time // by the collector's clock, to the nanosecond
	Service string
	From    holdfast.State
	To      holdfast.State
	Score   *int   // of the new posture; nil: not judged
	Cause   string // the need that made it so; empty: nothing stands in the way
	Value   []byte // opaque: the new posture
}

// Observed is a change of what a check's observations say.
type Observed struct {
	At    time.Time // by the collector's clock, to the nanosecond
	Check string
	Value []byte // opaque
}

// Window is a stretch of time, From included and To not. A zero From is the
// beginning, a zero To the end, so the zero Window holds everything.
type Window struct {
	From, To time.Time
}

// AcceptedCatalogue is a catalogue as it was accepted.
type AcceptedCatalogue struct {
	At      time.Time         // when it was accepted
	Hash    string            // of its content
	Files   map[string][]byte // path within the directory → content
	Summary string            // what changed, for people
	Terms   []byte            // opaque: what it asks, kept to compare with the next
}

// Bounds of what a backend takes. Beyond them a method answers an error that
// names the thing, before anything is written.
const (
	MaxName  = 4 << 10  // bytes of a name: agent, check, service, secret
	MaxValue = 64 << 20 // bytes of a value or a file
)
