package main

import (
	"errors"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// durationFlag reads durations as the catalogue writes them.
type durationFlag struct{ d *holdfast.Duration }

func (f durationFlag) String() string {
	if f.d == nil || *f.d == 0 { // none is no default to tell
		return ""
	}
	return f.d.String()
}
func (f durationFlag) Set(s string) (err error) { *f.d, err = holdfast.ParseDuration(s); return err }
func (f durationFlag) Type() string             { return "duration" }

// timeFlag reads an RFC 3339 time or a day.
type timeFlag struct{ t *time.Time }

func (f timeFlag) String() string {
	if f.t == nil || f.t.IsZero() {
		return ""
	}
	return f.t.Format(time.RFC3339)
}

func (f timeFlag) Set(s string) error {
	d, err := holdfast.ParseDate(s)
	if err != nil {
		return errors.New("write it like 2026-03-01T09:00:00Z or 2026-03-01")
	}
	*f.t = d.Time
	return nil
}

func (f timeFlag) Type() string { return "time" }

// bytesFlag reads sizes like 200GiB.
type bytesFlag struct{ b *holdfast.Bytes }

func (f bytesFlag) String() string {
	if f.b == nil || *f.b == 0 {
		return ""
	}
	return f.b.String()
}
func (f bytesFlag) Set(s string) (err error) { *f.b, err = holdfast.ParseBytes(s); return err }
func (f bytesFlag) Type() string             { return "size" }
