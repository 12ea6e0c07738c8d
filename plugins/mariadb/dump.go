package mariadb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// dumpProbe is of class io although it reads a whole dump: how fresh a copy is must
// not wait for an hour of reading elsewhere.
type dumpProbe struct{ held probe.Held[struct{}] }

// Source is the part of the settings that every probe of dumps has.
type Source struct {
	folder.Settings
	Zone string `json:"zone,omitempty" jsonschema:"time zone of the dumped server, like Europe/Berlin, in which a dump's last line says when it ended"`

	zone *time.Location // nil: not known
}

// complete checks the settings and fills in what they leave open.
func (s *Source) complete() (err error) {
	if err = s.Complete(); err != nil {
		return err
	}
	if s.Zone != "" {
		if s.zone, err = time.LoadLocation(s.Zone); err != nil {
			return fmt.Errorf("setting \"zone\": %w", err)
		}
	}
	return nil
}

func (*dumpProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "mariadb.dump",
		Observes: "The dumps of MariaDB in a folder: how old they are, and that the newest is whole, from its first line to the one that says it is complete.",
		Settings: probe.Schema[Source](),
		Cost:     holdfast.IO,
		Target:   []string{"directory", "pattern"},
		Paths:    []string{"directory"},
		Reasons:  dumpReasons,
	}
}

func (p *dumpProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[Source](r.Settings)
	if err == nil {
		err = s.complete()
	}
	if err != nil {
		return probe.Observation{}, err
	}
	root, err := s.Open(ctx, &p.held)
	if err == nil {
		defer root.Close()
		var o probe.Observation
		if o, err = s.look(ctx, root); err == nil {
			return o, nil
		}
	}
	return probe.Verdict(probe.Observation{}, s.Fault(ctx, err))
}

// look judges the newest finished dump.
func (s Source) look(ctx context.Context, root *os.Root) (probe.Observation, error) {
	start := time.Now()
	l, err := s.List(ctx, root, start, nil)
	if err != nil {
		return probe.Observation{}, err
	}
	for ; len(l.Files) > 0; l.Files = l.Files[1:] {
		d, err := read(ctx, root, l.Files[0])
		if errors.Is(err, folder.ErrWriting) {
			l.Writing++
			continue
		}
		o := probe.Observation{
			RecoveryPoints: folder.Points(l.Files),
			Measures: []holdfast.Measure{{Name: "dumps", Value: float64(len(l.Files))},
				{Name: "newest_bytes", Value: float64(l.Files[0].Size), Unit: "bytes"},
				{Name: "read_seconds", Value: time.Since(start).Seconds(), Unit: "seconds"}},
		}
		var bad *probe.Fault
		if errors.As(err, &bad) {
			o.RecoveryPoints = folder.Points(l.Files[1:])
			if bad.Reason == holdfast.Damaged {
				o.Verification = &holdfast.Verification{Time: start.UTC(), Scope: 1, Errors: 1}
			}
			return probe.Verdict(o, bad)
		}
		if err != nil {
			return probe.Observation{}, err
		}
		s.tell(&o, l, d, start)
		return o, nil
	}
	return probe.Observation{}, s.Nothing(l, "dump")
}

// tell says what is known of the newest dump, which is whole.
func (s Source) tell(o *probe.Observation, l folder.Listing, d dump, start time.Time) {
	point := &o.RecoveryPoints[0]
	dated := s.Dated()
	if at, why := s.earlier(point.Time, d.ended); why != "" {
		point.Time, dated = at, why
	}
	point.Bytes, point.Files = holdfast.Bytes(d.bytes), 1
	o.Measures = append(o.Measures, holdfast.Measure{Name: "tables", Value: float64(d.tables)},
		holdfast.Measure{Name: "content_bytes", Value: float64(d.bytes), Unit: "bytes"})
	o.Facts = map[string]string{"newest": probe.OneLine(d.Name), "dated_by": dated, "written_by": probe.OneLine(d.written)}
	if d.checked {
		o.Verification = &holdfast.Verification{Time: start.UTC(), Scope: 1}
	}
	o.Outcome = holdfast.OK
	o.Summary = probe.OneLine(fmt.Sprintf("%s of %s: complete, %d tables in %v; dumps kept: %d", d.Name, point.Time.Format(time.RFC3339), d.tables, holdfast.Bytes(d.bytes), len(l.Files)))
}

// zoneMost is how far behind UTC a clock on a wall may be; no zone is further.
const zoneMost = 12 * time.Hour

// earlier returns the end the dump itself states where that makes it older than the
// file is, and how that is known.
func (s Source) earlier(known, ended time.Time) (time.Time, string) {
	if ended.IsZero() {
		return known, ""
	}
	if s.zone != nil {
		ended = time.Date(ended.Year(), ended.Month(), ended.Day(), ended.Hour(), ended.Minute(), ended.Second(), 0, s.zone).UTC()
		if ended.Before(known) {
			return ended, "its last line: the end of the dump"
		}
	} else if ended = ended.Add(zoneMost); ended.Before(known) {
		return ended, "its last line, which is older than the file in every time zone: name the zone"
	}
	return known, ""
}

// dump is a dump that was read to its end and is whole.
type dump struct {
	folder.File
	contents
	checked bool // every byte agreed with a checksum
}

// read reads a dump to its end. The fault says that it is damaged or empty; the
// error may be folder.ErrWriting.
func read(ctx context.Context, root *os.Root, f folder.File) (dump, error) {
	d := dump{File: f}
	file, err := f.Open(root)
	if err != nil {
		return d, err
	}
	defer file.Close()
	from := folder.NewReader(ctx, file)
	damage := unpack(from, func(unpacked io.Reader, checked bool) (err error) {
		d.checked = checked
		d.contents, err = scan(unpacked)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return d, ctx.Err()
	case from.Fault != nil:
		return d, from.Fault
	case folder.Opaque(damage):
		return d, probe.Unable("", "%s: %w", d.Name, damage)
	}
	if err := f.Unchanged(file); err != nil {
		return d, err
	}
	return d, d.judge(damage)
}

// unpack gives use the unpacked content of a file.
func unpack(from io.Reader, use func(unpacked io.Reader, checked bool) error) error {
	raw := bufio.NewReaderSize(from, 64<<10)
	head, err := raw.Peek(64)
	if err != nil && err != io.EOF {
		return err
	}
	unpacked, checked, err := folder.Unpack(raw, folder.Squeezed(head), head)
	if err != nil {
		return err
	}
	defer unpacked.Close()
	return use(unpacked, checked)
}

func (d dump) judge(damage error) error {
	bad := func(reason holdfast.Reason, format string, args ...any) error {
		return probe.Faulty(reason, "%s", probe.OneLine(d.Name+fmt.Sprintf(format, args...)))
	}
	switch {
	case damage != nil:
		return bad(holdfast.Damaged, " is damaged: %v", damage)
	case d.bytes == 0:
		return bad(holdfast.Empty, " is empty")
	case d.written == "" && !d.complete:
		return bad(holdfast.Damaged, " is no dump of mariadb-dump, or one without comments")
	case !d.complete:
		return bad(holdfast.Damaged, " does not end with the line that says it is complete: it was cut off")
	case d.written == "":
		return bad(holdfast.Damaged, " has no heading: its beginning is lost")
	case d.tables+d.inserts == 0:
		return bad(holdfast.Empty, " is a complete dump of no table")
	}
	return nil
}
