package ingest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// read takes what the agent sends until the session ends.
func (n *session) read(ctx context.Context) error {
	var up wirepb.Up
	if err := n.stream.RecvMsg(&up); err != nil {
		return err
	}
	if err := n.open(ctx, up.GetHello()); err != nil {
		return err
	}
	r := newReport()
	defer func() { reports.Put(r) }()
	for {
		if err := n.stream.RecvMsg(r); err == io.EOF {
			return nil // the agent has enough
		} else if err != nil {
			return err
		}
		if err := n.limiter.Wait(ctx); err != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		in, isReport := wire.ReportIn(r.buf)
		if !isReport {
			if err := n.other(r.buf); err != nil {
				return err
			}
			continue
		}
		taken, err := n.report(r, in)
		if err != nil {
			return err
		}
		if taken {
			r = newReport()
		}
	}
}

// open takes the agent's Hello and makes the session live.
func (n *session) open(ctx context.Context, h *wirepb.Hello) error {
	switch {
	case h == nil:
		return status.Error(codes.InvalidArgument, "a session begins with Hello")
	case h.GetWireVersion() < 1 || h.GetWireVersion() > wire.Version:
		return status.Errorf(codes.FailedPrecondition, "this collector speaks version 1 to %d of the agents' protocol, the agent %d: update the collector first, then the agents", wire.Version, h.GetWireVersion())
	case h.GetEpoch() == 0 || h.GetMachine() == "":
		return status.Error(codes.InvalidArgument, "Hello without epoch or machine")
	case max(len(h.GetVersion()), len(h.GetHostname()), len(h.GetMachine()), len(h.GetAssignment())) > holdfast.MaxName:
		return status.Errorf(codes.InvalidArgument, "Hello with a text over %d bytes", holdfast.MaxName)
	}
	n.host, n.machine, n.epoch, n.speaks = h.GetHostname(), h.GetMachine(), h.GetEpoch(), h.GetWireVersion()
	id, err := n.s.claim(ctx, n)
	if err != nil {
		return err
	}
	a := n.s.c.Core.Assignment(n.agent)
	w := &wirepb.Welcome{WireVersion: wire.Version, Window: wire.Window, Assignment: a.Version, Spread: int64(n.s.spread())}
	wire.FromProgress(n.s.c.Core.Progress(n.agent), w)
	n.s.c.Log.Info("agent session begins", "agent", n.agent, "from", n.from, "host", n.host, "version", h.GetVersion())
	n.note(func(a *holdfast.AgentState) {
		*a = holdfast.AgentState{Name: n.agent, Site: id.Site, Host: n.host, Version: h.GetVersion(), Connected: true,
			Enrolled: id.Enrolled, Certificate: n.cert.NotAfter, Recoveries: id.Recoveries, Clash: id.Clash}
	})
	n.send(func(o *outgoing) {
		n.assigned = a
		o.welcome, o.assign = w, h.GetAssignment() != a.Version
		o.look = true // it may have changed since
	})
	return nil
}

// other takes a message that is no report.
func (n *session) other(b []byte) error {
	var up wirepb.Up
	if err := proto.Unmarshal(b, &up); err != nil {
		return status.Errorf(codes.InvalidArgument, "message: %v", err)
	}
	switch m := up.GetMessage().(type) {
	case *wirepb.Up_Pong:
		n.ponged(m.Pong)
		return nil
	case *wirepb.Up_Health:
		return n.health(m.Health, len(b))
	case *wirepb.Up_Running:
		return n.running(m.Running)
	case *wirepb.Up_Found:
		return n.found(m.Found, len(b))
	}
	return status.Errorf(codes.InvalidArgument, "message %T does not belong here", up.GetMessage())
}

func (n *session) health(h *wirepb.Health, size int) error {
	if size > maxHealth || len(h.GetPlugins()) > maxPlugins {
		return status.Errorf(codes.InvalidArgument, "health of %d bytes and %d plugins, at most %d and %d", size, len(h.GetPlugins()), maxHealth, maxPlugins)
	}
	n.note(func(a *holdfast.AgentState) { wire.ToHealth(h, a) })
	return nil
}

