package ingest_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// TestOneTokenOneAgent uses one token a hundred times at once (E1).
func TestOneTokenOneAgent(t *testing.T) {
	c := start(t, newCore())
	for range 3 {
		token, err := c.Token(t.Context(), "db1", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		var joined atomic.Int32
		var all sync.WaitGroup
		h := &host{c: c}
		client := h.client(t)
		for range 100 {
			key := newKey(t)
			all.Go(func() {
				_, err := client.Enroll(t.Context(), &wirepb.EnrollRequest{Token: token, Csr: csrOf(t, key)})
				if err == nil {
					joined.Add(1)
				} else if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "works once") {
					t.Errorf("got %v, want a refusal that says the token works once", err)
				}
			})
		}
		all.Wait()
		if n := joined.Load(); n != 1 {
			t.Fatalf("%d joined with one token, want 1", n)
		}
	}
}

// over returns a client of one TLS connection, and the connection.
func (h *host) over(t *testing.T) (wirepb.AgentsClient, *tls.Conn) {
	t.Helper()
	config := h.tls(t)
	config.NextProtos = []string{"h2"}
	raw, err := tls.Dial("tcp", h.c.address, config)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return raw, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); raw.Close() })
	return wirepb.NewAgentsClient(conn), raw
}

func (h *host) recover(t *testing.T) error {
	t.Helper()
	stranger := &host{c: h.c, name: h.name, key: h.key}
	client, conn := stranger.over(t)
	_, err := client.Recover(t.Context(), recoverRequest(t, h, conn))
	return err
}

func (h *host) renew(t *testing.T) error {
	t.Helper()
	_, err := h.client(t).Renew(t.Context(), &wirepb.RenewRequest{Csr: csrOf(t, h.key)})
	return err
}

