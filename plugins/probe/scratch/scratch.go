// Package scratch is the frame of every restore test: where it may restore to, kept
// away from sources and data; memory and room looked at before; a folder of its own
// that is gone afterwards however the test ends; a ceiling while it runs; which
// recovery point, and a sample of one too large; the comparison of what was restored
// with the backup; and which errors its catalogue lets pass.
//
//	type settings struct {
//		Source                 // where the backup is
//		scratch.Options        // point, scratch, memory, tolerate
//	}
//	…
//	place, err := s.Open(ctx, r, 256<<20, repositoryFolder)
//	err = place.Restore(ctx, expect, func(ctx context.Context, dir string) error {
//		probe.Progress(ctx, "restore", 0, expect.Bytes)
//		… run the tool …
//		probe.Progress(ctx, "compare", 0, 0)
//		… scratch.Comparison …
//	})
//
// The phases of a restore test have the same names everywhere: list or read, start
// (a scratch server), restore, compare, assert.
package scratch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Options are the settings that every restore test has. Validate must be called
// before anything else.
type Options struct {
	Point    string         `json:"point,omitempty" jsonschema:"which recovery point to restore: latest (the default) or random"`
	Scratch  string         `json:"scratch,omitempty" jsonschema:"absolute folder to restore into, which takes a folder of this test's own; default: the agent's scratch"`
	Memory   holdfast.Bytes `json:"memory,omitempty" jsonschema:"how much memory must be available before the restore begins; default: what such a restore takes as a rule"`
	Tolerate []string       `json:"tolerate,omitempty" jsonschema:"errors that do not count: a text their message contains; at most 20"`
}

// Bounds of tolerate.
const (
	tolerateMax     = 20
	tolerateTextMax = 200 // bytes
)

// Validate reports what is wrong with the settings, all at once.
func (o Options) Validate() error {
	var faults []error
	if o.Point != "" && o.Point != "latest" && o.Point != "random" {
		faults = append(faults, fmt.Errorf("setting \"point\": %q is neither latest nor random", o.Point))
	}
	if o.Memory < 0 {
		faults = append(faults, errors.New(`setting "memory": it is negative`))
	}
	switch {
	case len(o.Tolerate) > tolerateMax:
		faults = append(faults, fmt.Errorf("setting \"tolerate\": %d texts, at most %d", len(o.Tolerate), tolerateMax))
	case slices.Contains(o.Tolerate, ""):
		faults = append(faults, errors.New(`setting "tolerate": an empty text would tolerate every error`))
	case slices.ContainsFunc(o.Tolerate, func(s string) bool { return len(s) > tolerateTextMax }):
		faults = append(faults, fmt.Errorf("setting \"tolerate\": a text is longer than %d bytes", tolerateTextMax))
	}
	return errors.Join(faults...)
}

// Open returns where this test restores to. Memory is what such a restore takes
// beside what runs on the host already, away are the paths the test reads from; the
// request brings what else must not be touched. The error says refused or too-small.
func (o Options) Open(ctx context.Context, r probe.Request, memory holdfast.Bytes, away ...string) (*Place, error) {
	root, err := Root(ctx, cmp.Or(o.Scratch, r.Scratch), append(slices.Clone(away), r.Protected...)...)
	if err != nil {
		return nil, err
	}
	p := &Place{root: root, check: r.Check, memory: cmp.Or(o.Memory, memory)}
	if err := Memory(p.memory); err != nil { // before a backup is read for an hour; Restore asks again
		return nil, err
	}
	return p, nil
}

// Place is where one test restores to.
type Place struct {
	root, check string
	memory      holdfast.Bytes // that must be available
}

// Restore has restore work in a workspace that is gone when this returns: dir does
// not exist yet, and its parent is the workspace. It is not begun where memory or
// room do not suffice for what is expected, and is ended where it takes more; then the
// error says too-small and why, whatever restore says. While restore says that it is
// in phase "restore", and not how far, the bytes it has written are told.
func (p *Place) Restore(ctx context.Context, expect Tally, restore func(ctx context.Context, dir string) error) (err error) {
	if err := Memory(p.memory); err != nil {
		return err
	}
	ws, err := New(p.root, p.check)
	if err != nil {
		return probe.Unable("", "scratch: %w", err)
	}
	defer func() {
		if e := ws.Remove(); e != nil { // restored data lying about is worth an alarm of its own
			err = probe.Unable("", "empty scratch: %w", e)
		}
	}()
	guarded, stop := Watch(ctx, ws.dir, expect)
	defer stop()
	if guarded.Err() == nil {
		err = restore(guarded, ws.Data())
	} else {
		err = context.Cause(guarded)
	}
	stop()
	if full := context.Cause(guarded); probe.ReasonOf(full) == holdfast.TooSmall {
		return full
	}
	return err
}
