package store

import (
	"context"
	"io"
	"iter"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Store is all of it: what a backend implements and the collector opens. A reader
// declares the part it needs.
type Store interface {
	Live
	Timeline
	Records
	Agents
	Secrets
	Catalogues
	Documents

	// Prune deletes transitions and observed changes dated before the instant, and
	// secrets that expired before it. Reports, histories, records, identities and
	// catalogues are never pruned. It works in steps and lets other writers in
	// between; cut short it has deleted only what it should.
	Prune(ctx context.Context, before time.Time) error

	// Backup writes a whole, consistent image of the store as of one instant,
	// while reads and writes go on. The disk space of what is overwritten meanwhile
	// is not reused before Backup returns, so w should be quick: a file rather than
	// a slow link. A backend has its own way of reading it back.
	Backup(ctx context.Context, w io.Writer) error

	// Close waits for methods under way, then lets go of the store. Later calls
	// answer ErrClosed.
	Close() error
}

// Live is what the collector works on from second to second. It is read whole at
// the start and written from then on.
type Live interface {
	// Commit applies a batch: all of it, durably, or none.
	//
	// An older report never replaces a newer one of the same agent: one whose
	// (Epoch, Seq) is below what is stored is passed over, and the rest of the batch
	// stands. An equal one replaces, so a retry is harmless. Reports of one agent
	// within a batch are taken in the order given.
	Commit(ctx context.Context, b Batch) error

	// AgentReports yields the latest report of every agent, in the order of names.
	AgentReports(ctx context.Context) iter.Seq2[AgentReport, error]

	// Histories yields the history of every check, in the order of checks.
	Histories(ctx context.Context) iter.Seq2[History, error]
}

// Timeline is what changed and when.
type Timeline interface {
	// Transitions yields the posture transitions of a service within a window,
	// newest first; the name "" stands for every service.
	Transitions(ctx context.Context, service string, w Window) iter.Seq2[Transition, error]

	// Observed yields the observed changes of a check within a window, newest first;
	// the name "" stands for every check.
	Observed(ctx context.Context, check string, w Window) iter.Seq2[Observed, error]
}

// Records is what people attested. Records are only ever added.
type Records interface {
	// AppendRecord stores a record and returns it with its ID: unique for ever,
	// printable, sorted by time of receipt (At where Received is zero). A record
	// that comes with an ID is refused. It is stored as given: validating it is the
	// caller's part.
	AppendRecord(ctx context.Context, r holdfast.Record) (holdfast.Record, error)

	// Records yields every record in the order of IDs.
	Records(ctx context.Context) iter.Seq2[holdfast.Record, error]
}

// Agents is who may report.
type Agents interface {
	// UpdateAgent reads an agent's identity, lets change work on it, and stores the
	// result, as one step no other writer can come between. For an unknown name
	// change gets an identity that holds the name alone, and storing it creates the
	// agent. An error from change stores nothing and comes back wrapped. Change must
	// not call the store, nor rename the agent.
	UpdateAgent(ctx context.Context, name string, change func(*holdfast.AgentIdentity) error) (holdfast.AgentIdentity, error)

	// Agent returns one identity, or ErrNotFound.
	Agent(ctx context.Context, name string) (holdfast.AgentIdentity, error)

	// Agents yields every identity in the order of names.
	Agents(ctx context.Context) iter.Seq2[holdfast.AgentIdentity, error]

	// RemoveAgent deletes an identity; ErrNotFound where there is none. Its last
	// report stays: what was bad stays bad until another agent sees it good.
	RemoveAgent(ctx context.Context, name string) error
}

// Secrets is what opens doors, kept as hashes: join tokens, login links, sessions,
// tokens of the API. A secret is known by its kind and hash together.
type Secrets interface {
	// PutSecret stores a new secret; ErrExists where kind and hash are taken.
	PutSecret(ctx context.Context, s holdfast.Secret) error

	// UseSecret marks a secret used at now and returns it. Of any number of
	// concurrent uses exactly one succeeds. ErrNotFound: no such secret;
	// ErrUsed: used before; ErrExpired: now is not before its end.
	UseSecret(ctx context.Context, kind, hash string, now time.Time) (holdfast.Secret, error)

	// Secret returns one, used and expired ones too, or ErrNotFound.
	Secret(ctx context.Context, kind, hash string) (holdfast.Secret, error)

	// Secrets yields every secret of a kind in the order of hashes.
	Secrets(ctx context.Context, kind string) iter.Seq2[holdfast.Secret, error]

	// DeleteSecret deletes one; ErrNotFound where there is none.
	DeleteSecret(ctx context.Context, kind, hash string) error
}

// Catalogues is what the business declared, as it was accepted. A collector that
// starts beside a broken directory goes on with the last one.
type Catalogues interface {
	// PutCatalogue adds an accepted catalogue; it is in force from then on.
	PutCatalogue(ctx context.Context, c AcceptedCatalogue) error

	// Catalogue returns the one put last, or ErrNotFound before the first.
	Catalogue(ctx context.Context) (AcceptedCatalogue, error)

	// Catalogues yields every one, the one put last first.
	Catalogues(ctx context.Context) iter.Seq2[AcceptedCatalogue, error]
}

// Documents is small things that are kept as they stand last: users, alerts,
// silences, notices on their way. A document is known by its kind and name
// together.
type Documents interface {
	// PutDocuments stores and deletes documents, all of it or none. What is to be
	// deleted need not be there; within one call a document is named once.
	PutDocuments(ctx context.Context, put []Document, remove ...DocumentKey) error

	// Document returns one, or ErrNotFound.
	Document(ctx context.Context, key DocumentKey) (Document, error)

	// Documents yields every document of a kind in the order of names.
	Documents(ctx context.Context, kind string) iter.Seq2[Document, error]
}

// DocumentKey is what a document is known by. Both are UTF-8 of 1 to MaxName
// bytes.
type DocumentKey struct {
	Kind, Name string
}

// Document is a value the store does not look into, of at most 1 MiB.
type Document struct {
	DocumentKey
	Value []byte
}
