package ingest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Identities is the part of the collector's store that ingest needs. Its promises
// are those of package store: atomic, durable, one writer at a time.
type Identities interface {
	Agent(ctx context.Context, name string) (holdfast.AgentIdentity, error)
	UpdateAgent(ctx context.Context, name string, change func(*holdfast.AgentIdentity) error) (holdfast.AgentIdentity, error)
	PutSecret(ctx context.Context, s holdfast.Secret) error
	UseSecret(ctx context.Context, kind, hash string, now time.Time) (holdfast.Secret, error)
	Secret(ctx context.Context, kind, hash string) (holdfast.Secret, error)
}

// act is what can be done to an agent's identity.
type act string

const (
	enrol     act = "enrol"
	renew     act = "renew"
	recovery  act = "recover"
	revoke    act = "revoke"
	maxCSR        = 8 << 10
	tokenHint     = "make a token with: holdfast collector token --agent %s"
)

// change is one act on one agent's identity.
type change struct {
	act   act
	agent string
	key   crypto.PublicKey // whose possession was proven; nil when revoking
	spki  []byte           // SHA-256 of its SubjectPublicKeyInfo
	token time.Time        // when enrolling: when the token was made
}

// change is the one place where identities change: it decides, signs and stores,
// in one step no other change can come between. It returns the new certificate,
// none when revoking.
func (s *Server) change(ctx context.Context, c change) (*x509.Certificate, error) {
	var cert *x509.Certificate
	var rebound bool
	_, err := s.c.Identities.UpdateAgent(ctx, c.agent, func(id *holdfast.AgentIdentity) error {
		now := s.c.Now()
		if err := permit(*id, c, s.c.Recoveries); err != nil {
			return err
		}
		if c.act == revoke {
			if id.Revoked.IsZero() {
				id.Revoked = now
			}
			return nil
		}
		var err error
		if cert, err = s.ca.agentCertificate(c.agent, c.key, s.c.CertificateLife); err != nil {
			return err
		}
		switch c.act {
		case enrol:
			rebound = !wire.SameHash(id.Key, c.spki)
			*id = holdfast.AgentIdentity{Name: id.Name, Site: id.Site, Key: c.spki, Enrolled: now}
		case recovery:
			id.Recoveries++
			id.Recovered = now
		}
		id.Serial, id.NotAfter = cert.SerialNumber.Text(16), cert.NotAfter
		return nil
	})
	if err != nil {
		return nil, s.refusal(c, err)
	}
	s.c.Log.Info("agent identity changed", "agent", c.agent, "act", string(c.act))
	switch {
	case c.act == revoke:
		s.cut(c.agent, status.Errorf(codes.PermissionDenied, "agent %s was removed from the collector", c.agent))
	case rebound:
		s.cut(c.agent, status.Errorf(codes.PermissionDenied, "agent %s was joined again with another key", c.agent))
	}
	return cert, nil
}

// permit decides whether an identity may be changed so. Its errors are gRPC
// statuses written for the person at the agent.
func permit(id holdfast.AgentIdentity, c change, recoveries int) error {
	hint := fmt.Sprintf(tokenHint, c.agent)
	enrolled := len(id.Key) > 0
	switch {
	case c.act == enrol:
		if !id.Revoked.IsZero() && !c.token.After(id.Revoked) {
			return status.Errorf(codes.PermissionDenied, "agent %s was removed after this token was made; %s", c.agent, hint)
		}
		return nil
	case !enrolled && c.act == revoke:
		return status.Errorf(codes.NotFound, "no agent %s is enrolled", c.agent)
	case c.act == revoke:
		return nil
	case !enrolled:
		return status.Errorf(codes.PermissionDenied, "no agent %s is enrolled; %s", c.agent, hint)
	case !id.Revoked.IsZero():
		return status.Errorf(codes.PermissionDenied, "agent %s was removed on %s; to take it back, %s", c.agent, id.Revoked.UTC().Format(time.RFC3339), hint)
	case !wire.SameHash(id.Key, c.spki):
		return status.Errorf(codes.PermissionDenied, "this key is not the one bound to agent %s: another host joined under the name, or the data folder is an old one; %s", c.agent, hint)
	case c.act == recovery && id.Recoveries >= recoveries:
		return status.Errorf(codes.ResourceExhausted, "agent %s has come back by its key %d times since it joined, the most allowed; %s", c.agent, id.Recoveries, hint)
	}
	return nil
}

