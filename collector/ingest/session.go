package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Bounds of what an agent says of itself.
const (
	helloWait  = 15 * time.Second
	maxHealth  = 256 << 10 // bytes
	maxFound   = 512 << 10 // bytes of what an agent found on its host
	maxPlugins = 100
	keptOld    = 4 // assignments whose numbers are still understood
	maxRuns    = 100
	maxAnswers = 4096 // that an agent leaves unread
)

// session is one agent's stream. Its reader takes what comes up, its writer sends
// what goes down; nothing else touches the stream.
type session struct {
	caller
	s       *Server
	stream  grpc.BidiStreamingServer[wirepb.Up, wirepb.Down]
	from    string // address
	limiter *rate.Limiter
	slots   chan struct{}               // holds one for every report the core has not answered
	wake    chan struct{}               // holds one: there is something to send
	ended   chan struct{}               // closed by end
	answer  func(seq uint64, err error) // done

	// Set by the reader before the session is live, unchanged afterwards.
	host, machine string
	epoch         uint64
	speaks        uint32 // version of the protocol

	clock clock // of the reader alone

	mu       sync.Mutex
	err      error                // guarded by mu: why it ended
	out      outgoing             // guarded by mu
	pinged   time.Time            // guarded by mu: when the ping under way was sent; zero: none is
	pong     chan struct{}        // guarded by mu: closed at the next pong; nil: nobody waits
	assigned *holdfast.Assignment // guarded by mu: as last sent, or known to the agent
	old      []translation        // guarded by mu: newest first

	told     sync.Mutex          // keeps what the core is told in order
	state    holdfast.AgentState // guarded by told
	departed bool                // guarded by told: the core was told that it is over
}

// outgoing is what waits to be sent.
type outgoing struct {
	welcome  *wirepb.Welcome
	assign   bool // the assignment, again
	look     bool // the core may have another assignment
	ping     bool
	acks     []uint64
	resend   []uint64
	refusals []*wirepb.Refused
	runs     []request
}

// request is a run that is asked for, or to be stopped.
type request struct {
	check string
	stop  bool
}

// translation numbers the checks of an assignment that was replaced.
type translation struct {
	version string
	checks  []holdfast.Check
	to      []int // place in the present assignment; -1: gone
}

// hold serves one session.
func (s *Server) hold(ctx context.Context, stream grpc.BidiStreamingServer[wirepb.Up, wirepb.Down]) error {
	n := &session{
		caller: callerOf(ctx), s: s, stream: stream,
		limiter: rate.NewLimiter(rate.Limit(s.c.ReportsPerSecond), int(s.c.ReportsPerSecond)+wire.Window),
		slots:   make(chan struct{}, wire.Window),
		wake:    make(chan struct{}, 1), ended: make(chan struct{}),
	}
	n.answer = n.done
	if p, ok := peer.FromContext(ctx); ok {
		n.from, _, _ = net.SplitHostPort(p.Addr.String()) // the port of a dialler says nothing
	}
	s.readers.Add(1) // ends when this returns: the stream is over then
	go func() {
		defer s.readers.Done()
		n.end(n.read(ctx))
	}()
	n.end(n.write(ctx))
	s.leave(n)
	n.mu.Lock()
	defer n.mu.Unlock()
	s.c.Log.Info("agent session ended", "agent", n.agent, "from", n.from, "why", status.Convert(n.err).Message())
	return n.err
}

// end ends the session; the first reason counts.
func (n *session) end(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.ended:
	default:
		n.err = err
		close(n.ended)
	}
}

// over reports whether the session has departed.
func (n *session) over() bool {
	n.told.Lock()
	defer n.told.Unlock()
	return n.departed
}

// note changes what the core knows of the agent and tells it.
func (n *session) note(change func(*holdfast.AgentState)) {
	n.told.Lock()
	defer n.told.Unlock()
	if n.departed {
		return // a newer session may speak for the agent by now
	}
	change(&n.state)
	n.s.c.Core.Agent(n.state)
}

