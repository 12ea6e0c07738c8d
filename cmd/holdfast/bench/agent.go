package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// agentEnd is one agent: its session and what it has to say. One goroutine at a
// time works on it.
type agentEnd struct {
	name     string
	identity *agent.Identity
	conn     *grpc.ClientConn
	stream   grpc.ClientStream
	end      context.CancelFunc

	epoch    uint64
	welcomed bool
	version  string // of the assignment
	checks   []checkEnd
	next     int // the check that the next report begins with
	order    uint64
	seq      uint64
	through  uint64          // every report up to it is acknowledged
	waiting  []letter        // reports above through
	acked    []uint64        // every acknowledged report, in the order they were
	took     []time.Duration // how long each took
	random   *rand.Rand
	result   []byte // scratch
}

// letter is a report as it was sent.
type letter struct {
	bytes []byte
	at    time.Time
	acked bool
}

// checkEnd is a check as its agent sees it.
type checkEnd struct {
	*kind
	id      string
	now     sight
	first   uint64 // the report that said so first: its body goes along until that is acknowledged
	failing bool
}

// rawCodec sends bytes as they are, and everything else as protobuf.
type rawCodec struct{ encoding.CodecV2 }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// open begins a session and learns the assignment. What was sent in the session
// before and not acknowledged is sent again first.
func (a *agentEnd) open(ctx context.Context, kinds map[string]*kind) error {
	ctx, a.end = context.WithCancel(ctx)
	var err error
	a.stream, err = a.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		wirepb.Agents_Session_FullMethodName, grpc.ForceCodecV2(rawCodec{encoding.GetCodecV2("proto")}))
	if err != nil {
		return err
	}
	if a.epoch == 0 {
		a.epoch = uint64(time.Now().Unix())
	}
	err = a.stream.SendMsg(&wirepb.Up{Message: &wirepb.Up_Hello{Hello: &wirepb.Hello{
		WireVersion: wire.Version, Version: "bench", Hostname: a.name, Machine: a.name, Epoch: a.epoch, Assignment: a.version,
	}}})
	for a.welcomed = false; err == nil && (!a.welcomed || a.checks == nil); {
		err = a.receive(kinds)
	}
	for i := range a.checks { // nothing was acknowledged in this session
		a.checks[i].first = max(a.checks[i].first, a.seq+1)
	}
	for _, l := range a.waiting {
		if err == nil && !l.acked {
			err = a.stream.SendMsg(l.bytes)
		}
	}
	for err == nil && a.through < a.seq {
		err = a.receive(nil)
	}
	return err
}

// receive takes the next message that comes down.
func (a *agentEnd) receive(kinds map[string]*kind) error {
	var m wirepb.Down
	if err := a.stream.RecvMsg(&m); err != nil {
		return err
	}
	switch m := m.GetMessage().(type) {
	case *wirepb.Down_Welcome:
		a.welcomed = true
		return a.pong(m.Welcome.GetNow())
	case *wirepb.Down_Ping:
		return a.pong(m.Ping.GetNow())
	case *wirepb.Down_Ack:
		for _, seq := range m.Ack.GetSeqs() {
			if err := a.acknowledge(seq); err != nil {
				return err
			}
		}
	case *wirepb.Down_Assignment:
		if a.checks != nil {
			return fmt.Errorf("the assignment changed while measuring")
		}
		return a.assign(m.Assignment, kinds)
	case *wirepb.Down_Refused:
		return fmt.Errorf("report %d was refused: %s", m.Refused.GetSeq(), m.Refused.GetReason())
	case *wirepb.Down_Resend:
		return fmt.Errorf("report %d was asked for again", m.Resend.GetSeq())
	}
	return nil
}

// acknowledge enters a report into the ledger.
func (a *agentEnd) acknowledge(seq uint64) error {
	if seq <= a.through || seq > a.seq || a.waiting[seq-a.through-1].acked {
		return fmt.Errorf("report %d was acknowledged, which does not wait for it", seq)
	}
	l := &a.waiting[seq-a.through-1]
	l.acked = true
	a.acked, a.took = append(a.acked, seq), append(a.took, time.Since(l.at))
	if len(a.acked) == int(a.seq) {
		a.through, a.waiting = a.seq, a.waiting[:0]
	}
	return nil
}

func (a *agentEnd) pong(echo int64) error {
	return a.stream.SendMsg(&wirepb.Up{Message: &wirepb.Up_Pong{Pong: &wirepb.Pong{Echo: echo, Now: time.Now().UnixNano()}}})
}

