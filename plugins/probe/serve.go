package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Handshake is how an agent and a plugin recognise each other. The version is
// that of the plugin protocol:
//
//	1  2026-11  the first
//
// The cookie is no secret: it only tells a person who starts a plugin by hand.
var Handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "HOLDFAST_PLUGIN", MagicCookieValue: "probe"}

// requestMax bounds what an agent may send in one call.
const requestMax = 1 << 20

// Serve answers an agent with the given probes until the agent ends this
// process. It is the one call in a plugin's main:
//
//	func main() { probe.Serve(lake{}) }
func Serve(probes ...Probe) {
	if os.Getenv(Handshake.MagicCookieKey) != Handshake.MagicCookieValue {
		fmt.Fprintln(os.Stderr, "This is a Holdfast plugin. An agent starts it: name it under plugins: in the agent's configuration.")
		os.Exit(1)
	}
	s, err := newServer(probes)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go endWithHost(os.Stdin)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake,
		Plugins:         plugin.PluginSet{"probes": &service{server: s}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(requestMax))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr}),
	})
}

// endWithHost ends this process, and the tools it runs, when the agent is gone:
// the agent holds the other end of stdin and never writes to it.
func endWithHost(stdin io.Reader) {
	_, _ = io.Copy(io.Discard, stdin)
	endGroup()
}

// service puts the server on go-plugin's.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

func (s *service) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	wirepb.RegisterPluginServer(g, s.server)
	return nil
}

func (s *service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin has no client side")
}

// server answers one agent.
type server struct {
	wirepb.UnimplementedPluginServer
	probes map[string]Probe
	list   []*wirepb.Description

	mu      sync.Mutex
	running map[uint64]context.CancelFunc // by call; guarded by mu
	idle    *time.Timer                   // gives memory back; guarded by mu
}

func newServer(probes []Probe) (*server, error) {
	s := &server{probes: map[string]Probe{}, running: map[uint64]context.CancelFunc{}}
	for _, p := range probes {
		d := p.Describe()
		if s.probes[d.Name] != nil {
			return nil, fmt.Errorf("two probes are named %q", d.Name)
		}
		s.probes[d.Name] = p
		s.list = append(s.list, wire.FromDescription(d))
	}
	s.idle = time.AfterFunc(time.Second, GiveBack)
	return s, nil
}

// Describe lists the probes.
func (s *server) Describe(context.Context, *wirepb.DescribeRequest) (*wirepb.DescribeResponse, error) {
	return &wirepb.DescribeResponse{Probes: s.list}, nil
}

// Observe runs one probe once, and tells how far it has come.
func (s *server) Observe(r *wirepb.ObserveRequest, stream grpc.ServerStreamingServer[wirepb.ObserveResponse]) error {
	p := s.probes[r.GetProbe()]
	if p == nil {
		return status.Errorf(codes.NotFound, "no probe is named %q", r.GetProbe())
	}
	teller := &teller{stream: stream}
	response := s.observe(WithProgress(stream.Context(), teller.tell), p, r)
	return teller.end(response)
}

func (s *server) observe(ctx context.Context, p Probe, r *wirepb.ObserveRequest) *wirepb.ObserveResponse {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.GetTimeoutNs()))
	s.begin(r.GetCall(), cancel)
	defer s.end(r.GetCall())
	o, err := p.Observe(ctx, Request{
		Check:    r.GetCheck(),
		Settings: holdfast.Settings(r.GetSettings()),
		Scratch:  r.GetScratch(),
		Tools:    r.GetTools(),

		Protected: r.GetProtected(),
	})
	if err != nil {
		reason := ReasonOf(err)
		if reason == "" && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			reason = holdfast.Timeout
		}
		return &wirepb.ObserveResponse{Unable: &wirepb.Unable{Reason: string(reason), Message: Clip(err.Error(), holdfast.MaxText)}}
	}
	o.Summary = Clip(strings.Join(strings.Fields(o.Summary), " "), holdfast.MaxText)
	o.Raw = Clip(o.Raw, holdfast.MaxRaw)
	return &wirepb.ObserveResponse{Observation: wire.FromObservation(&o)}
}

// tellEvery is how often progress within a phase goes to the agent.
const tellEvery = 500 * time.Millisecond

// teller sends progress while a probe runs, and then its answer.
type teller struct {
	stream grpc.ServerStreamingServer[wirepb.ObserveResponse]

	mu    sync.Mutex
	phase string    // told last; guarded by mu
	at    time.Time // when; guarded by mu
	over  bool      // the answer is given; guarded by mu
}

func (t *teller) tell(p holdfast.Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || p.Name == t.phase && time.Since(t.at) < tellEvery {
		return
	}
	t.phase, t.at = p.Name, time.Now()
	// Lost progress is no loss; a lost agent shows when the answer is sent.
	_ = t.stream.Send(&wirepb.ObserveResponse{Progress: wire.FromPhase(p)})
}

func (t *teller) end(answer *wirepb.ObserveResponse) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.stream.Send(answer)
}

// Cancel ends a running Observe early.
func (s *server) Cancel(_ context.Context, r *wirepb.CancelRequest) (*wirepb.CancelResponse, error) {
	s.mu.Lock()
	cancel := s.running[r.GetCall()]
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return &wirepb.CancelResponse{}, nil
}

func (s *server) begin(call uint64, cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[call] = cancel
	s.idle.Stop()
}

// end forgets a call. A second after the last one, memory goes back to the host:
// most plugins rest most of the time.
func (s *server) end(call uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[call]()
	delete(s.running, call)
	if len(s.running) == 0 {
		s.idle.Reset(time.Second)
	}
}
