package ingest

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// methods are what agents call.
type methods struct {
	wirepb.UnimplementedAgentsServer
	s *Server
}

// Enroll binds the key of a signing request to the name of a join token.
func (m methods) Enroll(ctx context.Context, r *wirepb.EnrollRequest) (*wirepb.Certificate, error) {
	key, spki, err := parseCSR(r.GetCsr())
	if err != nil {
		return nil, err
	}
	secret, err := m.s.spend(ctx, r.GetToken())
	if err != nil {
		return nil, err
	}
	return m.certificate(ctx, change{act: enrol, agent: secret.Subject, key: key, spki: spki, token: secret.Created})
}

// Recover gives a certificate for a proof of the bound key made for this very
// connection.
func (m methods) Recover(ctx context.Context, r *wirepb.RecoverRequest) (*wirepb.Certificate, error) {
	if err := wire.CheckAgentName(r.GetAgent()); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	key, spki, err := parseCSR(r.GetCsr())
	if err != nil {
		return nil, err
	}
	tls, err := tlsInfo(ctx)
	if err != nil {
		return nil, err
	}
	exported, err := tls.State.ExportKeyingMaterial(wire.RecoverLabel, nil, 32)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "export from the connection: %v", err)
	}
	if !verify(key, wire.RecoverDigest(exported, r.GetCsr()), r.GetSignature()) {
		return nil, status.Error(codes.PermissionDenied, "recovery: the signature is not by this key for this connection: a recovery can be neither passed on nor repeated")
	}
	return m.certificate(ctx, change{act: recovery, agent: r.GetAgent(), key: key, spki: spki})
}

// Renew gives a new certificate for the caller's key.
func (m methods) Renew(ctx context.Context, r *wirepb.RenewRequest) (*wirepb.Certificate, error) {
	key, spki, err := parseCSR(r.GetCsr())
	if err != nil {
		return nil, err
	}
	return m.certificate(ctx, change{act: renew, agent: callerOf(ctx).agent, key: key, spki: spki})
}

func (m methods) certificate(ctx context.Context, c change) (*wirepb.Certificate, error) {
	cert, err := m.s.change(ctx, c)
	if err != nil {
		return nil, err
	}
	return m.s.answer(cert), nil
}

// Session holds an agent's session until either end has enough.
func (m methods) Session(stream grpc.BidiStreamingServer[wirepb.Up, wirepb.Down]) error {
	return m.s.hold(stream.Context(), stream)
}
