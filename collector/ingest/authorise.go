package ingest

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// open lists the methods that need no client certificate. Every other one, a new
// one too, needs one.
var open = map[string]bool{
	wirepb.Agents_Enroll_FullMethodName:  true,
	wirepb.Agents_Recover_FullMethodName: true,
}

// caller is the agent behind a call.
type caller struct {
	agent string
	cert  *x509.Certificate
}

type callerKey struct{}

// callerOf returns whom authorise let in.
func callerOf(ctx context.Context) caller { return ctx.Value(callerKey{}).(caller) }

// authorise lets a call of a method that is not open pass only with a certificate
// of this collector that is current, of an agent, for the key bound to its name,
// and not revoked.
func (s *Server) authorise(ctx context.Context) (caller, error) {
	tls, err := tlsInfo(ctx)
	if err != nil {
		return caller{}, err
	}
	if len(tls.State.VerifiedChains) == 0 {
		return caller{}, status.Error(codes.Unauthenticated, "no client certificate: only agents that joined may call this; join with holdfast agent --join HOST:PORT --token-file FILE")
	}
	cert := tls.State.VerifiedChains[0][0]
	now := s.c.Now()
	switch {
	case now.Before(cert.NotBefore):
		return caller{}, status.Errorf(codes.Unauthenticated, "client certificate: not valid before %s: check the collector's clock", cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return caller{}, errRanOut(cert)
	case !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return caller{}, status.Error(codes.PermissionDenied, "client certificate: not made for clients (extended key usage): join to get the right one")
	}
	agent, err := wire.AgentOf(cert)
	if err != nil {
		return caller{}, status.Errorf(codes.PermissionDenied, "client certificate: %v: join to get the right one", err)
	}
	c := caller{agent: agent, cert: cert}
	_, err = s.bound(ctx, c)
	return c, err
}

// bound checks what may change while a certificate lives: the key's binding.
func (s *Server) bound(ctx context.Context, c caller) (holdfast.AgentIdentity, error) {
	what := change{act: renew, agent: c.agent, spki: wire.KeyHash(c.cert.RawSubjectPublicKeyInfo)}
	id, err := s.c.Identities.Agent(ctx, c.agent)
	if err == nil {
		return id, permit(id, what, 0)
	}
	s.c.Log.Warn("agent refused", "agent", c.agent, "err", err)
	return id, status.Errorf(codes.PermissionDenied, "no agent %s is enrolled, or the collector cannot look it up (its log says which); %s", c.agent, fmt.Sprintf(tokenHint, c.agent))
}

func errRanOut(cert *x509.Certificate) error {
	return status.Errorf(codes.Unauthenticated, "client certificate: ran out at %s: renew it, or recover by the key", cert.NotAfter.UTC().Format(time.RFC3339))
}

func tlsInfo(ctx context.Context) (credentials.TLSInfo, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if tls, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			return tls, nil
		}
	}
	return credentials.TLSInfo{}, status.Error(codes.Unauthenticated, "this port speaks TLS only")
}

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if !open[info.FullMethod] {
		c, err := s.authorise(ctx)
		if err != nil {
			s.refused.Add(1)
			return nil, err
		}
		return handler(context.WithValue(ctx, callerKey{}, c), req)
	}
	select { // a bound on what strangers can make the collector compute
	case s.strangers <- struct{}{}:
		defer func() { <-s.strangers }()
		return handler(ctx, req)
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// authorised is a stream whose context knows its caller.
type authorised struct {
	grpc.ServerStream
	ctx context.Context
}

func (a authorised) Context() context.Context { return a.ctx }

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if open[info.FullMethod] {
		return handler(srv, ss)
	}
	c, err := s.authorise(ss.Context())
	if err != nil {
		s.refused.Add(1)
		return err
	}
	return handler(srv, authorised{ss, context.WithValue(ss.Context(), callerKey{}, c)})
}

// handshakes tells the log why a handshake failed: the other end hears no more
// than TLS has words for.
type handshakes struct {
	credentials.TransportCredentials
	s *Server
}

// ServerHandshake is TLS's own.
func (h handshakes) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := h.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		h.s.refused.Add(1)
		if h.s.noise.Allow() {
			h.s.c.Log.Warn("agent connection refused", "from", raw.RemoteAddr().String(), "err", err)
		}
	}
	return conn, info, err
}

// Clone keeps the log.
func (h handshakes) Clone() credentials.TransportCredentials {
	return handshakes{h.TransportCredentials.Clone(), h.s}
}
