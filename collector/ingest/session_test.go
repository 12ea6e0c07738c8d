package ingest_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

func TestReportBecomesObservations(t *testing.T) {
	c := start(t, newCore("a", "b"))
	k := c.join(t, "db1").session(t, "m1")
	at := time.Now().Add(-time.Minute).UTC()
	full := holdfast.Observation{At: at, Outcome: holdfast.OK, Summary: "kept", Capacity: &holdfast.Capacity{Needed: 1, Free: 2},
		Measures: []holdfast.Measure{{Name: "used", Value: 0.5, Unit: "ratio"}}}
	k.send(k.report(full, ok("b is fine")))
	k.acked(1)
	again := k.report(full)
	again.Results[0].Body, again.Results[0].At = nil, at.Add(time.Second).UnixNano()
	again.Results[0].Counts, again.Results[0].Measures = []int64{1, 9}, []float64{0.75}
	k.send(again)
	k.acked(2)

	got := c.core.got
	want := full
	want.Check, want.Agent, want.Seq = "a", "db1", 1<<32+1000
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Received" }, cmp.Ignore())
	if diff := cmp.Diff(want, got[0].Observation, ignore); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if got[1].Check != "b" || got[1].Seq != 1<<32+1001 || time.Since(got[1].Received) > time.Minute {
		t.Errorf("second is %+v", got[1])
	}
	if o := got[2]; !o.At.Equal(at.Add(time.Second)) || o.Capacity.Free != 9 || o.Measures[0].Value != 0.75 || o.Summary != "kept" || o.Seq != 1<<32+2000 {
		t.Errorf("the one without a body is %+v", o)
	}
	if s := c.Stats(); s.Reports != 2 || s.Results != 3 || s.Connected != 1 || s.Sessions != 1 {
		t.Errorf("counted %+v", s)
	}
}

// TestAcknowledgedOnlyWhenDurable holds the core's answers back.
func TestAcknowledgedOnlyWhenDurable(t *testing.T) {
	co := newCore("a")
	held := make(chan *ingest.Report, 100)
	co.answer = func(r *ingest.Report) bool { held <- r; return true }
	c := start(t, co)
	k := c.join(t, "db1").session(t, "m1")
	for range wire.Window + 4 {
		k.send(k.report(ok("fine")))
	}
	var first []*ingest.Report
	for range wire.Window {
		first = append(first, <-held)
	}
	if n := c.Stats().Reports; n != wire.Window {
		t.Errorf("%d reports with the core, want the window of %d", n, wire.Window)
	}
	first[3].Done(nil)
	k.acked(4) // and none before it
	co.mu.Lock()
	co.answer = nil
	co.mu.Unlock()
	for i, r := range first {
		if i != 3 {
			r.Done(errors.New("disk full"))
			break
		}
	}
	if err := k.ended(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "try again later") {
		t.Errorf("got %v, want Unavailable", err)
	}
	for i, r := range first {
		if i != 3 && i != 0 {
			r.Done(errors.New("disk full"))
		}
	}
	for len(held) > 0 {
		(<-held).Done(errors.New("disk full"))
	}
}