func (a *agentEnd) assign(m *wirepb.Assignment, kinds map[string]*kind) error {
	a.version = m.GetVersion()
	for _, c := range m.GetChecks() {
		k := kinds[c.GetProbe()]
		if k == nil {
			return fmt.Errorf("check %s: the catalogue was not written for probe %s", c.GetId(), c.GetProbe())
		}
		a.checks = append(a.checks, checkEnd{kind: k, id: c.GetId(), now: k.good, first: 1})
	}
	if len(a.checks) == 0 {
		return fmt.Errorf("nothing is assigned")
	}
	return nil
}

// burst sends so many reports and waits until all are acknowledged.
func (a *agentEnd) burst(reports int, o *Options) error {
	for range reports {
		now := time.Now()
		b := a.report(o, now)
		a.waiting = append(a.waiting, letter{bytes: b, at: now})
		if err := a.stream.SendMsg(b); err != nil {
			return a.why(err)
		}
	}
	for a.through < a.seq {
		if err := a.receive(nil); err != nil {
			return err
		}
	}
	return nil
}

// say reports one check alone, as good or bad, and returns when that was
// acknowledged.
func (a *agentEnd) say(check string, bad bool) (time.Time, error) {
	i := slices.IndexFunc(a.checks, func(c checkEnd) bool { return c.id == check })
	if i < 0 {
		return time.Time{}, fmt.Errorf("check %s is not assigned", check)
	}
	c := &a.checks[i]
	c.now, c.first = c.good, a.seq+1
	if bad {
		c.now = c.bad
	}
	a.next = i
	if err := a.burst(1, &Options{Results: 1, Unchanged: true}); err != nil {
		return time.Time{}, err
	}
	return time.Now(), nil
}

// why returns what ended the session rather than that it has ended.
func (a *agentEnd) why(err error) error {
	if end := a.stream.RecvMsg(&wirepb.Down{}); end != nil {
		return end
	}
	return err
}

// How often a result says something new besides its numbers.
const (
	outcomeOneIn = 100
	textOneIn    = 1000
)

// report encodes the next report as it goes over the wire.
func (a *agentEnd) report(o *Options, now time.Time) []byte {
	a.seq++
	b := make([]byte, 0, 16+len(a.version)+o.Results*80)
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), a.seq)
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(now.UnixNano()))
	b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), 1) // an agent of this bench forgets nothing
	b = protowire.AppendString(protowire.AppendTag(b, 4, protowire.BytesType), a.version)
	b = protowire.AppendVarint(protowire.AppendTag(b, 6, protowire.VarintType), a.order)
	a.order += uint64(o.Results)
	for i := range o.Results {
		c := &a.checks[a.next]
		if !o.Unchanged {
			a.change(c)
		}
		a.encode(c, o, now.Add(time.Duration(i-o.Results)*time.Microsecond), i)
		b = protowire.AppendBytes(protowire.AppendTag(b, 7, protowire.BytesType), a.result)
		a.next = (a.next + 1) % len(a.checks)
	}
	return protowire.AppendBytes(protowire.AppendTag(make([]byte, 0, len(b)+8), 2, protowire.BytesType), b)
}

// change lets a check see something new now and then.
func (a *agentEnd) change(c *checkEnd) {
	switch n := a.random.Uint32N(outcomeOneIn * textOneIn); {
	case n < textOneIn: // 1 %
		c.failing = !c.failing
		c.now, c.first = c.good, a.seq
		if c.failing {
			c.now = c.bad
		}
	case n < textOneIn+outcomeOneIn && !c.failing: // 0.1 %
		c.now, c.first = c.text(a.order), a.seq
	}
}

// encode writes a result into the scratch.
func (a *agentEnd) encode(c *checkEnd, o *Options, at time.Time, i int) {
	drift := a.order
	if o.Unchanged {
		drift = 0
	}
	b := a.result[:0]
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), uint64(a.next))
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(at.UnixNano()))
	b = protowire.AppendFixed64(protowire.AppendTag(b, 3, protowire.Fixed64Type), c.now.digest)
	for k, n := range c.counts {
		if k == len(c.counts)-1 {
			n -= int64(drift%(1<<20)) << 10
		}
		b = protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), protowire.EncodeZigZag(n))
	}
	for k := range c.measures {
		value := math.Float64bits(float64(drift) + float64(k)/8)
		b = protowire.AppendFixed64(protowire.AppendTag(b, 5, protowire.Fixed64Type), value)
	}
	if a.through < c.first {
		b = protowire.AppendBytes(protowire.AppendTag(b, 6, protowire.BytesType), c.now.body)
	}
	a.result = protowire.AppendVarint(protowire.AppendTag(b, 7, protowire.VarintType), uint64(i)+1)
}
