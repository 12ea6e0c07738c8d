// Package probe is what a plugin is written against: a probe looks at one kind of
// thing on a host and answers with facts.
package probe

import (
	"context"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Probe observes one kind of thing. It may be called from several goroutines at
// once.
type Probe interface {
	// Describe says what the probe is. It always gives the same answer.
	Describe() Description
	// Observe looks once and reports facts, never a judgement against an
	// objective. An error means "could not tell", never "bad": the check becomes
	// unknown. Observe returns soon after ctx is done.
	Observe(ctx context.Context, r Request) (Observation, error)
}

// The words of a probe, under short names.
type (
	Description = holdfast.Description
	Observation = holdfast.Observation
)

// Request is what a probe is asked.
type Request struct {
	Check    string            // the check's ID, for messages
	Settings holdfast.Settings // decode with Decode
	Scratch  string            // a folder of this check's own, emptied afterwards; "" where the probe does not write
	Tools    map[string]string // program → absolute path, as the agent's policy found them
	// Protected are the paths of sources, copies and databases of this host, as far as
	// its agent knows them: nothing is ever restored in, on or above one.
	Protected []string
}