// TestSettledReportsCountOnce sends what was sent before: again, in another order,
// in another session, of another epoch (R1).
func TestSettledReportsCountOnce(t *testing.T) {
	c := start(t, newCore("a"))
	h := c.join(t, "db1")
	k := h.session(t, "m1")
	var all []*wirepb.Report
	for range 4 {
		all = append(all, k.report(ok("fine")))
	}
	k.send(all[3])
	k.acked(4)
	k.send(all[3])
	k.acked(4)
	k.send(all[0])
	k.acked(1)
	k.close()
	c.core.state(t, "gone", func(s holdfast.AgentState) bool { return !s.Connected })

	k, w, err := h.hello(t, &wirepb.Hello{Machine: "m1", Epoch: 1, Assignment: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	want := holdfast.Progress{Epoch: 1, Through: 1, Beyond: []holdfast.SeqRange{{First: 4, Last: 4}}}
	if diff := cmp.Diff(want, wire.ToProgress(w)); diff != "" {
		t.Errorf("Welcome (-want +got):\n%s", diff)
	}
	k.pong(w.Now, 0)
	for i, r := range all {
		k.send(r)
		k.acked(uint64(i + 1))
	}
	if n := len(c.core.got); n != 4 {
		t.Errorf("4 reports counted %d times", n)
	}
	k.close()
	c.core.state(t, "gone", func(s holdfast.AgentState) bool { return !s.Connected })
	k, w, err = h.hello(t, &wirepb.Hello{Machine: "m1", Epoch: 2, Assignment: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	k.pong(w.Now, 0)
	k.send(all[0])
	k.acked(1) // of the new epoch
	if n := len(c.core.got); n != 5 {
		t.Errorf("after a new epoch %d observations, want 5", n)
	}
}

func TestAssignments(t *testing.T) {
	c := start(t, newCore("a", "c"))
	k := c.join(t, "db1").session(t, "m1")
	k.send(k.report(ok("a1"), ok("c1")))
	k.acked(1)
	c.core.assign("v2", "b", "c", "d")
	late := k.report(ok("a2"), ok("c2")) // numbered as in v1
	c.Reassign("db1", "unknown")
	if m := k.next().GetAssignment(); m.GetVersion() != "v2" || len(m.GetChecks()) != 3 {
		t.Fatalf("got %v, want assignment v2", m)
	}
	k.send(late)
	k.acked(2)
	if o := c.core.got[2]; len(c.core.got) != 3 || o.Check != "c" || o.Summary != "c2" {
		t.Errorf("after the change: %+v, want c2 for c and nothing for a", c.core.got[2:])
	}
	foreign := k.report(ok("x"))
	foreign.Assignment, foreign.Results[0].Check = "v2", 3
	k.send(foreign)
	if r := k.next().GetRefused(); r.GetSeq() != 3 || !strings.Contains(r.GetReason(), "only what is assigned") {
		t.Errorf("a check that is not assigned: %v, want it refused", r)
	}
	unknown := k.report(ok("y"))
	unknown.Assignment = "v0"
	k.send(unknown)
	if a := k.next().GetAssignment(); a.GetVersion() != "v2" {
		t.Errorf("got %v, want the assignment first", a)
	}
	if r := k.next().GetResend(); r.GetSeq() != 4 {
		t.Errorf("got %v, want report 4 asked for again", r)
	}
	if err := c.Run("db1", "c"); err != nil {
		t.Fatal(err)
	}
	if r := k.next().GetRun(); r.GetCheck() != "c" {
		t.Errorf("got %v, want to run c", r)
	}
	if err := c.StopRun("db1", "c"); err != nil {
		t.Fatal(err)
	}
	if r := k.next().GetStop(); r.GetCheck() != "c" {
		t.Errorf("got %v, want to stop c", r)
	}
	check(t, c.Run("db1", "a"), "not assigned")
	if err := c.StopRun("db2", "c"); !errors.Is(err, ingest.ErrNotConnected) {
		t.Errorf("stop: got %v, want ErrNotConnected", err)
	}
	if err := c.Run("db2", "c"); !errors.Is(err, ingest.ErrNotConnected) {
		t.Errorf("got %v, want ErrNotConnected", err)
	}
}

// TestBadMessages sends what no agent of ours would: a report is refused, what
// cannot be read ends that session, and another agent notices nothing.
func TestBadMessages(t *testing.T) {
	c := start(t, newCore("a", "b"))
	good := c.join(t, "good").session(t, "m0")
	h := c.join(t, "bad")
	for _, m := range []struct {
		name, want string
		change     func(*wirepb.Report)
	}{
		{"another's check", "only what is assigned", func(r *wirepb.Report) { r.Results[0].Check = 2 }},
		{"a huge number", "only what is assigned", func(r *wirepb.Report) { r.Results[0].Check = math.MaxUint32 }},
		{"not a number", "finite", func(r *wirepb.Report) { r.Results[0].Measures = []float64{math.NaN()} }},
		{"numbers without names", "the body has 0 and 0", func(r *wirepb.Report) { r.Results[0].Measures = []float64{1} }},
		{"a body that is none", "body", func(r *wirepb.Report) { body(r, []byte{0xff, 0xff}) }},
		{"an outcome of its own", "outcome", func(r *wirepb.Report) {
			b, _ := proto.Marshal(&wirepb.Observation{Outcome: "splendid"})
			body(r, b)
		}},
		{"a raw text of 60 KiB", "raw has", func(r *wirepb.Report) {
			b, _ := proto.Marshal(&wirepb.Observation{Outcome: "ok", Raw: strings.Repeat("r", 60<<10)})
			body(r, b)
		}},
		{"a time of its own", "between the years", func(r *wirepb.Report) { r.Results[0].At = math.MinInt64 }},
		{"too many results", "more than 1000", func(r *wirepb.Report) {
			for range 1000 {
				r.Results = append(r.Results, r.Results[0])
			}
		}},
	} {
		t.Run(m.name, func(t *testing.T) {
			k := h.session(t, "m1")
			r := k.report(ok("fine"))
			m.change(r)
			k.send(r)
			if got := k.next().GetRefused(); got.GetSeq() != 1 || !strings.Contains(got.GetReason(), m.want) {
				t.Errorf("got %v, want a refusal that says %q", got, m.want)
			}
			k.send(k.report(ok("fine")))
			if a := k.next().GetAck(); len(a.GetSeqs()) != 1 {
				t.Errorf("after the refusal: %v, want the next report acknowledged", a)
			}
		})
	}
	for _, m := range []struct {
		name, want string
		code       codes.Code
		up         *wirepb.Up
	}{
		{"nothing", "does not belong here", codes.InvalidArgument, &wirepb.Up{}},
		{"Hello twice", "does not belong here", codes.InvalidArgument, &wirepb.Up{Message: &wirepb.Up_Hello{Hello: &wirepb.Hello{}}}},
		{"no sequence number", "sequence number 0", codes.InvalidArgument, &wirepb.Up{Message: &wirepb.Up_Report{Report: &wirepb.Report{}}}},
		{"too large", "larger than max", codes.ResourceExhausted, &wirepb.Up{Message: &wirepb.Up_Report{Report: &wirepb.Report{Assignment: strings.Repeat("v", wire.MaxMessage)}}}},
		{"large health", "health of", codes.InvalidArgument, &wirepb.Up{Message: &wirepb.Up_Health{Health: &wirepb.Health{Refused: []string{strings.Repeat("h", 300<<10)}}}}},
	} {
		t.Run(m.name, func(t *testing.T) {
			k := h.session(t, "m1")
			k.up(m.up)
			if err := k.ended(); status.Code(err) != m.code || !strings.Contains(err.Error(), m.want) {
				t.Errorf("got %v, want %v with %q", err, m.code, m.want)
			}
		})
	}
	for _, m := range []struct {
		name, want string
		hello      *wirepb.Hello
	}{
		{"a newer version", "update the collector first", &wirepb.Hello{WireVersion: wire.Version + 1, Machine: "m", Epoch: 1}},
		{"no epoch", "without epoch", &wirepb.Hello{Machine: "m"}},
		{"no machine", "without epoch or machine", &wirepb.Hello{Epoch: 1}},
		{"long names", "over 256 bytes", &wirepb.Hello{Machine: "m", Epoch: 1, Hostname: strings.Repeat("h", 257)}},
	} {
		t.Run(m.name, func(t *testing.T) {
			_, _, err := h.hello(t, m.hello)
			check(t, err, m.want)
		})
	}
	t.Run("a report before Pong", func(t *testing.T) {
		k, _, err := h.hello(t, &wirepb.Hello{Machine: "m1", Epoch: 1})
		if err != nil {
			t.Fatal(err)
		}
		k.send(k.report(ok("fine")))
		check(t, k.ended(), "before the answer to Welcome")
	})
	good.send(good.report(ok("undisturbed")))
	good.acked(1)
}

func body(r *wirepb.Report, b []byte) {
	r.Results[0].Body, r.Results[0].Digest = b, wire.Digest(b)
}

// TestNoise sends 2,000 mutilated reports: each is answered or ends the session,
// and whatever reaches the core is whole (M1).
func TestNoise(t *testing.T) {
	c := start(t, newCore("a", "b", "c"))
	h := c.join(t, "bad")
	rnd := rand.New(rand.NewPCG(1, 2))
	k := h.session(t, "m1")
	for i := range 2000 {
		r := k.report(ok("one"), ok("two"), ok("three"))
		b, err := proto.Marshal(&wirepb.Up{Message: &wirepb.Up_Report{Report: r}})
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + rnd.IntN(4) {
			b[rnd.IntN(len(b))] = byte(rnd.Uint32())
		}
		var up wirepb.Up
		if proto.Unmarshal(b, &up) != nil {
			up.Reset() // what protobuf refuses to read goes as an unknown field
			up.ProtoReflect().SetUnknown(append([]byte{0x7a, byte(len(b) % 100)}, b[:len(b)%100]...))
		}
		k.up(&up)
		if i%50 == 49 { // what it led to: a new session where the old one ended
			k.close()
			if err := k.ended(); status.Code(err) == codes.Internal || status.Code(err) == codes.Unknown {
				t.Fatalf("message %d: %v", i, err)
			}
			k = h.session(t, "m1")
		}
	}
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	for _, o := range c.core.got {
		if err := o.Validate(); err != nil || o.At.After(o.Received) {
			t.Errorf("the core got %+v: %v", o, err)
		}
	}
}

// TestTwoHostsOneKey brings up a clone (M3), and a host whose old connection is
// dead but not gone.
func TestTwoHostsOneKey(t *testing.T) {
	c := start(t, newCore("a"), func(c *ingest.Config) { c.AliveWait = 300 * time.Millisecond })
	h := c.join(t, "db1")
	first := h.session(t, "m1")
	answered := make(chan error, 1)
	go func() { // the first host's life: it answers pings until its session ends
		for {
			m, err := first.Recv()
			if err != nil {
				answered <- err
				return
			}
			if p := m.GetPing(); p != nil {
				first.pong(p.Now, 0)
			}
		}
	}()
	for range 3 {
		_, _, err := h.hello(t, &wirepb.Hello{Hostname: "host-m2", Machine: "m2", Epoch: 1})
		if status.Code(err) != codes.AlreadyExists || !strings.Contains(err.Error(), "host-m2") || !strings.Contains(err.Error(), "host-m1") {
			t.Fatalf("the second host got %v, want a refusal that names both", err)
		}
	}
	c.core.state(t, "the clash", func(s holdfast.AgentState) bool { return s.Connected && strings.Contains(s.Clash, "host-m2") })
	id, err := c.store.Agent(t.Context(), "db1")
	if err != nil || !strings.Contains(id.Clash, "host-m2") || id.Clashed.IsZero() {
		t.Errorf("kept %+v (%v), want the clash", id, err)
	}
	if n := c.Stats().Clashes; n != 3 {
		t.Errorf("counted %d clashes, want 3", n)
	}

	again := h.session(t, "m1") // the agent was restarted: no question asked
	if err := <-answered; status.Code(err) != codes.Aborted {
		t.Errorf("the old session ended with %v, want Aborted", err)
	}
	// again answers nothing from now on, like a host that lost its power.
	second := h.session(t, "m3")
	if err := again.ended(); status.Code(err) != codes.Aborted {
		t.Errorf("the dead session ended with %v, want Aborted", err)
	}
	second.send(second.report(ok("from m3")))
	second.acked(1)
}

// TestWordOfRuns: word of a run reaches the core with the collector's times, one of
// a later version says nothing, a bad one ends the session.
func TestWordOfRuns(t *testing.T) {
	c := start(t, newCore("a"))
	h := c.join(t, "db1")
	k, w, err := h.hello(t, &wirepb.Hello{Version: "test", Machine: "m1", Epoch: 1, Assignment: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	k.pong(w.Now, time.Hour) // this agent's clock is an hour ahead
	began := time.Now()
	say := func(r *wirepb.Running) { k.up(&wirepb.Up{Message: &wirepb.Up_Running{Running: r}}) }
	say(&wirepb.Running{Check: "a", State: 99})
	say(&wirepb.Running{Check: "a", State: wirepb.Running_RUNNING, Started: began.Add(time.Hour).UnixNano(), Phase: &wirepb.Phase{Name: "restore", Done: 3, Total: 4}})
	got := <-c.core.runs
	if got.agent != "db1" || got.run.State != holdfast.RunRunning || got.run.Phase.Done != 3 || got.run.Started.Sub(began).Abs() > time.Minute {
		t.Errorf("told %+v, want a's run by the collector's clock and nothing before it", got)
	}
	say(&wirepb.Running{Check: strings.Repeat("a", 5000), State: wirepb.Running_DONE})
	for err == nil {
		_, err = k.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a run with a name of 5000 bytes: got %v, want InvalidArgument", err)
	}
}

func TestConnectionsAreTold(t *testing.T) {
	c := start(t, newCore("a"))
	h := c.join(t, "db1")
	k := h.session(t, "m1")
	k.up(&wirepb.Up{Message: &wirepb.Up_Health{Health: &wirepb.Health{Refused: []string{"a"}, Spooled: 3, Plugins: []*wirepb.PluginHealth{{Name: "host", Restarts: 2}}}}})
	s := c.core.state(t, "health", func(s holdfast.AgentState) bool { return s.Spooled == 3 })
	if s.Name != "db1" || s.Host != "host-m1" || s.Version != "test" || !s.Connected || len(s.Refused) != 1 || len(s.Plugins) != 1 || s.Enrolled.IsZero() || s.Certificate.IsZero() {
		t.Errorf("told %+v", s)
	}
	k.close() // as the kernel does when the agent is killed
	c.core.state(t, "silence", func(s holdfast.AgentState) bool { return s.Name == "db1" && !s.Connected })

	k = h.session(t, "m1")
	if err := c.Revoke(t.Context(), "db1"); err != nil {
		t.Fatal(err)
	}
	if err := k.ended(); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("a revoked agent's session ended with %v", err)
	}
	_, _, err := h.hello(t, &wirepb.Hello{Machine: "m1", Epoch: 1})
	check(t, err, "was removed on")
}

func TestSessionEndsWithItsCertificate(t *testing.T) {
	c := start(t, newCore("a"), func(c *ingest.Config) { c.CertificateLife = time.Second })
	k := c.join(t, "db1").session(t, "m1")
	check(t, k.ended(), "ran out at")
}

// TestClocks gives agents clocks that are wrong (T2).
func TestClocks(t *testing.T) {
	for _, skew := range []time.Duration{0, 300 * time.Millisecond, -45 * time.Second, 24 * time.Hour, -24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			c := start(t, newCore("a", "b"))
			h := c.join(t, "db1")
			k, w, err := h.hello(t, &wirepb.Hello{Machine: "m1", Epoch: 1, Assignment: "v1"})
			if err != nil {
				t.Fatal(err)
			}
			k.pong(w.Now, skew)
			at := time.Now().Add(-time.Minute)
			o := ok("fine")
			o.At = at.Add(skew)
			o.Verification = &holdfast.Verification{Time: at.Add(skew), Scope: 1}
			point := time.Now().Add(-time.Hour).UTC()
			o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: point}}
			future := ok("from the future")
			future.At = time.Now().Add(skew + time.Hour)
			r := k.report(o, future)
			r.Sent = time.Now().Add(skew).UnixNano()
			k.send(r)
			k.acked(1)
			got := c.core.got
			if off := got[0].At.Sub(at).Abs(); off > time.Second {
				t.Errorf("observed at %s, want %s", got[0].At, at)
			}
			if off := got[0].Verification.Time.Sub(at).Abs(); off > time.Second {
				t.Errorf("verified at %s, want %s", got[0].Verification.Time, at)
			}
			if p := got[0].RecoveryPoints[0].Time; !p.Equal(point) {
				t.Errorf("recovery point of %s, want %s: a tool's times are not the agent's", p, point)
			}
			if !got[1].At.Equal(got[1].Received) {
				t.Errorf("a time after receipt became %s, want that of receipt", got[1].At)
			}
			s := c.core.state(t, "the offset", func(s holdfast.AgentState) bool { return s.Connected && (s.Offset != 0 || skew == 0) })
			if off := (s.Offset.Std() - skew).Abs(); off > time.Second {
				t.Errorf("told an offset of %s, want %s", s.Offset, skew)
			}
		})
	}
}

// TestClockIsMeasuredAgain sets an agent's clock within a session.
func TestClockIsMeasuredAgain(t *testing.T) {
	c := start(t, newCore("a"))
	k := c.join(t, "db1").session(t, "m1")
	r := k.report(ok("fine"))
	r.Sent = time.Now().Add(time.Hour).UnixNano()
	k.send(r)
	for {
		m, err := k.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if p := m.GetPing(); p != nil {
			k.pong(p.Now, time.Hour)
			break
		}
	}
	s := c.core.state(t, "the new offset", func(s holdfast.AgentState) bool { return s.Offset.Std() > 59*time.Minute })
	if s.Offset.Std() > 61*time.Minute {
		t.Errorf("offset %s, want 1h", s.Offset)
	}
}

// TestStopEndsSessions also shows that sessions wait for no idle agent.
func TestStopEndsSessions(t *testing.T) {
	c := start(t, newCore("a"))
	var all []*talk
	for i := range 5 {
		all = append(all, c.join(t, fmt.Sprintf("db%d", i)).session(t, "m1"))
	}
	c.Stop()
	for _, k := range all {
		if err := k.ended(); status.Code(err) != codes.Unavailable {
			t.Errorf("ended with %v, want Unavailable", err)
		}
	}
	if n := c.Stats().Connected; n != 0 {
		t.Errorf("%d sessions after Stop", n)
	}
}

// TestOneAgentCannotStarveOthers lets one agent send as fast as it can.
func TestOneAgentCannotStarveOthers(t *testing.T) {
	c := start(t, newCore("a"), func(c *ingest.Config) { c.ReportsPerSecond = 50 })
	noisy, calm := c.join(t, "noisy").session(t, "m1"), c.join(t, "calm").session(t, "m2")
	var sent atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		for noisy.Context().Err() == nil {
			if noisy.Send(&wirepb.Up{Message: &wirepb.Up_Report{Report: noisy.report(ok("noise"))}}) != nil {
				return
			}
			sent.Add(1)
		}
	}()
	for i := range uint64(20) {
		calm.send(calm.report(ok("calm")))
		calm.acked(i + 1)
	}
	noisy.close()
	<-over
	if n := c.Stats().Reports; n > 20+50*3+wire.Window { // what a burst and two seconds allow
		t.Errorf("%d reports taken (%d sent), want the limit to hold", n, sent.Load())
	}
}