// depart tells the core, once, that the agent is no longer connected, if it ever
// was.
func (n *session) depart() {
	n.told.Lock()
	defer n.told.Unlock()
	if n.state.Connected && !n.departed {
		n.state.Connected = false
		n.s.c.Core.Agent(n.state)
	}
	n.departed = true
}

// send changes what waits to be sent and wakes the writer.
func (n *session) send(change func(*outgoing)) {
	n.mu.Lock()
	change(&n.out)
	unread := len(n.out.acks) + len(n.out.resend) + len(n.out.refusals)
	n.mu.Unlock()
	if unread > maxAnswers {
		n.end(status.Error(codes.ResourceExhausted, "the agent does not read its answers"))
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *session) refresh() { n.send(func(o *outgoing) { o.look = true }) }

func (n *session) run(check string) error {
	n.mu.Lock()
	known := n.assigned != nil && place(n.assigned.Checks, check) >= 0
	full := len(n.out.runs) >= maxRuns
	n.mu.Unlock()
	if !known {
		return fmt.Errorf("run %s on %s: the check is not assigned to this agent", check, n.agent)
	}
	if full {
		return fmt.Errorf("run %s on %s: %d requests wait already", check, n.agent, maxRuns)
	}
	n.send(func(o *outgoing) { o.runs = append(o.runs, request{check: check}) })
	return nil
}

// stop ends a run that was asked for.
func (n *session) stop(check string) error {
	if n.speaks < 3 {
		return fmt.Errorf("stop %s on %s: the agent is of a version that cannot stop a run: update it", check, n.agent)
	}
	n.mu.Lock()
	full := len(n.out.runs) >= maxRuns
	n.mu.Unlock()
	if full {
		return fmt.Errorf("stop %s on %s: %d requests wait already", check, n.agent, maxRuns)
	}
	n.send(func(o *outgoing) { o.runs = append(o.runs, request{check, true}) })
	return nil
}

// done takes the core's answer to a report.
func (n *session) done(seq uint64, err error) {
	<-n.slots
	switch {
	case err == nil:
		n.send(func(o *outgoing) { o.acks = append(o.acks, seq) })
	case errors.Is(err, ErrResend):
		n.resend(seq)
	case errors.Is(err, ErrRefused):
		n.refuse(seq, err)
	default:
		n.s.c.Log.Error("report not stored", "agent", n.agent, "seq", seq, "err", err)
		n.end(status.Error(codes.Unavailable, "the collector cannot store reports now: keep them and try again later"))
	}
}

func (n *session) refuse(seq uint64, why error) {
	n.s.refused.Add(1)
	if n.s.noise.Allow() {
		n.s.c.Log.Warn("report refused", "agent", n.agent, "seq", seq, "why", why)
	}
	n.send(func(o *outgoing) {
		o.refusals = append(o.refusals, &wirepb.Refused{Seq: seq, Reason: why.Error()})
	})
}

func (n *session) resend(seq uint64) {
	n.s.resent.Add(1)
	n.send(func(o *outgoing) { o.resend, o.look, o.assign = append(o.resend, seq), true, true })
}

// answers asks the agent whether it is there and waits for its answer.
func (n *session) answers(ctx context.Context, wait time.Duration) bool {
	n.mu.Lock()
	if n.pong == nil {
		n.pong = make(chan struct{})
	}
	pong := n.pong
	n.mu.Unlock()
	n.send(func(o *outgoing) { o.ping = true })
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-pong:
		return true
	case <-n.ended:
	case <-timer.C:
	case <-ctx.Done():
		return true // the newer one is gone itself
	}
	return false
}