// refusal tells a decision, which is for the agent, from a fault, which is for the
// collector's log.
func (s *Server) refusal(c change, err error) error {
	if st, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		s.c.Log.Warn("agent identity not changed", "agent", c.agent, "act", string(c.act), "why", st.GRPCStatus().Message())
		return st.GRPCStatus().Err()
	}
	s.c.Log.Error("agent identity not changed", "agent", c.agent, "act", string(c.act), "err", err)
	return status.Error(codes.Unavailable, "the collector cannot store identities now; its log says why")
}

// Token makes a one-use join token for an agent and stores its hash.
func (s *Server) Token(ctx context.Context, agent string, life time.Duration) (string, error) {
	if err := wire.CheckAgentName(agent); err != nil {
		return "", err
	}
	if life < time.Second || life > 30*24*time.Hour {
		return "", fmt.Errorf("life of the join token: %s, want between 1s and 30d", life)
	}
	t := wire.Token{Agent: agent, Authority: s.ca.fingerprint()}
	rand.Read(t.Secret[:])
	now := s.c.Now()
	err := s.c.Identities.PutSecret(ctx, holdfast.Secret{Hash: tokenHash(t), Kind: holdfast.SecretJoin, Subject: agent, Created: now, Expires: now.Add(life)})
	if err != nil {
		return "", fmt.Errorf("store the hash of a join token: %w", err)
	}
	return t.String(), nil
}

// tokenHash is what is kept of a token. Its 256 random bits make guessing
// hopeless, and looking up a hash takes a time that tells nothing of them.
func tokenHash(t wire.Token) string {
	sum := sha256.Sum256([]byte(t.String()))
	return hex.EncodeToString(sum[:])
}

// Revoke takes an agent's name from its key and ends its session. It may join
// again with a token made later.
func (s *Server) Revoke(ctx context.Context, agent string) error {
	_, err := s.change(ctx, change{act: revoke, agent: agent})
	return err
}

// spend uses a join token up.
func (s *Server) spend(ctx context.Context, text string) (holdfast.Secret, error) {
	t, err := wire.ParseToken(text)
	if err != nil {
		return holdfast.Secret{}, status.Error(codes.InvalidArgument, err.Error())
	}
	hash := tokenHash(t)
	secret, err := s.c.Identities.UseSecret(ctx, holdfast.SecretJoin, hash, s.c.Now())
	if err == nil && secret.Subject == t.Agent {
		return secret, nil
	}
	hint := fmt.Sprintf(tokenHint, t.Agent)
	known, lookup := s.c.Identities.Secret(ctx, holdfast.SecretJoin, hash)
	s.c.Log.Warn("join token refused", "agent", t.Agent, "err", err)
	switch {
	case lookup != nil:
		return secret, status.Errorf(codes.PermissionDenied, "the collector does not know this join token; %s", hint)
	case !known.Used.IsZero():
		return secret, status.Errorf(codes.PermissionDenied, "this join token was used at %s and works once; %s", known.Used.UTC().Format(time.RFC3339), hint)
	case !s.c.Now().Before(known.Expires):
		return secret, status.Errorf(codes.PermissionDenied, "this join token ran out at %s; %s", known.Expires.UTC().Format(time.RFC3339), hint)
	}
	return secret, status.Error(codes.Unavailable, "the collector cannot check join tokens now; its log says why")
}

// parseCSR reads a signing request, which proves possession of its key. Nothing
// else it asks for is granted.
func parseCSR(der []byte) (key crypto.PublicKey, spki []byte, err error) {
	if len(der) > maxCSR {
		return nil, nil, status.Errorf(codes.InvalidArgument, "signing request of %d bytes, at most %d", len(der), maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "signing request: %v", err)
	}
	switch k := csr.PublicKey.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, nil, status.Errorf(codes.InvalidArgument, "signing request: curve %s, use P-256", k.Params().Name)
		}
	default:
		return nil, nil, status.Errorf(codes.InvalidArgument, "signing request: key of type %T, use ECDSA P-256 or Ed25519", k)
	}
	return csr.PublicKey, wire.KeyHash(csr.RawSubjectPublicKeyInfo), nil
}

// verify checks a signature by a key that parseCSR let pass.
func verify(key crypto.PublicKey, digest, signature []byte) bool {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, digest, signature)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, signature)
	}
	return false
}

func (s *Server) answer(cert *x509.Certificate) *wirepb.Certificate {
	return &wirepb.Certificate{Certificate: cert.Raw, Authorities: [][]byte{s.ca.cert.Raw}}
}
