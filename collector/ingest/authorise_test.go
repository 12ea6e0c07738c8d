package ingest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// method is one method of the service, called with the emptiest of requests.
type method struct {
	name string
	call func(t *testing.T, conn *grpc.ClientConn) error
}

// methods returns every method of the generated service, so that a new one cannot
// escape the walk.
func methods() []method {
	var all []method
	service := wirepb.Agents_ServiceDesc.ServiceName
	for _, m := range wirepb.Agents_ServiceDesc.Methods {
		name := "/" + service + "/" + m.MethodName
		all = append(all, method{name, func(t *testing.T, conn *grpc.ClientConn) error {
			return conn.Invoke(t.Context(), name, &wirepb.RenewRequest{}, &wirepb.Certificate{})
		}})
	}
	for _, s := range wirepb.Agents_ServiceDesc.Streams {
		name := "/" + service + "/" + s.StreamName
		all = append(all, method{name, func(t *testing.T, conn *grpc.ClientConn) error {
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name)
			if err != nil {
				return err
			}
			_ = stream.SendMsg(&wirepb.Up{}) // the answer tells
			return stream.RecvMsg(&wirepb.Down{})
		}})
	}
	return all
}

// forged returns a certificate of the authority for the key, altered.
func forged(t *testing.T, ca *x509.Certificate, signer crypto.Signer, key crypto.Signer, alter func(*x509.Certificate)) []byte {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "db1"}, URIs: []*url.URL{wire.AgentURI("db1")},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	alter(c)
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// shown makes a connection and waits for the collector's first byte, or for what
// TLS says instead: it judges the certificate after the handshake.
func (h *host) shown(t *testing.T) error {
	t.Helper()
	config := h.tls(t)
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", h.c.address, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	return err
}

// TestEveryMethodNeedsACertificate walks every method with everything that is no
// good certificate (E2). Each is refused with words that say which check failed.
func TestEveryMethodNeedsACertificate(t *testing.T) {
	c := start(t, newCore("a"))
	ca, signer := c.authority(t)
	agent := c.join(t, "db1")
	revoked := c.join(t, "old1")
	if err := c.Revoke(t.Context(), "old1"); err != nil {
		t.Fatal(err)
	}
	other := start(t, newCore("a"))
	otherCA, otherSigner := other.authority(t)
	stranger := newKey(t)
	withURIs := func(uris ...string) func(*x509.Certificate) {
		return func(x *x509.Certificate) {
			x.URIs = nil
			for _, s := range uris {
				u, err := url.Parse(s)
				if err != nil {
					t.Fatal(err)
				}
				x.URIs = append(x.URIs, u)
			}
		}
	}
	same := func(*x509.Certificate) {}

	cases := []struct {
		name string
		key  crypto.Signer
		cert []byte
		want string // in the words of the collector, or of TLS where the handshake ends it
	}{
		{"none", agent.key, nil, "no client certificate"},
		{"expired", agent.key, forged(t, ca, signer, agent.key, func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-time.Minute) }), "expired certificate"},
		{"not yet valid", agent.key, forged(t, ca, signer, agent.key, func(x *x509.Certificate) { x.NotBefore = time.Now().Add(time.Minute) }), "expired certificate"},
		{"another authority", agent.key, forged(t, otherCA, otherSigner, agent.key, same), "unknown certificate authority"},
		{"self-signed", agent.key, forged(t, &x509.Certificate{Subject: ca.Subject}, agent.key, agent.key, same), "unknown certificate authority"},
		{"for servers", agent.key, forged(t, ca, signer, agent.key, func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "bad certificate"},
		{"for nothing said", agent.key, forged(t, ca, signer, agent.key, func(x *x509.Certificate) { x.ExtKeyUsage = nil }), "extended key usage"},
		{"for code", agent.key, forged(t, ca, signer, agent.key, func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), "bad certificate"},
		{"no name", agent.key, forged(t, ca, signer, agent.key, withURIs()), "subject alternative name"},
		{"two names", agent.key, forged(t, ca, signer, agent.key, withURIs("holdfast://agent/db1", "holdfast://agent/db2")), "subject alternative name"},
		{"another role", agent.key, forged(t, ca, signer, agent.key, withURIs("holdfast://collector/db1")), "subject alternative name"},
		{"a host's name beside", agent.key, forged(t, ca, signer, agent.key, func(x *x509.Certificate) { x.DNSNames = []string{"db1"} }), "subject alternative name"},
		{"a path for a name", agent.key, forged(t, ca, signer, agent.key, withURIs("holdfast://agent/db1/../db2")), "subject alternative name"},
		{"never enrolled", agent.key, forged(t, ca, signer, agent.key, withURIs("holdfast://agent/db9")), "no agent db9 is enrolled"},
		{"another's name", agent.key, forged(t, ca, signer, agent.key, withURIs("holdfast://agent/old1")), "removed"},
		{"a key that is not bound", stranger, forged(t, ca, signer, stranger, same), "not the one bound to agent db1"},
		{"revoked", revoked.key, revoked.cert, "agent old1 was removed on"},
		{"the authority's own", signer, ca.Raw, "extended key usage"},
	}
	for _, m := range methods() {
		if m.name == wirepb.Agents_Enroll_FullMethodName || m.name == wirepb.Agents_Recover_FullMethodName {
			continue // TestOpenMethods
		}
		for _, k := range cases {
			t.Run(m.name+"/"+k.name, func(t *testing.T) {
				h := &host{c: c, key: k.key, cert: k.cert}
				err := h.shown(t)
				if err == nil {
					err = m.call(t, h.conn(t, h.tls(t)))
				}
				if code := status.Code(err); err == nil || code == codes.Unimplemented || !strings.Contains(err.Error(), k.want) {
					t.Errorf("got %v, want a refusal that says %q", err, k.want)
				}
			})
		}
		t.Run(m.name+"/TLS 1.2", func(t *testing.T) {
			config := agent.tls(t)
			config.MaxVersion = tls.VersionTLS12
			if err := m.call(t, agent.conn(t, config)); err == nil || !strings.Contains(err.Error(), "protocol version") {
				t.Errorf("got %v, want a refusal of the protocol version", err)
			}
		})
	}
	if n := len(c.core.states); n != 0 {
		t.Errorf("the core was told of %d sessions, want none", n)
	}
}

// TestOpenMethods calls what needs no certificate with nothing to show for it.
func TestOpenMethods(t *testing.T) {
	c := start(t, newCore("a"))
	for _, m := range methods() {
		if m.name != wirepb.Agents_Enroll_FullMethodName && m.name != wirepb.Agents_Recover_FullMethodName {
			continue
		}
		h := &host{c: c, key: newKey(t)}
		if err := m.call(t, h.conn(t, h.tls(t))); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v, want InvalidArgument", m.name, err)
		}
		config := h.tls(t)
		config.MaxVersion = tls.VersionTLS12
		if err := m.call(t, h.conn(t, config)); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("%s over TLS 1.2: got %v, want a refusal", m.name, err)
		}
	}
	for _, name := range []string{"/holdfast.v1.Agents/Other", "holdfast.v1.Agents/Renew", "//holdfast.v1.Agents/Renew", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"} {
		h := &host{c: c, key: newKey(t)}
		if err := h.conn(t, h.tls(t)).Invoke(t.Context(), name, &wirepb.RenewRequest{}, &wirepb.Certificate{}); status.Code(err) != codes.Unimplemented && status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: got %v, want it unknown", name, err)
		}
	}
}
