package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Core is the rest of the collector as ingest needs it. Its methods are called
// from many goroutines at once, and of one agent in the order things happened.
type Core interface {
	// Progress returns which reports of the agent are durable.
	Progress(agent string) holdfast.Progress
	// Assignment returns what the agent has to run; the same pointer until it
	// changes, and never changed behind it. An agent with nothing to run has an
	// assignment without checks.
	Assignment(agent string) *holdfast.Assignment
	// Accept takes a report and answers later, by its Done. It may block while the
	// core is behind: the agents wait then. Stop waits for it.
	Accept(r *Report)
	// Agent is told how an agent stands whenever it connected, disconnected, or
	// said something new of itself. LastHeard, SilentSince and Checks are the
	// core's own to fill in.
	Agent(s holdfast.AgentState)
	// Running is told what a connected agent says of a run it was asked for. Times
	// are the collector's.
	Running(agent string, r holdfast.Running)
	// Found is told which databases a connected agent found on its host, after
	// every look and again when a session begins. Times are the collector's.
	Found(agent string, f holdfast.Found)
}

// Config is what a server is made of. Fields without a default are required.
type Config struct {
	Data       string // folder of the authority's key and certificate, FileName
	Identities Identities
	Core       Core
	Log        *slog.Logger

	Now              func() time.Time // default time.Now
	CertificateLife  time.Duration    // of an agent's certificate; default 24 h
	Recoveries       int              // an agent may come back by its key after each join; default 5
	ReportsPerSecond float64          // of one agent; more wait; default 1000
	PingEvery        time.Duration    // clocks are measured so often; default 1 min
	AliveWait        time.Duration    // how long an older session has to answer before a newer one takes its place; default 5 s
	SilentAfter      time.Duration    // without a byte, a connection is asked whether it is there, and gets a third of that again to answer; default 30 s
}

// FileName is the authority's file in the data folder. It belongs in every backup:
// without it all agents have to join again.
const FileName = "authority.pem"

// Server is the agents' port of a collector.
type Server struct {
	c         Config
	ca        *authority
	grpc      *grpc.Server
	strangers chan struct{} // holds one for every call under way without a certificate
	noise     *rate.Limiter // of log lines that strangers can cause
	readers   sync.WaitGroup

	mu   sync.Mutex
	live map[string]*session // guarded by mu: the session of each agent
	stop bool                // guarded by mu: no new sessions

	sessions, results, accepted, refused, resent, clashes atomic.Uint64
}

// New opens the authority, or makes it at the first start, and returns a server
// that does not listen yet.
func New(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	setDefault(&c.CertificateLife, 24*time.Hour)
	setDefault(&c.Recoveries, 5)
	setDefault(&c.ReportsPerSecond, 1000)
	setDefault(&c.PingEvery, time.Minute)
	setDefault(&c.AliveWait, 5*time.Second)
	setDefault(&c.SilentAfter, 30*time.Second)
	ca, err := openAuthority(filepath.Join(c.Data, FileName), c.Now)
	if err != nil {
		return nil, fmt.Errorf("open the collector's authority: %w", err)
	}
	s := &Server{c: c, ca: ca, strangers: make(chan struct{}, 16), noise: rate.NewLimiter(1, 10), live: map[string]*session{}}
	s.grpc = grpc.NewServer(
		grpc.Creds(handshakes{credentials.NewTLS(ca.tlsConfig()), s}),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream),
		grpc.MaxRecvMsgSize(wire.MaxMessage), grpc.MaxHeaderListSize(16<<10), grpc.MaxConcurrentStreams(4),
		grpc.ReadBufferSize(4<<10), grpc.WriteBufferSize(4<<10),
		grpc.StaticStreamWindowSize(256<<10), grpc.StaticConnWindowSize(256<<10),
		grpc.ConnectionTimeout(15*time.Second), grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: time.Minute, Time: c.SilentAfter, Timeout: c.SilentAfter / 3}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}),
	)
	wirepb.RegisterAgentsServer(s.grpc, methods{s: s})
	return s, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// AuthorityEnds is when the authority of agents' certificates runs out.
func (s *Server) AuthorityEnds() time.Time { return s.ca.cert.NotAfter }

// CredentialKey is the key that assignments hand to agents.
func (s *Server) CredentialKey() ([]byte, error) { return s.ca.credentialKey() }

// Serve takes connections until Stop. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve agents on %s: %w", l.Addr(), err)
	}
	return nil
}