// TestWordOfDatabases: what an agent found reaches the core with the collector's
// times; what no agent can have found ends the session.
func TestWordOfDatabases(t *testing.T) {
	c := start(t, newCore("a"))
	h := c.join(t, "db1")
	k, w, err := h.hello(t, &wirepb.Hello{Version: "test", Machine: "m1", Epoch: 1, Assignment: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	k.pong(w.Now, time.Hour) // this agent's clock is an hour ahead
	looked := time.Now()
	say := func(f *wirepb.Found) { k.up(&wirepb.Up{Message: &wirepb.Up_Found{Found: f}}) }
	say(&wirepb.Found{At: looked.Add(time.Hour).UnixNano(), Databases: []*wirepb.FoundDatabase{{Kind: "redis", Path: "/var/lib/redis", Port: 6379}, {Kind: "of a later version"}}})
	got := <-c.core.found
	if got.agent != "db1" || len(got.Databases) != 1 || got.Databases[0].Port != 6379 || got.At.Sub(looked).Abs() > time.Minute {
		t.Errorf("found %+v, want the one database by the collector's clock", got)
	}
	say(&wirepb.Found{Databases: []*wirepb.FoundDatabase{{Kind: "redis", Path: strings.Repeat("a", 5000)}}})
	for err == nil {
		_, err = k.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a path of 5000 bytes: got %v, want InvalidArgument", err)
	}
}
