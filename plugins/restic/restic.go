// Package restic holds the probes of a restic repository: which recovery points
// it really has, whether they are intact, and whether they restore.
//
//	probe              reads                                          attests
//	restic.repository  snapshots, index, root trees, locks; of the    recovery points
//	                   newest snapshot all trees
//	restic.check       the structure, and the share of data asked     a verification with its scope
//	                   for in read_data_subset
//	restic.restore     a snapshot, whole or a stated sample, into     a restoration, every restored
//	                   scratch                                        file compared byte for byte
//
// Three things were measured with restic 0.14 and shape every call:
//   - A warm cache hides damaged snapshot, index and tree files behind exit code
//     0. Every call says --no-cache.
//   - check locks exclusively, and a backup started beside it fails. Every call
//     says --no-lock, and unlock is never called. Without a lock a failure may be
//     the trace of a prune at work, so it counts when a second look sees it too.
//   - restic tries a short or missing file of a local repository again for 43 s
//     before it gives up. On a local disk the first such message is enough: the
//     call is ended and the repository called damaged.
//
// restic.repository never claims verification: without reading the data a
// damaged pack looks like a good one.
package restic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe {
	return []probe.Probe{&repositoryProbe{sizes: sizes{known: map[string]size{}}}, checkProbe{}, restoreProbe{}}
}

var tools = []string{"restic"}

// fault is what is wrong with the repository itself. Any other error of this
// package means that nobody could tell.
type fault struct {
	reason holdfast.Reason
	text   string // one line for people
	raw    string // the tool's own words
}

func (f *fault) Error() string { return f.text }

func faulty(reason holdfast.Reason, format string, args ...any) *fault {
	return &fault{reason: reason, text: fmt.Sprintf(format, args...)}
}

// look looks once at a repository. The observation is used with a fault too: it
// holds what was seen in spite of it.
type look func(context.Context) (probe.Observation, error)

// confirm looks, and where it sees a fault looks once more: without a lock a
// single failure may be the trace of somebody at work on the repository.
func confirm(ctx context.Context, once look) (probe.Observation, error) {
	first, err := verdict(once(ctx))
	if err != nil || first.Outcome != holdfast.Failed {
		return first, err
	}
	second, err := verdict(once(ctx))
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return probe.Observation{}, err
	case err != nil: // the failure was seen, and must not get lost because time ran out
		setFact(&first, "second_look", clean(err.Error(), holdfast.MaxText))
		return first, nil
	}
	return second, nil
}

// verdict turns a fault into a failed observation.
func verdict(o probe.Observation, err error) (probe.Observation, error) {
	var f *fault
	switch {
	case errors.As(err, &f):
		o.Outcome, o.Reason, o.Summary = holdfast.Failed, f.reason, clean(f.text, 300)
		o.Raw = clean(f.raw, holdfast.MaxRaw)
		return o, nil
	case err != nil:
		return probe.Observation{}, err
	}
	return o, nil
}

func setFact(o *probe.Observation, name, value string) {
	if o.Facts == nil {
		o.Facts = map[string]string{}
	}
	o.Facts[name] = value
}

// clean makes a tool's words fit an observation: valid text of at most limit
// bytes.
func clean(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