// Stop ends every session and connection and waits for what served them. Reports
// the core has not answered by then are not acknowledged: their agents send them
// again to whoever comes next.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stop = true
	for _, n := range s.live {
		n.end(status.Error(codes.Unavailable, "the collector is stopping"))
	}
	s.mu.Unlock()
	s.grpc.Stop()
	s.readers.Wait()
}

// Reassign tells the named agents, or every agent where none is named, to ask the
// core for its assignment again. Agents that are not connected ask when they are.
func (s *Server) Reassign(agents ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(agents) == 0 {
		for _, n := range s.live {
			n.refresh()
		}
	}
	for _, name := range agents {
		if n := s.live[name]; n != nil {
			n.refresh()
		}
	}
}

// ErrNotConnected says that an agent has no session now.
var ErrNotConnected = errors.New("agent is not connected")

// Run asks an agent to run one of its checks at once. The agent's own policy
// still decides.
func (s *Server) Run(agent, check string) error {
	s.mu.Lock()
	n := s.live[agent]
	s.mu.Unlock()
	if n == nil {
		return fmt.Errorf("run %s on %s: %w", check, agent, ErrNotConnected)
	}
	return n.run(check)
}

// StopRun asks an agent to end a run that Run asked for.
func (s *Server) StopRun(agent, check string) error {
	s.mu.Lock()
	n := s.live[agent]
	s.mu.Unlock()
	if n == nil {
		return fmt.Errorf("stop %s on %s: %w", check, agent, ErrNotConnected)
	}
	return n.stop(check)
}

// Stats are what a server has counted since its start.
type Stats struct {
	Connected int    // sessions now
	Sessions  uint64 // begun
	Reports   uint64 // handed to the core
	Results   uint64 // in them
	Refused   uint64 // connections, calls and reports
	Resent    uint64 // reports sent back to be sent again
	Clashes   uint64 // second hosts turned away
}

// Stats returns what the server has counted.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	connected := len(s.live)
	s.mu.Unlock()
	return Stats{connected, s.sessions.Load(), s.accepted.Load(), s.results.Load(), s.refused.Load(), s.resent.Load(), s.clashes.Load()}
}

// handshakesPerSecond is about what one core takes beside its other work.
const handshakesPerSecond = 2000

// spread returns over how long agents should come back after they all lost the
// collector.
func (s *Server) spread() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(len(s.live)) * time.Second / handshakesPerSecond
}

// cut ends an agent's session.
func (s *Server) cut(agent string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.live[agent]; n != nil {
		n.end(why)
	}
}

// claim makes n the session of its agent. An older session of the same machine,
// or one that does not answer, makes way; a live one of another machine stays and
// n is refused.
func (s *Server) claim(ctx context.Context, n *session) (holdfast.AgentIdentity, error) {
	for {
		s.mu.Lock()
		old := s.live[n.agent]
		switch {
		case s.stop:
			s.mu.Unlock()
			return holdfast.AgentIdentity{}, status.Error(codes.Unavailable, "the collector is stopping")
		case old == nil || old.over():
			s.live[n.agent] = n
			s.mu.Unlock()
			s.sessions.Add(1)
			return s.bound(ctx, n.caller) // it may have been revoked before cut could see n
		}
		s.mu.Unlock()
		if old.machine != n.machine && old.answers(ctx, s.c.AliveWait) {
			return holdfast.AgentIdentity{}, s.clash(ctx, old, n)
		}
		old.end(status.Error(codes.Aborted, "a newer connection of the same agent took over"))
		old.depart()
	}
}

// clash records that a second host uses an agent's name and key.
func (s *Server) clash(ctx context.Context, old, n *session) error {
	s.clashes.Add(1)
	text := fmt.Sprintf("host %s (%s) uses the name and key of %s, which is connected from host %s (%s): a copied data folder or a cloned machine; give it a name and token of its own",
		n.host, n.from, n.agent, old.host, old.from)
	now := s.c.Now()
	_, err := s.c.Identities.UpdateAgent(ctx, n.agent, func(id *holdfast.AgentIdentity) error {
		if id.Clash == text && now.Sub(id.Clashed) < time.Minute {
			return errKnown // a clone that keeps trying costs no write each time
		}
		id.Clash, id.Clashed = text, now
		return nil
	})
	if !errors.Is(err, errKnown) {
		s.c.Log.Warn("two hosts use one agent's name", "agent", n.agent, "clash", text, "err", err)
	}
	old.note(func(a *holdfast.AgentState) { a.Clash = text })
	return status.Error(codes.AlreadyExists, text)
}

var errKnown = errors.New("known already")

// leave takes a session that has ended out of the live ones, unless another has
// its place already.
func (s *Server) leave(n *session) {
	n.depart()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[n.agent] == n {
		delete(s.live, n.agent)
	}
}