// TestIdentityChanges is the one table of enrolling, renewing, recovering and
// revoking: what was done before, what is done, and how it ends.
func TestIdentityChanges(t *testing.T) {
	c := start(t, newCore(), func(c *ingest.Config) { c.Recoveries = 2 })
	n := 0
	fresh := func() *host { n++; return c.join(t, "agent"+string(rune('a'+n))) }
	revokeIt := func(h *host) {
		if err := c.Revoke(t.Context(), h.name); err != nil {
			t.Fatal(err)
		}
	}
	rejoin := func(t *testing.T, h *host) *host { return c.join(t, h.name) }
	for _, k := range []struct {
		name   string
		before func(*testing.T, *host)
		act    func(*testing.T, *host) error
		want   string // "" succeeds
	}{
		{"renew", nil, func(t *testing.T, h *host) error { return h.renew(t) }, ""},
		{"renew with another key", nil, func(t *testing.T, h *host) error {
			_, err := h.client(t).Renew(t.Context(), &wirepb.RenewRequest{Csr: csrOf(t, newKey(t))})
			return err
		}, "not the one bound"},
		{"renew, revoked", func(t *testing.T, h *host) { revokeIt(h) }, func(t *testing.T, h *host) error { return h.renew(t) }, "was removed on"},
		{"renew, joined again by another", func(t *testing.T, h *host) { rejoin(t, h) }, func(t *testing.T, h *host) error { return h.renew(t) }, "not the one bound"},
		{"renew after coming back", func(t *testing.T, h *host) { revokeIt(h); *h = *rejoin(t, h) }, func(t *testing.T, h *host) error { return h.renew(t) }, ""},
		{"recover", nil, func(t *testing.T, h *host) error { return h.recover(t) }, ""},
		{"recover, revoked", func(t *testing.T, h *host) { revokeIt(h) }, func(t *testing.T, h *host) error { return h.recover(t) }, "was removed on"},
		{"recover with another key", func(t *testing.T, h *host) { h.key = newKey(t) }, func(t *testing.T, h *host) error { return h.recover(t) }, "not the one bound"},
		{"recover as another", func(t *testing.T, h *host) { h.name = fresh().name }, func(t *testing.T, h *host) error { return h.recover(t) }, "not the one bound"},
		{"recover as nobody", func(t *testing.T, h *host) { h.name = "nobody" }, func(t *testing.T, h *host) error { return h.recover(t) }, "no agent nobody is enrolled"},
		{"recover to the limit", func(t *testing.T, h *host) { h.recover(t) }, func(t *testing.T, h *host) error { return h.recover(t) }, ""},
		{"recover over the limit", func(t *testing.T, h *host) { h.recover(t); h.recover(t) }, func(t *testing.T, h *host) error { return h.recover(t) }, "come back by its key 2 times"},
		{"recover after joining again", func(t *testing.T, h *host) { h.recover(t); h.recover(t); *h = *rejoin(t, h) }, func(t *testing.T, h *host) error { return h.recover(t) }, ""},
		{"revoke", nil, func(t *testing.T, h *host) error { return c.Revoke(t.Context(), h.name) }, ""},
		{"revoke twice", func(t *testing.T, h *host) { revokeIt(h) }, func(t *testing.T, h *host) error { return c.Revoke(t.Context(), h.name) }, ""},
		{"revoke nobody", nil, func(t *testing.T, h *host) error { return c.Revoke(t.Context(), "nobody") }, "no agent nobody is enrolled"},
	} {
		t.Run(k.name, func(t *testing.T) {
			h := fresh()
			if k.before != nil {
				k.before(t, h)
			}
			check(t, k.act(t, h), k.want)
		})
	}
	if _, err := c.store.Agent(t.Context(), "nobody"); err == nil {
		t.Error("a refused change made an agent")
	}
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want success", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

// TestTokens tries what a token must not do.
func TestTokens(t *testing.T) {
	now := time.Now()
	var skew atomic.Int64
	c := start(t, newCore(), func(c *ingest.Config) {
		c.Now = func() time.Time { return now.Add(time.Duration(skew.Load())) }
	})
	token := func(life time.Duration) string {
		text, err := c.Token(t.Context(), "db1", life)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	enrol := func(text string, csr []byte) error {
		h := &host{c: c}
		_, err := h.client(t).Enroll(t.Context(), &wirepb.EnrollRequest{Token: text, Csr: csr})
		return err
	}
	csr := csrOf(t, newKey(t))
	good, err := wire.ParseToken(token(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	renamed, guessed := good, good
	renamed.Agent = "db2"
	guessed.Secret[3]++
	check(t, enrol(renamed.String(), csr), "does not know this join token")
	check(t, enrol(guessed.String(), csr), "does not know this join token")
	check(t, enrol("", csr), "it begins with hf1.")
	broken := append([]byte(nil), csr...)
	broken[len(broken)-1] ^= 1
	check(t, enrol(good.String(), broken), "signing request")
	check(t, enrol(good.String(), make([]byte, 9000)), "at most")
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	check(t, enrol(good.String(), csrOf(t, weak)), "use ECDSA P-256 or Ed25519")
	check(t, enrol(good.String(), csr), "") // none of these used it up

	before := token(time.Hour)
	skew.Add(int64(time.Second))
	if err := c.Revoke(t.Context(), "db1"); err != nil {
		t.Fatal(err)
	}
	check(t, enrol(before, csr), "removed after this token was made")
	late := token(time.Minute)
	skew.Add(int64(time.Minute))
	check(t, enrol(late, csr), "ran out at")
	for _, life := range []time.Duration{0, -time.Hour, 31 * 24 * time.Hour} {
		if _, err := c.Token(t.Context(), "db1", life); err == nil {
			t.Errorf("made a token that lives %s", life)
		}
	}
	if _, err := c.Token(t.Context(), "../db1", time.Hour); err == nil {
		t.Error("made a token for ../db1")
	}
}

// TestRecoveryIsOfOneConnection replays a good recovery on another connection.
func TestRecoveryIsOfOneConnection(t *testing.T) {
	c := start(t, newCore())
	h := c.join(t, "db1")
	stranger := &host{c: c, name: "db1", key: h.key}
	client, conn := stranger.over(t)
	captured := recoverRequest(t, h, conn)
	if _, err := client.Recover(t.Context(), captured); err != nil {
		t.Fatal(err)
	}
	other, _ := stranger.over(t)
	_, err := other.Recover(t.Context(), captured)
	check(t, err, "neither passed on nor repeated")

	_, conn = stranger.over(t)
	forged := recoverRequest(t, &host{c: c, name: "db1", key: newKey(t)}, conn)
	forged.Csr = captured.Csr // the bound key's request, signed for by another
	_, err = other.Recover(t.Context(), forged)
	check(t, err, "not by this key")
	id, err := c.store.Agent(t.Context(), "db1")
	if err != nil || id.Recoveries != 1 || id.Recovered.IsZero() {
		t.Errorf("counted %d recoveries (%v), want 1", id.Recoveries, err)
	}
}

// TestIssuedCertificate checks what an agent gets, whatever it asked for.
func TestIssuedCertificate(t *testing.T) {
	c := start(t, newCore(), func(c *ingest.Config) { c.CertificateLife = 2 * time.Hour })
	token, err := c.Token(t.Context(), "db1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{wire.ServerName, "db2"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	m, err := (&host{c: c}).client(t).Enroll(t.Context(), &wirepb.EnrollRequest{Token: token, Csr: csr})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(m.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := wire.AgentOf(cert); err != nil || name != "db1" {
		t.Errorf("issued to %q (%v), want db1", name, err)
	}
	if cert.IsCA || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("may do %v, authority %v; want clients' use only", cert.ExtKeyUsage, cert.IsCA)
	}
	if left := time.Until(cert.NotAfter); left > 2*time.Hour || left < 119*time.Minute {
		t.Errorf("lives %s, want 2 h", left)
	}
	id, err := c.store.Agent(t.Context(), "db1")
	if err != nil || id.Serial != cert.SerialNumber.Text(16) || !id.NotAfter.Equal(cert.NotAfter) || !wire.SameHash(id.Key, keyHash(t, key)) {
		t.Errorf("kept %+v (%v), want what was issued", id, err)
	}
}

func TestAuthorityFile(t *testing.T) {
	c := start(t, newCore())
	path := filepath.Join(c.data, ingest.FileName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v (%v), want 0600", info.Mode(), err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config := ingest.Config{Data: t.TempDir(), Identities: c.store, Core: c.core}
	path = filepath.Join(config.Data, ingest.FileName)
	for _, k := range []struct {
		name, want string
		make       func() error
	}{
		{"read by others", "chmod 600", func() error { return errors.Join(os.WriteFile(path, good, 0o600), os.Chmod(path, 0o640)) }},
		{"cut off", "restore it from a backup", func() error { return os.WriteFile(path, good[:200], 0o600) }},
		{"empty", "no private key", func() error { return os.WriteFile(path, nil, 0o600) }},
		{"a link", "not a plain file", func() error { return os.Symlink(filepath.Join(c.data, ingest.FileName), path) }},
		{"a folder", "not a plain file", func() error { return os.Mkdir(path, 0o700) }},
	} {
		t.Run(k.name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(path), k.make()); err != nil {
				t.Fatal(err)
			}
			_, err := ingest.New(config)
			check(t, err, k.want)
		})
	}
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, good, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.New(config); err != nil {
		t.Errorf("a good file: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(c.data, "*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
