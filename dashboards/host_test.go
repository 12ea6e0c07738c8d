package dashboards_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/collector"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// host is an agent's end of the real protocol, told what to say: nothing here
// runs probes, so that an estate can have everything wrong at once.
type host struct {
	t     *testing.T
	id    *agent.Identity
	skew  time.Duration // of its clock
	epoch uint64
	seq   uint64
	order uint64
}

// join binds a new host to its name.
func join(t *testing.T, c *collector.Collector, data, name string) *host {
	t.Helper()
	token, err := collector.Ask(t.Context(), data, "/join", collector.AdminRequest{Name: name, Site: "fra"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := agent.Join(t.Context(), t.TempDir(), c.AgentsAddress(), token)
	if err != nil {
		t.Fatal(err)
	}
	return &host{t: t, id: id, epoch: uint64(time.Now().Unix())}
}

func (h *host) now() time.Time { return time.Now().Add(h.skew) }

// session is one connection of a host. A goroutine takes what comes down until
// the stream ends.
type session struct {
	*host
	stream grpc.BidiStreamingClient[wirepb.Up, wirepb.Down]
	ended  chan error
	acks   chan uint64
	checks chan *wirepb.Assignment

	version string
	number  map[string]uint32

	mu sync.Mutex // guards sending
}

// connect begins a session from a machine and waits for its assignment; a session
// that the collector refuses reports on ended alone.
func (h *host) connect(address, machine string) (s *session, closes func()) {
	t := h.t
	t.Helper()
	config := h.id.TLS()
	config.NextProtos = []string{"h2"}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithAuthority(wire.ServerName))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := wirepb.NewAgentsClient(conn).Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s = &session{host: h, stream: stream, ended: make(chan error, 1), acks: make(chan uint64, 1000), checks: make(chan *wirepb.Assignment, 10), number: map[string]uint32{}}
	s.send(&wirepb.Up{Message: &wirepb.Up_Hello{Hello: &wirepb.Hello{
		WireVersion: wire.Version, Version: "0.0.9", Hostname: "host-" + machine, Machine: machine, Epoch: h.epoch,
	}}})
	go s.read()
	var once sync.Once
	closes = func() {
		once.Do(func() {
			cancel()
			<-s.ended
			conn.Close()
		})
	}
	t.Cleanup(closes)
	return s, closes
}

func (s *session) read() {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			s.ended <- err
			close(s.ended)
			return
		}
		switch m := m.GetMessage().(type) {
		case *wirepb.Down_Welcome:
			s.pong(m.Welcome.GetNow())
		case *wirepb.Down_Ping:
			s.pong(m.Ping.GetNow())
		case *wirepb.Down_Assignment:
			s.checks <- m.Assignment
		case *wirepb.Down_Ack:
			for _, seq := range m.Ack.GetSeqs() {
				s.acks <- seq
			}
		case *wirepb.Down_Refused:
			s.t.Errorf("report %d was refused: %s", m.Refused.GetSeq(), m.Refused.GetReason())
		}
	}
}

// send ignores a stream that has ended: read tells of it.
func (s *session) send(m *wirepb.Up) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stream.Send(m)
}

func (s *session) pong(echo int64) {
	s.send(&wirepb.Up{Message: &wirepb.Up_Pong{Pong: &wirepb.Pong{Echo: echo, Now: s.host.now().UnixNano()}}})
}

// assigned waits for the assignment.
func (s *session) assigned() {
	s.t.Helper()
	select {
	case a := <-s.checks:
		s.version = a.GetVersion()
		for i, c := range a.GetChecks() {
			s.number[c.GetId()] = uint32(i)
		}
	case err := <-s.ended:
		s.t.Fatalf("session: %v", err)
	}
}

// report says what checks saw and waits until that is durable.
func (s *session) report(seen ...holdfast.Observation) {
	s.t.Helper()
	s.seq++
	m := &wirepb.Report{Seq: s.seq, Sent: s.host.now().UnixNano(), Oldest: 1, Assignment: s.version, Order: s.order}
	for i := range seen {
		r, err := wire.FromResult(&seen[i])
		if err != nil {
			s.t.Fatal(err)
		}
		number, ok := s.number[seen[i].Check]
		if !ok {
			s.t.Fatalf("check %s is not assigned: %v", seen[i].Check, s.number)
		}
		r.Check, r.At, r.Order = number, s.host.now().UnixNano(), uint32(i)+1
		m.Results = append(m.Results, r)
	}
	s.order += uint64(len(seen))
	s.send(&wirepb.Up{Message: &wirepb.Up_Report{Report: m}})
	for {
		select {
		case seq := <-s.acks:
			if seq == s.seq {
				return
			}
		case err := <-s.ended:
			s.t.Fatalf("session: %v", err)
		}
	}
}
