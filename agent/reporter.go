package agent

import (
	holdfast "github.com/holdfast-monitor/holdfast"
)

// Spool is the durable outbox the reporter empties. Its methods may be called
// from several goroutines at once.
//
// A report is what was appended at once. Sequence numbers of reports begin
// at 1 and grow by one with every append; they and the epoch survive a restart.
// The epoch is the Unix second the spool began in. Every observation carries a
// Seq of its own that grows with every observation: the first of an epoch has
// epoch<<32, so that a new data folder outranks an old one.
type Spool interface {
	// State says where the spool stands.
	State() SpoolState
	// Next returns the waiting report with the lowest sequence number above
	// after; ok is false where none waits. The spool fills in Epoch, Seq and
	// the observations.
	Next(after uint64) (r holdfast.Report, ok bool, err error)
	// Previous returns the waiting report with the highest sequence number
	// below before; ok is false where none waits.
	Previous(before uint64) (r holdfast.Report, ok bool, err error)
	// Drop forgets the reports of these sequence numbers, durably; numbers that
	// do not wait are passed over.
	Drop(seqs ...uint64) error
	// Renew begins a new epoch: the present second, and in any case a number
	// above floor. Waiting reports keep their sequence numbers and change epoch;
	// further ones count on.
	Renew(floor uint64) error
	// Appended gives a value after a report was appended. Values do not add up:
	// one may stand for many reports.
	Appended() <-chan struct{}
}

// SpoolState is where a spool stands.
type SpoolState struct {
	Epoch   uint64
	First   uint64 // lowest waiting sequence number; Last+1 where none waits
	Last    uint64 // sequence number given out last; 0: none yet
	Waiting int    // reports
	Dropped uint64 // reports given up unacknowledged because the spool was full
}