// running hands word of a run to the core. A state of a later version says nothing.
func (n *session) running(m *wirepb.Running) error {
	r, err := wire.ToRunning(m)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	r.Started = n.corrected(r.Started)
	n.told.Lock()
	defer n.told.Unlock()
	if r.State != "" && !n.departed { // a newer session may speak for the agent by now
		n.s.c.Core.Running(n.agent, r)
	}
	return nil
}

// found hands the databases of the agent's host to the core.
func (n *session) found(m *wirepb.Found, size int) error {
	if size > maxFound {
		return status.Errorf(codes.InvalidArgument, "found databases of %d bytes, at most %d", size, maxFound)
	}
	f, err := wire.ToFound(m)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	f.At = n.corrected(f.At)
	n.told.Lock()
	defer n.told.Unlock()
	if !n.departed { // a newer session may speak for the agent by now
		n.s.c.Core.Found(n.agent, f)
	}
	return nil
}

// corrected is a time of the agent by the collector's clock, and never later than
// now; no time stays none.
func (n *session) corrected(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	t = t.Add(-n.clock.correction.Std())
	if now := n.s.c.Now().UTC(); t.After(now) {
		return now
	}
	return t
}

// report checks a report and hands it to the core; taken is false where it does
// not come so far.
func (n *session) report(r *Report, in []byte) (taken bool, err error) {
	if !n.clock.known {
		return false, status.Error(codes.InvalidArgument, "a report before the answer to Welcome")
	}
	if err := r.Decode(in); err != nil {
		if r.Seq == 0 {
			return false, status.Error(codes.InvalidArgument, err.Error())
		}
		n.refuse(r.Seq, err)
		return false, nil
	}
	r.Received = n.s.c.Now()
	if n.clock.odd(r.Sent, r.Received) {
		n.send(func(o *outgoing) { o.ping = true })
	}
	known, err := n.number(r)
	if err != nil {
		n.refuse(r.Seq, err)
		return false, nil
	}
	if !known {
		n.resend(r.Seq)
		return false, nil
	}
	select {
	case n.slots <- struct{}{}:
	case <-n.ended:
		return false, nil
	}
	r.answer, r.Agent, r.Epoch, r.Offset = n.answer, n.agent, n.epoch, n.clock.correction
	n.s.accepted.Add(1)
	n.s.results.Add(uint64(len(r.Results)))
	n.s.c.Core.Accept(r)
	return true, nil
}

// number makes the results' numbers refer to the present assignment: those of one
// just replaced are translated, and results of checks no longer assigned left
// out. known is false for an assignment too old.
func (n *session) number(r *Report) (known bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r.Assigned = n.assigned
	count := len(n.assigned.Checks)
	var to []int
	if r.Assignment != n.assigned.Version {
		i := slices.IndexFunc(n.old, func(t translation) bool { return t.version == r.Assignment })
		if i < 0 {
			return false, nil
		}
		to = n.old[i].to
		count = len(to)
	}
	for i := range r.Results {
		if c := r.Results[i].Check; c >= count {
			return true, fmt.Errorf("report %d: check number %d of an assignment of %d: an agent reports only what is assigned to it", r.Seq, c, count)
		}
		if to != nil {
			r.Results[i].Check = to[r.Results[i].Check]
		}
	}
	if to != nil {
		r.Results = slices.DeleteFunc(r.Results, func(res wire.Result) bool { return res.Check < 0 })
	}
	return true, nil
}

// place returns the place of a check among checks sorted by ID, or -1.
func place(checks []holdfast.Check, id string) int {
	i, ok := slices.BinarySearchFunc(checks, id, func(c holdfast.Check, id string) int { return strings.Compare(c.ID, id) })
	if !ok {
		return -1
	}
	return i
}

// ponged takes the answer to the ping under way.
func (n *session) ponged(p *wirepb.Pong) {
	now := n.s.c.Now()
	n.mu.Lock()
	pinged := n.pinged
	if pinged.IsZero() || p.GetEcho() != pinged.UnixNano() {
		n.mu.Unlock()
		return
	}
	n.pinged = time.Time{}
	again := n.out.ping
	if n.pong != nil {
		close(n.pong)
		n.pong = nil
	}
	n.mu.Unlock()
	if again {
		n.send(func(*outgoing) {}) // wakes the writer
	}
	if n.clock.measure(pinged, now, p.GetNow()) {
		n.note(func(a *holdfast.AgentState) { a.Offset = n.clock.offset })
	}
}
