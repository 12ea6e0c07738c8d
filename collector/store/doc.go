// Package store is what the collector keeps: the latest report of every agent,
// the history judgement needs of every check, what changed and when, what people
// attested, who may speak, and the catalogues that were in force.
//
// It holds the promises, not the bytes: a backend (package bolt, embedded, is the
// default) keeps them, and the suite in package storetest tries any backend
// against them. The interfaces are split by reader, so that a room of the
// collector asks for the part it needs and no more.
//
// # Promises
//
// Durable: a writing method that returns nil has its effect on disk; kill -9 or a
// power cut at any later instant does not take it back. One that returns an error
// has had no effect at all, except for [ErrUncertain], which says that it cannot
// tell. Nothing is ever half there.
//
// Concurrent: every method may be called from many goroutines at once. Writers
// take turns, in some order; readers wait for nobody and see whole writes only.
//
// Order: an iterator reads piece by piece and keeps nothing locked while its
// consumer works, so a consumer may take its time, stop early and call any other
// method. What is written meanwhile may or may not be seen, but no record is seen
// twice or in part, and none that stands throughout is missed.
// Every record found before an error is good; after an error nothing follows.
//
// Whole: every stored record carries its own checksum. A damaged one is never
// returned: the read ends in a [*DamageError] that names it and the way back.
//
// Memory: byte slices handed in are not kept after the call, those handed out
// belong to the caller.
//
// Where a value is called opaque, the store never looks inside: its form is a
// matter between the writer and the reader.
package store
