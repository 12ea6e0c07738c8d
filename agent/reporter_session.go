package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Bounds of what one session does.
const (
	welcomeWait      = 30 * time.Second
	callWait         = 30 * time.Second
	lingerWait       = 10 * time.Second // for acknowledgements before a planned new session
	outstandingBytes = 256 << 10        // so that a slow link is not filled for minutes
	newestReports    = 64               // sent before the rest, if they say the newest of some check
	newestLooked     = 256              // reports looked at to find them
	maxResends       = 100              // asked for without an acknowledgement between
)

// talk is one session. All but receive runs in Run's goroutine.
type talk struct {
	r        *Reporter
	client   wirepb.AgentsClient
	stream   grpc.BidiStreamingClient[wirepb.Up, wirepb.Down]
	down     chan *wirepb.Down // what receive hears; closed when it ends
	received error             // why receive ended; read after down is closed

	window     int
	assignment string      // version that has to be here before anything is sent
	choose     bool        // newest is still to be chosen
	newest     []uint64    // to be sent first, in this order
	again      []uint64    // to be sent once more, with every body
	start      uint64      // reports above it were made during this session
	live       uint64      // the last one above start that was sent
	behind     uint64      // the last one up to start that was sent in order
	renewal    *time.Timer //
	closing    bool        // nothing more is sent: a new session is due
	tells      bool        // the collector takes word of runs
	finds      bool        // the collector takes word of databases
	linger     <-chan time.Time
	resends    int // since the last acknowledgement

	outstanding map[uint64]*outReport
	bytes       int                  // of them
	known       map[string]knownBody // check → the body the collector acknowledged last
}

// outReport is a report that waits for its acknowledgement.
type outReport struct {
	bytes   int
	backlog bool
	bodies  []sentBody
}

type sentBody struct {
	check  string
	digest uint64
}

type knownBody struct {
	seq    uint64
	digest uint64
}

// receive hands on what comes down until the stream ends.
func (t *talk) receive(ctx context.Context) {
	defer close(t.down)
	for {
		m, err := t.stream.Recv()
		if err != nil {
			t.received = err
			return
		}
		select {
		case t.down <- m:
		case <-ctx.Done():
			t.received = ctx.Err()
			return
		}
	}
}

// over waits until the stream has ended and returns why.
func (t *talk) over() error {
	for range t.down {
	}
	if errors.Is(t.received, io.EOF) {
		return status.Error(codes.Unavailable, "the collector ended the session")
	}
	return t.received
}