// write sends what waits until the session ends.
func (n *session) write(ctx context.Context) error {
	timer := time.NewTimer(helloWait)
	defer timer.Stop()
	for {
		select {
		case <-n.ended:
			return nil
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-timer.C:
			if err := n.tick(); err != nil {
				return err
			}
			timer.Reset(max(min(n.s.c.PingEvery, n.cert.NotAfter.Sub(n.s.c.Now())), time.Millisecond))
		case <-n.wake:
		}
		for m := n.next(); m != nil; m = n.next() {
			if err := n.stream.Send(m); err != nil {
				return err
			}
			if m.GetWelcome() != nil {
				timer.Reset(min(n.s.c.PingEvery, n.cert.NotAfter.Sub(n.s.c.Now())))
			}
		}
	}
}

// tick is called every so often.
func (n *session) tick() error {
	if n.s.c.Now().After(n.cert.NotAfter) {
		return errRanOut(n.cert)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.assigned == nil:
		return status.Errorf(codes.DeadlineExceeded, "no Hello within %s", helloWait)
	case !n.pinged.IsZero() && n.s.c.Now().Sub(n.pinged) >= 3*n.s.c.PingEvery: // a slow link may be busy with a report
		return status.Errorf(codes.DeadlineExceeded, "no answer to a ping within %s", 3*n.s.c.PingEvery)
	}
	n.out.ping = true
	return nil
}

// next takes the next message to send, or nil.
func (n *session) next() *wirepb.Down {
	n.mu.Lock()
	look := n.out.look
	n.out.look = false
	n.mu.Unlock()
	if look {
		n.reassign(n.s.c.Core.Assignment(n.agent))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	o := &n.out
	switch {
	case o.welcome != nil:
		w := o.welcome
		o.welcome, o.ping = nil, false
		n.pinged = n.s.c.Now()
		w.Now = n.pinged.UnixNano()
		return &wirepb.Down{Message: &wirepb.Down_Welcome{Welcome: w}}
	case o.assign && n.assigned != nil:
		o.assign = false
		return &wirepb.Down{Message: &wirepb.Down_Assignment{Assignment: wire.FromAssignment(n.assigned)}}
	case len(o.refusals) > 0:
		r := o.refusals[0]
		o.refusals = o.refusals[1:]
		return &wirepb.Down{Message: &wirepb.Down_Refused{Refused: r}}
	case len(o.resend) > 0:
		seq := o.resend[0]
		o.resend = o.resend[1:]
		return &wirepb.Down{Message: &wirepb.Down_Resend{Resend: &wirepb.Resend{Seq: seq}}}
	case len(o.acks) > 0:
		seqs := o.acks
		o.acks = nil
		return &wirepb.Down{Message: &wirepb.Down_Ack{Ack: &wirepb.Ack{Seqs: seqs}}}
	case len(o.runs) > 0:
		r := o.runs[0]
		o.runs = o.runs[1:]
		if r.stop {
			return &wirepb.Down{Message: &wirepb.Down_Stop{Stop: &wirepb.Stop{Check: r.check}}}
		}
		return &wirepb.Down{Message: &wirepb.Down_Run{Run: &wirepb.Run{Check: r.check}}}
	case o.ping && n.assigned != nil && n.pinged.IsZero():
		o.ping = false
		n.pinged = n.s.c.Now()
		return &wirepb.Down{Message: &wirepb.Down_Ping{Ping: &wirepb.Ping{Now: n.pinged.UnixNano()}}}
	}
	return nil // a ping wanted while one is under way follows its answer
}

// reassign makes a the assignment that numbers refer to from now on.
func (n *session) reassign(a *holdfast.Assignment) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.assigned == nil || a == n.assigned {
		return
	}
	if a.Version != n.assigned.Version {
		n.out.assign = true
		n.old = append([]translation{{version: n.assigned.Version, checks: n.assigned.Checks}}, n.old...)
		n.old = n.old[:min(len(n.old), keptOld)]
	}
	n.assigned = a
	for i := range n.old {
		n.old[i].translate(a.Checks)
	}
}

func (t *translation) translate(checks []holdfast.Check) {
	t.to = make([]int, len(t.checks))
	for i := range t.checks {
		t.to[i] = place(checks, t.checks[i].ID)
	}
}