// hold greets and then reports until the session ends.
func (t *talk) hold(ctx context.Context) error {
	if err := t.greet(ctx); err != nil {
		return err
	}
	defer t.renewal.Stop()
	for {
		if err := t.fill(); err != nil {
			return err
		}
		if t.closing && len(t.outstanding) == 0 {
			return errAgain
		}
		var err error
		select {
		case m, ok := <-t.down:
			if !ok {
				return t.over()
			}
			err = t.take(m)
		case <-t.r.c.Spool.Appended():
		case <-t.r.healthy:
			err = t.health()
		case <-t.r.c.RunNews:
			err = t.runs(false)
		case <-t.r.c.FoundNews:
			err = t.found()
		case <-t.renewal.C:
			t.renew(ctx)
		case <-t.linger:
			return errAgain
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// greet exchanges Hello and Welcome, and answers the clock question in it.
func (t *talk) greet(ctx context.Context) error {
	if err := t.r.hello(t.stream); err != nil {
		return t.over()
	}
	timer := time.NewTimer(welcomeWait)
	defer timer.Stop()
	var w *wirepb.Welcome
	select {
	case m, ok := <-t.down:
		if !ok {
			return t.over()
		}
		w = m.GetWelcome()
	case <-timer.C:
		return status.Errorf(codes.DeadlineExceeded, "no Welcome within %s", welcomeWait)
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := t.pong(w.GetNow()); err != nil {
		return err
	}
	if err := t.r.welcome(w); err != nil {
		return err
	}
	t.window = max(1, int(min(w.GetWindow(), 4*wire.Window)))
	t.assignment = w.GetAssignment()
	t.start = t.r.c.Spool.State().Last
	t.live = t.start
	t.renewal = time.NewTimer(t.untilRenewal(time.Unix(0, w.GetNow())))
	t.choose = len(w.GetBeyond()) < holdfast.MaxRanges/2 // else close gaps before making more
	t.r.change(func(s *ReporterState) { s.Connected, s.Problem, s.Since = true, "", time.Now() })
	t.r.c.Log.Info("session with the collector", "address", t.r.c.Address, "waiting", t.r.c.Spool.State().Waiting)
	t.tells = w.GetWireVersion() >= 2 && t.r.c.Runs != nil
	t.finds = w.GetWireVersion() >= 4 && t.r.c.Found != nil
	if err := t.health(); err != nil {
		return err
	}
	if err := t.found(); err != nil {
		return err
	}
	return t.runs(true)
}

// chooseNewest finds the reports that say the newest of every assigned check, and
// says them first: the collector judges by them while the rest follows.
func (t *talk) chooseNewest() error {
	said := make(map[string]bool, len(t.r.numbers))
	before := t.start + 1
	for range newestLooked {
		report, ok, err := t.r.c.Spool.Previous(before)
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		if !ok || len(t.newest) == newestReports || len(said) == len(t.r.numbers) {
			break
		}
		before = report.Seq
		news := false
		for _, o := range report.Observations {
			if _, mine := t.r.numbers[o.Check]; mine && !said[o.Check] {
				said[o.Check], news = true, true
			}
		}
		if news {
			t.newest = append(t.newest, report.Seq)
		}
	}
	return nil
}

// untilRenewal returns how long until two thirds of the certificate's life are
// over, a little sooner or later so that agents joined together do not renew
// together. It is now at the collector.
func (t *talk) untilRenewal(now time.Time) time.Duration {
	from, until := t.r.c.Identity.Validity()
	share := 0.62 + 0.08*rand.Float64()
	return max(0, from.Add(time.Duration(share*float64(until.Sub(from)))).Sub(now))
}

// renew asks for a new certificate, and for a new session that shows it.
func (t *talk) renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	if err := t.r.c.Identity.renew(ctx, t.client); err != nil {
		from, until := t.r.c.Identity.Validity()
		wait := max(time.Second, until.Sub(from)/30)
		t.r.c.Log.Warn("certificate not renewed", "err", err, "until", until, "retry_in", wait)
		t.renewal.Reset(wait)
		return
	}
	_, until := t.r.c.Identity.Validity()
	t.r.c.Log.Info("certificate renewed", "until", until)
	t.closing = true
	t.linger = time.After(lingerWait)
}

// fill sends reports while the window has room.
func (t *talk) fill() error {
	if t.closing || t.r.assigned.Version != t.assignment {
		return nil
	}
	if t.choose {
		t.choose = false
		if err := t.chooseNewest(); err != nil {
			return err
		}
	}
	for len(t.outstanding) < t.window && (t.bytes < outstandingBytes || len(t.outstanding) == 0) {
		sent, err := t.sendNext()
		if err != nil || !sent {
			return err
		}
	}
	return nil
}

// sendNext sends the report that is due: one asked for again, the newest of every
// check, one made just now, and when there are none the rest in order.
func (t *talk) sendNext() (bool, error) {
	spool := t.r.c.Spool
	for _, list := range []*[]uint64{&t.again, &t.newest} {
		if len(*list) > 0 {
			seq := (*list)[0]
			*list = (*list)[1:]
			report, ok, err := spool.Next(seq - 1)
			if err != nil {
				return false, fmt.Errorf("read the spool: %w", err)
			}
			if !ok || report.Seq != seq {
				return true, nil // the spool gave it up meanwhile
			}
			return true, t.send(report, list == &t.again && seq <= t.start, true)
		}
	}
	report, ok, err := spool.Next(t.live)
	if err != nil {
		return false, fmt.Errorf("read the spool: %w", err)
	}
	if ok {
		t.live = report.Seq
		return true, t.send(report, false, false)
	}
	for {
		report, ok, err := spool.Next(t.behind)
		if err != nil {
			return false, fmt.Errorf("read the spool: %w", err)
		}
		if !ok || report.Seq > t.start {
			t.behind = t.start
			return false, nil
		}
		t.behind = report.Seq
		if t.outstanding[report.Seq] == nil && !slices.Contains(t.again, report.Seq) {
			return true, t.send(report, true, true)
		}
	}
}

// send sends one report. Only one made during this session leaves bodies out, if
// not told to be whole.
func (t *talk) send(report holdfast.Report, backlog, whole bool) error {
	m := &wirepb.Report{Seq: report.Seq, Oldest: t.r.c.Spool.State().First, Assignment: t.r.assigned.Version, Backlog: backlog}
	out := &outReport{backlog: backlog}
	for i := range report.Observations {
		t.add(m, out, &report.Observations[i], whole)
	}
	if len(m.Results) == 0 { // nothing in it is the collector's business any more
		return t.r.c.Spool.Drop(report.Seq)
	}
	if out.bytes = proto.Size(m); out.bytes > wire.MaxMessage-64 {
		t.r.c.Log.Error("report given up: too large", "seq", report.Seq, "bytes", out.bytes, "at_most", wire.MaxMessage)
		t.r.change(func(s *ReporterState) { s.Refused++ })
		return t.r.c.Spool.Drop(report.Seq)
	}
	m.Sent = time.Now().UnixNano()
	if err := t.stream.Send(&wirepb.Up{Message: &wirepb.Up_Report{Report: m}}); err != nil {
		return t.over()
	}
	t.outstanding[report.Seq] = out
	t.bytes += out.bytes
	return nil
}

// add adds an observation to a report. Once half the room is taken, the tool's own
// words and the facts for people stay behind.
func (t *talk) add(m *wirepb.Report, out *outReport, o *holdfast.Observation, whole bool) {
	number, mine := t.r.numbers[o.Check]
	if !mine {
		t.r.change(func(s *ReporterState) { s.Unassigned++ })
		return
	}
	if out.bytes > wire.MaxMessage/2 {
		o.Raw, o.Facts = "", nil
	}
	res, err := wire.FromResult(o)
	if err != nil {
		t.r.c.Log.Error("result left out", "err", err)
		return
	}
	out.bytes += len(res.Body) + 64
	out.bodies = append(out.bodies, sentBody{o.Check, res.Digest})
	if len(m.Results) == 0 {
		m.Order = o.Seq
	}
	res.Check, res.Order = number, uint32(o.Seq-m.Order)
	if k, ok := t.known[o.Check]; !whole && ok && k.digest == res.Digest {
		res.Body = nil
	}
	m.Results = append(m.Results, res)
}

// take handles what the collector says.
func (t *talk) take(m *wirepb.Down) error {
	switch m := m.GetMessage().(type) {
	case *wirepb.Down_Ack:
		return t.acked(m.Ack.GetSeqs())
	case *wirepb.Down_Refused:
		t.forget(m.Refused.GetSeq())
		t.r.change(func(s *ReporterState) { s.Refused++ })
		t.r.c.Log.Error("report given up: the collector refuses it", "seq", m.Refused.GetSeq(), "reason", m.Refused.GetReason())
		return t.r.c.Spool.Drop(m.Refused.GetSeq())
	case *wirepb.Down_Resend:
		clear(t.known)
		if t.resends++; t.resends > maxResends {
			return status.Error(codes.Aborted, "it asks for the same reports again and again")
		}
		if t.forget(m.Resend.GetSeq()) != nil {
			t.again = append(t.again, m.Resend.GetSeq())
		}
	case *wirepb.Down_Assignment:
		a, err := wire.ToAssignment(m.Assignment, t.r.c.Identity.Name())
		if err != nil {
			return status.Errorf(codes.FailedPrecondition, "from the collector: %v", err)
		}
		t.assignment = a.Version
		t.r.assign(a)
		t.r.c.Assign(a)
	case *wirepb.Down_Run:
		if _, mine := t.r.numbers[m.Run.GetCheck()]; !mine {
			return t.running(holdfast.Running{Check: m.Run.GetCheck(), State: holdfast.RunDropped})
		}
		t.r.c.Run(m.Run.GetCheck())
	case *wirepb.Down_Stop:
		t.r.c.Stop(m.Stop.GetCheck())
	case *wirepb.Down_Ping:
		return t.pong(m.Ping.GetNow())
	}
	return nil
}

// acked drops what is durable at the collector.
func (t *talk) acked(seqs []uint64) error {
	t.resends = 0
	for _, seq := range seqs {
		out := t.forget(seq)
		if out == nil || out.backlog {
			continue
		}
		for _, b := range out.bodies {
			if k, ok := t.known[b.check]; !ok || k.seq <= seq {
				t.known[b.check] = knownBody{seq, b.digest}
			}
		}
	}
	t.r.change(func(s *ReporterState) {
		s.LastAck = time.Now()
		s.Acked += uint64(len(seqs))
	})
	if err := t.r.c.Spool.Drop(seqs...); err != nil {
		return fmt.Errorf("drop acknowledged reports: %w", err)
	}
	return nil
}

// forget takes a report off the outstanding ones.
func (t *talk) forget(seq uint64) *outReport {
	out := t.outstanding[seq]
	if out != nil {
		t.bytes -= out.bytes
		delete(t.outstanding, seq)
	}
	return out
}

func (t *talk) pong(echo int64) error {
	if err := t.stream.Send(&wirepb.Up{Message: &wirepb.Up_Pong{Pong: &wirepb.Pong{Echo: echo, Now: time.Now().UnixNano()}}}); err != nil {
		return t.over()
	}
	return nil
}

func (t *talk) health() error {
	h := wire.FromHealth(t.r.c.Health())
	if err := t.stream.Send(&wirepb.Up{Message: &wirepb.Up_Health{Health: h}}); err != nil {
		return t.over()
	}
	return nil
}

// found says which databases the last look found.
func (t *talk) found() error {
	if !t.finds {
		return nil
	}
	f := t.r.c.Found()
	if f == nil {
		return nil
	}
	if err := t.stream.Send(&wirepb.Up{Message: &wirepb.Up_Found{Found: wire.FromFound(*f)}}); err != nil {
		return t.over()
	}
	return nil
}

// runs says how the checks fare that the collector asked for.
func (t *talk) runs(all bool) error {
	if !t.tells {
		return nil
	}
	for _, r := range t.r.c.Runs(all) {
		if err := t.running(r); err != nil {
			return err
		}
	}
	return nil
}

func (t *talk) running(r holdfast.Running) error {
	if !t.tells {
		return nil
	}
	if err := t.stream.Send(&wirepb.Up{Message: &wirepb.Up_Running{Running: wire.FromRunning(r)}}); err != nil {
		return t.over()
	}
	return nil
}
